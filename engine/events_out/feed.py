"""The feed: every change at a position of its own, in an order that never changes once it can be read.

A change gets its position only after its transaction has ended, by `place`, which one process at a time does. Numbers that
the database gives out at once would be no order to read by: a transaction that ends late shows a smaller number than
its reader has already passed. Functions take an open connection; whoever calls opened the transaction.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, exists, insert, select, update

from engine.events_out.change import ERASED, Change, ChangeKind
from engine.events_out.tables import changes, deliveries, feed, subscriptions

PLACED_AT_ONCE = 500
LISTENERS_REMEMBERED = timedelta(days=1)
"""So long after a stream was open changes are still written down, so that it can be taken up again."""
NOTE_EVERY = timedelta(minutes=1)


def has_unplaced(conn: Connection) -> bool:
    """Whether `place` has something to do; a quick look that locks nothing."""
    return conn.scalar(select(changes.c.seq).where(changes.c.position.is_(None)).limit(1)) is not None


def place(conn: Connection, now: datetime) -> list[Change]:
    """Give the oldest changes without a position the next ones, and answer them; none while another process does so."""
    last = conn.scalar(select(feed.c.last_position).with_for_update(skip_locked=True))
    if last is None:
        return []
    unplaced = (
        select(changes).where(changes.c.position.is_(None)).order_by(changes.c.seq).limit(PLACED_AT_ONCE)
    )
    rows = conn.execute(unplaced.with_for_update()).all()
    placed = [
        change_of(row, position=position, placed_at=now) for position, row in enumerate(rows, start=last + 1)
    ]
    if placed:
        at = (
            update(changes)
            .where(changes.c.seq == bindparam("of"))
            .values(position=bindparam("to"), placed_at=now)
        )
        conn.execute(at, [{"of": each.seq, "to": each.position} for each in placed])
        conn.execute(update(feed).values(last_position=placed[-1].position))
    return placed


def read(conn: Connection, after: int, limit: int) -> list[Change]:
    """The changes behind a position, in order."""
    query = select(changes).where(changes.c.position > after).order_by(changes.c.position).limit(limit)
    return [change_of(row) for row in conn.execute(query)]


def ends(conn: Connection) -> tuple[int, int]:
    """The position before the oldest change that can still be read, and the newest position given."""
    last = conn.scalar(select(feed.c.last_position)) or 0
    oldest = select(changes.c.position).where(changes.c.position.is_not(None)).order_by(changes.c.position)
    first = conn.scalar(oldest.limit(1))
    return (last if first is None else first - 1), last


def want(conn: Connection, listening: datetime | None = None) -> None:
    """From now on changes are written down; `listening` is when a stream is open."""
    values: dict[str, object] = {"wanted": True}
    row = conn.execute(select(feed).with_for_update()).one()
    if listening is not None and (row.listened_at is None or listening - row.listened_at >= NOTE_EVERY):
        values["listened_at"] = listening
    if not row.wanted or len(values) > 1:
        conn.execute(update(feed).values(values))


def is_noted(conn: Connection, listening: datetime) -> bool:
    """Whether `want` would change nothing; locks nothing."""
    row = conn.execute(select(feed)).one()
    return bool(row.wanted and row.listened_at and listening - row.listened_at < NOTE_EVERY)


def judge_wanted(conn: Connection, now: datetime) -> bool:
    """Stop writing changes down when nobody subscribes, and nobody has listened for a day. Answers what is so now."""
    row = conn.execute(select(feed).with_for_update()).one()
    listened = row.listened_at is not None and now - row.listened_at < LISTENERS_REMEMBERED
    wanted = listened or conn.scalar(select(exists(select(subscriptions.c.id)))) is True
    if wanted != row.wanted:
        conn.execute(update(feed).values(wanted=wanted))
    return wanted


def forget_subject(conn: Connection, subject: str) -> None:
    """Remove what waits about a subject; that it was erased is told last. Call it after the domains have forgotten."""
    # In this order: a `place` that is just queueing one of these changes is waited for.
    conn.execute(delete(changes).where(changes.c.subject == subject))
    conn.execute(delete(deliveries).where(deliveries.c.subject == subject))
    if conn.scalar(select(feed.c.wanted)):
        row = {"kind": ChangeKind.SUBJECT.value, "detail": ERASED, "ref": subject, "subject": subject}
        conn.execute(insert(changes).values(row))


def change_of(row: Row[Any], **other: Any) -> Change:
    """The change that a row of `changes` or `deliveries` holds."""
    return Change(
        **{
            "seq": row.seq,
            "kind": ChangeKind(row.kind),
            "detail": row.detail,
            "ref": row.ref,
            "subject": row.subject,
            "position": row.position,
            "placed_at": row.placed_at,
            "revision": row.revision,
            "geofence": row.geofence,
            "campaign": row.campaign,
            **other,
        }
    )


def subjects_of(several: Sequence[Change]) -> set[str]:
    """Whom they are about."""
    return {each.subject for each in several}
