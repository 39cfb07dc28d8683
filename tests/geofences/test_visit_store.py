from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from sqlalchemy import select

from geofences import store, visit_store
from geofences.event import EventKind, PlaceEvent, Revision
from geofences.tables import visits
from tests.conftest import MONDAY_NINE
from tests.geofences.test_visit import at, minutes


@pytest.fixture
def conn(records):
    with records.writes.begin() as connection:
        yield connection


def event(kind: str, minute: float, device: str = "phone", place: str = "bakery") -> PlaceEvent:
    made = f"{device} {kind} {place} {minute:g}"
    return PlaceEvent(made, device, EventKind(kind), place, at(minute), at(minute), 0.9)


def tell(conn, *events: PlaceEvent, subject: str = "ana") -> None:
    """As the decider does: keep what is new, correct what is not, then bring visits up to date."""
    store.add_events(
        conn, [(each, subject) for each in events if each.revision is Revision.SAID], MONDAY_NINE
    )
    for each in events:
        if each.revision is not Revision.SAID:
            store.revise_event(conn, each, MONDAY_NINE)
    visit_store.follow(conn, {each.id for each in events})


def known(conn, subject: str = "ana", places=None) -> list[tuple[str, float, float | None]]:
    found = visit_store.visits_of(conn, subject, places, at(-60), at(60 * 24 * 99))
    return [
        (each.geofence, minutes(each.entered_at), minutes(each.left_at) if each.left_at else None)
        for each in found
    ]


def test_enter_opens_a_visit_and_exit_ends_it(conn):
    tell(conn, event("enter", 1))
    assert known(conn) == [("bakery", 1, None)]
    [visit] = visit_store.visits_of(conn, "ana", ["bakery"], at(0), at(7))
    assert visit.id == event("enter", 1).id
    tell(conn, event("exit", 20), event("enter", 30, place="cafe"))
    assert known(conn) == [("bakery", 1, 21), ("cafe", 30, None)]
    assert known(conn, places=["cafe"]) == [("cafe", 30, None)]
    assert known(conn, "ben") == []


def test_replaying_events_changes_nothing(conn):
    several = [event("enter", 1), event("exit", 20)]
    tell(conn, *several)
    tell(conn, *several)
    tell(conn, several[0])
    assert known(conn) == [("bakery", 1, 21)]


def test_a_late_enter_and_amended_events_move_the_visit(conn):
    tell(conn, event("exit", 20))
    assert known(conn) == []
    tell(conn, event("enter", 5))
    assert known(conn) == [("bakery", 5, 21)]
    tell(conn, replace(event("exit", 20), at=at(25), revision=Revision.AMENDED))
    tell(conn, replace(event("enter", 5), at=at(3), revision=Revision.AMENDED))
    assert known(conn) == [("bakery", 3, 26)]


def test_what_is_taken_back_takes_its_visit_along_and_joins_what_it_parted(conn):
    tell(conn, event("enter", 0), event("exit", 10), event("enter", 60), event("exit", 70))
    assert known(conn) == [("bakery", 0, 11), ("bakery", 60, 71)]
    tell(
        conn,
        *(replace(each, revision=Revision.RETRACTED) for each in (event("enter", 60), event("exit", 10))),
    )
    assert known(conn) == [("bakery", 0, 71)], "the exit that is left ends the visit that is left"
    tell(conn, replace(event("enter", 0), revision=Revision.RETRACTED))
    assert known(conn) == []
    tell(conn, replace(event("enter", 0), revision=Revision.AMENDED))
    assert known(conn) == [("bakery", 0, 71)], "told anew"


def test_phones_and_shoppers_are_kept_apart(conn):
    tell(conn, event("enter", 0), event("enter", 1, "watch"))
    tell(conn, event("enter", 2, "other"), subject="ben")
    tell(conn, event("exit", 9))
    assert known(conn) == [("bakery", 0, None)], "the watch is still there"
    tell(conn, event("exit", 12, "watch"))
    assert known(conn) == [("bakery", 0, 13)]
    assert known(conn, "ben") == [("bakery", 2, None)]


def test_visits_outlive_their_events_and_go_with_their_shopper(conn):
    tell(conn, event("enter", 0), event("exit", 9))
    tell(conn, event("enter", 0, "b"), subject="ben")
    store.forget_subject(conn, "ana")
    tell(conn, event("enter", 60 * 24 * 40))
    assert [each["entered_at"] for each in visit_store.visits_json_of(conn, "ana")] == [
        MONDAY_NINE.isoformat(),
        (MONDAY_NINE + timedelta(days=40)).isoformat(),
    ]
    visit_store.forget_subject(conn, "ana")
    assert (known(conn), known(conn, "ben")) == ([], [("bakery", 0, None)])


def test_events_that_are_known_as_they_are_kept_come_to_the_same_as_those_that_are_looked_up(conn):
    random = Random(7)
    for _ in range(40):
        told = [
            (random.choice(["enter", "exit"]), random.uniform(0, 4000), random.choice(["bakery", "cafe"]))
            for _ in range(random.randint(1, 3))
        ]
        tell(conn, *(event(kind, minute, place=place) for kind, minute, place in told))
        new = [(event(kind, minute, "other", place), "ben") for kind, minute, place in told]
        store.add_events(conn, new, MONDAY_NINE)
        if random.random() < 0.3:
            amended = replace(new[0][0], at=at(random.uniform(0, 4000)), revision=Revision.AMENDED)
            for who in ("phone", "other"):
                kind, minute, place = told[0]
                told_anew = replace(amended, id=event(kind, minute, who, place).id, device=who)
                store.revise_event(conn, told_anew, MONDAY_NINE)
            visit_store.follow(conn, {event(*told[0][:2], "phone", told[0][2]).id})
            visit_store.follow(conn, {amended.id}, new[1:])
        else:
            visit_store.follow(conn, (), new)
        stays = conn.execute(select(visits).order_by(visits.c.id)).all()
        mine, theirs = ([row[3:6] for row in stays if row.subject == who] for who in ("ana", "ben"))
        assert sorted(mine, key=str) == sorted(theirs, key=str)
