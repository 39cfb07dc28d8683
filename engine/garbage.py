"""The garbage collector of a process that runs the engine."""

import gc

THRESHOLDS = (50_000, 20, 20)
"""Containers are made and dropped by the thousand, hardly any of them in cycles. Looking for those after every 700, as
Python does by default, is a fifth of what a small round of the worker costs.
"""


def run_rarely() -> None:
    """Look for cycles rarely, and never again among what was made before now, which stays."""
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
