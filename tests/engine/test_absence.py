"""Nobody came for so many days: said once for each absence, when the days are over."""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random

import pytest

from campaigns.decide import due_at
from campaigns.decision_store import decisions_of
from campaigns.gates import GateName, Reason
from campaigns.message_store import messages_of
from campaigns.store import put_campaign
from campaigns.triggers.occasion import Timed
from campaigns.triggers.trigger import Deed, Trigger, trigger_problems
from consent.entry import Action, Purpose
from engine.clock import SetClock
from engine.facts import House
from engine.history import done_since
from engine.records import Records
from engine.releaser import Releaser
from engine.watch import Watcher
from geofences import store, visit_store
from geofences.event import EventKind
from tests.campaigns.cast import BAKERY, BREAD, event
from tests.conftest import MONDAY_NINE
from tests.engine.test_sender import say, welcome
from tests.engine.test_watch import Mortal, judged_again

NOW = MONDAY_NINE
CAFE = replace(BAKERY, id="cafe", name="The café")
FAR = replace(BAKERY, id="far", tags=())
AWAY = replace(
    BREAD,
    id="away",
    template="We miss you",
    caps=(),
    trigger=Trigger(Timed.ABSENCE, geofences=("bakery",), tags=("city-centre",), absent_days=30),
)


@pytest.fixture
def watcher(records: Records, clock: SetClock) -> Watcher:
    """Ana may be chosen by her visits, and a campaign waits for who stays away for 30 days."""
    with records.writes.begin() as connection:
        welcome(connection)
        say(connection, Action.GRANT, Purpose.PROFILING)
        store.put_many(connection, [BAKERY, CAFE, FAR], NOW)
        put_campaign(connection, AWAY, NOW)
    watcher = Watcher(records, clock, House())
    watcher.run_once()
    return watcher


def visit(
    records: Records, at: datetime, minutes: int | None = 10, place: str = "bakery", phone: str = "phone-1"
) -> None:
    """Ana comes, and is seen to leave after so many minutes, or not at all."""
    told = [event(at, geofence=place, device=phone)]
    if minutes is not None:
        left = at + timedelta(minutes=minutes)
        told.append(event(left, geofence=place, device=phone, kind=EventKind.EXIT))
    with records.writes.begin() as connection:
        store.add_events(connection, [(each, "ana") for each in told], at)
        visit_store.follow(connection, {each.id for each in told})


def reasons(records: Records) -> list[str]:
    with records.reads.connect() as connection:
        return [each.reason.value for each in decisions_of(connection, "ana")]


def run_until(watcher: Watcher, clock: SetClock, at: datetime) -> int:
    clock.set(at)
    return watcher.run_once()


def test_it_is_said_when_the_days_are_over_and_once(watcher: Watcher, records: Records, clock: SetClock):
    visit(records, NOW)
    visit(records, NOW + timedelta(days=2), place="far")  # none of the campaign's places
    over = NOW + timedelta(days=30, minutes=11)  # the minute in which she left was her last
    run_until(watcher, clock, over - timedelta(seconds=1))
    assert reasons(records) == []
    run_until(watcher, clock, over)
    assert reasons(records) == ["ok"]
    with records.reads.connect() as connection:
        [message] = messages_of(connection, "ana")
        [decision] = decisions_of(connection, "ana")
    assert (message.geofence, message.text) == ("bakery", "We miss you")
    visits = next(gate.input for gate in decision.gates if gate.gate is GateName.VISITS)
    assert visits == {"absent_seconds": 2_592_000, "absent_days": 30.0, "wanted_days": 30}
    run_until(watcher, clock, over + timedelta(days=40))
    assert reasons(records) == ["ok"]
    visit(records, clock(), minutes=None)  # the next absence begins when she is taken to have left
    run_until(watcher, clock, clock() + timedelta(days=30, hours=3, minutes=59))
    assert reasons(records) == ["ok"]
    run_until(watcher, clock, clock() + timedelta(minutes=1))
    assert len(reasons(records)) == 2


