"""Texts in doubt: what they withdrew is withdrawn, and somebody reads them. Their words are kept until then, no longer.

Whoever reads one either confirms that it was an opt-out, or says that it was none; then what the subject had granted
before it stands again, as an act of that reader and not of the subject.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import NAMESPACE_URL, uuid5

from sqlalchemy import Column, Connection, ForeignKey, Table, Text, delete, func, select, update
from sqlalchemy_utc import UtcDateTime

from consent import ledger, suppression
from consent.entry import Action, Channel, Entry, Purpose, standing
from consent.errors import ReviewNotFound, ReviewSettled
from consent.store import inbound_messages, inbound_subjects, insert_if_new, lock_subject, mark_of_subject
from consent.tables import metadata

WORDS_LIMIT_CHARS = 1600
KEPT = timedelta(days=30)
"""A text that nobody has read by then was an opt-out."""

SOURCE = "review of a text"
BY_TIME = "time"

review_texts = Table(
    "review_texts",
    metadata,
    Column("sid", Text, ForeignKey("inbound_messages.sid", ondelete="CASCADE"), primary_key=True),
    Column("words", Text),
    Column("decision", Text),
    Column("decided_by", Text),
    Column("decided_at", UtcDateTime),
)


class Decision(StrEnum):
    """What somebody who read the text says of it: an opt-out, or none."""

    CONFIRM = "confirm"
    REINSTATE = "reinstate"


@dataclass(frozen=True, slots=True)
class TextInDoubt:
    """A text that waits to be read, and the ids of the subjects it withdrew."""

    sid: str
    words: str = field(repr=False)
    language: str
    received_at: datetime
    subjects: tuple[str, ...]


def queue(conn: Connection, sid: str, words: str) -> None:
    """Keep the words of a text that `add_inbound` kept, for somebody to read."""
    kept = words.replace("\0", "")[:WORDS_LIMIT_CHARS]
    insert_if_new(conn, review_texts, {"sid": sid, "words": kept})


def waiting(conn: Connection, limit: int, after: str | None = None) -> list[TextInDoubt]:
    """The texts nobody has settled, by their sid, from behind `after` on."""
    unread = (
        select(
            review_texts.c.sid,
            review_texts.c.words,
            inbound_messages.c.language,
            inbound_messages.c.received_at,
        )
        .join(inbound_messages, inbound_messages.c.sid == review_texts.c.sid)
        .where(review_texts.c.decision.is_(None), review_texts.c.sid > (after or ""))
        .order_by(review_texts.c.sid)
        .limit(limit)
    )
    rows = conn.execute(unread).all()
    return [
        TextInDoubt(row.sid, row.words, row.language, row.received_at, _subjects_of(conn, row.sid))
        for row in rows
    ]


def count(conn: Connection) -> int:
    """How many texts wait to be read."""
    unread = select(func.count()).select_from(review_texts).where(review_texts.c.decision.is_(None))
    return conn.scalar(unread) or 0


def settle(conn: Connection, sid: str, decision: Decision, actor: str, now: datetime) -> tuple[Entry, ...]:
    """Note what somebody says of a text, drop its words, and record the grants that stand again. The same decision
    again changes nothing. Raises ReviewNotFound, and ReviewSettled if another was taken before.
    """
    concerned = [subject for subject in _subjects_of(conn, sid) if lock_subject(conn, subject)]
    row = conn.execute(select(review_texts).where(review_texts.c.sid == sid).with_for_update()).first()
    if row is None:
        raise ReviewNotFound
    if row.decision is not None and row.decision != decision:
        raise ReviewSettled(row.decision)
    if row.decision is not None:
        return ()
    _settle(conn, [sid], decision, actor, now)
    if decision is Decision.CONFIRM:
        return ()
    again = [_as_before(conn, sid, subject, actor, now) for subject in concerned]
    entries = [entry for entry in again if entry is not None]
    for entry in entries:
        if (mark := mark_of_subject(conn, entry.subject)) is not None:
            suppression.lift(conn, mark, now)  # it was listed for the same text
    return tuple(ledger.record(conn, entry) for entry in entries)


def settle_unread(conn: Connection, now: datetime) -> int:
    """Confirm what has waited too long; how many there were."""
    old = (
        select(review_texts.c.sid)
        .join(inbound_messages, inbound_messages.c.sid == review_texts.c.sid)
        .where(review_texts.c.decision.is_(None), inbound_messages.c.received_at < now - KEPT)
    )
    sids = list(conn.scalars(old))
    _settle(conn, sids, Decision.CONFIRM, BY_TIME, now)
    return len(sids)


def forget_subject(conn: Connection, subject: str) -> None:
    """Remove the texts in doubt that came from a subject; before its part in the texts received is removed."""
    theirs = select(inbound_subjects.c.sid).where(inbound_subjects.c.subject == subject)
    conn.execute(delete(review_texts).where(review_texts.c.sid.in_(theirs)))


def entry_id(sid: str, subject: str) -> str:
    """The id of the entry that a text is the cause of: derived from it, so that a replay is the same entry."""
    return uuid5(NAMESPACE_URL, f"{sid}:{subject}").hex


def _settle(conn: Connection, sids: Sequence[str], decision: Decision, actor: str, now: datetime) -> None:
    settled = {"words": None, "decision": decision.value, "decided_by": actor, "decided_at": now}
    conn.execute(update(review_texts).where(review_texts.c.sid.in_(sids)).values(settled))


def _as_before(conn: Connection, sid: str, subject: str, actor: str, now: datetime) -> Entry | None:
    """The grant that the text withdrew, once more; None if something else has been said since, or stood then."""
    entries, taken_back = ledger.entries_of(conn, subject), entry_id(sid, subject)
    stands = standing(entries, Purpose.MARKETING, Channel.SMS, now)
    if stands.because is None or stands.because.id != taken_back:
        return None
    rest = [entry for entry in entries if entry.id != taken_back]
    before = standing(rest, Purpose.MARKETING, Channel.SMS, now)
    if before.because is None or not before.allowed:
        return None
    return replace(
        before.because,
        id=uuid5(NAMESPACE_URL, f"review:{sid}:{subject}").hex,
        action=Action.GRANT,
        source=SOURCE,
        at=now,
        recorded_at=now,
        actor=actor,
        seq=None,
    )


def _subjects_of(conn: Connection, sid: str) -> tuple[str, ...]:
    theirs = select(inbound_subjects.c.subject).where(inbound_subjects.c.sid == sid)
    return tuple(conn.scalars(theirs.order_by(inbound_subjects.c.subject)))
