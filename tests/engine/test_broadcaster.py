"""A broadcast speaks to each of its audience once, whoever dies when, and no faster than messages leave."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from sqlalchemy import func, select

from campaigns.audience.audience import Attribute, Comparison
from campaigns.campaign import Campaign, CampaignState
from campaigns.decide import Outcome
from campaigns.delivery import outbox
from campaigns.store import put_campaign, set_state
from campaigns.tables import decisions, messages
from campaigns.triggers import held_store, run_store
from campaigns.triggers.occasion import Timed
from campaigns.triggers.run_routes import run_json
from campaigns.triggers.schedule import Once, Weekly
from campaigns.triggers.trigger import Trigger
from consent.countries.hours import Day
from consent.entry import Action, Channel
from consent.store import put_subject
from consent.subject import Subject
from engine.broadcaster import TOO_SMALL, Broadcaster
from engine.clock import SetClock
from engine.facts import House
from engine.records import Records
from engine.releaser import Releaser
from tests.campaigns.cast import BREAD
from tests.conftest import MONDAY_NINE
from tests.engine.test_sender import say, welcome
from tests.engine.test_watch import Died, judged_again

NOW = MONDAY_NINE
SALE = replace(
    BREAD,
    id="sale",
    template="Ten off today",
    caps=(),
    shelf_life_seconds=3600,
    trigger=Trigger(Timed.BROADCAST, schedule=Once(NOW)),
)
DAILY = Weekly(frozenset(Day), 9 * 60, "Europe/Paris")
GOLD = Attribute("tier", Comparison.IN, ("gold",))


def phone(number: int) -> str:
    return f"+3363998{number:04}"


@pytest.fixture
def shoppers(records: Records) -> list[str]:
    """Nine who allow offers; the first three are gold, the last has withdrawn."""
    names = [f"s{number}" for number in range(9)]
    with records.writes.begin() as connection:
        for number, name in enumerate(names):
            welcome(connection, name, phone(number))
            tier = {"first_name": name, "tier": "gold" if number < 3 else "blue"}
            put_subject(connection, Subject(name, phone=phone(number), attributes=tier), NOW)
        say(connection, Action.WITHDRAW, subject=names[-1], at=NOW - timedelta(minutes=1))
    return names


def keep(records: Records, campaign: Campaign) -> None:
    with records.writes.begin() as connection:
        put_campaign(connection, campaign, NOW)


def told(records: Records) -> Counter[str]:
    """How many decisions there are for each reason."""
    with records.reads.connect() as connection:
        query = select(decisions.c.reason, func.count()).group_by(decisions.c.reason)
        return Counter({row[0]: row[1] for row in connection.execute(query)})


def runs(records: Records, campaign: str = "sale") -> list[tuple]:
    with records.reads.connect() as connection:
        return [
            (run.examined, run.in_audience, run.ended_at is not None, run.why)
            for run in run_store.runs_page(connection, campaign, 9).items
        ]


def test_it_speaks_to_everyone_once(records: Records, clock: SetClock, shoppers: list[str]):
    keep(records, SALE)
    clock.set(NOW - timedelta(seconds=1))
    broadcaster = Broadcaster(records, clock, House(), portion=4)
    assert broadcaster.run_once() == 0
    clock.set(NOW)
    assert broadcaster.run_once() == 9
    assert told(records) == {"ok": 8, "consent_withdrawn": 1}
    assert runs(records) == [(9, 9, True, None)]
    clock.advance(minutes=5)
    assert Broadcaster(records, clock, House()).run_once() == 0
    with records.reads.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(messages)) == 8
        assert run_store.open_runs(connection) == []


def test_an_audience_is_all_that_is_recorded_and_must_be_large_enough(
    records: Records, clock: SetClock, shoppers: list[str]
):
    keep(records, replace(SALE, audience=GOLD))
    assert Broadcaster(records, clock, House(), minimum=3).run_once() == 9
    assert (told(records), runs(records)) == ({"ok": 3}, [(9, 3, True, None)])
    keep(records, replace(SALE, id="small", audience=GOLD))
    assert Broadcaster(records, clock, House(), minimum=4).run_once() == 0
    assert runs(records, "small") == [(0, 0, True, TOO_SMALL)]
    keep(records, replace(SALE, id="all", shelf_life_seconds=3601))
    assert Broadcaster(records, clock, House(), minimum=99).run_once() == 9, "everyone is nobody's choice"


def test_counts_of_few_and_of_all_but_few_are_withheld():
    def told_of(examined: int, in_audience: int, *, ended: bool = True) -> int | None:
        run = run_store.Run("sale", NOW, None, examined, in_audience, NOW, NOW if ended else None, None)
        told = run_json(run, 10)
        assert told["examined"] == examined
        return told["in_audience"]

    assert [told_of(100, 50), told_of(100, 100)] == [50, 100]
    assert [told_of(100, 9), told_of(100, 91), told_of(100, 50, ended=False)] == [None] * 3


def test_it_comes_again_and_what_was_missed_does_not(records: Records, clock: SetClock, shoppers: list[str]):
    keep(records, replace(SALE, trigger=Trigger(Timed.BROADCAST, schedule=DAILY)))
    broadcaster = Broadcaster(records, clock, House())
    assert (broadcaster.run_once(), broadcaster.run_once()) == (9, 0)
    clock.advance(days=1, hours=1)  # too late for the second
    assert broadcaster.run_once() == 0
    clock.set(NOW + timedelta(days=2, minutes=59))
    assert broadcaster.run_once() == 9
    assert told(records)["ok"] == 16


def test_it_goes_no_faster_than_messages_leave(records: Records, clock: SetClock, shoppers: list[str]):
    keep(records, SALE)
    broadcaster = Broadcaster(records, clock, House(), portion=3, waiting_limit=4)
    assert (broadcaster.run_once(), broadcaster.run_once()) == (4, 0)
    with records.writes.begin() as connection:
        outbox.send_at_once(connection)
        assert outbox.count_due(connection, Channel.SMS, 9) == 0
    clock.advance(hours=1)
    assert broadcaster.run_once() == 5
    assert told(records) == {"ok": 4, "too_late": 4, "consent_withdrawn": 1}


def test_one_that_cannot_begin_keeps_no_other_back(records: Records, clock: SetClock, shoppers: list[str]):
    keep(records, replace(SALE, id="broken", shelf_life_seconds=10**15))  # no calendar has an instant so late
    keep(records, SALE)
    assert Broadcaster(records, clock, House()).run_once() == 9
    assert (told(records)["ok"], runs(records, "broken")) == (8, [])


def test_one_that_waited_for_its_hours_goes_no_faster(records: Records, clock: SetClock, shoppers: list[str]):
    evening, morning = NOW + timedelta(hours=11), NOW + timedelta(hours=23)
    keep(
        records,
        replace(SALE, trigger=Trigger(Timed.BROADCAST, schedule=Once(evening)), shelf_life_seconds=86_400),
    )
    clock.set(evening)
    assert Broadcaster(records, clock, House(), waiting_limit=4).run_once() == 9
    assert told(records) == {"delayed": 8, "consent_withdrawn": 1}
    clock.set(morning)
    releaser = Releaser(records, clock, House(), waiting_limit=3)
    assert [releaser.run_once() for _ in range(2)] == [3, 0]
    with records.writes.begin() as connection:
        assert held_store.due(connection, clock(), 9, ["sale"]) == [], "nobody else waits behind it"
        assert {each.broadcast for each in held_store.due(connection, clock(), 9)} == {"sale"}
        outbox.send_at_once(connection)
    assert (releaser.run_once(), told(records)["ok"]) == (3, 6)


def test_a_paused_one_waits_and_an_ended_one_is_over(records: Records, clock: SetClock, shoppers: list[str]):
    keep(records, SALE)
    broadcaster = Broadcaster(records, clock, House(), portion=2, waiting_limit=2)
    broadcaster.run_once()

    def become(state: CampaignState) -> int:
        with records.writes.begin() as connection:
            set_state(connection, SALE.id, state, clock())
            outbox.send_at_once(connection)
        return broadcaster.run_once()

    assert become(CampaignState.PAUSED) == 0
    assert become(CampaignState.ACTIVE) == 2
    assert become(CampaignState.ENDED) == 0
    assert runs(records) == [(4, 4, True, "campaign_not_active")]


def test_an_erasure_leaves_no_name_in_it(records: Records, clock: SetClock, shoppers: list[str]):
    keep(records, SALE)
    Broadcaster(records, clock, House(), portion=3, waiting_limit=3).run_once()
    with records.writes.begin() as connection:
        assert [run.after for run in run_store.open_runs(connection)] == ["s2"]
        run_store.forget_subject(connection, "s2")
        assert [run.after for run in run_store.open_runs(connection)] == ["s1"]


def test_side_by_side_they_tell_each_once(records: Records, clock: SetClock, shoppers: list[str]):
    keep(records, SALE)

    def work(_number: int) -> int:
        broadcaster = Broadcaster(records, clock, House(), portion=1)
        return sum(broadcaster.run_once() for _ in range(6))

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(work, range(3))) == len(shoppers)
    assert (told(records), runs(records)) == ({"ok": 8, "consent_withdrawn": 1}, [(9, 9, True, None)])


def test_each_is_told_once_whoever_dies_when(records: Records, clock: SetClock, shoppers: list[str], tell):
    """Two broadcasters take turns, die in the middle of a transaction or right after it, and messages leave now and then."""
    random, crashes = Random(5), 0
    keep(records, replace(SALE, trigger=Trigger(Timed.BROADCAST, schedule=DAILY), shelf_life_seconds=7200))

    def mortal() -> int:
        def die() -> None:
            if random.random() < 0.2:
                raise Died

        def breakers() -> dict:
            die()
            return {}

        def now():
            die()
            return clock()

        try:
            Broadcaster(records, now, House(), breakers, portion=2, waiting_limit=6).run_once()
        except Died:
            return 1
        return 0

    for day in range(3):
        clock.set(NOW + timedelta(days=day))
        for _ in range(30):
            crashes += mortal()
            if random.random() < 0.3:
                with records.writes.begin() as connection:
                    outbox.send_at_once(connection)
    assert crashes
    assert runs(records) == [(9, 9, True, None)] * 3
    with records.reads.connect() as connection:
        query = select(decisions.c.subject, func.count()).group_by(decisions.c.subject)
        assert {row[0]: row[1] for row in connection.execute(query)} == dict.fromkeys(shoppers, 3)
        sent = select(func.count(), func.count(messages.c.event.distinct())).select_from(messages)
        made, distinct = connection.execute(sent).one()
        spoke = select(func.count()).where(decisions.c.outcome == Outcome.MESSAGE.value)
        assert made == distinct == connection.scalar(spoke)
    assert judged_again(records) == {"same"}
    told_ = told(records)
    assert sum(told_.values()) == 27
    tell(f"27 turns of a broadcast over {crashes} crashes, reasons: {dict(sorted(told_.items()))}")
