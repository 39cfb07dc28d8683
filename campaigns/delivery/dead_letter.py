"""Messages that failed through no fault of the shopper's: the configuration was wrong, or the provider could not be
reached in time. They may be let go again while their offer still holds.

Every function takes an open connection; the caller owns the transaction.
"""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, select, update

from campaigns.errors import BudgetSpent, MessageNotFound, NotToRedrive
from campaigns.gates import Reason
from campaigns.limits.account import NO_LIMITS, Account, counted_for, limits_in_force
from campaigns.limits.budget import Counted, Limit, limit_json
from campaigns.limits.budget_store import lock_counters
from campaigns.message import Message, MessageState
from campaigns.message_store import messages_of_rows
from campaigns.store import get_campaign
from campaigns.tables import messages
from consent.store import lock_subject

OURS = frozenset({Reason.CONFIGURATION, Reason.RETRIES_EXHAUSTED})
"""In both cases the provider surely took nothing."""


def redrive(conn: Connection, message_id: str, now: datetime, account: Account = NO_LIMITS) -> Message:
    """Make a dead letter due again, as it then is; the sender asks everything anew before it goes. Raises
    `MessageNotFound`, and `NotToRedrive` for a message that may have reached somebody, or comes too late, and
    `BudgetSpent` when others have used meanwhile what its failure gave back.
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
    counted = _reserve(conn, message, row.counted, account)
    again = {
        "counted": counted,
        "state": MessageState.DUE.value,
        "next_at": now,
        "reason": None,
        "error_code": None,
    }
    conn.execute(update(messages).where(messages.c.id == message_id).values(again))
    return replace(message, state=MessageState.DUE, reason=None, error_code=None)


def count_dead(conn: Connection, now: datetime) -> int:
    """How many could be let go again."""
    return conn.scalar(select(func.count()).select_from(messages).where(is_dead(now))) or 0


def is_dead(now: datetime) -> ColumnElement[bool]:
    """Of a row of `messages`: whether it could be let go again, and so keeps what it was given."""
    return (
        (messages.c.state == MessageState.FAILED.value)
        & func.coalesce(messages.c.reason, "").in_([*OURS])
        & (messages.c.valid_until > now)
    )


def _reserve(conn: Connection, message: Message, counted: str | None, account: Account) -> str | None:
    """Count the message again where it was given back, on the day it was counted on; how it stands then. Raises
    `BudgetSpent`.
    """
    day = message.counted_on
    if message.test or day is None or counted in (Counted.RESERVED, Counted.COMMITTED):
        return counted
    campaign = get_campaign(conn, message.campaign)
    if campaign is None:
        return counted  # it does not go: the sender cancels it
    counters = lock_counters(conn, counted_for([campaign], account, day), [campaign.id], day)
    for limit in limits_in_force(campaign, account, counters.used, day):
        if not limit.has_room(message.cost_micros):
            raise BudgetSpent(_no_room(message, limit))
    if not counters.counts(message):
        return counted
    counters.reserve(message)
    counters.write(conn)
    return Counted.RESERVED.value


def _no_room(message: Message, limit: Limit) -> str:
    told = limit_json(limit)
    when = f" on {told['day']}" if told["day"] else ""
    owner = f"campaign {message.campaign}" if told["campaign"] else "the account"
    return f"message {message.id} has no room: {owner} may use {told['limit']} of {told['what']}{when}, and {told['used']} are used"
