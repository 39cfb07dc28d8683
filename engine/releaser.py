"""Lets go the moments whose delay is over: each is decided anew, by the facts of then."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from campaigns import held_store
from campaigns import store as campaign_store
from campaigns.breaker import Breaker
from campaigns.campaign import Campaign
from campaigns.decide import Outcome, decide
from campaigns.fulfilment import fulfil
from campaigns.gates import Reason
from campaigns.held_store import Held
from consent import store as consent_store
from consent.entry import Channel
from engine import metrics
from engine.facts import Facts, House, gather
from engine.records import Records
from geofences import store as geofence_store
from geofences.geofence import Geofence

BATCH = 100


class Releaser:
    """Any number may run side by side: a held moment is decided under its subject's lock, and once."""

    def __init__(
        self,
        records: Records,
        now: Callable[[], datetime],
        house: House,
        breakers: Callable[[], Mapping[Channel, Breaker]] = dict,
    ) -> None:
        self._records = records
        self._now = now
        self._house = house
        self._breakers = breakers

    def run_once(self) -> int:
        """Decide the moments that are due, the oldest first; how many there were, `BATCH` at most."""
        with self._records.reads.connect() as connection:
            waiting = dict(held_store.due(connection, self._now(), BATCH))
        if not waiting:
            return 0
        with self._records.writes.begin() as connection:
            consent_store.lock_subjects(connection, set(waiting.values()))
            self._release(connection, held_store.still_held(connection, waiting))
        return len(waiting)

    def _release(self, connection: Connection, several: list[Held]) -> None:
        now = self._now()
        campaigns: Mapping[str, Campaign] = {
            name: campaign
            for name in {each.campaign for each in several}
            if (campaign := campaign_store.get_campaign(connection, name)) is not None
        }
        subjects = {each.subject for each in several}
        house = replace(self._house, breakers=self._breakers())
        facts = gather(connection, subjects, list(campaigns.values()), now, house)
        places = geofence_store.get_many(connection, {each.event.geofence for each in several})
        for each in several:
            campaign = campaigns.get(each.campaign)
            if campaign is None:
                held_store.drop(connection, each, Reason.CAMPAIGN_NOT_ACTIVE, now)
            else:
                _decide(connection, each, campaign, places.get(each.event.geofence), facts, now)


def _decide(
    connection: Connection,
    held: Held,
    campaign: Campaign,
    geofence: Geofence | None,
    facts: Facts,
    now: datetime,
) -> None:
    moment = facts.moment(campaign, held.event, geofence, held.subject)
    decision, message = fulfil(
        connection, decide(campaign, moment, now), campaign, moment, now, was_held=True
    )
    if decision.outcome is Outcome.HELD:  # the campaign waits longer by now
        held_store.postpone(connection, decision, held.event.at + campaign.trigger.delay)
        return
    held_store.settle(connection, decision, message)
    if message is not None:
        facts.count(message)
    metrics.DECISIONS.labels(decision.outcome, decision.reason).inc()
