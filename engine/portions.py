"""Deals with what waits a portion at a time, so that a thing that cannot be judged holds up nothing behind it."""

import logging
from collections.abc import Callable
from typing import Protocol

from engine import metrics
from engine.records import is_away

logger = logging.getLogger(__name__)


class Take(Protocol):
    """Deals with up to so many of the things that wait first, or passes over them where it is not to `judge`; how many."""

    def __call__(self, limit: int, *, judge: bool = True) -> int:
        """One transaction: it takes all of them or none."""
        ...


def go_through(take: Take, limit: int, portions: int, what: str, passed_over: Callable[[int], None]) -> int:
    """Take portions of `limit` until nothing waits, so many at most; how many things that were, those passed over, of which
    `passed_over` is told, included. `what` it is about stands in the log. Raises what a store says that is away.
    """
    looked = 0
    for _ in range(portions):
        taken = _take_some(take, limit, what, passed_over)
        looked += taken
        if not taken:
            break
    return looked


def _take_some(take: Take, limit: int, what: str, passed_over: Callable[[int], None]) -> int:
    """A portion; where it cannot be judged, the next thing alone; and where that cannot, it is passed over."""
    for some in (limit, 1):
        try:
            return take(some)
        except Exception as error:
            if is_away(error):
                raise
            # The type alone: a message may quote a value, and a value may be personal.
            logger.warning("%s of %s could not be judged (%s)", some, what, type(error).__name__)
    passed = take(1, judge=False)
    passed_over(passed)
    metrics.UNJUDGED.labels("moment_refused").inc(passed)
    return passed
