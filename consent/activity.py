"""When a subject was last heard of, so that who has been silent for years can be let go.

A visit, a text, and what the subject said in the ledger count; that a message was sent or opened, or that our records
were synchronised, does not. Visits and texts are purged long before the three years are over, so the day of the newest
is carried over here first.

Functions take an open connection; whoever calls opened the transaction.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, time

from sqlalchemy import Column, Connection, ForeignKey, Table, Text, func, select, update
from sqlalchemy_utc import UtcDateTime

from consent.admission import MINORITY
from consent.inbound import ERASURE
from consent.store import consent_entries, insert_if_new, subjects
from consent.tables import metadata

NOT_THEIRS = (ERASURE, MINORITY)
"""Sources of entries that the subject did not make."""

subject_activity = Table(
    "subject_activity",
    metadata,
    Column("subject", Text, ForeignKey("subjects.id", ondelete="CASCADE"), primary_key=True),
    Column("active_on", UtcDateTime, nullable=False),  # midnight, UTC: the day is enough
)

Seen = Callable[[Connection, Sequence[str]], Mapping[str, datetime]]
"""The newest sign of life of these subjects that a table has, where it has one."""


def carry_over(conn: Connection, seen: Mapping[str, datetime]) -> None:
    """Remember the days on which subjects were active, where they are newer than what is remembered."""
    known = set(conn.scalars(select(subjects.c.id).where(subjects.c.id.in_(seen))))
    for subject in sorted(known):
        day = datetime.combine(seen[subject].astimezone(UTC).date(), time(), UTC)
        if not insert_if_new(conn, subject_activity, {"subject": subject, "active_on": day}):
            older = (subject_activity.c.subject == subject) & (subject_activity.c.active_on < day)
            conn.execute(update(subject_activity).where(older).values(active_on=day))


def silent_since(
    conn: Connection, before: datetime, after: str, limit: int, others: Sequence[Seen]
) -> tuple[list[str], str | None]:
    """Among the next `limit` subjects behind `after`, those not heard of since `before`, and where to go on (None: that
    was all). Whoever became known since then is not asked about.
    """
    query = select(subjects.c.id, subjects.c.created_at).where(
        subjects.c.id > after, subjects.c.created_at < before
    )
    page = [row.id for row in conn.execute(query.order_by(subjects.c.id).limit(limit))]
    active: set[str] = set()
    for seen in (_said, _remembered, *others):
        active |= {subject for subject, at in seen(conn, page).items() if at >= before}
    return [subject for subject in page if subject not in active], page[-1] if len(page) == limit else None


def _said(conn: Connection, ids: Sequence[str]) -> dict[str, datetime]:
    newest = func.max(consent_entries.c.at, type_=UtcDateTime())
    theirs = consent_entries.c.subject.in_(ids) & consent_entries.c.source.not_in(NOT_THEIRS)
    query = select(consent_entries.c.subject, newest).where(theirs).group_by(consent_entries.c.subject)
    return {row[0]: row[1] for row in conn.execute(query)}


def _remembered(conn: Connection, ids: Sequence[str]) -> dict[str, datetime]:
    query = select(subject_activity).where(subject_activity.c.subject.in_(ids))
    return {row.subject: row.active_on for row in conn.execute(query)}
