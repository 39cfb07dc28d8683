"""Whether an address still reaches its owner. A dead one says nothing about consent, and consent nothing about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Integer,
    Table,
    Text,
    bindparam,
    delete,
    select,
    update,
)
from sqlalchemy_utc import UtcDateTime

from consent.entry import Channel
from consent.store import insert_if_new
from consent.tables import metadata

address_failures = Table(
    "address_failures",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("code", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("strikes", Integer, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("dead_at", UtcDateTime),
)


_DEAD = select(address_failures.c.dead_at).where(
    address_failures.c.subject == bindparam("subject"), address_failures.c.channel == bindparam("channel")
)


@dataclass(frozen=True, slots=True)
class Failure:
    """One message that did not arrive: the provider's `code`, and how many like it within what time are the end of
    the address.
    """

    message: str
    code: str
    strikes_allowed: int
    within: timedelta
    at: datetime


def is_dead(conn: Connection, subject: str, channel: Channel) -> bool:
    """Whether nothing is to be sent to the subject's address on this channel any more."""
    return conn.scalar(_DEAD, {"subject": subject, "channel": channel.value}) is not None


def note_failure(conn: Connection, subject: str, channel: Channel, failure: Failure) -> bool:
    """Count a failure, once per message; whether the address is dead now. The caller holds the subject's lock."""
    row = conn.execute(select(address_failures).where(*_theirs(subject, channel))).first()
    if row is not None and row.message == failure.message:
        return row.dead_at is not None
    goes_on = row is not None and failure.at - row.since <= failure.within
    strikes = row.strikes + 1 if row is not None and goes_on else 1
    dead_at = failure.at if strikes >= failure.strikes_allowed else None
    if row is not None and row.dead_at is not None:
        dead_at = row.dead_at
    values = {
        "code": failure.code,
        "message": failure.message,
        "strikes": strikes,
        "since": row.since if row is not None and goes_on else failure.at,
        "dead_at": dead_at,
    }
    if not insert_if_new(conn, address_failures, {"subject": subject, "channel": channel.value, **values}):
        conn.execute(update(address_failures).where(*_theirs(subject, channel)).values(**values))
    return dead_at is not None


def revive(conn: Connection, subjects: Sequence[str], channel: Channel) -> None:
    """The subjects have shown that the address reaches them, or have given another: nothing that failed counts."""
    for subject in subjects:
        conn.execute(delete(address_failures).where(*_theirs(subject, channel)))


def forget_subject(conn: Connection, subject: str) -> None:
    """Remove what is kept of a subject's addresses."""
    conn.execute(delete(address_failures).where(address_failures.c.subject == subject))


def _theirs(subject: str, channel: Channel) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return address_failures.c.subject == subject, address_failures.c.channel == channel.value
