"""Erasing a subject from the records: its data key is destroyed, its rows go, its number stays suppressed, and that
somebody was erased is remembered until no file holds a trace.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import uuid4

from sqlalchemy import Connection, insert, select, update

from consent import store, suppression
from consent.sealing import seal_entries
from consent.tables import erasures

INACTIVITY = "retention"
"""Who erases a subject that has been silent for years. That is no request to be left alone for ever."""


def erase_subject(conn: Connection, subject: str, actor: str, at: datetime) -> None:
    """Remove all that this domain holds of a subject; of its ledger entries the leaves stay. The caller holds the
    subject's row.
    """
    mark = store.mark_of_subject(conn, subject)
    if mark is not None and actor != INACTIVITY:
        suppression.suppress(conn, mark, suppression.Because.ERASURE, at)
    seal_entries(conn, subject, actor, at)
    store.delete_subject(conn, subject)
    conn.execute(insert(erasures).values(id=uuid4().hex, erased_at=at))


def unsettled(conn: Connection) -> Sequence[str]:
    """Erasures of which a file may still hold a trace."""
    return tuple(conn.scalars(select(erasures.c.id).where(erasures.c.settled_at.is_(None))))


def settle(conn: Connection, ids: Sequence[str], at: datetime) -> None:
    """No file holds a trace of these any more."""
    for each in ids:
        conn.execute(update(erasures).where(erasures.c.id == each).values(settled_at=at))
