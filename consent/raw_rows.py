"""The ledger's rows as the database has them, unconverted, for the audit: nothing in them may be smoothed over."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Select, Table, func, or_, select, type_coerce
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.types import NullType

from consent.commitment import EntryLine, ErasureLine, Line, NoticeLine, canonical, leaf_of
from consent.log_tables import consent_erasures, consent_notices
from consent.store import consent_entries

Raw = Sequence[Any]
"""One row: its place first, then what its line holds in order, its salt last."""

TIMES = ("at", "recorded_at", "published_at", "erased_at")
"""The columns that hold an instant; read as the text of a UTC time."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of leaf, and the table that holds what it commits to."""

    name: str
    table: Table
    line: Callable[..., Line]
    fields: tuple[str, ...]


ENTRY = Kind("entry", consent_entries, EntryLine, EntryLine.__struct_fields__)
NOTICE = Kind("notice", consent_notices, NoticeLine, NoticeLine.__struct_fields__)
ERASURE = Kind("erasure", consent_erasures, ErasureLine, ErasureLine.__struct_fields__)
KINDS = (ENTRY, NOTICE, ERASURE)


def rows_of(conn: Connection, kind: Kind, first: int, last: int) -> tuple[list[Raw], list[int]]:
    """The rows of the places from `first` to `last`, in order, and the places of those that cannot even be read."""
    columns = [raw(conn, kind.table.c[name]) for name in ("seq", *kind.fields, "salt")]
    return between(conn, select(*columns), kind.table.c.seq, first, last)


def between(
    conn: Connection, query: Select[*tuple[Any, ...]], key: Column[Any], first: int, last: int
) -> tuple[list[Raw], list[int]]:
    """The rows of a query whose key lies between two, in its order, and the keys of those that cannot be read."""
    found, unreadable, spans = list[Raw](), list[int](), [(first, last)]
    while spans:
        low, high = spans.pop()
        try:
            with conn.execute(query.where(key.between(low, high)).order_by(key)) as rows:
                found += rows.cursor.fetchall()  # the driver's own tuples: there are millions
        except (SQLAlchemyError, sqlite3.Error):  # text that is none; halved until the row stands alone
            if conn.dialect.name != "sqlite":
                raise
            if low == high:
                unreadable.append(low)
            else:
                middle = (low + high) // 2
                spans += [(middle + 1, high), (low, middle)]
    return found, unreadable


def raw(conn: Connection, column: Column[Any]) -> ColumnElement[Any]:
    """A column without any conversion; PostgreSQL has no text of an instant, so it is made there."""
    if column.name in TIMES and conn.dialect.name == "postgresql":
        return func.to_char(func.timezone("UTC", column), "YYYY-MM-DD HH24:MI:SS.US")
    return type_coerce(column, NullType())


def strays(conn: Connection, kind: Kind, size: int) -> list[tuple[int, str]]:
    """Rows that stand where the log has no place, or hold bytes in place of text; each with what is wrong."""
    table = kind.table
    key = raw(conn, table.c.seq)
    found = [
        (place, f"{kind.name} {place} stands beyond the log's end")
        for place in conn.scalars(select(key).where(or_(key < 1, key > size)).order_by(key).limit(1))
    ]
    if conn.dialect.name == "sqlite":
        blobs = or_(*(func.typeof(table.c[name]) == "blob" for name in kind.fields))
        found += [
            (place, f"{kind.name} {place} holds bytes where text belongs")
            for place in conn.scalars(select(key).where(blobs).order_by(key).limit(1))
        ]
    return found


def leaves_of(kind: Kind, rows: Sequence[Raw]) -> list[bytes | None]:
    """The hash of each row's leaf, worked out anew; None for a row that no ledger ever wrote."""
    worked_out = _entry_leaves if kind is ENTRY else partial(_other_leaves, kind)
    try:
        return [*worked_out(rows)]
    except (TypeError, ValueError):  # something is of another type; each row for itself
        return [_leaf_or_none(worked_out, row) for row in rows]


def _entry_leaves(rows: Iterable[Raw]) -> list[bytes]:
    """Written out, as there are millions: EntryLine's fields in order, the instants as a line tells them."""
    return [
        sha256(
            b"\x00"
            + sha256(
                salt
                + canonical(
                    EntryLine(
                        action, actor, f"{at}Z", chan, evid, id_, law, lang, partner, purp, f"{rec}Z", *rest
                    )
                )
            ).digest()
        ).digest()
        for _, action, actor, at, chan, evid, id_, law, lang, partner, purp, rec, *rest, salt in rows
    ]


def _other_leaves(kind: Kind, rows: Iterable[Raw]) -> list[bytes]:
    return [
        leaf_of(
            row[-1],
            kind.line(
                *(
                    f"{value}Z" if name in TIMES else value
                    for name, value in zip(kind.fields, row[1:-1], strict=True)
                )
            ),
        )
        for row in rows
    ]


def _leaf_or_none(worked_out: Callable[[Iterable[Raw]], list[bytes]], row: Raw) -> bytes | None:
    try:
        return worked_out([row])[0]
    except (TypeError, ValueError):
        return None
