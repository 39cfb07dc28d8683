"""Push addresses that are no good any more."""

import logging
from collections.abc import Callable
from datetime import datetime

from consent.push import IDLE_KINDS, IDLE_LIMIT, PushAddress, forget_address, forget_idle
from engine import metrics
from engine.records import Records

logger = logging.getLogger(__name__)


class PushAddresses:
    """Ends addresses: those that a service calls dead, and those that no app has told us of for long."""

    def __init__(self, records: Records, now: Callable[[], datetime]) -> None:
        self._records = records
        self._now = now

    def bury(self, address: PushAddress, code: str | None) -> None:
        """Remove an address that its service calls dead."""
        with self._records.writes.begin() as connection:
            gone = forget_address(connection, address)
        if gone:
            metrics.PUSH_ADDRESSES_ENDED.labels(address.kind, "dead").inc()
            logger.info("a push address of %s is dead: %s", address.kind, code)

    def end_idle(self) -> int:
        """Remove the addresses of Firebase that no app has told us of for 270 days. Answers how many."""
        with self._records.writes.begin() as connection:
            ended = forget_idle(connection, IDLE_KINDS, self._now() - IDLE_LIMIT)
        metrics.PUSH_ADDRESSES_ENDED.labels("fcm", "idle").inc(ended)
        return ended
