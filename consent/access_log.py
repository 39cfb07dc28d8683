"""Who looked at a subject's data, when, and what for. Kept apart from what was looked at.

Functions take an open connection; whoever calls opened the transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from sqlalchemy import Column, Connection, Index, Table, Text, insert, select, update
from sqlalchemy_utc import UtcDateTime

from consent.tables import metadata

REASON_LIMIT_CHARS = 200
SUBJECT_LIMIT_CHARS = 128

access_log = Table(
    "access_log",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at", UtcDateTime, nullable=False, index=True),
    Column("actor", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("reason", Text),
    Index("ix_access_log_subject_at", "subject", "at"),
)


@dataclass(frozen=True, slots=True)
class Access:
    """One look: `what` was read by whom; `reason` as they gave it, None if they gave none."""

    at: datetime
    actor: str
    subject: str
    what: str
    reason: str | None


def note(conn: Connection, access: Access) -> None:
    """Write down a look."""
    conn.execute(
        insert(access_log).values(
            id=uuid4().hex,
            at=access.at,
            actor=access.actor,
            subject=access.subject,
            what=access.what,
            reason=access.reason,
        )
    )


def note_unless_noted(conn: Connection, looks: Sequence[Access], since: datetime) -> None:
    """Write down looks by one actor, at one thing, for one reason, save those that were since then; so that whoever reads a
    list again and again is written down once.
    """
    if not looks:
        return
    one, columns = looks[0], access_log.c
    already = select(columns.subject).where(
        columns.subject.in_([each.subject for each in looks]),
        columns.at > since,
        columns.actor == one.actor,
        columns.what == one.what,
        columns.reason.is_not_distinct_from(one.reason),
    )
    noted = set(conn.scalars(already))
    for each in looks:
        if each.subject not in noted:
            noted.add(each.subject)
            note(conn, each)


def accesses_of(conn: Connection, subject: str) -> list[Access]:
    """Every look at a subject's data, oldest first."""
    query = (
        select(access_log).where(access_log.c.subject == subject).order_by(access_log.c.at, access_log.c.id)
    )
    return [Access(row.at, row.actor, row.subject, row.what, row.reason) for row in conn.execute(query)]


def forget_words(conn: Connection, subject: str) -> None:
    """Drop the reasons of looks at a subject; that there were looks stays."""
    conn.execute(update(access_log).where(access_log.c.subject == subject).values(reason=None))
