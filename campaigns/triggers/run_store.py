"""How far each broadcast has come: which occurrence of which campaign, and the subject that was looked at last while it runs.

Every function takes an open connection; the caller owns the transaction.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from campaigns.paging import Page, read_time_cursor, write_cursor
from campaigns.tables import broadcast_runs
from consent.store import insert_if_new, subjects


@dataclass(frozen=True, slots=True)
class Run:
    """One occurrence of a broadcast. `after` is the subject that was looked at last. Of `examined` subjects `in_audience` were
    decided on. `why` says for what reason it ended before everybody was looked at; None if it did not.
    """

    campaign: str
    occurrence: datetime
    after: str | None
    examined: int
    in_audience: int
    begun_at: datetime
    ended_at: datetime | None
    why: str | None


def open_runs(conn: Connection) -> list[Run]:
    """The runs that have not ended, the oldest first."""
    table = broadcast_runs.c
    query = select(broadcast_runs).where(table.ended_at.is_(None)).order_by(table.occurrence, table.campaign)
    return [_run(row) for row in conn.execute(query)]


def is_begun(conn: Connection, campaign: str, occurrence: datetime) -> bool:
    """Whether the occurrence was begun, or given up."""
    return (
        conn.execute(select(broadcast_runs.c.campaign).where(*_this(campaign, occurrence))).first()
        is not None
    )


def begin_run(
    conn: Connection, campaign: str, occurrence: datetime, at: datetime, why_not: str | None = None
) -> bool:
    """Begin an occurrence, or give it up for a reason; False if it was begun before."""
    row = {
        "campaign": campaign,
        "occurrence": occurrence,
        "examined": 0,
        "in_audience": 0,
        "begun_at": at,
        "ended_at": at if why_not else None,
        "why": why_not,
    }
    return insert_if_new(conn, broadcast_runs, row)


def take_run(conn: Connection, campaign: str, occurrence: datetime) -> Run | None:
    """A run that has not ended, kept from others until the transaction ends; None of one that another has just now."""
    query = select(broadcast_runs).where(*_this(campaign, occurrence), broadcast_runs.c.ended_at.is_(None))
    row = conn.execute(query.with_for_update(skip_locked=True)).one_or_none()
    return None if row is None else _run(row)


def advance(conn: Connection, run: Run, after: str, examined: int, in_audience: int) -> None:
    """So many more were looked at, up to `after`, and so many of them were decided on."""
    counts = {"examined": run.examined + examined, "in_audience": run.in_audience + in_audience}
    _change(conn, run, after=after, **counts)


def end_run(conn: Connection, run: Run, at: datetime, why: str | None = None) -> None:
    """It is over; nobody's id is kept any longer."""
    _change(conn, run, after=None, ended_at=at, why=why)


def runs_page(conn: Connection, campaign: str, limit: int, cursor: str | None = None) -> Page[Run]:
    """The runs of a campaign, the newest first."""
    query = select(broadcast_runs).where(broadcast_runs.c.campaign == campaign)
    if cursor is not None:
        query = query.where(broadcast_runs.c.occurrence < read_time_cursor(cursor)[0])
    newest = query.order_by(broadcast_runs.c.occurrence.desc()).limit(limit + 1)
    found = [_run(row) for row in conn.execute(newest)]
    more = len(found) > limit
    following = write_cursor(found[limit - 1].occurrence.isoformat(), campaign) if more else None
    return Page(tuple(found[:limit]), following)


def forget_subject(conn: Connection, subject: str) -> None:
    """Name the one before, where a run has come as far as this subject."""
    before = select(func.max(subjects.c.id)).where(subjects.c.id < subject).scalar_subquery()
    conn.execute(update(broadcast_runs).where(broadcast_runs.c.after == subject).values(after=before))


def _this(campaign: str, occurrence: datetime) -> tuple[Any, ...]:
    return broadcast_runs.c.campaign == campaign, broadcast_runs.c.occurrence == occurrence


def _change(conn: Connection, run: Run, **values: object) -> None:
    conn.execute(update(broadcast_runs).where(*_this(run.campaign, run.occurrence)).values(**values))


def _run(row: Row[Any]) -> Run:
    return Run(
        row.campaign,
        row.occurrence,
        row.after,
        row.examined,
        row.in_audience,
        row.begun_at,
        row.ended_at,
        row.why,
    )
