"""The engine decides as a second, naive writing of the rules does, over random histories of shoppers.

`pytest tests/engine/test_oracle.py --histories 100000` tries that many.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from sqlalchemy import delete, select

from campaigns.campaign import Campaign, CampaignState, PerVisit, Trigger
from campaigns.country_rules import CountryRules
from campaigns.delivery import outbox
from campaigns.gates import Reason
from campaigns.limits import budget_store
from campaigns.limits.account import Account
from campaigns.limits.budget import Budget
from campaigns.limits.cap import Cap, CapScope
from campaigns.limits.costs import Costs
from campaigns.listing import Filters
from campaigns.replay import Sameness
from campaigns.replay_store import replays
from campaigns.store import put_campaign
from campaigns.tables import budget_counters, campaign_versions, decisions, messages
from campaigns.tables import campaigns as campaign_table
from consent.countries.hours import window_from_json
from consent.entry import Channel
from engine.decider import Decider
from engine.facts import House
from engine.records import open_records
from engine.schema import upgrade
from geofences.event import EventKind, PlaceEvent, Revision
from geofences.geofence import Circle, Geofence, Kind
from geofences.store import put_many
from geofences.tables import place_events
from geofences.tables import visits as visit_table
from tests.support.naive import DAYS, Happening, Offer, Place, World
from tests.support.shoppers import device_of, welcome_many

SHOPPERS = 20
"""Of a world; each has a history of its own, and they share its budgets."""
PARTS = 2
"""That may run side by side."""
ZONE = "Europe/Paris"
RATE = 80_000
PLACES = [Place("kiosk", 20.0), Place("shop", 60.0), Place("mall", 400.0)]
BEGINS = [
    datetime(2026, 3, 28, 20, tzinfo=UTC),  # the night in which an hour is missing
    datetime(2026, 10, 24, 20, tzinfo=UTC),  # and the one that has an hour twice
    datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
    datetime(2026, 11, 23, 8, tzinfo=UTC),
    datetime(2026, 12, 31, 22, tzinfo=UTC),
]
SEGMENTS = {"Bread": 1, "Bread " * 30: 2, "Bread " * 70: 3}


@pytest.fixture
def town(tmp_path):
    """A store with shoppers who allow everything, and the places."""
    records = open_records("sqlite://", tmp_path / "vault.keys")
    upgrade(records)
    with records.writes.begin() as connection:
        long_ago = datetime(2026, 1, 1, tzinfo=UTC)
        welcome_many(connection, [f"s{number}" for number in range(SHOPPERS)], long_ago)
        put_many(connection, [_geofence(place) for place in PLACES], long_ago)
    yield records
    records.close()


def _geofence(place):
    return Geofence(place.id, place.id, Kind.STORE, Circle(7.42, 43.73, place.radius), ZONE)


class Trial:
    """One world, lived through by the engine and by the naive one."""

    def __init__(self, records, number):
        self.records = records
        self.random = Random(f"world {number}")  # a repeatable one
        self.offers = [self.offer(f"c{each}") for each in range(self.random.randrange(1, 5))]
        self.account = {
            "caps": self.some(
                [(3, 86_400, "all", None), (2, 3600, "geofence", None), (1, 7200, "all", "sms")], 0.2
            ),
            "gap": self.maybe([60, 1800], 0.2),
            "messages_per_day": self.maybe([5, 12], 0.3),
            "spend_per_day": self.maybe([4 * RATE, 15 * RATE + 1], 0.2),
        }
        self.world = World(PLACES, self.offers, self.account, ZONE, RATE)
        self.now = self.random.choice(BEGINS) + timedelta(seconds=self.random.randrange(7200))
        self.counter = 0
        self.house = House(
            CountryRules(enforced=False),
            account=Account(
                caps=tuple(_cap(cap) for cap in self.account["caps"]),
                min_gap_seconds=self.account["gap"],
                budget=Budget(
                    messages_per_day=self.account["messages_per_day"],
                    spend_per_day=self.account["spend_per_day"],
                ),
                zone=ZONE,
                costs=Costs(other=RATE),
            ),
        )
        self.decider = Decider(None, records, None, lambda: self.now, self.house)

    def maybe(self, choices, likely):
        return self.random.choice(choices) if self.random.random() < likely else None

    def some(self, choices, likely):
        return [choice for choice in choices if self.random.random() < likely]

    def offer(self, name):
        random, text = self.random, self.random.choice(list(SEGMENTS))
        opens, closes = random.sample(range(0, 1440, 30), 2)
        return Offer(
            id=name,
            kind=random.choice(["enter", "enter", "exit", "dwell"]),
            places=random.sample([place.id for place in PLACES], random.randrange(1, 4)),
            channel=random.choice(["sms", "sms", "push"]),
            segments=SEGMENTS[text],
            text=text,
            priority=random.choice([50, 50, 50, 10, 90]),
            value=random.choice([0.0, 0.0, 2.5]),
            many=random.random() < 0.2,
            caps=random.sample(
                [
                    (1, 86_400, "campaign", None),
                    (2, 3600, "campaign", None),
                    (1, 10_800, "geofence", None),
                    (3, 43_200, "all", None),
                    (1, 7200, "all", "push"),
                ],
                random.randrange(1, 3),
            ),
            gap=self.maybe([60, 3600], 0.2),
            windows=[(random.sample(DAYS, random.randrange(3, 7)), opens, closes)]
            if random.random() < 0.4
            else [],
            shelf_life=random.choice([900, 900, 3600, 86_400]),
            min_confidence=self.maybe([0.5, 0.9], 0.2),
            max_age=self.maybe([60, 600], 0.2),
            messages=self.maybe([3, 10], 0.2),
            messages_per_day=self.maybe([2, 6], 0.2),
            spend=self.maybe([5 * RATE, 20 * RATE - 1], 0.2),
            spend_per_day=self.maybe([3 * RATE, 9 * RATE + 7], 0.2),
        )

    def run(self):
        """How often each reason came, in both; raises where they differ."""
        with self.records.writes.begin() as connection:
            for table in (
                messages,
                decisions,
                place_events,
                visit_table,
                budget_counters,
                campaign_table,
                campaign_versions,
            ):
                connection.execute(delete(table))
            for offer in self.offers:
                put_campaign(connection, _campaign(offer), self.now)
        reasons = Counter()
        for _ in range(10):
            self.now += timedelta(seconds=self.random.choice([20, 90, 600, 3600, 4 * 3600]))
            reasons += self.step()
        self.compare_messages()
        self.replay_decisions()
        return reasons

    def step(self):
        fresh = [self.happening() for _ in range(self.random.randrange(3, 12))]
        told = [(each, Revision.SAID) for each in fresh]
        self.random.shuffle(told)
        told += [(each, Revision.RETRACTED) for each in self.random.sample(fresh, len(fresh) // 8)]
        known = [each for each in self.world.happened if not each.taken_back]
        for each in self.random.sample(known, min(len(known), self.random.randrange(2))):
            told.insert(self.random.randrange(len(told) + 1), (each, Revision.RETRACTED))
        for each, revision in told:
            if revision is Revision.RETRACTED:
                self.world.take_back(each.id)
                each.taken_back = True
        expected = self.world.hear(fresh, self.now)
        owners = {device_of(each.subject): each.subject for each, _ in told}
        with self.records.writes.begin() as connection:
            made = self.decider.decide_on(connection, [_event(*each) for each in told], owners)
        found = {(each.event, each.campaign): each.reason.value for each in made}
        assert found == expected
        self.let_some_go()
        return Counter(expected.values())

    def happening(self):
        self.counter += 1
        at = self.now - timedelta(seconds=self.random.choice([0, 1, 30, 59, 61, 300, 899, 900, 2000]))
        return Happening(
            id=f"e{self.counter:04}",
            subject=f"s{self.random.randrange(SHOPPERS)}",
            place=self.random.choice(PLACES).id,
            kind=self.random.choice(["enter", "enter", "enter", "exit", "dwell"]),
            at=at,
            confidence=self.random.choice([0.4, 0.9, 0.99]),
            distance=self.random.choice([None, 3.0, 12.5]),
        )

    def let_some_go(self):
        """Some messages leave, some fail, some turn out not to be allowed, and others wait."""
        with self.records.writes.begin() as connection:
            for mail in [mail for mail in self.world.mails if mail.state == "due"]:
                fate = self.random.random()
                if fate < 0.3:
                    continue
                row = connection.execute(
                    select(messages.c.id).where(
                        messages.c.event == mail.event, messages.c.campaign == mail.offer
                    )
                ).one()
                message = outbox.lock_due(connection, row.id)
                if fate < 0.45:
                    mail.state = outbox.refuse(connection, message, Reason.OUTSIDE_WINDOW).value
                    continue
                number = outbox.begin_attempt(connection, message, self.now)
                if fate < 0.6:
                    failed = outbox.AttemptOutcome.FAILED
                    mail.state = outbox.record_failure(
                        connection, message, number, failed, "30003", self.now
                    ).value
                else:
                    mail.state = outbox.record_sent(connection, message.id, number, "SM1", self.now).value
                    mail.sent_at = self.now
            budget_store.settle(connection)
        self.world.settle()

    def compare_messages(self):
        """The same messages in the same states, and counters that are the sums over them."""
        with self.records.writes.begin() as connection:
            rows = connection.execute(select(messages)).all()
            counters = connection.execute(select(budget_counters)).all()
        found = {(row.event, row.campaign, row.state, row.cost_micros, str(row.counted_on)) for row in rows}
        mails = self.world.mails
        assert found == {(mail.event, mail.offer, mail.state, mail.cost, mail.day) for mail in mails}
        for row in counters:
            mine = [
                m for m in mails if row.owner in ("account", f"campaign:{m.offer}") and row.day in ("", m.day)
            ]
            for name, states in (("reserved", ("due",)), ("committed", ("sent",))):
                counted = [mail for mail in mine if mail.state in states]
                assert getattr(row, f"{name}_messages") == len(counted)
                assert getattr(row, f"{name}_micros") == sum(mail.cost for mail in counted)

    def replay_decisions(self):
        """What was recorded suffices to come to the same verdicts."""
        with self.records.reads.connect() as connection:
            assert {each.sameness for each in replays(connection, Filters())} <= {Sameness.SAME}


def _cap(cap):
    most, seconds, scope, channel = cap
    return Cap(most, seconds, CapScope(scope), Channel(channel) if channel else None)


def _campaign(offer):
    def clock(minute):
        return f"{minute // 60:02}:{minute % 60:02}"

    return Campaign(
        id=offer.id,
        name=offer.id,
        trigger=Trigger(EventKind(offer.kind), tuple(offer.places)),
        channel=Channel(offer.channel),
        template=offer.text,
        state=CampaignState.ACTIVE,
        windows=tuple(
            window_from_json({"days": days, "from": clock(opens), "to": clock(closes)})
            for days, opens, closes in offer.windows
        ),
        caps=tuple(_cap(cap) for cap in offer.caps),
        min_gap_seconds=offer.gap,
        budget=Budget(offer.messages, offer.messages_per_day, offer.spend, offer.spend_per_day),
        priority=offer.priority,
        value=offer.value,
        per_visit=PerVisit.MANY if offer.many else PerVisit.ONE,
        shelf_life_seconds=offer.shelf_life,
        min_confidence=offer.min_confidence,
        max_fix_age_seconds=offer.max_age,
    )


def _event(happening, revision):
    evidence = {} if happening.distance is None else {"distance_m": happening.distance}
    return PlaceEvent(
        happening.id,
        device_of(happening.subject),
        EventKind(happening.kind),
        happening.place,
        happening.at,
        happening.at,
        happening.confidence,
        evidence,
        revision,
    )


@pytest.mark.parametrize("part", range(PARTS))
def test_the_engine_decides_as_the_naive_rules_do(town, request, tell, part):
    worlds = range(part, -(-request.config.getoption("--histories") // SHOPPERS), PARTS)
    told = Counter()
    for number in worlds:
        try:
            told += Trial(town, number).run()
        except AssertionError as error:
            error.add_note(f"world {number}")
            raise
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(told.items()))
    tell(
        f"the naive rules agree over {len(worlds) * SHOPPERS} histories, {sum(told.values())} decisions: {reasons}"
    )
    assert told["ok"]
