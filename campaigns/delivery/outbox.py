"""The way of a message from due to its end: taken, claimed, attempted, settled, and reported on by the provider.

Every function takes an open connection in a transaction of the caller's. A message is never handed to a provider
twice: only a claim makes it `sending`, and from there it returns to `due` only where the provider surely refused.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, bindparam, func, insert, or_, select, update

from campaigns.delivery.channels.channel import DeliveryError
from campaigns.gates import Reason
from campaigns.message import Message, MessageState, after_receipt
from campaigns.message_store import message_of_row
from campaigns.tables import attempts, messages
from consent.data_keys import key_if_any
from consent.entry import Channel
from consent.vault import DataKey

TAKEN_SECONDS = 60
"""How long a message that one sender took is left alone by the others."""

BACKOFF_SECONDS = (5, 20, 60, 180)
"""Pauses after the first, second, ... attempt that may be repeated; after the last there is no further one."""


FIRST_LOOK_SECONDS = 30
"""After a call without a clear answer the provider is left so long to report by itself, before it is asked."""


class AttemptOutcome(StrEnum):
    """How one call of a provider came out."""

    SENT = "sent"
    RETRY = "retry"
    FAILED = "failed"
    UNKNOWN = "unknown"


def outcome_of(error: DeliveryError) -> AttemptOutcome:
    """How a call came out that ended in an error."""
    if error.outcome_unknown:
        return AttemptOutcome.UNKNOWN
    return AttemptOutcome.FAILED if error.permanent else AttemptOutcome.RETRY


@dataclass(frozen=True, slots=True)
class Due:
    """A message to send, the subject whose lock comes first, and since when it has been due.

    `permitted` is false for one that is past its validity: it ends without a call.
    """

    message: str
    subject: str
    channel: Channel
    due_at: datetime
    permitted: bool


@dataclass(frozen=True, slots=True)
class Concerned:
    """Which message a report is about, and whose it is."""

    message: str
    subject: str
    channel: Channel


@dataclass(frozen=True, slots=True)
class ProviderReport:
    """What a provider says later about a message, found by our id, else by the provider's."""

    state: MessageState
    message: str | None
    provider_id: str | None
    error_code: str | None
    made_at: datetime | None = None
    """When the provider took the message, where it says so."""


def has_work(conn: Connection, now: datetime, channels: Iterable[Channel] = Channel) -> bool:
    """Whether a message of the channels is due, or was left `sending`; a quick look that locks nothing."""
    due = (messages.c.state == MessageState.DUE.value) & (messages.c.next_at <= now)
    if (names := {channel.value for channel in channels}) != {channel.value for channel in Channel}:
        due &= messages.c.channel.in_(names)
    waiting = select(messages.c.id).where(or_(due, messages.c.state == MessageState.SENDING.value)).limit(1)
    return conn.scalar(waiting) is not None


def count_due(conn: Connection, channel: Channel, limit: int) -> int:
    """How many messages of the channel wait to be sent; no more than `limit` are counted."""
    due = (messages.c.state == MessageState.DUE.value) & (messages.c.channel == channel.value)
    waiting = select(messages.c.id).where(due).limit(limit).subquery()
    return conn.scalar(select(func.count()).select_from(waiting)) or 0


def oldest_due(conn: Connection, now: datetime) -> datetime | None:
    """Since when the oldest message that is due, and past no validity, has waited; None without one."""
    waiting = (messages.c.state == MessageState.DUE.value) & (messages.c.next_at <= now)
    oldest = select(func.min(messages.c.created_at)).where(waiting, messages.c.valid_until > now)
    found: datetime | None = conn.scalar(oldest)
    return found


def is_being_sent(conn: Connection, subject: str) -> bool:
    """Whether a message to the subject is `sending`: on its way to a provider, or left so by a sender that died."""
    on_its_way = (messages.c.subject == subject) & (messages.c.state == MessageState.SENDING.value)
    return conn.scalar(select(messages.c.id).where(on_its_way).limit(1)) is not None


