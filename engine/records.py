"""Opens the records store: SQLite in the data directory, or PostgreSQL by URL, behind two SQLAlchemy engines."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError, StatementError

from consent.data_keys import VAULT_OPTION
from consent.keyring import Keyring
from consent.vault import Vault

BUSY_TIMEOUT_MS = 30_000
"""How long a SQLite writer waits for another before it gives up."""

SEALED_TABLES = "subject_keys, subjects, devices, messages, place_events, changes, deliveries"


@dataclass(frozen=True, slots=True)
class Records:
    """The records store. `writes.begin()` opens a transaction that may change things; `reads.connect()` one
    that may not. On SQLite a write transaction takes the write lock at once (``BEGIN IMMEDIATE``), so that
    what it read first is still true when it writes; on PostgreSQL the stores lock the rows they depend on.
    """

    writes: Engine
    reads: Engine

    def answers(self) -> bool:
        """Whether the store answers now."""
        try:
            with self.reads.connect() as connection:
                return connection.exec_driver_sql("SELECT 1").scalar() == 1
        except SQLAlchemyError:
            return False

    def compact(self, *, whole: bool = False) -> bool:
        """Drop what deleted and changed rows leave behind, as far as the database can be told to: SQLite empties its
        write-ahead log (deleted content is overwritten at once), PostgreSQL vacuums. With `whole` every file is
        written anew, which locks it. False when somebody is in the way; then it is tried again later.
        """
        try:
            if self.writes.dialect.name == "sqlite":
                return self._compact_sqlite(whole=whole)
            with self.writes.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("VACUUM (FULL)" if whole else f"VACUUM {SEALED_TABLES}")
        except (SQLAlchemyError, sqlite3.Error):
            return False
        return True

    def _compact_sqlite(self, *, whole: bool) -> bool:
        pooled = self.writes.raw_connection()  # no transaction of SQLAlchemy's around it
        try:
            if whole:
                pooled.cursor().execute("VACUUM")
            answer = pooled.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
            assert answer is not None
            return bool(answer.fetchone()[0] == 0)
        finally:
            pooled.close()

    def close(self) -> None:
        """Give every connection back; one that is still in use is closed when it comes back."""
        pool = self.writes.pool
        self.writes.dispose()
        event.listen(pool, "checkin", lambda _connection, entry: entry.invalidate())


def open_records(url: str, keys: Path | None = None) -> Records:
    """Open the store at a SQLAlchemy URL (``sqlite:///file`` or ``postgresql+psycopg://...``). What is sealed in it
    opens with the keys of a file; without one, only what is not sealed can be read.
    """
    url = url.replace("postgres://", "postgresql://", 1).replace("postgresql://", "postgresql+psycopg://", 1)
    options = {} if keys is None else {VAULT_OPTION: Vault(Keyring(keys))}
    writes = create_engine(url, pool_pre_ping=not url.startswith("sqlite"), execution_options=options)
    if writes.dialect.name == "sqlite":
        event.listen(writes, "connect", _prepare_sqlite)
        event.listen(writes, "begin", _begin_sqlite)
    return Records(writes=writes, reads=writes.execution_options(reads_only=True))


def is_away(error: Exception) -> bool:
    """Whether a store, or this machine, did not do its part, so that the same may go through later. A store that refuses
    what it is given did.
    """
    if isinstance(error, DataError | IntegrityError):
        return False
    if isinstance(error, StatementError) and not isinstance(
        error, DBAPIError
    ):  # a value that cannot be written
        return False
    return isinstance(error, RedisError | SQLAlchemyError | OSError)


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy says BEGIN, not the driver
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",  # a consent that was acknowledged survives a power cut
        "foreign_keys=ON",
        "secure_delete=ON",  # what is deleted is overwritten
        f"busy_timeout={BUSY_TIMEOUT_MS}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    reads_only = connection.get_execution_options().get("reads_only", False)
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")