def test_a_visit_to_any_of_the_places_ends_it(watcher: Watcher, records: Records, clock: SetClock):
    visit(records, NOW)
    visit(records, NOW + timedelta(days=29), place="cafe")
    run_until(watcher, clock, NOW + timedelta(days=40))
    assert reasons(records) == []
    run_until(watcher, clock, NOW + timedelta(days=60))
    with records.reads.connect() as connection:
        [decision] = decisions_of(connection, "ana")
    assert decision.geofence == "cafe"


def test_two_phones_make_one_absence(watcher: Watcher, records: Records, clock: SetClock):
    for phone in ("phone-1", "phone-2"):
        visit(records, NOW, phone=phone)
    run_until(watcher, clock, NOW + timedelta(days=31))
    assert len(reasons(records)) == 1


def test_who_comes_while_it_waits_for_the_morning_is_told_nothing(
    watcher: Watcher, records: Records, clock: SetClock
):
    with records.writes.begin() as connection:
        put_campaign(connection, replace(AWAY, version=2, shelf_life_seconds=86_400), NOW)
    night = NOW + timedelta(hours=14)
    visit(records, night)
    run_until(watcher, clock, night + timedelta(days=30, minutes=11))
    assert reasons(records) == ["delayed"]
    with records.reads.connect() as connection:
        [held] = decisions_of(connection, "ana")
    assert due_at(held) == datetime(2026, 12, 24, 7, 0, tzinfo=NOW.tzinfo)
    visit(records, due_at(held) - timedelta(minutes=5))
    clock.set(due_at(held))
    Releaser(records, clock, House()).run_once()
    assert reasons(records) == [Reason.NOT_THIS_VISIT.value]


def test_who_comes_before_the_message_goes_gets_none(watcher: Watcher, records: Records, clock: SetClock):
    visit(records, NOW)
    run_until(watcher, clock, NOW + timedelta(days=30, minutes=11))
    with records.reads.connect() as connection:
        [message] = messages_of(connection, "ana")
        assert done_since(connection, message, AWAY, clock()) == frozenset()
    clock.advance(minutes=5)
    visit(records, clock(), minutes=None)
    with records.reads.connect() as connection:
        assert done_since(connection, message, AWAY, clock()) == {Deed.VISIT}


def test_it_is_profiling(watcher: Watcher, records: Records, clock: SetClock):
    visit(records, NOW)
    with records.writes.begin() as connection:
        say(connection, Action.WITHDRAW, Purpose.PROFILING, at=NOW)
    run_until(watcher, clock, NOW + timedelta(days=30, minutes=11))
    assert reasons(records) == ["profiling_consent_withdrawn"]


def test_every_absence_is_said_once_whoever_dies_when(
    watcher: Watcher, records: Records, clock: SetClock, tell
):
    random, crashes, came = Random(3), 0, [NOW]
    with records.writes.begin() as connection:
        put_campaign(
            connection,
            replace(AWAY, version=2, shelf_life_seconds=86_400, trigger=replace(AWAY.trigger, absent_days=2)),
            NOW,
        )
    watcher.run_once()
    several = [Mortal(records, clock, random) for _ in range(2)]
    for _ in range(20):
        came.append(came[-1] + timedelta(days=random.choice([1, 1, 3, 4]), minutes=random.randrange(600)))
        visit(records, came[-1], minutes=random.choice([10, None]))
        while clock() < came[-1]:
            clock.advance(hours=12)
            for mortal in random.sample(several, 2):
                crashes += mortal.run()
    clock.advance(days=9)
    watcher.run_once()
    absences = sum(later - sooner > timedelta(days=2, hours=4) for sooner, later in pairwise(came[1:]))
    told = Counter(reasons(records))
    assert crashes
    assert sum(told.values()) == absences + 1, "the last one is over, too"
    assert judged_again(records) == {"same"}
    tell(
        f"{absences + 1} absences over {crashes} crashes of the watch, reasons: {dict(sorted(told.items()))}"
    )


def test_nonsense_is_named():
    def fields(**changes) -> list[str]:
        return [each.field for each in trigger_problems(replace(AWAY.trigger, **changes))]

    assert fields() == []
    assert fields(absent_days=None) == fields(absent_days=111) == ["trigger.absent_days"]
    assert fields(geofences=(), tags=()) == ["trigger"]
    assert fields(delay_seconds=9) == ["trigger.delay_seconds"]
