"""Turns place events into decisions: gathers the facts, asks `campaigns.decide`, and records event, decision and
message of one event in one transaction. Replaying an event changes nothing: its rows are there already.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime
from itertools import groupby

from sqlalchemy import Connection

from campaigns import store as campaign_store
from campaigns.arbitration import Claim
from campaigns.campaign import Campaign
from campaigns.decide import Decision
from campaigns.delivery import outbox
from campaigns.delivery.breaker import Breaker
from campaigns.gates import fits
from campaigns.triggers import held_store
from campaigns.triggers.occasion import Occasion
from consent import ledger
from consent import store as consent_store
from consent.data_keys import keys_of
from consent.entry import Channel, Purpose, standing
from engine import metrics
from engine.event_log import decode_event
from engine.events import sealed_events
from engine.facts import HOUSE, House, gather_known, hold_counters
from engine.judgement import Keep, judge_all
from engine.leases import Leases
from engine.live import Live, events_key
from engine.quarantine import Of, Quarantine
from engine.records import Records, is_away
from engine.round_trip import raised
from geofences import store as geofence_store
from geofences import visit_store
from geofences.event import PlaceEvent, Revision
from geofences.geofence import Geofence

logger = logging.getLogger(__name__)

Entry = tuple[bytes, bytes]
"""Its id in the event log, and the event."""
Entries = Sequence[Entry]
BATCH_EVENTS = 100
RETRY_SECONDS = 1.0
GATHER_SECONDS = 0.08
"""After a batch that took all there were, events gather for so long, as one costs what ten cost to record. Half of it an
event waits on average.
"""
PLACES_LIMIT = 20_000
"""Geofences that are remembered."""


class Decider:
    """Works through the event log of the partitions that its worker holds. One thread uses it."""

    def __init__(
        self,
        live: Live,
        records: Records,
        leases: Leases,
        now: Callable[[], datetime],
        house: House = HOUSE,
        breakers: Callable[[], Mapping[Channel, Breaker]] = dict,
    ) -> None:
        self._live = live
        self._records = records
        self._leases = leases
        self._now = now
        self._quarantine = Quarantine(live)
        self._of_each = BATCH_EVENTS
        self._has_more = False
        """Whether more may have waited than the last batch took."""
        self.unjudged = 0
        """Events that could not be judged."""
        self._dropped = 0
        """Events of the batch under way that are not kept."""
        self._judge = Judge(house, breakers, dropped=self._drop)

    def run(self, stop: threading.Event) -> None:
        """Decide until told to stop."""
        while not stop.is_set():
            try:
                taken = self.run_once()
                # Of partitions that are another's now nothing is taken, however much waits there.
                if not (taken and self._has_more):
                    stop.wait(GATHER_SECONDS)
            except Exception as error:  # noqa: BLE001  # nothing ends this thread while its leases are renewed
                logger.warning("decider: no batch was taken (%s); trying again", type(error).__name__)
                stop.wait(RETRY_SECONDS)

    def run_once(self) -> int:
        """Decide on a batch of events, of all held partitions together. Answers how many events it took. Where they cannot
        be judged together each is judged alone, so that one of them holds up no other. Raises what a store says that is away.
        """
        waiting = self._waiting()
        if not waiting:
            return 0
        try:
            return self._take(waiting)
        except Exception as error:
            if is_away(error):
                raise
            # The type alone: a message may quote a value, and a value may be personal.
            logger.warning(
                "decider: a batch could not be judged (%s); each event alone now", type(error).__name__
            )
        return sum(
            self._take_alone(partition, entry) for partition, entries in waiting.items() for entry in entries
        )

    def _take_alone(self, partition: int, entry: Entry) -> int:
        """Decide on one event. One that cannot be judged is kept without a decision if it can be, and else set aside."""
        why = ""
        for only_keep in (False, True):
            try:
                taken = self._take({partition: [entry]}, only_keep=only_keep)
            except Exception as error:
                if is_away(error):
                    raise
                why = type(error).__name__
                logger.warning(
                    "decider: an event could not be %s (%s)", "kept" if only_keep else "judged", why
                )
                continue
            if only_keep and taken:
                self._count_unjudged("event_kept")
            return taken
        lease = self._leases.held.get(partition, "")
        kept = self._quarantine.keep(Of.EVENTS, partition, lease, [(entry[0], why)], leave=True)
        if kept:
            self._count_unjudged("event_set_aside")
        return kept or 0

    def _count_unjudged(self, became: str) -> None:
        self.unjudged += 1
        metrics.UNJUDGED.labels(became).inc()

    def _take(self, waiting: Mapping[int, Entries], *, only_keep: bool = False) -> int:
        events = {
            partition: [decode_event(event) for _, event in entries] for partition, entries in waiting.items()
        }
        self._dropped = 0
        with self._records.writes.begin() as connection:
            ours, decisions = self._decide_all(connection, events, only_keep=only_keep)
        for decision in decisions:  # when they are taken again these are no news
            metrics.DECISIONS.labels(decision.outcome, decision.reason).inc()
        # Acknowledged only now: a crash before this line decides again, and finds everything recorded.
        self._acknowledge({partition: waiting[partition] for partition in ours})
        metrics.EVENTS_DROPPED.inc(self._dropped)
        return sum(len(waiting[partition]) for partition in ours)

    def _drop(self, count: int) -> None:
        self._dropped += count

    def _acknowledge(self, done: Mapping[int, Entries]) -> None:
        commands = [
            ("XDEL", events_key(partition), *(entry_id for entry_id, _ in entries))
            for partition, entries in done.items()
        ]
        if commands:
            raised(self._live.ask(commands))

    def _waiting(self) -> dict[int, Entries]:
        """The oldest undecided events of each held partition that has any, so many that they make a batch together."""
        held = sorted(self._leases.held)
        self._has_more = False
        if not held:
            return {}
        oldest = ("-", "+", "COUNT", self._of_each)
        found = raised(self._live.ask([("XRANGE", events_key(partition), *oldest) for partition in held]))
        waiting: dict[int, Entries] = {
            partition: [(entry_id, fields[1]) for entry_id, fields in entries]
            for partition, entries in zip(held, found, strict=True)
            if entries
        }
        self._has_more = any(len(entries) >= self._of_each for entries in waiting.values())
        self._of_each = -(-BATCH_EVENTS // max(len(waiting), 1))
        return waiting

    def _decide_all(
        self, connection: Connection, waiting: Mapping[int, Sequence[PlaceEvent]], *, only_keep: bool
    ) -> tuple[AbstractSet[int], list[Decision]]:
        """The partitions that are still ours, and the decisions on their events."""
        devices = {event.device for events in waiting.values() for event in events}
        owners = consent_store.subjects_of_devices(connection, sorted(devices))
        consent_store.lock_subjects(connection, set(owners.values()))
        # Asked under the locks: whoever takes a partition after us waits for them, so that what we read, however long
        # ago, is not written over what has been learned since.
        ours = self._leases.ours(waiting)
        events = [event for partition in waiting if partition in ours for event in waiting[partition]]
        return ours, self.decide_on(connection, events, owners, only_keep=only_keep)

    def decide_on(
        self,
        connection: Connection,
        events: Sequence[PlaceEvent],
        owners: Mapping[str, str],
        *,
        only_keep: bool = False,
    ) -> list[Decision]:
        """Keep the events of one transaction and, unless `only_keep`, decide on them; the new decisions. The caller holds
        the locks of the devices' owners.
        """
        now = self._now()
        return self._judge.judge(connection, events, owners, lambda _event: now, only_keep=only_keep)


class Judge:
    """Judges events by what the records store holds, and records what comes of it there."""

    def __init__(
        self,
        house: House,
        breakers: Callable[[], Mapping[Channel, Breaker]] = dict,
        record: Keep | None = None,
        dropped: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._house = house
        self._breakers = breakers
        self._record = record
        self._dropped = dropped
        self._read: dict[str, tuple[int, Geofence]] = {}
        """Geofences with the revision at which they were read."""

    def judge(
        self,
        connection: Connection,
        events: Sequence[PlaceEvent],
        owners: Mapping[str, str],
        at: Callable[[Occasion], datetime],
        *,
        only_keep: bool = False,
    ) -> list[Decision]:
        """The decisions on these events, each at its instant; none where they are `only_keep`. `owners` tells whose each
        device is; the caller holds their locks. Instants never go back, and nobody has events at two of them.
        """
        if not events:
            return []
        keys = keys_of(connection, owners.values())  # whoever is known has one
        campaigns = [] if only_keep else campaign_store.live_campaigns(connection)
        # Of other purposes campaigns alone ask.
        entries = ledger.entries_of_many(connection, keys, None if campaigns else Purpose.LOCATION)
        now = max(at(event) for event in events)
        allowed: dict[str, str] = {}
        for event in events:
            subject = owners.get(event.device, "")
            if subject in keys and standing(entries[subject], Purpose.LOCATION, None, at(event)).allowed:
                allowed[event.device] = subject
        said = [event for event in events if event.revision is Revision.SAID]
        kept = [(event, allowed[event.device]) for event in said if event.device in allowed]
        sealed = sealed_events(keys, kept)
        self._dropped(len(said) - len(kept))
        new = geofence_store.add_events(connection, sealed, now)
        heard = [event for event in events if event.revision is not Revision.SAID or event.device in allowed]
        _keep_revisions(connection, heard, new, now)
        _follow(connection, heard, [(event, subject) for event, subject in sealed if event.id in new])
        for event in heard:
            if event.revision is Revision.RETRACTED:  # what it was to bring about is called off
                held_store.cancel_of_event(connection, event.id, now)
                outbox.cancel_of_event(connection, event.id)
        if not campaigns:
            return []
        places = self._places(connection, {event.geofence for event, _ in kept})
        claims = _claims(campaigns, _as_they_stand(kept, heard), places)
        if not claims:
            return []
        house = replace(self._house, breakers=self._breakers())
        judged = consent_store.reachable(connection, {claim.subject for claim in claims}, keys)
        concerned = {claim.campaign.id: claim.campaign for claim in claims}
        asking = list(concerned.values())
        counters = hold_counters(connection, asking, now, house)
        facts = gather_known(connection, judged, entries, keys, asking, counters, at(events[0]), house)
        return [
            decision
            for instant, together in groupby(claims, key=lambda claim: at(claim.event))
            for decision in judge_all(
                connection, list(together), facts.at(instant), instant, record=self._record
            )
        ]

    def _places(self, connection: Connection, ids: AbstractSet[str]) -> Mapping[str, Geofence]:
        """The geofences that events are about. One that has not been edited since is not read again: its shape is
        much to read for a name.
        """
        revisions = geofence_store.revisions_of(connection, ids)
        stale = [each for each in revisions if self._read.get(each, (None,))[0] != revisions[each]]
        if len(self._read) + len(stale) > PLACES_LIMIT:
            self._read.clear()
            stale = list(revisions)
        for geofence_id, geofence in geofence_store.get_many(connection, stale).items():
            self._read[geofence_id] = (revisions[geofence_id], geofence)
        return {each: self._read[each][1] for each in revisions if each in self._read}


def _keep_revisions(
    connection: Connection, events: Sequence[PlaceEvent], new: AbstractSet[str], now: datetime
) -> None:
    """Correct what is kept of events that are told anew; `new` are those that were not kept before."""
    fresh = set(new)
    for event in events:
        if event.revision is not Revision.SAID:
            geofence_store.revise_event(connection, event, now)
        elif event.id not in fresh:
            geofence_store.revise_event(connection, replace(event, revision=Revision.AMENDED), now)
        fresh.discard(event.id)  # told a second time, after it was taken back, it is no longer new


def _follow(
    connection: Connection, events: Sequence[PlaceEvent], new: Sequence[tuple[PlaceEvent, str]]
) -> None:
    """Bring visits up to date with what was heard; `new` events were kept just now, as they are here unless they were told
    more than once.
    """
    told = Counter(event.id for event in events if event.kind in visit_store.CROSSINGS)
    known = [(event, subject) for event, subject in new if told[event.id] == 1]
    visit_store.follow(connection, told.keys() - {event.id for event, _ in known}, known)


def _as_they_stand(
    said: Sequence[tuple[PlaceEvent, str]], heard: Sequence[PlaceEvent]
) -> Iterator[tuple[PlaceEvent, str]]:
    """The events, retracted where the last that was heard of one is that it did not happen."""
    last = {each.id: each.revision for each in heard if each.revision is not Revision.AMENDED}
    for event, subject in said:
        stands = last[event.id]
        yield (event if event.revision is stands else replace(event, revision=stands)), subject


def _claims(
    campaigns: Sequence[Campaign],
    happened: Iterable[tuple[PlaceEvent, str]],
    places: Mapping[str, Geofence],
) -> list[Claim]:
    """Every campaign that an event concerns, once."""
    claims = {}
    for event, subject in happened:
        geofence = places.get(event.geofence)
        for campaign in campaigns:
            if fits(campaign.trigger, event, geofence):
                claims[event.id, campaign.id] = Claim(campaign, event, geofence, subject)
    return list(claims.values())
