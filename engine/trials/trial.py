"""Tries a campaign out: dry, on any shopper, or by a text to somebody who is there for tests."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection

from campaigns.campaign import Campaign
from campaigns.decide import Decision, decide, decision_json
from campaigns.decision_store import record_decision
from campaigns.errors import FieldError, InvalidCampaign, TooManyTests
from campaigns.fulfilment import compose_with_links
from campaigns.lifecycle.change import By, tested
from campaigns.lifecycle.change_store import record_change
from campaigns.message import Message, derived_id
from campaigns.message_store import tests_to
from campaigns.store import known_campaign
from campaigns.triggers.occasion import Occasion, Occurrence, Timed, left_cart, long_absent
from consent.errors import SubjectNotFound
from consent.store import lock_subject, reachable
from engine.broadcaster import broadcast_to
from engine.facts import House, gather
from geofences import store as geofence_store
from geofences.errors import GeofenceNotFound
from geofences.event import EventKind, PlaceEvent, event_id
from geofences.geofence import Geofence

TESTS_A_DAY = 20
"""To one recipient."""
AHEAD_LIMIT = timedelta(days=366)
CLOCK_SKEW = timedelta(minutes=5)
"""How far an instant may lie behind us and still be taken for now."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What is supposed to happen: this event, to this subject, at this geofence and instant."""

    subject: str
    geofence: str | None
    event: EventKind | Timed
    at: datetime

    def occasion(self, device: str) -> Occasion:
        """The event, of no phone; its estimate is as sure as one can be."""
        if isinstance(self.event, Timed):
            name = derived_id(self.event, device, self.geofence or "", self.at.isoformat())
            return Occurrence(name, self.event, self.geofence, self.at)
        name = event_id(device, self.geofence or "", self.event, self.at.isoformat())
        return PlaceEvent(name, device, self.event, self.geofence or "", self.at, self.at, 1.0)


def dry_run(conn: Connection, campaign_id: str, trial: Trial, house: House, now: datetime) -> Decision:
    """What the campaign would decide, with what is known of the subject now. Nothing is recorded and nothing sent.

    Raises `CampaignNotFound`, `SubjectNotFound`, `GeofenceNotFound`, and `InvalidCampaign` for an instant that is over or
    too far ahead.
    """
    if not now - CLOCK_SKEW <= trial.at <= now + AHEAD_LIMIT:
        said = (
            "must be from now on and at most a year ahead; what was decided already is in GET /v1/decisions"
        )
        raise InvalidCampaign(f"at: {said}", (FieldError("at", said),))
    if trial.geofence is None and isinstance(trial.event, EventKind):
        said = f"a geofence is needed: {trial.event} happens at one"
        raise InvalidCampaign(f"geofence: {said}", (FieldError("geofence", said),))
    campaign = known_campaign(conn, campaign_id)
    if trial.geofence is not None:
        known_geofence(conn, trial.geofence)
    check_subject(conn, trial.subject)
    facts = gather(conn, [trial.subject], [campaign], trial.at, house)
    occasion = trial.occasion("dry-run")
    if trial.event is Timed.BROADCAST:
        occasion = broadcast_to(trial.subject, campaign, trial.at)
    if trial.event is Timed.CART and (carts := facts.open_carts(campaign, trial.subject)):
        occasion = left_cart(carts[0], trial.at)
    if trial.event is Timed.ABSENCE and (visits := facts.visits_meant(campaign, trial.subject)):
        occasion = long_absent(max(visits, key=lambda visit: visit.until), trial.at)
    geofence = geofence_store.get(conn, occasion.geofence) if occasion.geofence else None
    moment = facts.moment(campaign, occasion, geofence, trial.subject)
    return decide(campaign, moment, trial.at)


def test_send(
    conn: Connection, campaign_id: str, subject: str, geofence_id: str | None, house: House, by: By
) -> tuple[Decision, Message | None]:
    """Decide on a test and make its message due, as of any state. The law holds as for any offer; audience, caps, windows,
    schedule and approval of the campaign do not. Raises `CampaignNotFound`, `SubjectNotFound`, `GeofenceNotFound`
    and `TooManyTests`.
    """
    if not lock_subject(conn, subject):
        raise SubjectNotFound
    campaign = known_campaign(conn, campaign_id)
    geofence = _place(conn, campaign, geofence_id)
    if tests_to(conn, subject, by.at - timedelta(days=1)) >= TESTS_A_DAY:
        raise TooManyTests(f"this recipient had {TESTS_A_DAY} tests within a day; try again tomorrow")
    trial = Trial(subject, geofence.id if geofence else None, campaign.trigger.event, by.at)
    facts = gather(conn, [subject], [campaign], by.at, house)
    moment = facts.moment(campaign, trial.occasion(f"test {uuid4().hex}"), geofence, subject)
    decision = decide(campaign, moment, by.at, test=True)
    message = compose_with_links(conn, decision, campaign, moment)
    record_decision(conn, decision, message)
    record_change(conn, tested(campaign, by))
    return decision, message


def _place(conn: Connection, campaign: Campaign, geofence_id: str | None) -> Geofence | None:
    """The geofence asked for, else the first that the campaign names."""
    if geofence_id is not None:
        return known_geofence(conn, geofence_id)
    named = campaign.trigger.geofences[:1]
    return geofence_store.get(conn, named[0]) if named else None


def test_send_json(decision: Decision, message: Message | None) -> dict[str, Any]:
    """How a test came out, as the API writes it."""
    return {
        "decision": decision.id,
        "campaign": decision.campaign,
        "version": decision.version,
        "outcome": decision.outcome.value,
        "reason": decision.reason.value,
        "message": message.id if message else None,
    }


def known_geofence(conn: Connection, geofence_id: str) -> Geofence:
    """The geofence with this id. Raises `GeofenceNotFound`."""
    geofence = geofence_store.get(conn, geofence_id)
    if geofence is None:
        raise GeofenceNotFound(geofence_id)
    return geofence


def check_subject(conn: Connection, subject: str) -> None:
    """Raises `SubjectNotFound` for one that is not known."""
    if subject not in reachable(conn, [subject]):
        raise SubjectNotFound


def dry_run_json(decision: Decision, trial: Trial) -> dict[str, Any]:
    """A decision that was only tried, as the API writes it: it has no id, and its event is of the kind supposed."""
    told = decision_json(decision)
    return {name: value for name, value in told.items() if name != "id"} | {"event": trial.event.value}
