"""Tries a campaign out on one shopper: asks what the decider would ask, and does nothing of what follows."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from campaigns.campaign import Campaign
from campaigns.decide import Decision, decide, decision_json
from campaigns.errors import CampaignNotFound, FieldError, InvalidCampaign
from campaigns.store import get_campaign
from consent.errors import SubjectNotFound
from consent.store import reachable
from engine.facts import House, gather
from geofences import store as geofence_store
from geofences.errors import GeofenceNotFound
from geofences.event import EventKind, PlaceEvent, event_id
from geofences.geofence import Geofence

AHEAD_LIMIT = timedelta(days=366)
CLOCK_SKEW = timedelta(minutes=5)
"""How far an instant may lie behind us and still be taken for now."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What is supposed to happen: this event, to this subject, at this geofence and instant."""

    subject: str
    geofence: str
    event: EventKind
    at: datetime

    def place_event(self, device: str) -> PlaceEvent:
        """The event, of no phone; its estimate is as sure as one can be."""
        name = event_id(device, self.geofence, self.event, self.at.isoformat())
        return PlaceEvent(name, device, self.event, self.geofence, self.at, self.at, 1.0)


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
    campaign, geofence = known_campaign(conn, campaign_id), known_geofence(conn, trial.geofence)
    check_subject(conn, trial.subject)
    facts = gather(conn, [trial.subject], [campaign], trial.at, house)
    moment = facts.moment(campaign, trial.place_event("dry-run"), geofence, trial.subject)
    return decide(campaign, moment, trial.at)


def known_campaign(conn: Connection, campaign_id: str) -> Campaign:
    """The campaign with this id. Raises `CampaignNotFound`."""
    campaign = get_campaign(conn, campaign_id)
    if campaign is None:
        raise CampaignNotFound(f"no campaign {campaign_id}; PUT /v1/campaigns/{campaign_id} makes it")
    return campaign


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
