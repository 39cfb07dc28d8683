"""Looks for moments that come as time passes, in the order in which they fall due, and decides on them as on any event.

How far it has come is kept with what was decided, in one transaction: a crash leaves no moment out and decides on none twice.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from sqlalchemy import Connection

from campaigns.arbitration import Claim
from campaigns.campaign import Campaign, CampaignState, due_state
from campaigns.decide import Decision
from campaigns.delivery.breaker import Breaker
from campaigns.gates import fits
from campaigns.store import live_campaigns
from campaigns.triggers import cart_store, mark_store
from campaigns.triggers.cart import cart_wanted
from campaigns.triggers.mark_store import Mark
from campaigns.triggers.occasion import Occurrence, Timed, left_cart, long_absent
from consent import store as consent_store
from consent.entry import Channel
from engine import metrics
from engine.facts import Facts, House, gather, hold_counters
from engine.judgement import judge_all
from engine.portions import go_through
from engine.records import Records
from geofences import store as geofence_store
from geofences import visit_store

BATCH = 100
PAGES = 20
"""So many batches of one watch are dealt with in a run, at most; the next goes on from there."""

Happened = tuple[Campaign, Occurrence, str]
"""A moment of a campaign, and the subject that it came to."""


@dataclass(frozen=True, slots=True)
class Found:
    """Something that may have made a moment: where it stands in the order of the watch, and whose it is."""

    mark: Mark
    subject: str


class Watch(Protocol):
    """Waits so long after something, for the campaigns that wait equally long. Its name is one for all time."""

    @property
    def name(self) -> str:
        """By which its mark is kept."""
        ...

    @property
    def wait(self) -> timedelta:
        """How long after what happened the moment comes."""
        ...

    def found(self, connection: Connection, after: Mark, until: datetime, limit: int) -> Sequence[Found]:
        """What happened from behind `after` up to `until`, in order."""
        ...

    def moments(
        self, found: Sequence[Found], campaigns: Sequence[Campaign], facts: Facts
    ) -> Iterator[Happened]:
        """The moments that it made of these campaigns."""
        ...


@dataclass(frozen=True, slots=True)
class LeftCarts:
    """Carts that nobody touched for so long."""

    minutes: int

    @property
    def name(self) -> str:
        """By which its mark is kept."""
        return f"cart {self.minutes}"

    @property
    def wait(self) -> timedelta:
        """The time untouched."""
        return timedelta(minutes=self.minutes)

    def found(self, connection: Connection, after: Mark, until: datetime, limit: int) -> Sequence[Found]:
        """What was done with carts, in the order in which we heard of it."""
        return [
            Found((at, name), subject)
            for at, name, subject in cart_store.touched(connection, after, until, limit)
        ]

    def moments(
        self, found: Sequence[Found], campaigns: Sequence[Campaign], facts: Facts
    ) -> Iterator[Happened]:
        """Of each campaign the carts that were not touched again, nor bought, and are as it asks."""
        for each in found:
            for campaign in campaigns:
                wish = campaign.trigger.cart
                carts = facts.open_carts(campaign, each.subject)
                if wish and (cart := cart_wanted(wish, carts, facts.now, each.mark[1])):
                    yield campaign, left_cart(cart, cart.touched_at + wish.untouched), each.subject


@dataclass(frozen=True, slots=True)
class Absences:
    """Visits that nobody came back from for so many days."""

    days: int

    @property
    def name(self) -> str:
        """By which its mark is kept."""
        return f"absence {self.days}"

    @property
    def wait(self) -> timedelta:
        """The time away."""
        return timedelta(days=self.days)

    def found(self, connection: Connection, after: Mark, until: datetime, limit: int) -> Sequence[Found]:
        """Stays, in the order in which they ended."""
        return [
            Found((at, name), subject)
            for at, name, subject in visit_store.ended(connection, after, until, limit)
        ]

    def moments(
        self, found: Sequence[Found], campaigns: Sequence[Campaign], facts: Facts
    ) -> Iterator[Happened]:
        """Of each campaign the visits that were the last ones to its places, each once: a shopper may have two phones."""
        made: dict[tuple[str, str], Happened] = {}
        for each in found:
            for campaign in campaigns:
                visits = facts.visits_meant(campaign, each.subject)
                last = max(visits, key=lambda visit: (visit.until, visit.geofence), default=None)
                if last is not None and last.until == each.mark[0]:
                    made[campaign.id, last.id] = (
                        campaign,
                        long_absent(last, last.until + self.wait),
                        each.subject,
                    )
        yield from made.values()


@dataclass(slots=True)
class _Group:
    """A watch, and the campaigns that it watches for."""

    watch: Watch
    campaigns: list[Campaign] = field(default_factory=list)


class Watcher:
    """Any number may run side by side: each watch is taken by one at a time."""

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
        self.unjudged = 0
        """Moments that could not be judged."""

    def run_once(self) -> int:
        """Decide on what fell due; how many things were looked at. Raises what a store says that is away."""
        groups = self._groups()
        return sum(self._look(group) for group in groups)

    def _groups(self) -> list[_Group]:
        """The watches that campaigns need now. A watch that none needs any more forgets how far it came: who is let speak
        again hears of what falls due from then on.
        """
        with self._records.reads.connect() as connection:
            several, marks = live_campaigns(connection), mark_store.marks(connection)
        now = self._now()
        groups: dict[str, _Group] = {}
        for campaign in several:
            watch = watch_of(campaign)
            if watch is not None and due_state(campaign, now) is CampaignState.ACTIVE:
                groups.setdefault(watch.name, _Group(watch)).campaigns.append(campaign)
        if marks.keys() - groups.keys():
            with self._records.writes.begin() as connection:
                mark_store.forget_marks(connection, groups)
        return [group for name, group in groups.items() if self._is_due(group, marks.get(name))]

    def _is_due(self, group: _Group, mark: Mark | None) -> bool:
        """Whether it is worth a transaction that writes."""
        if mark is None:
            return True
        with self._records.reads.connect() as connection:
            return bool(group.watch.found(connection, mark, self._now() - group.watch.wait, 1))

    def _look(self, group: _Group) -> int:
        take = partial(self._take, group)
        return go_through(take, BATCH, PAGES, group.watch.name, self._count_unjudged)

    def _count_unjudged(self, passed: int) -> None:
        self.unjudged += passed

    def _take(self, group: _Group, limit: int, *, judge: bool = True) -> int:
        now, watch = self._now(), group.watch
        decisions: list[Decision] = []
        with self._records.writes.begin() as connection:
            mark = mark_store.take_mark(connection, watch.name, now - watch.wait)
            found = watch.found(connection, mark, now - watch.wait, limit)
            if found and judge:
                decisions = self._judge(connection, group, found, now)
            if found:
                mark_store.move_mark(connection, watch.name, found[-1].mark)
        for decision in decisions:
            metrics.DECISIONS.labels(decision.outcome, decision.reason).inc()
        return len(found)

    def _judge(
        self, connection: Connection, group: _Group, found: Sequence[Found], now: datetime
    ) -> list[Decision]:
        subjects = {each.subject for each in found}
        consent_store.lock_subjects(connection, subjects)
        house = replace(self._house, breakers=self._breakers())
        counters = hold_counters(connection, group.campaigns, now, house)
        facts = gather(connection, subjects, group.campaigns, now, house, counters)
        moments = [
            each for each in group.watch.moments(found, group.campaigns, facts) if facts.knows(each[2])
        ]
        return judge_all(connection, claims_of(connection, moments), facts, now)


def claims_of(connection: Connection, moments: Sequence[Happened]) -> list[Claim]:
    """The moments as claims on the places that they are about, where the campaign is about these."""
    named = {occurrence.geofence for _, occurrence, _ in moments if occurrence.geofence is not None}
    places = geofence_store.get_many(connection, named) if named else {}
    return [
        Claim(campaign, occurrence, places.get(occurrence.geofence or ""), subject)
        for campaign, occurrence, subject in moments
        if fits(campaign.trigger, occurrence, places.get(occurrence.geofence or ""))
    ]


def watch_of(campaign: Campaign) -> Watch | None:
    """The watch that a campaign needs; None if it waits for what phones do."""
    trigger = campaign.trigger
    if trigger.event is Timed.CART and trigger.cart is not None:
        return LeftCarts(trigger.cart.untouched_minutes)
    if trigger.event is Timed.ABSENCE and trigger.absent_days is not None:
        return Absences(trigger.absent_days)
    return None
