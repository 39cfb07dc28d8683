"""The table of timed jobs. Each knocks at the same door as a person: it calls the function a route calls."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from apscheduler.schedulers.background import BackgroundScheduler

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do every so many seconds; late or missed runs are made up for by one."""

    name: str
    every_seconds: float
    run: Callable[[], object]


class Scheduler:
    """Runs jobs in the background until it is stopped."""

    def __init__(self, jobs: tuple[Job, ...]) -> None:
        self._jobs = jobs
        self._apscheduler = BackgroundScheduler(timezone="UTC")

    def start(self) -> None:
        """Begin; every job first runs after its own period."""
        for job in self._jobs:
            self._apscheduler.add_job(
                _guarded(job),
                "interval",
                seconds=job.every_seconds,
                id=job.name,
                max_instances=1,
                coalesce=True,
                misfire_grace_time=None,
            )
        self._apscheduler.start()

    def stop(self) -> None:
        """End; a job that is running is waited for."""
        if self._apscheduler.running:
            self._apscheduler.shutdown(wait=True)


def _guarded(job: Job) -> Callable[[], None]:
    def run() -> None:
        try:
            job.run()
        except Exception as error:  # noqa: BLE001  # one failed run must not end the job; the next may succeed
            logger.warning("job %s failed: %s", job.name, type(error).__name__)

    return run
