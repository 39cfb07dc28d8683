import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geofences import store
from geofences.errors import InvalidCursor, TooManyGeofences
from geofences.event import EventKind, PlaceEvent, Revision
from geofences.geofence import Kind
from geofences.index import GeofenceIndex
from geofences.packed import Edit
from tests.conftest import MONDAY_NINE
from tests.geofences.places import circle, polygon, square

BAKERY = circle(2.24, 48.83, 40, "bakery")
AREA = replace(
    polygon(square(179.99, -17, 0.02), geofence_id="fiji"), kind=Kind.SITE, tags=("food", 'q"o_t%e', "été")
)


@pytest.fixture
def conn(records):
    with records.writes.begin() as connection:
        yield connection


def event(number: int, at: datetime = MONDAY_NINE, **fields) -> PlaceEvent:
    made = PlaceEvent(
        id=f"e{number}",
        device="ana-phone",
        kind=EventKind.ENTER,
        geofence="bakery",
        at=at,
        emitted=at + timedelta(seconds=9),
        confidence=0.9,
        evidence={"distance_m": -21.5},
    )
    return replace(made, **fields)


def all_pages(read):
    found, cursor = [], None
    while True:
        some, cursor = read(cursor)
        assert some or cursor is None
        found += some
        if cursor is None:
            return found


def test_a_geofence_is_kept_replaced_and_forgotten(conn):
    assert store.put(conn, BAKERY, MONDAY_NINE) is True
    assert store.put(conn, replace(BAKERY, name="Bread"), MONDAY_NINE) is False
    assert store.get(conn, "bakery") == replace(BAKERY, name="Bread")
    assert store.get(conn, "bakery").timezone == "Europe/Paris"
    assert store.delete(conn, "bakery", MONDAY_NINE) is True
    assert store.delete(conn, "bakery", MONDAY_NINE) is False
    assert (store.get(conn, "bakery"), store.count(conn)) == (None, 0)
    assert store.put(conn, BAKERY, MONDAY_NINE) is True, "a tombstone does not count as there"


def test_many_are_kept_as_one_edit(conn):
    assert store.put_many(conn, [BAKERY, AREA], MONDAY_NINE) == 2
    assert store.put_many(conn, [BAKERY, circle(1, 1, 9, "new")], MONDAY_NINE) == 1
    assert store.count(conn) == 3
    assert store.get_many(conn, ["fiji", "bakery", "nowhere"]) == {
        "bakery": BAKERY,
        "fiji": store.get(conn, "fiji"),
    }
    assert store.get(conn, "fiji").shape.polygons.equals(AREA.shape.polygons)


def test_there_is_a_limit(conn, monkeypatch):
    monkeypatch.setattr(store, "GEOFENCES_LIMIT", 1)
    store.put(conn, BAKERY, MONDAY_NINE)
    store.put(conn, BAKERY, MONDAY_NINE)
    with pytest.raises(TooManyGeofences):
        store.put(conn, AREA, MONDAY_NINE)


def test_edits_are_told_to_those_who_know_an_older_revision(conn):
    def told(known):
        revision, edits = store.changed_since(conn, known)
        return revision, sorted(edits)

    assert told(0) == (0, [])
    store.put_many(conn, [BAKERY, circle(1, 1, 9, "other")], MONDAY_NINE)
    first, edits = told(0)
    assert [(each.id, each.revision) for each in edits] == [("bakery", first), ("other", first)]
    assert all(json.loads(each.feature)["id"] == each.id for each in edits)
    store.delete(conn, "other", MONDAY_NINE)
    second, edits = told(first)
    assert edits == [Edit("other", second, None)]
    assert told(second) == (second, [])
    assert store.tally(conn) == (2, first + second)
    assert [each.id for each in store.newest_edits(conn, second, 1)] == ["other"]
    assert [each.id for each in store.newest_edits(conn, first, 2)] == ["bakery"]


def test_a_geofence_tells_when_it_was_last_edited(conn):
    store.put_many(conn, [BAKERY, circle(1, 1, 9, "other")], MONDAY_NINE)
    before = store.revisions_of(conn, ["bakery", "other", "nowhere"])
    assert before.keys() == {"bakery", "other"}
    store.put(conn, circle(2, 2, 9, "other"), MONDAY_NINE)
    after = store.revisions_of(conn, ["bakery", "other"])
    assert after["bakery"] == before["bakery"]
    assert after["other"] > before["other"]
    store.delete(conn, "other", MONDAY_NINE)
    assert store.revisions_of(conn, ["other"]) == {}


def test_who_has_followed_every_edit_has_nothing_to_follow(conn):
    """Also after an edit that changed nothing, or an index would be asked to look again and again."""
    store.put(conn, BAKERY, MONDAY_NINE)
    store.put_many(conn, [], MONDAY_NINE)
    store.delete(conn, "nowhere", MONDAY_NINE)
    known, _ = store.changed_since(conn, 0)
    assert known == store.revision(conn)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans(), st.booleans()), min_size=1, max_size=12))
def test_an_index_that_follows_the_edits_holds_what_the_store_holds(records, edits):
    with records.writes.connect() as connection:
        transaction = connection.begin()
        index, known = GeofenceIndex(), 0
        for number, (name, stays, looks) in enumerate(edits):
            if stays:
                store.put(connection, circle(number, 0, 50, name), MONDAY_NINE)
            else:
                store.delete(connection, name, MONDAY_NINE)
            if looks:
                known, changed = store.changed_since(connection, known)
                index.follow(list(changed))
        known, changed = store.changed_since(connection, known)
        index.follow(list(changed))
        assert index.catalogue.tally() == store.tally(connection)
        assert all(index.catalogue.agrees(each) for each in store.newest_edits(connection, known, 9))
        held, _ = store.page(connection, None, 200)
        assert {each.id: each for each in index} == {each.id: each for each in held}
        transaction.rollback()


