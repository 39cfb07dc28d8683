"""How the interpreter is set in a process that runs the engine."""

import gc

COLLECTOR_THRESHOLDS = (50_000, 20, 20)
"""Containers are made and dropped by the thousand, hardly any of them in cycles. Looking for those after every 700, as
Python does by default, is a fifth of what a small round of the worker costs.
"""


def settle_in() -> None:
    """Look for cycles rarely; what was made before now is not looked at for cycles again, and stays."""
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
