"""Lets go the moments whose delay is over: each is decided anew, by the facts of then."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from campaigns import held_store
from campaigns import store as campaign_store
from campaigns.arbitration import Claim
from campaigns.breaker import Breaker
from campaigns.decide import Outcome
from campaigns.gates import Reason
from campaigns.held_store import Held
from consent import store as consent_store
from consent.entry import Channel
from engine import metrics
from engine.facts import House, gather, hold_counters
from engine.judgement import Judged, judge_all
from engine.records import Records
from geofences import store as geofence_store

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
        campaigns = {
            name: campaign
            for name in {each.campaign for each in several}
            if (campaign := campaign_store.get_campaign(connection, name)) is not None
        }
        house = replace(self._house, breakers=self._breakers())
        counters = hold_counters(connection, list(campaigns.values()), now, house)
        facts = gather(
            connection, {each.subject for each in several}, list(campaigns.values()), now, house, counters
        )
        places = geofence_store.get_many(connection, {each.event.geofence for each in several})
        claims = []
        for each in several:
            campaign = campaigns.get(each.campaign)
            if campaign is None:
                held_store.drop(connection, each, Reason.CAMPAIGN_NOT_ACTIVE, now)
            else:
                claims.append(Claim(campaign, each.event, places.get(each.event.geofence), each.subject))
        for decision in judge_all(connection, claims, facts, now, _settle):
            metrics.DECISIONS.labels(decision.outcome, decision.reason).inc()


def _settle(connection: Connection, judged: Judged) -> bool:
    claim, decision = judged.claim, judged.decision
    if decision.outcome is Outcome.HELD:  # the campaign waits longer by now
        held_store.postpone(connection, decision, claim.event.at + claim.campaign.trigger.delay)
        return False
    held_store.settle(connection, decision, judged.message, counted=judged.counted)
    return True
