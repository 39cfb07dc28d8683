"""Appends the signals of many requests at once. What comes while an append is under way goes with the next one, so a
lone request waits for nobody, and a busy second costs few round trips.
"""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from engine.log import SignalLog, Verdict
from engine.signals import Report

Arrival = tuple[float, Sequence[Report]]
"""When a body was received, and what it reports."""
AT_ONCE_LIMIT = 20_000
"""Signals of one append."""
WAITING_LIMIT = 200_000
"""Signals that may wait for their append; more are told to come back."""


class Appender:
    """The signal log, for coroutines of one event loop."""

    def __init__(self, log: SignalLog) -> None:
        self._log = log
        self._waiting: list[tuple[Arrival, asyncio.Future[Mapping[str, Verdict]]]] = []
        self._signals = 0
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="append")

    async def append(self, received_at: float, reports: Sequence[Report]) -> Mapping[str, Verdict]:
        """What `SignalLog.append` answers; the verdicts may hold other requests' devices too."""
        if self._signals + len(reports) > WAITING_LIMIT:
            return {report.device: Verdict.LOG_FULL for report in reports}
        done: asyncio.Future[Mapping[str, Verdict]] = asyncio.get_running_loop().create_future()
        self._waiting.append(((received_at, reports), done))
        self._signals += len(reports)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())
        return await done

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = self._next()
            arrivals = [arrival for arrival, _ in batch]
            try:
                verdicts = await loop.run_in_executor(self._thread, self._log.append, arrivals)
            except Exception as error:  # noqa: BLE001  # whatever it is, each request is to hear of it
                for _, done in batch:
                    if not done.done():
                        done.set_exception(error)
                continue
            for _, done in batch:
                if not done.done():
                    done.set_result(verdicts)

    def _next(self) -> list[tuple[Arrival, "asyncio.Future[Mapping[str, Verdict]]"]]:
        size = count = 0
        for (_, reports), _ in self._waiting:
            if count and size + len(reports) > AT_ONCE_LIMIT:
                break
            size, count = size + len(reports), count + 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        self._signals -= size
        return batch
