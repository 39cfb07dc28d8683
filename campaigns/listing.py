"""Decisions and messages as they are listed: filtered, the newest first, a page at a time.

Every function takes an open connection; the caller owns the transaction.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, and_, or_, select

from campaigns.decide import Outcome
from campaigns.gates import Reason
from campaigns.message import MessageState
from campaigns.paging import read_time_cursor, write_cursor


@dataclass(frozen=True, slots=True)
class Filters:
    """Which decisions or messages to list; `since` is included, `until` excluded, None does not restrict.

    `outcome` is for decisions alone, `state` for messages.
    """

    subject: str | None = None
    campaign: str | None = None
    geofence: str | None = None
    event: str | None = None
    outcome: Outcome | None = None
    state: MessageState | None = None
    reason: Reason | None = None
    since: datetime | None = None
    until: datetime | None = None


def newest(
    conn: Connection,
    table: Table,
    at: ColumnElement[datetime],
    filters: Filters,
    limit: int,
    cursor: str | None,
) -> tuple[list[Row[Any]], str | None]:
    """A page of rows of a table that is read from its newest row on, and the cursor of the next."""
    query: Select[Any] = select(table).where(*conditions_of(table, at, filters))
    if cursor is not None:
        last_at, last_id = read_time_cursor(cursor)
        query = query.where(or_(at < last_at, and_(at == last_at, table.c.id < last_id)))
    rows = list(conn.execute(query.order_by(at.desc(), table.c.id.desc()).limit(limit + 1)))
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], write_cursor(getattr(last, at.key or "").isoformat(), last.id)


def conditions_of(table: Table, at: ColumnElement[datetime], filters: Filters) -> list[ColumnElement[bool]]:
    """What the rows that the filters choose meet."""
    wanted = {
        name: getattr(filters, name)
        for name in ("subject", "campaign", "geofence", "event", "outcome", "state", "reason")
    }
    conditions: list[ColumnElement[bool]] = [
        table.c[name] == value for name, value in wanted.items() if value is not None
    ]
    if filters.since is not None:
        conditions.append(at >= filters.since)
    if filters.until is not None:
        conditions.append(at < filters.until)
    return conditions