def test_writers_at_once_leave_no_revision_out(records):
    def write(number):
        with records.writes.begin() as connection:
            store.put(connection, circle(number, 0, 50, f"g{number}"), MONDAY_NINE)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(18)))
    with records.reads.connect() as connection:
        assert store.revision(connection) == 18
        assert len(list(store.changed_since(connection, 0)[1])) == 18


def test_pages_hold_each_geofence_once_in_order(conn):
    names = [f"g{number:02}" for number in range(23)]
    store.put_many(conn, [circle(number, 0, 50, name) for number, name in enumerate(names)], MONDAY_NINE)
    store.delete(conn, "g07", MONDAY_NINE)
    found = all_pages(lambda cursor: store.page(conn, cursor, 5))
    assert [each.id for each in found] == [name for name in names if name != "g07"]


def test_pages_are_filtered_by_kind_and_tag(conn):
    plain = [circle(number, 0, 50, f"a{number}") for number in range(9)]
    tagged = [replace(each, tags=("foo", "food-court")) for each in plain[:3]]
    store.put_many(conn, [*plain[3:], *tagged, AREA], MONDAY_NINE)
    for tag in AREA.tags:
        assert [
            each.id for each in all_pages(lambda cursor, tag=tag: store.page(conn, cursor, 2, tag=tag))
        ] == ["fiji"]
    by_kind = all_pages(lambda cursor: store.page(conn, cursor, 2, kind=Kind.STORE))
    assert len(by_kind) == 9
    assert store.page(conn, None, 2, kind=Kind.STORE, tag="food") == ([], None)
    assert [each.id for each in store.page(conn, None, 2, tag="foo")[0]] == ["a0", "a1"]


@pytest.mark.parametrize("cursor", ["x", "ä", "W10=", "WzFd", "bnVsbA==", "WyJcdTAwMDAiXQ==", "WyJhIiwiYiJd"])
def test_a_cursor_of_elsewhere_is_refused(conn, cursor):
    with pytest.raises(InvalidCursor):
        store.page(conn, cursor, 5)
    with pytest.raises(InvalidCursor):
        store.events_page(conn, store.EventFilters(), cursor, 5)


def test_an_event_is_new_once(conn):
    assert store.add_events(conn, [(event(1), "ana"), (event(2), None), (event(1), "ana")], MONDAY_NINE) == {
        "e1",
        "e2",
    }
    assert store.add_events(conn, [(event(2), None), (event(3), None)], MONDAY_NINE) == {"e3"}
    assert store.add_events(conn, [], MONDAY_NINE) == set()
    assert store.count_events(conn) == 3


def test_an_event_comes_back_as_it_was(conn):
    at_the_till = event(2, kind=EventKind.ZONE, beacon="bakery-till", zone="till")
    store.add_events(conn, [(event(1), "ana"), (at_the_till, "ana")], MONDAY_NINE)
    found, following = store.events_page(conn, store.EventFilters(), None, 5)
    assert found == [store.RecordedEvent(each, "ana", MONDAY_NINE) for each in (at_the_till, event(1))]
    assert following is None
    elsewhere = replace(at_the_till, beacon="bakery-shelf", zone=None, revision=Revision.AMENDED)
    store.revise_event(conn, elsewhere, MONDAY_NINE)
    [revised] = store.events_page(conn, store.EventFilters(kind=EventKind.ZONE), None, 5)[0]
    assert (revised.event.beacon, revised.event.zone) == ("bakery-shelf", None)


def test_events_are_paged_newest_first_also_within_one_instant(conn):
    events = [event(number, MONDAY_NINE + timedelta(seconds=number // 4)) for number in range(10)]
    store.add_events(conn, [(each, None) for each in events], MONDAY_NINE)
    found = all_pages(lambda cursor: store.events_page(conn, store.EventFilters(), cursor, 3))
    assert [each.event.id for each in found] == [f"e{number}" for number in reversed(range(10))]


def test_events_are_filtered_by_all_that_is_given(conn):
    later = MONDAY_NINE + timedelta(hours=1)
    store.add_events(
        conn,
        [
            (event(1), "ana"),
            (event(2, device="bob-phone"), "bob"),
            (event(3, geofence="butcher"), "ana"),
            (event(4, kind=EventKind.EXIT), "ana"),
            (event(5, later), "ana"),
        ],
        later,
    )

    def ids(**filters):
        found, _ = store.events_page(conn, store.EventFilters(**filters), None, 50)
        return sorted(each.event.id for each in found)

    assert ids(device="bob-phone") == ids(subject="bob") == ["e2"]
    assert ids(geofence="butcher") == ["e3"]
    assert ids(kind=EventKind.EXIT) == ["e4"]
    assert ids(since=later) == ["e5"]
    assert ids(until=later) == ["e1", "e2", "e3", "e4"]
    assert ids(subject="ana", geofence="bakery", kind=EventKind.ENTER, until=later) == ["e1"]


def test_a_subject_gets_every_event_and_is_forgotten_whole(conn):
    store.add_events(conn, [(event(2), "ana"), (event(1), "ana"), (event(3), "bob")], MONDAY_NINE)
    assert [each["id"] for each in store.events_of(conn, "ana")] == ["e1", "e2"]
    store.forget_subject(conn, "ana")
    assert store.events_of(conn, "ana") == []
    assert store.count_events(conn) == 1
