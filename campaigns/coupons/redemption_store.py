"""The redemptions: taken once, and found again by their receipt.

Every function takes an open connection; the caller owns the transaction.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from campaigns.coupons.coupon import CouponState, plain_code
from campaigns.coupons.redemption import (
    THOUSANDTHS,
    Issued,
    Presented,
    Redemption,
    RedemptionRefused,
    Refusal,
    redemption_json,
    refusal_of,
)
from campaigns.coupons.store import CODE_FIELD, code_key
from campaigns.message import MessageState
from campaigns.tables import coupons, messages, redemptions
from consent.data_keys import batches
from geofences import store as geofence_store


@dataclass(frozen=True, slots=True)
class Taken:
    """A coupon of a campaign was redeemed."""

    campaign: str
    at: datetime


def redeem(conn: Connection, code: str, presented: Presented, now: datetime) -> tuple[Redemption, bool]:
    """Take a code at a till, once; tells whether it is new. The same code with the same receipt gets the first answer
    again. Raises `RedemptionRefused`.
    """
    sealed = code_key(conn).seal_alike(CODE_FIELD, plain_code(code))
    row = conn.execute(select(coupons).where(coupons.c.code == sealed).with_for_update()).first()
    message = _message_of(conn, row.message) if row and row.message else None
    store = geofence_store.get(conn, presented.geofence)
    refusal = refusal_of(_issued(row, message) if row else None, presented, store)
    if refusal is Refusal.REDEEMED and row is not None and presented.receipt is not None:
        before = redemption_of(conn, row.message)
        if before is not None and (before.receipt, before.geofence) == (
            presented.receipt,
            presented.geofence,
        ):
            return before, False
    if refusal is not None or row is None or message is None:
        raise RedemptionRefused(refusal or Refusal.UNKNOWN)
    taken = Redemption(
        id=row.message,
        subject=row.subject,
        campaign=row.campaign,
        version=message.version,
        geofence=presented.geofence,
        at=presented.at,
        receipt=presented.receipt,
        amount=presented.amount,
        currency=presented.currency,
        recorded_at=now,
    )
    conn.execute(update(coupons).where(coupons.c.code == sealed).values(state=CouponState.REDEEMED.value))
    conn.execute(redemptions.insert().values(_redemption_row(taken)))
    return taken, True


def redemption_of(conn: Connection, message: str) -> Redemption | None:
    """The redemption of a message's code."""
    row = conn.execute(select(redemptions).where(redemptions.c.id == message)).first()
    return _redemption(row) if row else None


def redemptions_of(conn: Connection, subject: str) -> list[dict[str, Any]]:
    """Every redemption of a subject, oldest first; for the subject's export."""
    query = select(redemptions).where(redemptions.c.subject == subject)
    rows = conn.execute(query.order_by(redemptions.c.at, redemptions.c.id))
    return [redemption_json(_redemption(row)) for row in rows]


def taken_by(conn: Connection, subjects: Collection[str], since: datetime) -> dict[str, list[Taken]]:
    """What each of these subjects redeemed since then; for audiences, and for what calls a message off."""
    found: dict[str, list[Taken]] = {subject: [] for subject in subjects}
    columns = redemptions.c.subject, redemptions.c.campaign, redemptions.c.at
    for some in batches(subjects):
        theirs = redemptions.c.subject.in_(some) & (redemptions.c.at >= since)
        for row in conn.execute(select(*columns).where(theirs)):
            found[row.subject].append(Taken(row.campaign, row.at))
    return found


def forget_subject(conn: Connection, subject: str) -> None:
    """Remove every redemption of a subject."""
    conn.execute(delete(redemptions).where(redemptions.c.subject == subject))


def _message_of(conn: Connection, message_id: str) -> Any:
    """State and version of a message; None once it is gone."""
    return conn.execute(
        select(messages.c.state, messages.c.version).where(messages.c.id == message_id)
    ).first()


def _issued(row: Row[Any], message: Row[Any] | None) -> Issued:
    return Issued(
        state=CouponState(row.state),
        message=row.message,
        message_state=MessageState(message.state) if message else None,
        subject=row.subject,
        geofence=row.geofence,
        tags=tuple(row.tags or ()),
        claimed_at=row.claimed_at,
        until=row.valid_until,
    )


def _redemption_row(taken: Redemption) -> dict[str, Any]:
    return {
        "id": taken.id,
        "subject": taken.subject,
        "campaign": taken.campaign,
        "version": taken.version,
        "geofence": taken.geofence,
        "at": taken.at,
        "receipt": taken.receipt,
        "amount_thousandths": int(taken.amount * THOUSANDTHS) if taken.amount is not None else None,
        "currency": taken.currency,
        "recorded_at": taken.recorded_at,
    }


def _redemption(row: Row[Any]) -> Redemption:
    amount = row.amount_thousandths
    return Redemption(
        id=row.id,
        subject=row.subject,
        campaign=row.campaign,
        version=row.version,
        geofence=row.geofence,
        at=row.at,
        receipt=row.receipt,
        amount=Decimal(amount) / THOUSANDTHS if amount is not None else None,
        currency=row.currency,
        recorded_at=row.recorded_at,
    )
