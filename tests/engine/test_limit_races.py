"""No cap and no budget is ever broken, however many decide at once.

`pytest tests/engine/test_limit_races.py --races 1000` tries that many on each database.
"""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from random import Random
from threading import Barrier

import pytest
from sqlalchemy import delete, select
from sqlalchemy.exc import OperationalError

from campaigns.campaign import PerVisit, Trigger
from campaigns.delivery import outbox
from campaigns.limits import budget_store
from campaigns.limits.account import Account
from campaigns.limits.budget import Budget
from campaigns.limits.cap import Cap, CapScope
from campaigns.limits.costs import Costs
from campaigns.message import NEVER_SENT
from campaigns.store import put_campaign
from campaigns.tables import budget_counters, campaign_versions, decisions, messages
from campaigns.tables import campaigns as campaign_table
from consent.store import lock_subjects
from engine.decider import Decider
from engine.facts import House
from geofences.event import EventKind
from geofences.store import put_many
from geofences.tables import place_events
from geofences.tables import visits as visit_table
from tests.campaigns.cast import BAKERY, BREAD, event
from tests.conftest import MONDAY_NINE
from tests.support.shoppers import device_of, welcome_many

WORKERS = 16
RATE = 80_000
SHOPPERS = [f"s{number}" for number in range(WORKERS)]
FREE = replace(
    BREAD,
    trigger=Trigger(EventKind.DWELL, ("bakery",)),
    caps=(Cap(1000, 60),),
    per_visit=PerVisit.MANY,
    template="Bread",
)
CAKE = replace(FREE, id="cake")


def cap_of_one_shopper(random):
    most = random.randrange(1, 4)
    scope = random.choice(list(CapScope))
    return [replace(FREE, caps=(Cap(most, 3600, scope),))], Account(), SHOPPERS[:1] * WORKERS, most


def gap_of_one_shopper(_random):
    return [replace(FREE, min_gap_seconds=60), CAKE], Account(min_gap_seconds=60), SHOPPERS[:1] * WORKERS, 1


def messages_of_a_campaign(random):
    most = random.randrange(1, WORKERS)
    per_day = random.random() < 0.5
    budget = Budget(messages_per_day=most) if per_day else Budget(messages=most)
    return [replace(FREE, budget=budget)], Account(), SHOPPERS, most


def spend_of_a_campaign(random):
    most = random.randrange(1, WORKERS)
    budget = Budget(spend=most * RATE + random.randrange(RATE))
    return [replace(FREE, budget=budget)], Account(costs=Costs(RATE)), SHOPPERS, most


def day_of_the_account(random):
    most = random.randrange(1, 2 * WORKERS)
    account = Account(budget=Budget(messages_per_day=most, spend_per_day=most * RATE), costs=Costs(RATE))
    return [FREE, replace(CAKE, budget=Budget(messages=1000))], account, SHOPPERS, most


KINDS = (
    cap_of_one_shopper,
    gap_of_one_shopper,
    messages_of_a_campaign,
    spend_of_a_campaign,
    day_of_the_account,
)


@pytest.fixture
def town(records):
    with records.writes.begin() as connection:
        welcome_many(connection, SHOPPERS, MONDAY_NINE - timedelta(days=1))
        put_many(connection, [BAKERY], MONDAY_NINE - timedelta(days=1))
    return records


class Race:
    """Workers who decide at once, and one who calls off what was decided."""

    def __init__(self, records, random, kind):
        self.records = records
        self.random = random
        campaigns, self.account, self.whom, self.most = kind(random)
        self.called_off = self.deadlocks = 0
        with records.writes.begin() as connection:
            for table in (messages, decisions, place_events, visit_table, budget_counters):
                connection.execute(delete(table))
            connection.execute(delete(campaign_table))
            connection.execute(delete(campaign_versions))
            for campaign in campaigns:
                put_campaign(connection, campaign, MONDAY_NINE)

    def run(self, *, calling_off):
        """How many messages stand afterwards."""
        barrier = Barrier(WORKERS + calling_off)
        with ThreadPoolExecutor(WORKERS + 1) as pool:
            works = [pool.submit(self.decide, barrier, number) for number in range(WORKERS)]
            if calling_off:
                works.append(pool.submit(self.call_off, barrier))
            for work in works:
                work.result()
        with self.records.writes.begin() as connection:
            budget_store.settle(connection)
            rows = connection.execute(select(messages)).all()
            counters = connection.execute(select(budget_counters)).all()
        standing = [row for row in rows if row.state not in NEVER_SENT]
        for row in counters:
            mine = [each for each in standing if row.owner in ("account", f"campaign:{each.campaign}")]
            assert row.reserved_messages + row.committed_messages == len(mine)
            assert row.reserved_micros + row.committed_micros == sum(each.cost_micros for each in mine)
        return len(standing)

    def decide(self, barrier, number):
        subject = self.whom[number]
        what = event(cause=str(number), device=device_of(subject), kind=EventKind.DWELL)
        decider = Decider(None, self.records, None, lambda: MONDAY_NINE, House(account=self.account))
        barrier.wait()
        decided = False
        while not decided:
            try:
                with self.records.writes.begin() as connection:
                    lock_subjects(connection, [subject])
                    decider.decide_on(connection, [what], {what.device: subject})
                decided = True
            except OperationalError:  # as the decider does, whatever the database said
                self.deadlocks += 1

    def call_off(self, barrier):
        barrier.wait()
        for number in self.random.sample(range(WORKERS), 4):
            subject = self.whom[number]
            what = event(cause=str(number), device=device_of(subject), kind=EventKind.DWELL)
            with self.records.writes.begin() as connection:
                lock_subjects(connection, [subject])
                self.called_off += len(outbox.cancel_of_event(connection, what.id))
            with self.records.writes.begin() as connection:
                budget_store.settle(connection)


def test_no_race_breaks_a_cap_or_a_budget(town, request, tell):
    told = Counter()
    for number in range(request.config.getoption("--races")):
        random, kind = Random(f"race {number}"), KINDS[number % len(KINDS)]
        race = Race(town, random, kind)
        calling_off = number % 3 == 2
        standing = race.run(calling_off=calling_off)
        assert standing <= race.most, f"race {number}: {kind.__name__}"
        if not calling_off:
            assert standing == race.most, f"race {number}: {kind.__name__}"
        told += Counter(races=1, messages=standing, called_off=race.called_off, tried_again=race.deadlocks)
        told += Counter({kind.__name__: 1})
    said = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in told.items())
    tell(f"{WORKERS} workers at once on {town.writes.dialect.name}: {said}; none over its limit")
    assert told["messages"]
