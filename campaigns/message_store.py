"""The messages that decisions became.

Every function takes an open connection; the caller owns the transaction.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, case, func, or_, select, true

from campaigns.content.segments import sms_size
from campaigns.limits.budget import Counted
from campaigns.limits.cap import Sent
from campaigns.listing import Filters, newest
from campaigns.message import NEVER_SENT, Message, MessageState
from campaigns.paging import Page
from campaigns.tables import messages
from consent.data_keys import batches, key_for, keys_of
from consent.entry import Channel
from consent.store import insert_all_new, insert_if_new
from consent.vault import DataKey

_WENT = case(
    (messages.c.sent_at.is_not(None), messages.c.sent_at),
    # The provider is first asked at `next_at`, after the call; each later time it is asked moves that on.
    (
        (messages.c.state == MessageState.UNKNOWN.value) & (messages.c.next_at < messages.c.valid_until),
        messages.c.next_at,
    ),
    else_=messages.c.valid_until,
)
"""When a message went, or at the latest will go."""


def insert_message(conn: Connection, message: Message, *, counted: bool = False) -> bool:
    """Keep a new message, once per event and campaign; False if there is one already. `counted` says that it is reserved
    in the counters of budgets.
    """
    key = key_for(conn, message.subject)
    return insert_if_new(conn, messages, _message_row(key, message, counted=counted))


def insert_messages(
    conn: Connection, several: Sequence[Message], keys: Mapping[str, DataKey], counted: Container[str] = ()
) -> None:
    """Keep many messages at once, sealed with their subjects' keys; those that are kept already stay as they are. `counted`
    are the ids of those that are reserved in the counters of budgets.
    """
    rows = [_message_row(keys[each.subject], each, counted=each.id in counted) for each in several]
    insert_all_new(conn, messages, rows)


_ABOUT = (
    _WENT.label("went"),
    messages.c.subject,
    messages.c.event,
    messages.c.campaign,
    messages.c.geofence,
    messages.c.channel,
    messages.c.visit,
)
_COUNTS = (messages.c.state.not_in([state.value for state in NEVER_SENT]), messages.c.test.is_not(true()))
_SINCE = (
    select(*_ABOUT)
    .where(
        messages.c.subject.in_(bindparam("some", expanding=True)),
        *_COUNTS,
        bindparam("since", type_=messages.c.sent_at.type) < _WENT,
    )
    .order_by(_WENT)
)
_BEFORE = (
    select(*_ABOUT)
    .where(
        messages.c.subject == bindparam("of_subject"),
        *_COUNTS,
        bindparam("since", type_=messages.c.sent_at.type) < _WENT,
        messages.c.id != bindparam("of_id"),
        or_(
            messages.c.created_at < bindparam("made_at"),
            and_(messages.c.created_at == bindparam("made_at"), messages.c.id < bindparam("of_id")),
            messages.c.state != MessageState.DUE.value,
        ),
    )
    .order_by(_WENT)
)


def sent_to(conn: Connection, subjects: Iterable[str], since: datetime) -> dict[str, list[Sent]]:
    """Each subject's messages that went after `since`, or will go, oldest first; an empty list for one without any.

    Those that never reached anyone do not count, nor do tests; those that still wait count as of their last instant.
    """
    found: dict[str, list[Sent]] = {subject: [] for subject in subjects}
    for some in batches(found):
        for row in conn.execute(_SINCE, {"some": some, "since": since}).all():
            found[row.subject].append(_sent(row))
    return found


def sent_before(conn: Connection, message: Message, since: datetime) -> list[Sent]:
    """The same of the message's subject, without that message itself; and of those made later only what is under way
    already: it is no longer merely due. Of two that are due, the later one thus gives way, also where the earlier was let
    go again.
    """
    of_message = {"of_subject": message.subject, "of_id": message.id, "made_at": message.created_at}
    return [_sent(row) for row in conn.execute(_BEFORE, {"since": since, **of_message})]


def _sent(row: Any) -> Sent:
    return Sent(row.went, row.event, row.campaign, row.geofence, Channel(row.channel), row.visit)


def tests_to(conn: Connection, subject: str, since: datetime) -> int:
    """How many tests were sent to the subject after `since`."""
    this = (messages.c.subject == subject, messages.c.test.is_(true()), messages.c.created_at > since)
    return conn.scalar(select(func.count()).select_from(messages).where(*this)) or 0


def messages_page(conn: Connection, filters: Filters, limit: int, cursor: str | None = None) -> Page[Message]:
    """Messages, the newest first."""
    rows, following = newest(conn, messages, messages.c.created_at, filters, limit, cursor)
    return Page(tuple(messages_of_rows(conn, rows)), following)


def messages_of(conn: Connection, subject: str) -> list[Message]:
    """Every message to a subject, oldest first; for the subject's export."""
    query = (
        select(messages).where(messages.c.subject == subject).order_by(messages.c.created_at, messages.c.id)
    )
    return messages_of_rows(conn, conn.execute(query).all())


def messages_of_rows(conn: Connection, rows: Sequence[Row[Any]]) -> list[Message]:
    """The messages that rows of `messages` hold, their texts unsealed; empty where the subject's key is destroyed."""
    keys = keys_of(conn, {row.subject for row in rows})
    return [message_of_row(row, keys.get(row.subject)) for row in rows]


def message_of_row(row: Row[Any], key: DataKey | None) -> Message:
    """The same of one, with its subject's key."""
    return Message(
        id=row.id,
        event=row.event,
        campaign=row.campaign,
        subject=row.subject,
        geofence=row.geofence,
        channel=Channel(row.channel),
        text=key.open(text_field(row.id), row.text) if key else "",
        created_at=row.created_at,
        valid_until=row.valid_until,
        state=MessageState(row.state),
        sent_at=row.sent_at,
        provider_id=row.provider_id,
        error_code=row.error_code,
        reason=row.reason,
        rule=row.rule,
        version=row.version,
        visit=row.visit,
        cost_micros=row.cost_micros or 0,
        counted_on=row.counted_on,
        variant=row.variant,
        test=bool(row.test),
    )


def text_field(message_id: str) -> str:
    """The field that a message's text is sealed for."""
    return f"text of {message_id}"


def _message_row(key: DataKey, message: Message, *, counted: bool) -> dict[str, Any]:
    return {
        "id": message.id,
        "event": message.event,
        "campaign": message.campaign,
        "subject": message.subject,
        "geofence": message.geofence,
        "channel": message.channel.value,
        "text": key.seal(text_field(message.id), message.text),
        "created_at": message.created_at,
        "valid_until": message.valid_until,
        "state": message.state.value,
        "next_at": message.created_at,
        "sent_at": message.sent_at,
        "provider_id": message.provider_id,
        "error_code": message.error_code,
        "reason": message.reason,
        "rule": message.rule,
        "version": message.version,
        "visit": message.visit,
        "cost_micros": message.cost_micros,
        "counted_on": message.counted_on,
        "counted": Counted.RESERVED.value if counted else None,
        "variant": message.variant,
        "segments": sms_size(message.text).segments if message.channel is Channel.SMS else None,
        "test": message.test or None,
    }
