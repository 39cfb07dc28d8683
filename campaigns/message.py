"""A message: the offer that a decision became, and the states it may pass through on its way to a phone."""

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from hashlib import blake2b
from typing import Any

from campaigns.limits.money import money_text
from consent.entry import Channel


class MessageState(StrEnum):
    """Where a message is.

    `sent` means that the provider took it, `unknown` that nobody can tell whether it did; neither is ever sent
    again. `expired` and `cancelled` were never handed to a provider.
    """

    DUE = "due"
    SENDING = "sending"
    UNKNOWN = "unknown"
    SENT = "sent"
    FAILED = "failed"
    UNDELIVERED = "undelivered"
    DELIVERED = "delivered"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


NEVER_SENT = frozenset({MessageState.FAILED, MessageState.EXPIRED, MessageState.CANCELLED})
"""States that do not count towards a cap: nothing reached the subject."""

_RANK = {
    MessageState.DUE: 0,
    MessageState.SENDING: 1,
    MessageState.UNKNOWN: 2,
    MessageState.SENT: 3,
    MessageState.FAILED: 4,
    MessageState.UNDELIVERED: 5,
    MessageState.DELIVERED: 6,
    MessageState.EXPIRED: 7,
    MessageState.CANCELLED: 7,
}


@dataclass(frozen=True, slots=True)
class Message:
    """One offer to one subject. `valid_until` is excluded: at that instant it is too late.

    `geofence` is where it was earned; its wall clock rules. `provider_id` is the provider's name for the
    message and `error_code` the provider's own; `reason` says why it was cancelled or expired, and `rule` by which
    country's rule and version, where it was one. `version` is the campaign's that rendered the text; None of those from before
    versions. `visit` is the one during which it was decided. `cost_micros` is what it costs, in millionths, and
    `counted_on` the day by which budgets count it; None of those from before budgets. `variant` is the one of its
    experiment, None where nothing is varied. A `test` was asked for by somebody, and counts nowhere.
    """

    id: str
    event: str
    campaign: str
    subject: str
    geofence: str | None
    channel: Channel
    text: str = field(repr=False)
    created_at: datetime
    valid_until: datetime
    state: MessageState = MessageState.DUE
    sent_at: datetime | None = None
    provider_id: str | None = None
    error_code: str | None = None
    reason: str | None = None
    rule: str | None = None
    version: int | None = None
    visit: str | None = None
    cost_micros: int = 0
    counted_on: date | None = None
    variant: str | None = None
    test: bool = False

    def __post_init__(self) -> None:
        if self.created_at.tzinfo is None or self.valid_until.tzinfo is None:
            raise ValueError("a naive datetime has no instant; give it a zone")


def message_id(event: str, campaign: str) -> str:
    """The id of the message that this event causes in this campaign; the same however often it is asked."""
    return derived_id("message", event, campaign)


def derived_id(kind: str, *cause: str) -> str:
    """A 32-digit id that follows from its cause, so that a replay meets its own traces."""
    # Each part is preceded by its length, so that no two causes read the same.
    joined = "".join(f"{len(part)}:{part}" for part in cause)
    return blake2b(joined.encode(), digest_size=16, person=kind.encode()).hexdigest()


def after_receipt(was: MessageState, reported: MessageState) -> MessageState:
    """The state once a provider reports one; the further of the two.

    Reports come late, twice and in any order, so the answer must not depend on the order: a message never goes
    back, and what never left the house stays there.
    """
    return reported if _RANK[reported] > _RANK[was] else was


def message_json(message: Message) -> dict[str, Any]:
    """A message as the API and the export write it."""
    return {
        "id": message.id,
        "event": message.event,
        "campaign": message.campaign,
        "version": message.version,
        "variant": message.variant,
        "subject": message.subject,
        "geofence": message.geofence,
        "channel": message.channel.value,
        "state": message.state.value,
        "text": message.text,
        "created_at": message.created_at.isoformat(),
        "sent_at": message.sent_at.isoformat() if message.sent_at else None,
        "valid_until": message.valid_until.isoformat(),
        "reason": message.reason,
        "rule": message.rule,
        "error_code": message.error_code,
        "cost": money_text(message.cost_micros),
        "test": message.test,
    }


def message_told(message: Message) -> dict[str, Any]:
    """What became of a message, and nothing of whom it is to."""
    return {name: value for name, value in message_json(message).items() if name not in _OF_SOMEBODY}


_OF_SOMEBODY = ("subject", "event", "text")
MESSAGE_EXAMPLE = {
    "id": "7d2c4b6a8f0e1d3c5b7a9f8e6d4c2b0a",
    "event": "5c1d9e7a3b2f4860a1c3e5d7f9b0a2c4",
    "campaign": "bread",
    "version": 1,
    "variant": None,
    "subject": "ana",
    "geofence": "bakery",
    "channel": "sms",
    "state": "delivered",
    "text": "Fresh bread until ten",
    "created_at": "2026-11-23T08:01:00+00:00",
    "sent_at": "2026-11-23T08:01:01+00:00",
    "valid_until": "2026-11-23T08:16:00+00:00",
    "reason": None,
    "error_code": None,
}
TOLD_EXAMPLE = {name: value for name, value in MESSAGE_EXAMPLE.items() if name not in _OF_SOMEBODY}
