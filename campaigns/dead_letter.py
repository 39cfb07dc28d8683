"""Messages that failed through no fault of the shopper's: the configuration was wrong, or the provider could not be
reached in time. They may be let go again while their offer still holds.

Every function takes an open connection; the caller owns the transaction.
"""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, func, select, update

from campaigns.errors import MessageNotFound, NotToRedrive
from campaigns.gates import Reason
from campaigns.message import Message, MessageState
from campaigns.message_store import messages_of_rows
from campaigns.tables import messages
from consent.store import lock_subject

OURS = frozenset({Reason.CONFIGURATION, Reason.RETRIES_EXHAUSTED})
"""In both cases the provider surely took nothing."""


def redrive(conn: Connection, message_id: str, now: datetime) -> Message:
    """Make a dead letter due again, as it then is; the sender asks everything anew before it goes. Raises
    `MessageNotFound`, and `NotToRedrive` for a message that may have reached somebody, or comes too late.
    """
    subject = conn.scalar(select(messages.c.subject).where(messages.c.id == message_id))
    if subject is None or not lock_subject(conn, subject):
        raise MessageNotFound(f"no message {message_id}; GET /v1/messages lists them")
    row = conn.execute(select(messages).where(messages.c.id == message_id).with_for_update()).one()
    [message] = messages_of_rows(conn, [row])
    if message.state is not MessageState.FAILED or message.reason not in OURS:
        because = f", {message.reason}" if message.reason else ""
        raise NotToRedrive(
            f"message {message_id} is {message.state}{because}; only one that failed for {' or '.join(sorted(OURS))}"
            " surely reached nobody"
        )
    if now >= message.valid_until:
        raise NotToRedrive(f"message {message_id} was worth sending until {message.valid_until.isoformat()}")
    again = {"state": MessageState.DUE.value, "next_at": now, "reason": None, "error_code": None}
    conn.execute(update(messages).where(messages.c.id == message_id).values(again))
    return replace(message, state=MessageState.DUE, reason=None, error_code=None)


def count_dead(conn: Connection, now: datetime) -> int:
    """How many could be let go again."""
    dead = (
        (messages.c.state == MessageState.FAILED.value)
        & messages.c.reason.in_([*OURS])
        & (messages.c.valid_until > now)
    )
    return conn.scalar(select(func.count()).select_from(messages).where(dead)) or 0
