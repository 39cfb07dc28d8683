"""Appends the signals of many requests at once. What comes while an append is under way goes with the next one, so a
lone request waits for nobody, and a busy second costs few round trips.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from engine.log import Refusal, SignalLog
from engine.signals import Report

logger = logging.getLogger(__name__)

Outcome = Mapping[str, Refusal] | Exception
"""What `SignalLog.append` answers, or raises; it may name other requests' devices too."""
Waiting = tuple[float, Sequence[Report], Callable[[Outcome], None]]
"""When a body was received, what it reports, and who wants to know what becomes of it."""
AT_ONCE_LIMIT = 20_000
"""Signals of one append."""
WAITING_LIMIT = 200_000
"""Signals that may wait for their append; more are told to come back."""
CROWD = 2
"""So many requests in one append mean that more are on their way."""
GATHER_SECONDS = 0.005
"""Then the next append begins no sooner than this after the last one began."""


class Appender:
    """The signal log, for one event loop, in whose thread it is used."""

    def __init__(self, log: SignalLog) -> None:
        self._log = log
        self._waiting: list[Waiting] = []
        self._signals = 0
        self._busy = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="append")

    def append(self, received_at: float, reports: Sequence[Report], then: Callable[[Outcome], None]) -> None:
        """Append what a body reports, and call `then` when it is in, or is not."""
        if self._signals + len(reports) > WAITING_LIMIT:
            then({report.device: Refusal.LOG_FULL for report in reports})
            return
        self._waiting.append((received_at, reports, then))
        self._signals += len(reports)
        if not self._busy:
            self._busy = True
            asyncio.get_running_loop().call_soon(self._begin)  # with all that has come at this same moment

    def _begin(self) -> None:
        self._thread.submit(self._run, self._next(), asyncio.get_running_loop())

    def _run(self, batch: Sequence[Waiting], loop: asyncio.AbstractEventLoop) -> None:
        """In the thread of its own, as the log may take its time."""
        began = time.monotonic()
        outcome: Outcome
        try:
            outcome = self._log.append([(received_at, reports) for received_at, reports, _ in batch])
        except Exception as error:  # noqa: BLE001  # whatever it is, each request is to hear of it
            outcome = error
        loop.call_soon_threadsafe(self._tell, batch, outcome, began)

    def _tell(self, batch: Sequence[Waiting], outcome: Outcome, began: float) -> None:
        loop = asyncio.get_running_loop()
        crowded = len(batch) >= CROWD
        if crowded and (pause := began + GATHER_SECONDS - time.monotonic()) > 0:
            loop.call_later(pause, self._go_on)
        else:
            self._go_on()
        for _, _, then in batch:
            try:
                then(outcome)
            except Exception as error:  # noqa: BLE001  # one sender that cannot be told must not cost the others
                logger.error("a sender could not be told: %s", type(error).__name__)  # noqa: TRY400

    def _go_on(self) -> None:
        self._busy = bool(self._waiting)
        if self._busy:
            self._begin()

    def _next(self) -> list[Waiting]:
        size = count = 0
        for _, reports, _ in self._waiting:
            if count and size + len(reports) > AT_ONCE_LIMIT:
                break
            size, count = size + len(reports), count + 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        self._signals -= size
        return batch
