"""The fixed cast: Ana, the bakery and the bread campaign, so that each test says only what differs."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from campaigns.campaign import Campaign, CampaignState
from campaigns.decide import Decision, compose, decide
from campaigns.gates import Moment, Recipient
from campaigns.limits.cap import Sent
from campaigns.message import Message
from campaigns.triggers.trigger import Trigger
from consent.entry import Action, Channel, Entry, Purpose, Reason, Standing
from geofences.event import EventKind, PlaceEvent, event_id
from geofences.geofence import Circle, Geofence, Kind
from tests.conftest import MONDAY_NINE

BREAD = Campaign(
    id="bread",
    name="Bread",
    trigger=Trigger(EventKind.ENTER, ("bakery",)),
    channel=Channel.SMS,
    template="{{ first_name | default: 'Hello' }}, fresh bread until ten",
    state=CampaignState.ACTIVE,
)
BAKERY = Geofence(
    id="bakery",
    name="The bakery",
    kind=Kind.STORE,
    shape=Circle(7.42, 43.73, 30),
    timezone="Europe/Paris",
    tags=("city-centre",),
)
ANA = Recipient("ana", {"first_name": "Ana", "tier": "gold"}, frozenset({Channel.SMS}))


def event(at: datetime = MONDAY_NINE, **changes: Any) -> PlaceEvent:
    """Ana's phone enters the bakery."""
    cause = changes.pop("cause", at.isoformat())
    found = PlaceEvent("", "phone-1", EventKind.ENTER, "bakery", at, at, 0.9, {})
    found = replace(found, **changes)
    return replace(found, id=event_id(found.device, found.geofence, found.kind, cause))


def entry(action: Action, purpose: Purpose = Purpose.MARKETING, at: datetime = MONDAY_NINE) -> Entry:
    at -= timedelta(minutes=5)
    return Entry(
        id=f"{purpose}-{action}-{at:%H%M}",
        subject="ana",
        purpose=purpose,
        channel=Channel.SMS if purpose is Purpose.MARKETING else None,
        action=action,
        source="test",
        text_version="v1",
        at=at,
        recorded_at=at,
        actor="test",
    )


def granted(purpose: Purpose = Purpose.MARKETING, at: datetime = MONDAY_NINE) -> Standing:
    return Standing(allowed=True, because=entry(Action.GRANT, purpose, at), reason=Reason.GRANTED)


def withdrawn(purpose: Purpose = Purpose.MARKETING) -> Standing:
    return Standing(allowed=False, because=entry(Action.WITHDRAW, purpose), reason=Reason.WITHDRAWN)


def not_carried(reason: str) -> Standing:
    """A marketing grant that stands, and allows nothing all the same."""
    flaw = {"needs_renewal": {"renewal_due": MONDAY_NINE}, "unproven": {"partner": "a partner"}}[reason]
    because = replace(entry(Action.GRANT), **flaw)
    return Standing(allowed=False, because=because, reason=Reason(reason))


NEVER_ASKED = Standing(allowed=False, because=None, reason=Reason.NEVER_ASKED)


def moment(**changes: Any) -> Moment:
    """The moment in which everything is as it should be."""
    usual = Moment(
        event=event(),
        geofence=BAKERY,
        recipient=ANA,
        marketing=granted(),
        location=granted(Purpose.LOCATION),
    )
    return replace(usual, **changes)


def sent(at: datetime, **changes: Any) -> Sent:
    """Ana got a message of the bread campaign."""
    return replace(Sent(at, "an event", "bread", "bakery", Channel.SMS), **changes)


def decided(
    cause: str = "fix-1", *, at: datetime = MONDAY_NINE, campaign: Campaign = BREAD, subject: str = "ana"
) -> tuple[Decision, Message | None]:
    """A decision for a message, and the message."""
    now = moment(
        event=event(at, cause=cause),
        recipient=replace(ANA, id=subject),
        marketing=granted(Purpose.MARKETING, at),
        location=granted(Purpose.LOCATION, at),
    )
    decision = decide(campaign, now, at)
    return decision, compose(decision, campaign, now)
