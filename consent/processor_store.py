"""What is remembered of erasures passed on to processors: who is still to be told, and the proof of who was.

Functions take an open connection; whoever calls opened the transaction.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import uuid4

from sqlalchemy import Column, Connection, Index, Integer, Select, Table, Text, func, or_, select, update
from sqlalchemy_utc import UtcDateTime

from consent.store import insert_if_new
from consent.tables import metadata

TAKEN_FOR = timedelta(minutes=2)
"""How long a notice that one process took is left alone by the others."""
PAUSES_SECONDS = (60, 300, 1800, 7200, 21600, 43200, 86400, 86400, 86400)
"""After the first, second, ... failed call; after the last one the notice waits for a person."""


class NoticeState(StrEnum):
    """`manual` is for a person to do, from the start or after every call has failed."""

    DUE = "due"
    DONE = "done"
    MANUAL = "manual"


erasure_notices = Table(
    "erasure_notices",
    metadata,
    Column("id", Text, primary_key=True),
    Column("processor", Text, nullable=False),
    Column("subject", Text, nullable=False, index=True),  # no foreign key: the subject is gone
    Column("created_at", UtcDateTime, nullable=False),
    Column("state", Text, nullable=False),
    Column("next_at", UtcDateTime, nullable=False),
    Column("calls", Integer, nullable=False),
    Column("last_answer", Text),  # the HTTP status, or the kind of failure
    Column("done_at", UtcDateTime),
    Column("proof", Text),  # digest of the answer's body, or who says that it was done
    Index("ix_erasure_notices_state_next_at", "state", "next_at"),
)


@dataclass(frozen=True, slots=True)
class ErasureNotice:
    """That one processor is to erase one subject, and how far that is."""

    id: str
    processor: str
    subject: str
    created_at: datetime
    state: NoticeState
    next_at: datetime
    calls: int
    last_answer: str | None
    done_at: datetime | None
    proof: str | None


def notify(conn: Connection, subject: str, processors: Iterable[tuple[str, bool]], now: datetime) -> None:
    """Queue a notice for each processor: its name, and whether it can be called."""
    for name, callable_ in processors:
        row = {
            "id": uuid4().hex,
            "processor": name,
            "subject": subject,
            "created_at": now,
            "state": (NoticeState.DUE if callable_ else NoticeState.MANUAL).value,
            "next_at": now,
            "calls": 0,
        }
        insert_if_new(conn, erasure_notices, row)


def take_due(conn: Connection, now: datetime, limit: int) -> list[ErasureNotice]:
    """Take notices whose time has come; another process does not see them for two minutes."""
    due = (
        select(erasure_notices)
        .where(erasure_notices.c.state == NoticeState.DUE.value, erasure_notices.c.next_at <= now)
        .order_by(erasure_notices.c.next_at, erasure_notices.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    taken = _notices(conn, due)
    ids = [notice.id for notice in taken]
    conn.execute(update(erasure_notices).where(erasure_notices.c.id.in_(ids)).values(next_at=now + TAKEN_FOR))
    return taken


def settle(
    conn: Connection, notice: ErasureNotice, answer: str, proof: str | None, now: datetime
) -> NoticeState:
    """Record a call: with a `proof` the processor took it, without one it is called again, or a person is needed."""
    calls = notice.calls + 1
    values: dict[str, object] = {"calls": calls, "last_answer": answer}
    if proof is not None:
        state = NoticeState.DONE
        values |= {"done_at": now, "proof": proof}
    elif calls > len(PAUSES_SECONDS):
        state = NoticeState.MANUAL
    else:
        state = NoticeState.DUE
        values["next_at"] = now + timedelta(seconds=PAUSES_SECONDS[calls - 1])
    still = (erasure_notices.c.id == notice.id) & (erasure_notices.c.state == NoticeState.DUE.value)
    conn.execute(update(erasure_notices).where(still).values(state=state.value, **values))
    return state


def done_by_hand(conn: Connection, notice_id: str, actor: str, now: datetime) -> bool:
    """A person says that the processor has erased it; False when there is no such notice, or it was done."""
    waiting = (erasure_notices.c.id == notice_id) & (erasure_notices.c.state != NoticeState.DONE.value)
    done = {"state": NoticeState.DONE.value, "done_at": now, "proof": f"said by {actor}"}
    return conn.execute(update(erasure_notices).where(waiting).values(done)).rowcount == 1


def waiting(conn: Connection, limit: int) -> list[ErasureNotice]:
    """Notices that are not done, oldest first."""
    query = (
        select(erasure_notices)
        .where(erasure_notices.c.state != NoticeState.DONE.value)
        .order_by(erasure_notices.c.created_at, erasure_notices.c.id)
        .limit(limit)
    )
    return _notices(conn, query)


def notices_of(conn: Connection, subject: str) -> list[ErasureNotice]:
    """Every notice about a subject, oldest first."""
    theirs = select(erasure_notices).where(erasure_notices.c.subject == subject)
    query = theirs.order_by(erasure_notices.c.created_at, erasure_notices.c.processor)
    return _notices(conn, query)


def pressure(conn: Connection, now: datetime) -> dict[NoticeState, tuple[int, float]]:
    """Of what is not done, for each state: how many, and the age of the oldest in seconds."""
    columns = erasure_notices.c
    oldest = func.min(columns.created_at, type_=UtcDateTime())
    undone = or_(columns.state == NoticeState.DUE.value, columns.state == NoticeState.MANUAL.value)
    told = dict.fromkeys((NoticeState.DUE, NoticeState.MANUAL), (0, 0.0))
    for state, count, since in conn.execute(
        select(columns.state, func.count(), oldest).where(undone).group_by(columns.state)
    ):
        told[NoticeState(state)] = (count, (now - since).total_seconds())
    return told


def _notices(conn: Connection, query: Select[Any]) -> list[ErasureNotice]:
    return [
        ErasureNotice(**{**row, "state": NoticeState(row["state"])}) for row in conn.execute(query).mappings()
    ]
