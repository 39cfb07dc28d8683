"""Makes good what a decision promises: the message's own coupon code, taken in the deciding transaction."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from campaigns import coupon_store
from campaigns.campaign import Campaign
from campaigns.coupon_store import Wanted
from campaigns.decide import Decision, Outcome, compose, decide
from campaigns.decision_store import is_decided
from campaigns.gates import Moment, coupon_until
from campaigns.message import Message, message_id
from geofences.geofence import Geofence, Kind


def fulfil(
    conn: Connection,
    decision: Decision,
    campaign: Campaign,
    moment: Moment,
    now: datetime,
    *,
    was_held: bool = False,
) -> tuple[Decision, Message | None]:
    """The decision, and the message it calls for. Where a coupon is promised it is judged once more with the code that
    was taken, or with none if the pool is empty: the text comes out differently then, or not at all.

    The caller holds the subject's lock and records both. A code that no text shows, or that was judged before, is not
    used up. One that `was_held` is decided for good now, and by its releaser alone.
    """
    if decision.outcome is not Outcome.MESSAGE or campaign.coupon is None or moment.recipient is None:
        return decision, compose(decision, campaign, moment)
    if not was_held and is_decided(conn, decision.id):
        return decision, None
    wanted = Wanted(
        message_id(decision.event, campaign.id),
        moment.recipient.id,
        campaign.id,
        _store(moment.geofence),
        campaign.coupon.tags,
        coupon_until(campaign, moment.event),
    )
    coupon = coupon_store.claim(conn, campaign.coupon.pool, wanted, now)
    told = replace(moment, coupon=coupon, pool_is_empty=coupon is None)
    again = decide(campaign, told, now)
    message = compose(again, campaign, told)
    if coupon is not None and (message is None or coupon.code not in message.text):
        coupon_store.release(conn, wanted.message)
    return again, message


def _store(geofence: Geofence | None) -> str | None:
    """Where a code is good: at the store itself when it was earned in its catchment."""
    if geofence is None:
        return None
    return geofence.store if geofence.kind is Kind.CATCHMENT and geofence.store else geofence.id
