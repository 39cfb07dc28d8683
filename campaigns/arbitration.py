"""Who speaks where several would: of the campaigns and places that fit one moment the most important one, and one a visit."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from math import inf

from campaigns.campaign import Campaign
from campaigns.triggers.occasion import Occasion
from geofences.event import Revision
from geofences.geofence import Geofence
from geofences.geometry import extent_m2

ROUND = timedelta(seconds=60)
"""What happens to a shopper within so long is one moment: the shop, the mall around it and the street before it."""


class Because(StrEnum):
    """By what a campaign wins: in this order, `visit` being that it spoke earlier in the same visit."""

    PRIORITY = "priority"
    VALUE = "value"
    SMALLEST = "smallest"
    NEAREST = "nearest"
    ID = "id"
    VISIT = "visit"


@dataclass(frozen=True, slots=True)
class Claim:
    """A campaign that would speak about an event at a place (None: it is gone)."""

    campaign: Campaign
    event: Occasion
    geofence: Geofence | None
    subject: str


@dataclass(frozen=True, slots=True)
class Winner:
    """Which campaign spoke, about which event, and in place of another one by what."""

    campaign: str
    event: str
    because: Because


def rounds(claims: Iterable[Claim]) -> Iterator[list[Claim]]:
    """The claims on each subject's moments, in the order of time, and within a moment as they are to be asked. What did not
    happen after all is no part of one.
    """
    by_time = sorted(claims, key=lambda claim: (claim.event.at, claim.subject, claim.event.id))
    open_rounds: dict[str, list[Claim]] = {}
    made = []
    for claim in by_time:
        if claim.event.revision is Revision.RETRACTED:
            made.append([claim])
            continue
        mine = open_rounds.get(claim.subject)
        if mine is None or claim.event.at > mine[0].event.at + ROUND:
            mine = open_rounds[claim.subject] = []
            made.append(mine)
        mine.append(claim)
    for each in made:
        yield sorted(each, key=rank) if len(each) > 1 else each


def rank(claim: Claim) -> tuple[float, float, float, float, str, str]:
    """The smallest is asked first. It depends on nothing but the claim, so that no order of arrival matters."""
    return (
        -claim.campaign.priority,
        -claim.campaign.value,
        extent_m2(claim.geofence.shape) if claim.geofence else inf,
        claim.event.evidence.get("distance_m", inf),
        claim.campaign.id,
        claim.event.id,
    )


def won(winner: Claim, loser: Claim) -> Winner:
    """The winner, and the first thing by which it comes before the other."""
    reasons = (Because.PRIORITY, Because.VALUE, Because.SMALLEST, Because.NEAREST, Because.ID, Because.ID)
    differs = (mine != other for mine, other in zip(rank(winner), rank(loser), strict=True))
    because = next((why for why, differ in zip(reasons, differs, strict=True) if differ), Because.ID)
    return Winner(winner.campaign.id, winner.event.id, because)
