"""The second yes: where a country asks for it, a grant of offers by SMS stands only once the number itself has agreed.

The grant is kept aside, a text without any offer asks the number, and a YES from it within two days makes it a grant of
the ledger. A number is asked once in thirty days, however often its owner's consent is reported.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, Column, Connection, Row, Table, Text, delete, insert, select, update
from sqlalchemy_utc import UtcDateTime

from consent import ledger, suppression
from consent.entry import Action, Channel, Entry, Purpose
from consent.errors import OptInAsked, SubjectNotFound
from consent.phone import region_of
from consent.review import entry_id
from consent.store import get_subject, lock_subject, mark_of_subject
from consent.subject import Subject
from consent.tables import metadata

ANSWERED_WITHIN = timedelta(hours=48)
ASKED_AGAIN_AFTER = timedelta(days=30)
TRIED_FOR = timedelta(hours=12)
"""So long a text that did not go out is tried again; then the number counts as asked."""
SOURCE = "sms, second yes"
SUBJECT_ACTOR = "subject"

opt_in_requests = Table(
    "opt_in_requests",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("entry", JSON, nullable=False),
    Column("state", Text, nullable=False, index=True),
    Column("asked_at", UtcDateTime, nullable=False),
)


class State(StrEnum):
    """Where a request is; `asked` means that its text was handed over, or may have been."""

    DUE = "due"
    ASKED = "asked"
    CONFIRMED = "confirmed"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose text is to go out now, at the latest `until`."""

    subject: Subject
    until: datetime


def needs_second_yes(entry: Entry, phone: str | None, regions: Iterable[str]) -> bool:
    """Whether the grant has to be confirmed by the number (E.164), as the countries of `regions` (ISO 3166) ask."""
    grants = (entry.action, entry.purpose, entry.channel) == (Action.GRANT, Purpose.MARKETING, Channel.SMS)
    return grants and entry.actor != SUBJECT_ACTOR and phone is not None and region_of(phone) in set(regions)


def ask(conn: Connection, entry: Entry, now: datetime) -> datetime:
    """Keep the grant aside and have the number asked; until when a yes counts. Raises SubjectNotFound, and OptInAsked
    when the number was asked lately and has not said yes in time.
    """
    if not lock_subject(conn, entry.subject):
        raise SubjectNotFound
    written, row = _written(entry), _row(conn, entry.subject)
    if row is None:
        first = {"subject": entry.subject, "entry": written, "state": State.DUE.value, "asked_at": now}
        conn.execute(insert(opt_in_requests).values(first))
    elif now - row.asked_at >= ASKED_AGAIN_AFTER:
        conn.execute(_update(entry.subject).values(entry=written, state=State.DUE.value, asked_at=now))
    elif _waits(row, now):  # asked already: a yes will be to the text shown last
        conn.execute(_update(entry.subject).values(entry=written))
        return row.asked_at + ANSWERED_WITHIN  # type: ignore[no-any-return]
    else:
        raise OptInAsked(row.asked_at + ASKED_AGAIN_AFTER)
    return now + ANSWERED_WITHIN


def due(conn: Connection, limit: int) -> list[str]:
    """The ids of subjects whose number is to be asked."""
    asking = select(opt_in_requests.c.subject).where(opt_in_requests.c.state == State.DUE.value)
    return list(conn.scalars(asking.order_by(opt_in_requests.c.asked_at).limit(limit)))


def claim(conn: Connection, subject: str, now: datetime) -> Request | None:
    """Mark a request as asked, before its text is handed over; None if it is not to go out any more."""
    lock_subject(conn, subject)
    row, known = _row(conn, subject), get_subject(conn, subject)
    if row is None or row.state != State.DUE.value:
        return None
    fit = _waits(row, now) and known is not None and known.phone is not None
    conn.execute(_update(subject).values(state=State.ASKED.value if fit else State.DROPPED.value))
    return Request(known, row.asked_at + ANSWERED_WITHIN) if fit and known is not None else None


def put_back(conn: Connection, subject: str, now: datetime) -> bool:
    """The text of a claimed request surely did not go out: it is due again, unless it was tried for long enough, or
    somebody said no meanwhile.
    """
    lock_subject(conn, subject)
    row = _row(conn, subject)
    again = row is not None and row.state == State.ASKED.value and now - row.asked_at < TRIED_FOR
    if again:
        conn.execute(_update(subject).values(state=State.DUE.value))
    return again


def confirm(conn: Connection, sid: str, subject: str, at: datetime) -> bool:
    """A yes came from the number: the grant becomes an entry, if one waits. The caller holds the subject's lock."""
    row = _row(conn, subject)
    if row is None or not _waits(row, at):
        return False
    ledger.record(conn, _read(row.entry, entry_id(sid, subject), at))
    conn.execute(_update(subject).values(state=State.CONFIRMED.value))
    if (mark := mark_of_subject(conn, subject)) is not None:
        suppression.lift(conn, mark, at)
    return True


def drop(conn: Connection, subject: str) -> None:
    """The subject has said no: nothing waits for a yes any more. The number still counts as asked."""
    waiting = opt_in_requests.c.state.in_([State.DUE.value, State.ASKED.value])
    conn.execute(_update(subject).where(waiting).values(state=State.DROPPED.value))


def forget_subject(conn: Connection, subject: str) -> None:
    """Remove the subject's request: it is erased, or has another number."""
    conn.execute(delete(opt_in_requests).where(opt_in_requests.c.subject == subject))


def _waits(row: Row[Any], now: datetime) -> bool:
    return row.state in (State.DUE, State.ASKED) and now < row.asked_at + ANSWERED_WITHIN


def _row(conn: Connection, subject: str) -> Row[Any] | None:
    return conn.execute(select(opt_in_requests).where(opt_in_requests.c.subject == subject)).first()


def _update(subject: str) -> Any:
    return update(opt_in_requests).where(opt_in_requests.c.subject == subject)


def _written(entry: Entry) -> dict[str, str]:
    """What was said, less when and by whom: that will be the number's own act."""
    return {name: value for name, value in asdict(entry).items() if isinstance(value, str)}


def _read(written: dict[str, Any], new_id: str, at: datetime) -> Entry:
    act = {"id": new_id, "at": at, "recorded_at": at, "source": SOURCE, "actor": SUBJECT_ACTOR}
    kinds = {
        "purpose": Purpose(written["purpose"]),
        "channel": Channel(written["channel"]),
        "action": Action(written["action"]),
    }
    return Entry(**{"text_version": None, **written, **kinds, **act})
