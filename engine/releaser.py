"""Lets go the moments whose delay is over: each is decided anew, by the facts of then."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from campaigns import store as campaign_store
from campaigns.arbitration import Claim
from campaigns.decide import Decision, Outcome, due_at
from campaigns.delivery import outbox
from campaigns.delivery.breaker import Breaker
from campaigns.gates import Reason
from campaigns.triggers import held_store
from campaigns.triggers.held_store import Held, Waiting
from campaigns.triggers.occasion import Timed
from consent import store as consent_store
from consent.entry import Channel
from engine import metrics
from engine.broadcaster import WAITING_LIMIT
from engine.facts import House, gather, hold_counters
from engine.judgement import Judged, judge_all
from engine.records import Records, is_away
from geofences import store as geofence_store

logger = logging.getLogger(__name__)

BATCH = 100


class Releaser:
    """Any number may run side by side: a held moment is decided under its subject's lock, and once."""

    def __init__(
        self,
        records: Records,
        now: Callable[[], datetime],
        house: House,
        breakers: Callable[[], Mapping[Channel, Breaker]] = dict,
        *,
        waiting_limit: int = WAITING_LIMIT,
    ) -> None:
        self._records = records
        self._now = now
        self._house = house
        self._breakers = breakers
        self._waiting_limit = waiting_limit
        self.unjudged = 0
        """Moments that could not be judged."""

    def run_once(self) -> int:
        """Decide the moments that are due, the oldest first; how many there were, `BATCH` at most."""
        with self._records.reads.connect() as connection:
            waiting = {each.decision: each.subject for each in self._due(connection)}
        if not waiting:
            return 0
        try:
            self._take(waiting)
        except Exception as error:
            if is_away(error):
                raise
            # The type alone: a message may quote a value, and a value may be personal.
            logger.warning("held moments could not be judged (%s); each alone now", type(error).__name__)
            for decision, subject in waiting.items():
                self._take_alone({decision: subject})
        return len(waiting)

    def _due(self, connection: Connection) -> list[Waiting]:
        """What is due now. A broadcast that waited for its hours takes turns with the offers of the moment, as one that needs
        not wait (`engine/broadcaster.py`).
        """
        now = self._now()
        found = held_store.due(connection, now, BATCH)
        if not any(each.broadcast for each in found):
            return found
        rooms = {
            channel: self._waiting_limit - outbox.count_due(connection, channel, self._waiting_limit)
            for channel in Channel
        }
        live = campaign_store.live_campaigns(connection)
        over = {each.id: each.channel for each in live if each.trigger.event is Timed.BROADCAST}
        if full := [name for name, channel in over.items() if not rooms[channel]]:
            found = held_store.due(connection, now, BATCH, full)
        taken = []
        for each in found:
            channel = over.get(each.broadcast or "")
            if channel is None or rooms[channel]:
                taken.append(each)
                rooms |= {channel: rooms[channel] - 1} if channel else {}
        return taken

    def _take_alone(self, waiting: Mapping[str, str]) -> None:
        """Decide one moment; one that cannot be judged ends, as it would fail again each second."""
        try:
            self._take(waiting)
        except Exception as error:
            if is_away(error):
                raise
            logger.warning("a held moment could not be judged (%s)", type(error).__name__)
        else:
            return
        with self._locked(waiting) as (connection, held):
            for each in held:
                held_store.drop(connection, each, Reason.NOT_JUDGED, self._now())
                self.unjudged += 1
                metrics.UNJUDGED.labels("moment_refused").inc()

    def _take(self, waiting: Mapping[str, str]) -> None:
        with self._locked(waiting) as (connection, held):
            decisions = self._release(connection, held)
        for decision in decisions:
            metrics.DECISIONS.labels(decision.outcome, decision.reason).inc()

    @contextmanager
    def _locked(self, waiting: Mapping[str, str]) -> Iterator[tuple[Connection, list[Held]]]:
        """A transaction that holds the subjects, and what still waits."""
        with self._records.writes.begin() as connection:
            consent_store.lock_subjects(connection, set(waiting.values()))
            yield connection, held_store.still_held(connection, waiting)

    def _release(self, connection: Connection, several: list[Held]) -> list[Decision]:
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
        named = {each.event.geofence for each in several if each.event.geofence is not None}
        places = geofence_store.get_many(connection, named)
        claims = []
        for each in several:
            campaign = campaigns.get(each.campaign)
            if campaign is None:
                held_store.drop(connection, each, Reason.CAMPAIGN_NOT_ACTIVE, now)
            else:
                claims.append(
                    Claim(campaign, each.event, places.get(each.event.geofence or ""), each.subject)
                )
        return judge_all(connection, claims, facts, now, _settle)


def _settle(connection: Connection, judged: Judged) -> bool:
    decision = judged.decision
    if decision.outcome is Outcome.HELD:  # the campaign waits longer by now, or hours have changed
        held_store.postpone(connection, decision, due_at(decision))
        return False
    held_store.settle(connection, decision, judged.message, counted=judged.counted)
    return True
