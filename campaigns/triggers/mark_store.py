"""How far the watches have come that look for moments which fall due as time passes: each goes forward only, one row at a time.

Every function takes an open connection; the caller owns the transaction.
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, delete, select, update

from campaigns.tables import watch_marks
from consent.store import insert_if_new

Mark = tuple[datetime, str]
"""The instant and the id of what was looked at last."""


def marks(conn: Connection) -> dict[str, Mark]:
    """Every watch's mark."""
    return {row.watch: (row.at, row.id) for row in conn.execute(select(watch_marks))}


def take_mark(conn: Connection, watch: str, start: datetime) -> Mark:
    """The watch's mark, kept from others until the transaction ends; one that is new begins at `start`."""
    insert_if_new(conn, watch_marks, {"watch": watch, "at": start, "id": ""})
    query = select(watch_marks.c.at, watch_marks.c.id).where(watch_marks.c.watch == watch)
    row = conn.execute(query.with_for_update()).one()
    return row.at, row.id


def move_mark(conn: Connection, watch: str, mark: Mark) -> None:
    """What lies up to there was looked at."""
    at, name = mark
    conn.execute(update(watch_marks).where(watch_marks.c.watch == watch).values(at=at, id=name))


def forget_marks(conn: Connection, but: Collection[str]) -> None:
    """Remove the marks of watches that nobody needs; should one be needed again, it begins anew."""
    conn.execute(delete(watch_marks).where(watch_marks.c.watch.not_in(list(but))))
