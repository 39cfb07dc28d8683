"""Counts whom a campaign could reach, over the records as they are."""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import Connection

from campaigns.audience.audience import behaviours, list_names
from campaigns.audience.reach import Reach, reach
from campaigns.campaign import Campaign
from campaigns.errors import AudienceTooSmall
from campaigns.gates import Moment
from campaigns.triggers.occasion import Occurrence, Timed
from consent.store import count_subjects, subject_ids_after
from engine.facts import gather
from geofences.event import PlaceEvent

PORTION = 500
EXAMINED_LIMIT = 20_000
"""So many subjects are looked at; of more the count is an estimate."""


def reach_of(connection: Connection, campaign: Campaign, now: datetime) -> Reach:
    """How many it could reach now."""
    return reach(campaign, _moments(connection, campaign, now), count_subjects(connection), now)


def check_audience(connection: Connection, campaign: Campaign, minimum: int, now: datetime) -> None:
    """Raises `AudienceTooSmall` for a campaign that chooses by conduct or by lists, and chooses fewer than `minimum`."""
    if not (behaviours(campaign.audience) or list_names(campaign.audience)):
        return
    if chooses_fewer(connection, campaign, minimum, now):
        raise AudienceTooSmall(
            f"campaign {campaign.id} chooses fewer than {minimum} by what they did or by lists; widen its audience"
        )


def chooses_fewer(connection: Connection, campaign: Campaign, minimum: int, now: datetime) -> bool:
    """Whether the campaign's audience is smaller than that."""
    found = reach_of(connection, campaign, now)
    return found.scaled(found.in_audience) < minimum


def _moments(connection: Connection, campaign: Campaign, now: datetime) -> Iterator[Moment]:
    kind = campaign.trigger.waits_for
    nowhere = (
        Occurrence("", kind, None, now)
        if isinstance(kind, Timed)
        else PlaceEvent("", "", kind, "", now, now, 1.0)
    )
    after: str | None = None
    for _ in range(EXAMINED_LIMIT // PORTION):
        ids = subject_ids_after(connection, after, PORTION)
        facts = gather(connection, ids, [campaign], now)
        yield from (facts.moment(campaign, nowhere, None, subject) for subject in ids)
        if len(ids) < PORTION:
            return
        after = ids[-1]
