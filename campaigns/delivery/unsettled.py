"""Messages whose outcome nobody knows, until the provider tells or is seen to hold no trace of them.

None of them is ever sent again. Every function takes an open connection; the caller owns the transaction.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select, update

from campaigns.delivery.channels.channel import Trace
from campaigns.delivery.outbox import FIRST_LOOK_SECONDS
from campaigns.gates import Reason
from campaigns.message import Message, MessageState
from campaigns.message_store import messages_of_rows
from campaigns.tables import attempts, messages
from consent.entry import Channel

NO_TRACE_AFTER = timedelta(minutes=15)
"""After its shelf life, which is also how long the provider may hold it, a message without a trace was never taken."""
LONGEST_PAUSE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A message in `unknown`, and when the call that may have handed it over began."""

    message: Message
    called_at: datetime


def pause_after(called_at: datetime, now: datetime) -> timedelta:
    """How long to wait before the provider is asked again: as long as it has been unknown, so that pauses double."""
    return min(max(now - called_at, timedelta(seconds=FIRST_LOOK_SECONDS)), LONGEST_PAUSE)


def take_unsettled(
    conn: Connection, now: datetime, limit: int, channels: Collection[Channel]
) -> list[Unsettled]:
    """Those on these channels whose turn it is, the longest waiting first; nobody else is told of them before their next
    turn.
    """
    called = (
        select(func.max(attempts.c.started_at)).where(attempts.c.message == messages.c.id).scalar_subquery()
    )
    query = (
        select(messages, called.label("called_at"))
        .where(
            messages.c.state == MessageState.UNKNOWN.value,
            messages.c.next_at <= now,
            messages.c.channel.in_([channel.value for channel in channels]),
        )
        .order_by(messages.c.next_at, messages.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=messages)
    )
    rows = conn.execute(query).all()
    found = messages_of_rows(conn, rows)
    taken = [
        Unsettled(message, row.called_at or message.created_at)
        for message, row in zip(found, rows, strict=True)
    ]
    for each in taken:
        again_at = now + pause_after(each.called_at, now)
        conn.execute(update(messages).where(messages.c.id == each.message.id).values(next_at=again_at))
    return taken


def own_trace(conn: Connection, unsettled: Unsettled, traces: Sequence[Trace]) -> Trace | None:
    """Of several, the one made nearest to the call, leaving out those that are known to be of other messages."""
    ids = [trace.provider_id for trace in traces]
    taken = set(
        conn.scalars(
            select(messages.c.provider_id).where(
                messages.c.provider_id.in_(ids), messages.c.id != unsettled.message.id
            )
        )
    )
    own = [trace for trace in traces if trace.provider_id not in taken]
    return min(own, key=lambda trace: abs(trace.made_at - unsettled.called_at), default=None)


def end_without_trace(conn: Connection, message: Message, now: datetime) -> bool:
    """End a message of which the provider knows nothing, once it would by now; whether it ended."""
    if now < message.valid_until + NO_TRACE_AFTER:
        return False
    still = (messages.c.id == message.id) & (messages.c.state == MessageState.UNKNOWN.value)
    ended = {"state": MessageState.FAILED.value, "reason": Reason.NO_TRACE.value}
    return conn.execute(update(messages).where(still).values(ended)).rowcount > 0
