"""Makes good what a decision promises: the message's own coupon code and short links, made in the deciding transaction."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from campaigns.campaign import Campaign, speaking, written_text
from campaigns.content import link_store
from campaigns.content.short_link import new_token, targets_of
from campaigns.coupons import store as coupon_store
from campaigns.coupons.coupon import CouponOffer
from campaigns.coupons.store import Wanted
from campaigns.decide import Decision, Outcome, compose, decide
from campaigns.decision_store import is_decided
from campaigns.gates import Moment, Recipient, coupon_until, text_of
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
    who, offer = moment.recipient, campaign.coupon
    if decision.outcome is not Outcome.MESSAGE or who is None or not (offer or campaign.short_links):
        return decision, compose(decision, campaign, moment)
    if not was_held and is_decided(conn, decision.id):
        return decision, None
    if offer is None:
        return decision, compose_with_links(conn, decision, campaign, moment)
    wanted = _wanted(decision, campaign, offer, moment, who)
    coupon = coupon_store.claim(conn, offer.pool, wanted, now)
    told = replace(moment, coupon=coupon, pool_is_empty=coupon is None)
    again = decide(campaign, told, now)
    message = compose_with_links(conn, again, campaign, told)
    if coupon is not None and (message is None or coupon.code not in message.text):
        coupon_store.release(conn, wanted.message)
    return again, message


def compose_with_links(
    conn: Connection, decision: Decision, campaign: Campaign, moment: Moment
) -> Message | None:
    """The message, its links shortened if the campaign asks for it; where they lead is kept."""
    if decision.outcome is not Outcome.MESSAGE or not campaign.short_links:
        return compose(decision, campaign, moment)
    spoken = speaking(campaign, decision.variant)
    targets = targets_of(text_of(spoken, moment, written_text), moment.links)
    tokens = tuple(new_token() for _ in targets)
    message = compose(decision, campaign, replace(moment, tokens=tokens))
    if message is not None:
        link_store.add_links(conn, message, targets, tokens)
    return message


def _wanted(
    decision: Decision, campaign: Campaign, offer: CouponOffer, moment: Moment, who: Recipient
) -> Wanted:
    return Wanted(
        message_id(decision.event, campaign.id),
        who.id,
        campaign.id,
        _store(moment.geofence),
        offer.tags,
        coupon_until(campaign, moment.event),
    )


def _store(geofence: Geofence | None) -> str | None:
    """Where a code is good: at the store itself when it was earned in its catchment."""
    if geofence is None:
        return None
    return geofence.store if geofence.kind is Kind.CATCHMENT and geofence.store else geofence.id
