"""Opens the records store: SQLite in the data directory, or PostgreSQL by URL, behind two SQLAlchemy engines."""

import sqlite3
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

BUSY_TIMEOUT_MS = 30_000
"""How long a SQLite writer waits for another before it gives up."""


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

    def close(self) -> None:
        """Give every connection back."""
        self.writes.dispose()


def open_records(url: str) -> Records:
    """Open the store at a SQLAlchemy URL (``sqlite:///file`` or ``postgresql+psycopg://...``)."""
    url = url.replace("postgres://", "postgresql://", 1).replace("postgresql://", "postgresql+psycopg://", 1)
    writes = create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
    if writes.dialect.name == "sqlite":
        event.listen(writes, "connect", _prepare_sqlite)
        event.listen(writes, "begin", _begin_sqlite)
    return Records(writes=writes, reads=writes.execution_options(reads_only=True))


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy says BEGIN, not the driver
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",  # a consent that was acknowledged survives a power cut
        "foreign_keys=ON",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    reads_only = connection.get_execution_options().get("reads_only", False)
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")
