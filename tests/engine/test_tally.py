"""Every trigger is a decision, and every decision has one reason, whoever dies when."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from random import Random

import msgspec
from sqlalchemy import func, select

from campaigns.campaign import Trigger
from campaigns.store import put_campaign
from campaigns.tables import decisions
from engine.decider import Decider
from engine.live import events_key, partition_of
from geofences.event import EventKind
from geofences.store import put_many
from tests.campaigns.cast import BAKERY, BREAD, event
from tests.conftest import MONDAY_NINE
from tests.engine.test_limit_races import CAKE, FREE
from tests.support.shoppers import device_of, welcome_many
from tests.support.turns import play, point

SHOPPERS = [f"s{number}" for number in range(4)]
ROUNDS = 60
CAMPAIGNS = (
    BREAD,
    replace(FREE, id="twice", trigger=Trigger(EventKind.ENTER, any=True)),
    replace(CAKE, trigger=Trigger(EventKind.DWELL, tags=("city-centre",))),
)


class Mortal:
    """The live store and the leases, as a decider sees them that may die before it reads, in its transaction, and before it
    acknowledges what it has committed.
    """

    def __init__(self, engine):
        self._live = engine.live
        self._leases = engine.leases

    def ask(self, commands):
        point()
        return self._live.ask(commands)

    @property
    def held(self):
        return self._leases.held

    def ours(self, partitions):
        point()
        return self._leases.ours(partitions)


def append(engine, random, number):
    """A few events, as the worker appends them; how many triggers they are of each campaign."""
    triggers = Counter()
    for each in range(random.randrange(1, 6)):
        subject, kind = random.choice(SHOPPERS), random.choice([EventKind.ENTER, EventKind.DWELL])
        told = event(
            MONDAY_NINE + timedelta(seconds=number),
            cause=f"{number}-{each}",
            device=device_of(subject),
            kind=kind,
        )
        stream = events_key(partition_of(told.device, engine.live.partitions))
        for _ in range(random.choice([1, 1, 2])):  # the worker, too, may have died before it knew
            engine.live.client.xadd(stream, {"e": msgspec.msgpack.encode(told)})
        triggers += Counter(one.id for one in CAMPAIGNS if one.trigger.waits_for is kind)
    return triggers


def test_reasons_add_up_to_the_triggers(engine, tell):
    writes, random, triggers, crashed = engine.records.writes, Random(7), Counter(), 0
    with writes.begin() as connection:
        welcome_many(connection, SHOPPERS, MONDAY_NINE - timedelta(days=1))
        put_many(connection, [BAKERY], MONDAY_NINE - timedelta(days=1))
        for campaign in CAMPAIGNS:
            put_campaign(connection, campaign, MONDAY_NINE)
    mortal = Mortal(engine)
    decider = Decider(mortal, engine.records, mortal, engine.now, engine.house)
    for number in range(ROUNDS):
        engine.worker.refresh()
        triggers += append(engine, random, number)
        crashed += play([decider.run_once], random, crashes=True)
    engine.worker.refresh()
    while decider.run_once():
        pass
    with engine.records.reads.connect() as connection:
        rows = connection.execute(
            select(decisions.c.campaign, decisions.c.reason, func.count()).group_by(
                decisions.c.campaign, decisions.c.reason
            )
        ).all()
    told = Counter()
    for campaign, _, count in rows:
        told[campaign] += count
    assert told == triggers
    assert crashed
    reasons = Counter()
    for _, reason, count in rows:
        reasons[reason] += count
    shown = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
    tell(f"{sum(triggers.values())} triggers over {crashed} crashes of the decider, reasons: {shown}")
