"""What is remembered of requests: the clock of each, and how it ended. It outlives the subject, as proof.

Functions take an open connection; whoever calls opened the transaction.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Index, RowMapping, Table, Text, func, select, update
from sqlalchemy_utc import UtcDateTime

from consent.errors import RequestNotFound
from consent.request import Outcome, PrivacyRequest, RequestKind
from consent.store import insert_if_new
from consent.tables import metadata

privacy_requests = Table(
    "privacy_requests",
    metadata,
    Column("id", Text, primary_key=True),
    Column("subject", Text, nullable=False, index=True),  # no foreign key: an answered erasure stays proven
    Column("kind", Text, nullable=False),
    Column("means", Text, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("identity_check", Text),
    Column("extended_at", UtcDateTime),
    Column("extension_reason", Text),
    Column("closed_at", UtcDateTime),
    Column("outcome", Text),
    Column("note", Text),
    Index("ix_privacy_requests_closed_at_due_at", "closed_at", "due_at"),
)

OPEN = privacy_requests.c.closed_at.is_(None)


def add(conn: Connection, request: PrivacyRequest) -> None:
    """Keep a new request."""
    insert_if_new(conn, privacy_requests, asdict(request))


def get(conn: Connection, request_id: str) -> PrivacyRequest:
    """The request, its row locked until the transaction ends. Raises RequestNotFound."""
    known = select(privacy_requests).where(privacy_requests.c.id == request_id)
    row = conn.execute(known.with_for_update()).mappings().first()
    if row is None:
        raise RequestNotFound
    return _request(row)


def save(conn: Connection, request: PrivacyRequest) -> None:
    """Keep a request that `get` gave, changed."""
    values = asdict(request)
    conn.execute(update(privacy_requests).where(privacy_requests.c.id == values.pop("id")).values(values))


def page(
    conn: Connection,
    *,
    overdue_at: datetime | None = None,
    open_only: bool = False,
    subject: str | None = None,
    after: tuple[datetime, str] | None = None,
    limit: int = 50,
) -> list[PrivacyRequest]:
    """Requests, those due first on top; with `overdue_at`, only those that were overdue then."""
    columns = privacy_requests.c
    wanted: list[ColumnElement[bool]] = []
    if open_only or overdue_at is not None:
        wanted.append(OPEN)
    if overdue_at is not None:
        wanted.append(columns.due_at < overdue_at)
    if subject is not None:
        wanted.append(columns.subject == subject)
    if after is not None:
        at, last = after
        wanted.append((columns.due_at > at) | ((columns.due_at == at) & (columns.id > last)))
    query = select(privacy_requests).where(*wanted).order_by(columns.due_at, columns.id).limit(limit)
    return [_request(row) for row in conn.execute(query).mappings()]


def pressure(conn: Connection, now: datetime) -> dict[RequestKind, tuple[int, int, float]]:
    """For each kind: how many are open, how many of them overdue, and the age of the oldest in seconds."""
    columns = privacy_requests.c
    late = func.count().filter(columns.due_at < now)
    oldest = func.min(columns.received_at, type_=UtcDateTime())
    query = select(columns.kind, func.count(), late, oldest).where(OPEN).group_by(columns.kind)
    told = dict.fromkeys(RequestKind, (0, 0, 0.0))
    for kind, count, overdue, received_at in conn.execute(query):
        told[RequestKind(kind)] = (count, overdue, (now - received_at).total_seconds())
    return told


def close_all(conn: Connection, subject: str, kinds: Sequence[RequestKind], now: datetime) -> int:
    """Close a subject's open requests of these kinds as done; answers how many."""
    theirs = OPEN & (privacy_requests.c.subject == subject) & privacy_requests.c.kind.in_(kinds)
    done: dict[str, Any] = {"closed_at": now, "outcome": Outcome.DONE.value}
    return conn.execute(update(privacy_requests).where(theirs).values(done)).rowcount


def forget_words(conn: Connection, subject: str) -> None:
    """Drop what people wrote about a subject's requests; that they were made and answered stays."""
    theirs = privacy_requests.c.subject == subject
    blank = {"identity_check": None, "extension_reason": None, "note": None}
    conn.execute(update(privacy_requests).where(theirs).values(blank))


def _request(row: RowMapping) -> PrivacyRequest:
    outcome = None if row["outcome"] is None else Outcome(row["outcome"])
    return PrivacyRequest(**{**row, "kind": RequestKind(row["kind"]), "outcome": outcome})
