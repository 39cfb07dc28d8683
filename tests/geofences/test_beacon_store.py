from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from engine.places import Places
from geofences import beacon_store, store
from geofences.beacon import Beacon, EddystoneUid, IBeacon
from geofences.errors import (
    GeofenceError,
    GeofenceHasBeacons,
    InvalidBeacon,
    InvalidCursor,
    InvalidImport,
    RadioIdsTaken,
    TooManyBeacons,
)
from tests.conftest import MONDAY_NINE
from tests.geofences.places import circle

UUID = "f7826da6-4fa2-4e98-8024-bc5b71e0893e"
TILL = Beacon("till", EddystoneUid("edd1ebeac04e5defa017", "0bdb87539b67"), "bakery")


def beacon(number: int, geofence: str = "bakery", **fields) -> Beacon:
    return replace(Beacon(f"b{number:02}", IBeacon(UUID, 1, number), geofence), **fields)


FULL = beacon(1, tx_power_dbm=-62.0, path_loss=2.7, zone="till", lat=44.5, lon=11.3)


@pytest.fixture
def conn(records):
    with records.writes.begin() as connection:
        store.put_many(
            connection, [circle(2.24, 48.83, 40, name) for name in ("bakery", "butcher")], MONDAY_NINE
        )
        yield connection


@pytest.mark.parametrize("kept", [FULL, TILL])
def test_a_beacon_is_kept_replaced_and_forgotten(conn, kept):
    assert beacon_store.put(conn, kept, MONDAY_NINE) is True
    assert beacon_store.get(conn, kept.id) == kept
    moved = replace(kept, geofence="butcher", zone=None)
    assert beacon_store.put(conn, moved, MONDAY_NINE) is False
    assert beacon_store.get(conn, kept.id) == moved
    assert beacon_store.delete(conn, kept.id) is True
    assert beacon_store.delete(conn, kept.id) is False
    assert beacon_store.get(conn, kept.id) is None


def test_a_beacon_hangs_in_a_geofence_that_there_is(conn):
    store.delete(conn, "butcher", MONDAY_NINE)
    for nowhere in ("nowhere", "butcher"):
        with pytest.raises(InvalidBeacon) as caught:
            beacon_store.put(conn, beacon(1, nowhere), MONDAY_NINE)
        assert caught.value.errors[0].field == "geofence"


def test_two_beacons_are_not_heard_the_same(conn):
    beacon_store.put(conn, beacon(1), MONDAY_NINE)
    with pytest.raises(RadioIdsTaken, match="'b01'"):
        beacon_store.put(conn, beacon(1, id="other"), MONDAY_NINE)


def test_a_geofence_in_which_beacons_hang_is_not_forgotten(conn):
    beacon_store.put(conn, beacon(1), MONDAY_NINE)
    with pytest.raises(GeofenceHasBeacons, match="'b01'"):
        store.delete(conn, "bakery", MONDAY_NINE)
    beacon_store.put(conn, beacon(1, "butcher"), MONDAY_NINE)
    assert store.delete(conn, "bakery", MONDAY_NINE) is True


def test_many_are_kept_as_one_edit_and_may_swap_ids(conn):
    pair = {"[0]": beacon(1), "[1]": beacon(2)}
    before = beacon_store.revision(conn)
    assert beacon_store.put_many(conn, pair, MONDAY_NINE) == 2
    assert beacon_store.revision(conn) == before + 1
    swapped = {
        "[0]": replace(pair["[0]"], heard_as=pair["[1]"].heard_as),
        "[1]": replace(pair["[1]"], heard_as=pair["[0]"].heard_as),
        "[2]": TILL,
    }
    assert beacon_store.put_many(conn, swapped, MONDAY_NINE) == 1
    fleet = beacon_store.read_all(conn)
    assert (len(fleet), fleet.get(f"{UUID}:1:2").id) == (3, "b01")
    assert beacon_store.put_many(conn, {}, MONDAY_NINE) == 0


