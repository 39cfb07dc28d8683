"""How fast one key may call: a fixed window of a second in the live store, so that every process counts together."""

from typing import cast

from redis.exceptions import RedisError

from engine.live import Live
from engine.problem import Problem

WINDOW_SECONDS = 1


class RateLimit:
    """At most `per_second` requests of one key in any one second."""

    def __init__(self, live: Live, per_second: int) -> None:
        self._live = live
        self._per_second = per_second

    def spend(self, key_id: str) -> None:
        """Count one request. Raises `Problem` 429 with Retry-After when the second is used up."""
        name = f"rate:{{{key_id}}}"
        try:
            with self._live.client.pipeline(transaction=True) as pipeline:
                pipeline.set(name, 0, ex=WINDOW_SECONDS, nx=True)
                pipeline.incr(name)
                spent = cast("int", pipeline.execute()[1])
        except RedisError:
            raise Problem(
                503, "live_store_unavailable", "the live store does not answer", headers={"Retry-After": "1"}
            ) from None
        if spent > self._per_second:
            raise Problem(
                429,
                "too_many_requests",
                f"this key may send {self._per_second} requests per second; send more in one body instead",
                headers={"Retry-After": str(WINDOW_SECONDS)},
            )
