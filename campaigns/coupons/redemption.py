"""A redemption: a coupon's code taken at a till, once, by its reader's store, in time; and why one is refused."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from campaigns.coupons.coupon import CouponState
from campaigns.errors import CampaignError
from campaigns.message import NEVER_SENT, MessageState
from geofences.geofence import Geofence

THOUSANDTHS = Decimal(1000)
"""Amounts are kept in thousandths of the currency: no currency has smaller ones."""


class Refusal(StrEnum):
    """Why a till may not take a code; also the error code that it is told."""

    UNKNOWN = "coupon_unknown"
    NOT_SENT = "coupon_not_sent"
    VOID = "coupon_void"
    REDEEMED = "coupon_redeemed"
    EXPIRED = "coupon_expired"
    TOO_EARLY = "coupon_too_early"
    OTHER_STORE = "coupon_other_store"
    OTHER_SUBJECT = "coupon_other_subject"


_TOLD = {
    Refusal.UNKNOWN: "no coupon has this code",
    Refusal.NOT_SENT: "this code was never sent to anybody",
    Refusal.VOID: "this code is not good any more",
    Refusal.REDEEMED: "this code was redeemed before",
    Refusal.EXPIRED: "this coupon is over",
    Refusal.TOO_EARLY: "this code was not given out yet at that time; check the till's clock",
    Refusal.OTHER_STORE: "this coupon is good at another store",
    Refusal.OTHER_SUBJECT: "this coupon is somebody else's",
}


class RedemptionRefused(CampaignError):
    """A till may not take the code."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(_TOLD[refusal])
        self.status = 404 if refusal is Refusal.UNKNOWN else 409
        self.code = refusal.value


@dataclass(frozen=True, slots=True)
class Issued:
    """A code as it was given out. `geofence` and `tags` say at which stores it is good, `until` is excluded."""

    state: CouponState
    message: str | None
    message_state: MessageState | None
    subject: str | None
    geofence: str | None
    tags: tuple[str, ...]
    claimed_at: datetime | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Presented:
    """What a till says: the code was shown at `geofence`, `at` that time, if the till knows it by `subject`."""

    geofence: str
    at: datetime
    subject: str | None = None
    receipt: str | None = None
    amount: Decimal | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class Redemption:
    """One code taken. `id` is the message's, which has one code at most."""

    id: str
    subject: str
    campaign: str
    version: int | None
    geofence: str
    at: datetime
    receipt: str | None
    amount: Decimal | None
    currency: str | None
    recorded_at: datetime


def refusal_of(issued: Issued | None, presented: Presented, store: Geofence | None) -> Refusal | None:
    """Why the till may not take it; None if it may. `store` is the geofence that the till named, None if there is none.

    Whether it was redeemed is asked last but for what a stranger may not learn of it.
    """
    if issued is None:
        return Refusal.UNKNOWN
    if issued.state is CouponState.VOID:
        return Refusal.VOID
    if (
        issued.state is CouponState.FREE
        or issued.until is None
        or issued.claimed_at is None
        or not _went(issued)
    ):
        return Refusal.NOT_SENT
    tags = store.tags if store else ()
    if presented.geofence != issued.geofence and set(tags).isdisjoint(issued.tags):
        return Refusal.OTHER_STORE
    if presented.subject is not None and presented.subject != issued.subject:
        return Refusal.OTHER_SUBJECT
    if issued.state is CouponState.REDEEMED:
        return Refusal.REDEEMED
    if presented.at < issued.claimed_at:
        return Refusal.TOO_EARLY
    return Refusal.EXPIRED if presented.at >= issued.until else None


def redemption_json(redemption: Redemption) -> dict[str, Any]:
    """A redemption as the export writes it; a till is told all but whose it is."""
    return {
        "id": redemption.id,
        "campaign": redemption.campaign,
        "version": redemption.version,
        "geofence": redemption.geofence,
        "at": redemption.at.isoformat(),
        "receipt": redemption.receipt,
        "amount": str(redemption.amount) if redemption.amount is not None else None,
        "currency": redemption.currency,
        "recorded_at": redemption.recorded_at.isoformat(),
    }


def _went(issued: Issued) -> bool:
    state = issued.message_state
    return state is not None and state not in NEVER_SENT and state is not MessageState.DUE
