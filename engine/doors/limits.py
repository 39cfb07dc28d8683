"""How fast one key may call: a fixed window of a second in the live store, so that every process counts together.

A process takes permits from the window a few at a time, so that not every request asks the store.
"""

import time

from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as NoAnswer

from engine.doors.problem import Problem
from engine.live import Live

WINDOW_SECONDS = 1
BLOCKS = 50
"""A process takes so large a share of the window at once; what it does not use is lost with the window."""
AWAY_SECONDS = 0.5
"""A live store that did not answer is not asked again so soon: those who wait behind are told at once."""


class RateLimit:
    """At most `per_second` requests of one key in any one second."""

    def __init__(self, live: Live, per_second: int) -> None:
        self._per_second = per_second
        self._block = max(per_second // BLOCKS, 1)
        self._permits: dict[str, tuple[int, float]] = {}
        self._draw = live.script("permits")
        self._away_until = 0.0

    def spend_held(self, key_id: str) -> bool:
        """Count one request against permits that this process holds, without asking the store. False when it has
        none; then `spend` asks.
        """
        left, until = self._permits.get(key_id, (0, 0.0))
        if left <= 0 or time.monotonic() >= until:
            return False
        self._permits[key_id] = (left - 1, until)
        return True

    def spend(self, key_id: str) -> None:
        """Count one request. Raises `Problem` 429 with Retry-After when the second is used up, and `RedisError` when the
        live store does not answer.
        """
        if self.spend_held(key_id):
            return
        if time.monotonic() < self._away_until:
            raise NoAnswer("it did not answer just now")
        try:
            spent, left_ms = self._draw(
                keys=[f"rate:{{{key_id}}}"], args=[self._block, WINDOW_SECONDS * 1000]
            )
        except RedisError:
            self._away_until = time.monotonic() + AWAY_SECONDS
            raise
        permits = self._block - max(spent - self._per_second, 0)
        if permits <= 0:
            raise Problem(
                429,
                "too_many_requests",
                f"this key may send {self._per_second} requests per second; send more in one body instead",
                headers={"Retry-After": str(WINDOW_SECONDS)},
            )
        self._permits[key_id] = (permits - 1, time.monotonic() + left_ms / 1000)