Permits = Callable[[Channel, int], int]
"""How many of the calls of a channel that are wanted may be made now."""


def take_due(
    conn: Connection,
    now: datetime,
    limit: int,
    permits: Permits = lambda _channel, wanted: wanted,
    channels: Iterable[Channel] = Channel,
) -> list[Due]:
    """Take messages whose time has come, of each of the channels the oldest first, as many as may be sent; another sender does
    not see them for a minute. Those past their validity need no permit.

    Taking is no claim: it spares senders each other's work, and keeps one bad message from being tried all the
    time. It holds no subject's lock and waits for none.
    """
    taken: list[Due] = []
    for channel in channels:
        waiting = _due(conn, channel, now, limit)
        fresh = [due for due in waiting if due.permitted]
        ended = [due for due in waiting if not due.permitted]
        granted = permits(channel, len(fresh)) if fresh else 0
        if granted < len(fresh) and not ended:
            ended = _due(conn, channel, now, limit, stale=True)
        taken += ended + fresh[:granted]
    again_at = now + timedelta(seconds=TAKEN_SECONDS)
    if taken:
        ids = [due.message for due in taken]
        conn.execute(update(messages).where(messages.c.id.in_(ids)).values(next_at=again_at))
    return taken


def _due(conn: Connection, channel: Channel, now: datetime, limit: int, *, stale: bool = False) -> list[Due]:
    ready = (messages.c.state == MessageState.DUE.value) & (messages.c.next_at <= now)
    query = (
        select(messages.c.id, messages.c.subject, messages.c.next_at, messages.c.valid_until)
        .where(ready, messages.c.channel == channel.value)
        .order_by(messages.c.next_at, messages.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = conn.execute(query.where(messages.c.valid_until <= now) if stale else query)
    return [Due(row.id, row.subject, channel, row.next_at, row.valid_until > now) for row in rows]


def put_back(conn: Connection, several: Sequence[Due]) -> None:
    """Let messages that were taken be due as before: they are not to be called for now."""
    for due in several:
        still = (messages.c.id == due.message) & (messages.c.state == MessageState.DUE.value)
        conn.execute(update(messages).where(still).values(next_at=due.due_at))


def put_off(conn: Connection, message: Message, again_at: datetime) -> None:
    """Let a locked message wait, until it is past its validity at the latest."""
    _change(conn, message.id, next_at=min(again_at, message.valid_until))


def send_at_once(conn: Connection) -> None:
    """Count what is due as sent when it was made; for stores in which campaigns are only tried out."""
    due = messages.c.state == MessageState.DUE.value
    sent = {"state": MessageState.SENT.value, "sent_at": messages.c.created_at}
    conn.execute(update(messages).where(due).values(sent))


_LOCKED = select(messages).where(messages.c.id == bindparam("of_id")).with_for_update()


def lock_due(conn: Connection, message_id: str, key: DataKey | None = None) -> Message | None:
    """Lock a message that is still due; None if it is not. The caller holds the subject's lock already, and may have its
    key, which is read else.
    """
    row = conn.execute(_LOCKED, {"of_id": message_id}).first()
    if row is None or row.state != MessageState.DUE.value:
        return None
    return message_of_row(row, key or key_if_any(conn, row.subject))


def refuse(conn: Connection, message: Message, reason: Reason, rule: str | None = None) -> MessageState:
    """End a locked message that may not be sent after all: expired if it came too late, else cancelled; `rule` names
    the country's rule that holds it back.
    """
    state = MessageState.EXPIRED if reason is Reason.TOO_LATE else MessageState.CANCELLED
    _change(conn, message.id, state=state.value, reason=reason.value, rule=rule)
    return state


def cancel_of_event(conn: Connection, event: str) -> list[str]:
    """Cancel the messages of an event that turned out not to have happened, as far as they are still due, and answer
    whose campaigns' they were. The caller holds the subject's lock.
    """
    waiting = (messages.c.event == event) & (messages.c.state == MessageState.DUE.value)
    cancelled = {"state": MessageState.CANCELLED.value, "reason": Reason.EVENT_RETRACTED.value}
    called_off = update(messages).where(waiting).values(cancelled).returning(messages.c.campaign)
    return list(conn.scalars(called_off))


def cancel_of_subject(conn: Connection, subject: str, channel: Channel) -> int:
    """Cancel what is still due to the subject on a channel that it has refused. The caller holds the subject's lock."""
    waiting = (
        (messages.c.subject == subject)
        & (messages.c.channel == channel.value)
        & (messages.c.state == MessageState.DUE.value)
    )
    cancelled = {"state": MessageState.CANCELLED.value, "reason": Reason.CONSENT_WITHDRAWN.value}
    return conn.execute(update(messages).where(waiting).values(cancelled)).rowcount


_BEGIN = (
    insert(attempts)
    .values(
        message=bindparam("of_id"),
        number=select(func.count() + 1)
        .select_from(attempts)
        .where(attempts.c.message == bindparam("of_id"))
        .scalar_subquery(),
        started_at=bindparam("now"),
    )
    .returning(attempts.c.number)
)
_SENDING = (
    update(messages).where(messages.c.id == bindparam("of_id")).values(state=MessageState.SENDING.value)
)


def begin_attempt(conn: Connection, message: Message, now: datetime) -> int:
    """Make a locked message `sending`; the number of the attempt, from 1. Commit before calling the provider."""
    number: int = conn.execute(_BEGIN, {"of_id": message.id, "now": now}).scalar_one()
    conn.execute(_SENDING, {"of_id": message.id})
    return number


_SENT = (
    update(messages)
    .where(
        messages.c.id == bindparam("of_id"),
        messages.c.state == MessageState.SENDING.value,
        messages.c.sent_at.is_(None),
        messages.c.provider_id.is_(None),
    )
    .values(
        state=MessageState.SENT.value,
        sent_at=bindparam("now"),
        provider_id=bindparam("named"),
        error_code=None,
    )
)
"""What nobody has reported on yet, as nearly always."""


def record_sent(
    conn: Connection, message_id: str, number: int, provider_id: str | None, now: datetime
) -> MessageState | None:
    """The provider took the message. Its report may have come first; then the further state stands, the instant at which
    we first heard of it, and the name that the report gave.
    """
    _end_attempt(conn, message_id, number, AttemptOutcome.SENT, None, now)
    taken = {"of_id": message_id, "now": now, "named": provider_id}
    if conn.execute(_SENT, taken).rowcount == 1:
        return MessageState.SENT
    known = messages.c.state, messages.c.sent_at, messages.c.provider_id, messages.c.error_code
    row = conn.execute(select(*known).where(messages.c.id == message_id).with_for_update()).first()
    if row is None:
        return None  # erased with its subject meanwhile
    was = MessageState(row.state)
    state = after_receipt(was, MessageState.SENT)
    _change(
        conn,
        message_id,
        state=state.value,
        sent_at=row.sent_at or now,
        provider_id=row.provider_id or provider_id,
        error_code=row.error_code if state is was else None,  # of the state that stands, as in `apply_report`
    )
    return state


def record_failure(
    conn: Connection,
    message: Message,
    number: int,
    outcome: AttemptOutcome,
    error_code: str | None,
    now: datetime,
    *,
    reason: Reason = Reason.PROVIDER_REFUSED,
    not_before: datetime | None = None,
) -> MessageState | None:
    """The call failed: for good and for that reason, for now (then it is due again after a pause, within its validity and
    not before the provider said), or unknowably.
    """
    again_at = _again_at(message, number, now, not_before) if outcome is AttemptOutcome.RETRY else None
    _end_attempt(conn, message.id, number, outcome, error_code, now)
    was = _locked_state(conn, message.id)
    if was is None:
        return None
    if was is not MessageState.SENDING:
        return was  # given up as unknown, or reported on, meanwhile
    if again_at is not None:
        _change(conn, message.id, state=MessageState.DUE.value, next_at=again_at, error_code=error_code)
        return MessageState.DUE
    if outcome is AttemptOutcome.UNKNOWN:
        look_at = now + timedelta(seconds=FIRST_LOOK_SECONDS)
        _change(conn, message.id, state=MessageState.UNKNOWN.value, error_code=error_code, next_at=look_at)
        return MessageState.UNKNOWN
    because = Reason.RETRIES_EXHAUSTED if outcome is AttemptOutcome.RETRY else reason
    _change(conn, message.id, state=MessageState.FAILED.value, error_code=error_code, reason=because.value)
    return MessageState.FAILED


def give_up(conn: Connection, started_before: datetime, now: datetime) -> list[str]:
    """Messages left in `sending` by a process that died become `unknown`; their ids. They are never sent again."""
    newest = (
        select(func.max(attempts.c.started_at)).where(attempts.c.message == messages.c.id).scalar_subquery()
    )
    left = select(messages.c.id).where(
        messages.c.state == MessageState.SENDING.value, newest < started_before
    )
    ids = list(conn.scalars(left.with_for_update(skip_locked=True, of=messages)))
    if not ids:
        return []
    unknown = {"state": MessageState.UNKNOWN.value, "next_at": now}
    conn.execute(update(messages).where(messages.c.id.in_(ids)).values(unknown))
    open_ones = attempts.c.message.in_(ids) & attempts.c.ended_at.is_(None)
    conn.execute(update(attempts).where(open_ones).values(ended_at=now, outcome=AttemptOutcome.UNKNOWN.value))
    return ids


def subject_of_report(conn: Connection, report: ProviderReport) -> Concerned | None:
    """Whom a provider's report concerns; None if it is about no message of ours."""
    columns = messages.c.id, messages.c.subject, messages.c.channel
    row = conn.execute(select(*columns).where(_reported(report))).first()
    return None if row is None else Concerned(row.id, row.subject, Channel(row.channel))


def apply_report(conn: Connection, report: ProviderReport, now: datetime) -> bool:
    """Take a provider's report into account; False if it is about no message of ours."""
    row = conn.execute(select(messages).where(_reported(report)).with_for_update()).first()
    if row is None:
        return False
    was = MessageState(row.state)
    state = after_receipt(was, report.state)
    if state is not was:
        _change(
            conn,
            row.id,
            state=state.value,
            sent_at=row.sent_at or report.made_at or now,
            provider_id=row.provider_id or report.provider_id,
            error_code=report.error_code,  # of the state that stands, whatever came before
            reason=None,
        )
    return True


def _reported(report: ProviderReport) -> ColumnElement[bool]:
    if report.message is None:
        return messages.c.provider_id == report.provider_id
    return messages.c.id == report.message


def _again_at(message: Message, number: int, now: datetime, not_before: datetime | None) -> datetime | None:
    if number > len(BACKOFF_SECONDS):
        return None
    spread = (
        int(message.id[:2], 16) / 0xFF / 2
    )  # up to half as long again, so that a crowd does not return at once
    again_at = now + timedelta(seconds=BACKOFF_SECONDS[number - 1] * (1 + spread))
    if not_before is not None:
        again_at = max(again_at, not_before + timedelta(seconds=spread))
    return again_at if again_at < message.valid_until else None


def _locked_state(conn: Connection, message_id: str) -> MessageState | None:
    state = conn.scalar(select(messages.c.state).where(messages.c.id == message_id).with_for_update())
    return MessageState(state) if state else None


_END = (
    update(attempts)
    .where(attempts.c.message == bindparam("of_id"), attempts.c.number == bindparam("of_number"))
    .values(ended_at=bindparam("now"), outcome=bindparam("came"), error_code=bindparam("code"))
)


def _end_attempt(
    conn: Connection,
    message_id: str,
    number: int,
    outcome: AttemptOutcome,
    error_code: str | None,
    now: datetime,
) -> None:
    ended = {"now": now, "came": outcome.value, "code": error_code}
    conn.execute(_END, {"of_id": message_id, "of_number": number, **ended})


def _change(conn: Connection, message_id: str, **values: object) -> None:
    conn.execute(update(messages).where(messages.c.id == message_id).values(**values))
