"""How fast one key may call: a fixed window of a second in the live store, so that every process counts together.

A process takes permits from the window a few at a time, so that not every request asks the store.
"""

import time
from typing import cast

from redis.exceptions import RedisError

from engine.live import Live
from engine.problem import Problem

WINDOW_SECONDS = 1
BLOCKS = 50
"""A process takes so large a share of the window at once; what it does not use is lost with the window."""


class RateLimit:
    """At most `per_second` requests of one key in any one second."""

    def __init__(self, live: Live, per_second: int) -> None:
        self._live = live
        self._per_second = per_second
        self._block = max(per_second // BLOCKS, 1)
        self._permits: dict[str, tuple[int, float]] = {}

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
        """Count one request. Raises `Problem` 429 with Retry-After when the second is used up."""
        if self.spend_held(key_id):
            return
        name = f"rate:{{{key_id}}}"
        try:
            with self._live.client.pipeline(transaction=True) as pipeline:
                pipeline.set(name, 0, ex=WINDOW_SECONDS, nx=True)
                pipeline.incrby(name, self._block)
                pipeline.pttl(name)
                _, spent, left_ms = cast("tuple[bool, int, int]", pipeline.execute())
        except RedisError:
            raise Problem(
                503, "live_store_unavailable", "the live store does not answer", headers={"Retry-After": "1"}
            ) from None
        permits = self._block - max(spent - self._per_second, 0)
        if permits <= 0:
            raise Problem(
                429,
                "too_many_requests",
                f"this key may send {self._per_second} requests per second; send more in one body instead",
                headers={"Retry-After": str(WINDOW_SECONDS)},
            )
        self._permits[key_id] = (permits - 1, time.monotonic() + left_ms / 1000)
