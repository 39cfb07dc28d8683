"""Keeps two things of one subject apart: handing a message to a provider, and answering a withdrawal.

The sender holds a subject's lock, shared, from before it asks for consent until the provider's call has ended. Whoever
withdraws commits the withdrawal, then waits for an instant at which nobody holds that lock, and only then answers. So a
hand-over that starts after the answer took its lock after that instant, asked for consent after the withdrawal was
committed, and was refused. No transaction of the records store is open during the call.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from campaigns.delivery.outbox import is_being_sent
from consent.errors import StillSending
from engine.records import Records

POLL_SECONDS = 0.01
WAIT_LIMIT_SECONDS = 12.0
"""Longer than a provider's call may last (10 s), shorter than a provider of texts waits for its webhook (15 s)."""

START_LIMIT_SECONDS = 2.0
"""A claim older than this is not handed over any more."""

STRIPES = 4096
"""Lock files beside a SQLite file. Two subjects may share one: then a withdrawal of the one waits for both."""

Pause = Callable[[float], object]


class Locks(Protocol):
    """Locks by subject that end with whoever holds them, in every process that shares the records store."""

    def shared(self, subject: str) -> AbstractContextManager[bool]:
        """Hold the subject's lock together with other hand-overs; False if a withdrawal looks at it right now."""
        ...

    def is_free(self, subject: str) -> bool:
        """Whether nobody held it at one instant during this call."""
        ...


class Handovers:
    """`left_open` tells whether a message to a subject is still marked as on its way: it matters where a lock can be
    lost while its holder lives. `pause` is told how many seconds to wait.
    """

    def __init__(
        self,
        locks: Locks,
        left_open: Callable[[str], bool],
        *,
        wait_limit_seconds: float = WAIT_LIMIT_SECONDS,
        pause: Pause = time.sleep,
    ) -> None:
        self._locks = locks
        self._left_open = left_open
        self._wait_limit_seconds = wait_limit_seconds
        self._pause = pause

    @contextmanager
    def under_way(self, subject: str) -> Iterator[None]:
        """Wrap the claim of a message to the subject and its hand-over. Raises `StillSending` if the lock cannot be
        had.
        """
        for _ in range(_polls(self._wait_limit_seconds)):
            with self._locks.shared(subject) as held:
                if held:
                    yield
                    return
            self._pause(POLL_SECONDS)
        raise StillSending

    def settle(self, subject: str) -> None:
        """Return once no hand-over to the subject that began before this call can still start. Commit first what they
        are to heed. Raises `StillSending` when that takes too long.
        """
        for _ in range(_polls(self._wait_limit_seconds)):
            if self._locks.is_free(subject):
                break
            self._pause(POLL_SECONDS)
        else:
            raise StillSending
        # Nobody holds the lock, and a message is on its way all the same: its sender has died, or has lost its lock
        # together with the connection. In the second case it starts within the limit or not at all.
        for _ in range(_polls(START_LIMIT_SECONDS)):
            if not self._left_open(subject):
                break
            self._pause(POLL_SECONDS)


def open_handovers(
    records: Records, *, wait_limit_seconds: float = WAIT_LIMIT_SECONDS, pause: Pause = time.sleep
) -> Handovers:
    """The locks that fit the records store: files beside SQLite, advisory locks in PostgreSQL."""
    waiting: Any = {"wait_limit_seconds": wait_limit_seconds, "pause": pause}
    database = records.writes.url.database
    if records.writes.dialect.name == "sqlite" and database:
        return Handovers(FileLocks(Path(f"{database}.handovers")), lambda _subject: False, **waiting)

    def left_open(subject: str) -> bool:
        with records.reads.connect() as connection:
            return is_being_sent(connection, subject)

    return Handovers(AdvisoryLocks(records.writes), left_open, **waiting)


class FileLocks:
    """The kernel's locks on files of one machine. They end with the process, and not before: one that is stopped or
    swapped out keeps its lock.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    @contextmanager
    def shared(self, subject: str) -> Iterator[bool]:
        """As `Locks` says."""
        with self._opened(subject) as file:
            yield _flock(file, fcntl.LOCK_SH)

    def is_free(self, subject: str) -> bool:
        """As `Locks` says."""
        with self._opened(subject) as file:
            return _flock(file, fcntl.LOCK_EX)

    @contextmanager
    def _opened(self, subject: str) -> Iterator[int]:
        """The subject's file, opened anew: a lock belongs to the opening, so that threads exclude each other too."""
        file = os.open(self._folder / f"{_number(subject) % STRIPES:03x}", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            yield file
        finally:
            os.close(file)  # ends the lock


class AdvisoryLocks:
    """PostgreSQL's advisory locks. They end with the connection, which may break while its holder lives on."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def shared(self, subject: str) -> Iterator[bool]:
        """As `Locks` says."""
        key = _number(subject)
        with self._engine.connect() as connection:
            held = bool(connection.scalar(select(func.pg_try_advisory_lock_shared(key))))
            try:
                yield held
            finally:
                if held:
                    try:
                        connection.execute(select(func.pg_advisory_unlock_shared(key)))
                    except SQLAlchemyError:
                        connection.invalidate()  # a lock must not go back to the pool with its connection

    def is_free(self, subject: str) -> bool:
        """As `Locks` says."""
        with self._engine.connect() as connection:
            # In autocommit the statement is the transaction: what it locks is free again when it ends.
            return bool(connection.scalar(select(func.pg_try_advisory_xact_lock(_number(subject)))))


def _flock(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _number(subject: str) -> int:
    """63 bits of the subject's id, the same in every process."""
    return int.from_bytes(blake2b(subject.encode(), digest_size=8, person=b"handover").digest()) >> 1


def _polls(seconds: float) -> int:
    return round(seconds / POLL_SECONDS)