def test_of_many_all_that_is_wrong_is_told_and_none_is_kept(conn):
    beacon_store.put(conn, beacon(1), MONDAY_NINE)
    several = {"[0]": beacon(2), "[2]": beacon(3, "nowhere"), "[3]": beacon(1, id="other")}
    with pytest.raises(InvalidImport) as caught:
        beacon_store.put_many(conn, several, MONDAY_NINE)
    assert [error.field for error in caught.value.errors] == ["[2].geofence", "[3].uuid"]
    assert len(beacon_store.read_all(conn)) == 1


def test_there_is_a_limit(conn, monkeypatch):
    monkeypatch.setattr(beacon_store, "BEACONS_LIMIT", 1)
    beacon_store.put(conn, beacon(1), MONDAY_NINE)
    beacon_store.put(conn, beacon(1), MONDAY_NINE)
    with pytest.raises(TooManyBeacons):
        beacon_store.put(conn, beacon(2), MONDAY_NINE)


def test_pages_hold_each_beacon_once_in_order_also_of_one_geofence(conn):
    several = [beacon(number, "butcher" if number % 2 else "bakery") for number in range(9)]
    beacon_store.put_many(conn, {each.id: each for each in several}, MONDAY_NINE)

    def ids(geofence=None):
        found, cursor = [], None
        while True:
            some, cursor = beacon_store.page(conn, cursor, 2, geofence)
            found += [each.id for each in some]
            if cursor is None:
                return found

    assert ids() == [each.id for each in several]
    assert ids("butcher") == ["b01", "b03", "b05", "b07"]
    with pytest.raises(InvalidCursor):
        beacon_store.page(conn, "WyJhIiwiYiJd", 2)


def test_edits_of_beacons_and_of_geofences_are_counted_apart(conn):
    places, beacons = store.revision(conn), beacon_store.revision(conn)
    beacon_store.put(conn, beacon(1), MONDAY_NINE)
    beacon_store.delete(conn, "b01")
    beacon_store.delete(conn, "b01")
    assert (store.revision(conn), beacon_store.revision(conn)) == (places, beacons + 2)
    store.put(conn, circle(1, 1, 9, "new"), MONDAY_NINE)
    assert (store.revision(conn), beacon_store.revision(conn)) == (places + 1, beacons + 2)


def test_a_worker_follows_the_edits(records):
    places = Places(records, look_every_seconds=0)
    places.refresh()
    assert len(places.beacons) == 0
    with records.writes.begin() as connection:
        store.put(connection, circle(1, 1, 9, "bakery"), MONDAY_NINE)
        beacon_store.put(connection, TILL, MONDAY_NINE)
    places.refresh()
    assert places.beacons.get(TILL.heard_as.key) == TILL
    with records.writes.begin() as connection:
        beacon_store.delete(connection, "till")
    places.refresh()
    assert (len(places.beacons), len(places.index)) == (0, 1)


def test_a_beacon_and_the_end_of_its_geofence_at_once_leave_none_hanging_nowhere(records):
    with records.writes.begin() as connection:
        store.put_many(connection, [circle(number, 0, 9, f"g{number}") for number in range(12)], MONDAY_NINE)

    def hang(number):
        with records.writes.begin() as connection:
            beacon_store.put(connection, beacon(number, f"g{number}"), MONDAY_NINE)

    def forget(number):
        with records.writes.begin() as connection:
            store.delete(connection, f"g{number}", MONDAY_NINE)

    def tried(do, number):
        try:
            do(number)
        except GeofenceError:
            return 1
        return 0

    with ThreadPoolExecutor(6) as pool:
        refusals = [pool.submit(tried, do, number) for number in range(12) for do in (hang, forget)]
        assert sum(each.result() for each in refusals) == 12
    with records.reads.connect() as connection:
        hung = {each.geofence for each in beacon_store.read_all(connection)}
        assert hung == store.known_ids(connection, {f"g{number}" for number in range(12)})
