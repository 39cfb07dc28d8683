"""How many a campaign could reach, before it is let speak: counted over the gates that are about people, not moments."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from campaigns.campaign import Campaign
from campaigns.gates import GateName, Moment, Reason
from campaigns.verdicts import ask

PEOPLE = (
    GateName.LOCATION_CONSENT,
    GateName.CONSENT,
    GateName.SUPPRESSION,
    GateName.ADDRESS,
)
"""What must hold of somebody in the audience for an offer to reach them."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Counts over `examined` of the `subjects` that there are: in the audience, and of these whom an offer may reach. Who did
    not agree to be chosen by conduct is in no audience that chooses by it.
    """

    subjects: int
    examined: int
    in_audience: int
    reachable: int

    def scaled(self, count: int) -> int:
        """What `count` of those examined comes to over all subjects."""
        return round(count * self.subjects / self.examined) if self.examined else 0


def reach(campaign: Campaign, moments: Iterable[Moment], subjects: int, now: datetime) -> Reach:
    """Count. Each moment is one subject's, without an event to speak of."""
    examined = in_audience = reachable = 0
    for moment in moments:
        examined += 1
        if all(_passes(name, campaign, moment, now) for name in (GateName.PROFILING, GateName.AUDIENCE)):
            in_audience += 1
            reachable += all(_passes(name, campaign, moment, now) for name in PEOPLE)
    return Reach(subjects, examined, in_audience, reachable)


def reach_json(campaign: Campaign, found: Reach, minimum: int, now: datetime) -> dict[str, Any]:
    """Reach as the API writes it; counts below `minimum` are withheld, so that nobody is told apart."""
    counts = {"in_audience": found.scaled(found.in_audience), "reachable": found.scaled(found.reachable)}
    told = {name: count if count >= minimum else None for name, count in counts.items()}
    return {
        "campaign": campaign.id,
        "channel": campaign.channel.value,
        **told,
        "minimum": minimum,
        "estimated": found.examined < found.subjects,
        "at": now.isoformat(),
    }


def _passes(name: GateName, campaign: Campaign, moment: Moment, now: datetime) -> bool:
    answer = ask(name, campaign, moment, now)
    return answer is not None and answer.reason is Reason.OK
