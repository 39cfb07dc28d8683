"""How long a run may take, shared out over what it still has to do."""

import time
from collections.abc import Callable

LEAST_SECONDS = 0.3
"""In less, nothing is measured."""


class Budget:
    """So many seconds from now on; without a limit when None. `clock` is monotonic."""

    def __init__(self, seconds: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = float("inf") if seconds is None else clock() + seconds

    def left(self) -> float:
        """Seconds that are left, at least 0."""
        return max(self._until - self._clock(), 0.0)

    def share(self, part: float, most: float) -> float:
        """Seconds for something that may take this part of what is left, `most` at the most, and `LEAST_SECONDS` at
        the least.
        """
        return max(min(self.left() * part, most), LEAST_SECONDS)
