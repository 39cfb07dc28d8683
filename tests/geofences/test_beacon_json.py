import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofences.beacon import Beacon, EddystoneUid, IBeacon
from geofences.beacon_json import beacon_from_json, beacon_json, beacons_from_json, radio_ids
from geofences.beacons import Beacons
from geofences.errors import InvalidBeacon

UUID = "f7826da6-4fa2-4e98-8024-bc5b71e0893e"
DOOR = {"uuid": UUID, "major": 101, "minor": 1, "geofence": "bakery"}
TILL = {"namespace": "edd1ebeac04e5defa017", "instance": "0bdb87539b67", "geofence": "bakery"}


def faults(value, beacon_id=None) -> dict[str, str]:
    with pytest.raises(InvalidBeacon) as caught:
        beacon_from_json(value, beacon_id)
    return {error.field: error.detail for error in caught.value.errors}


def without(value, name):
    return {each: value[each] for each in value if each != name}


def test_a_beacon_is_read_with_all_it_may_have():
    given_all = DOOR | {"tx_power": -62, "path_loss": 2.7, "zone": "till", "lat": 44.5, "lon": 11.3}
    beacon = beacon_from_json(given_all, "door")
    assert beacon == Beacon("door", IBeacon(UUID, 101, 1), "bakery", -62.0, 2.7, "till", 44.5, 11.3)
    assert beacon_json(beacon) == given_all | {"id": "door"}
    assert beacon_from_json(beacon_json(beacon)) == beacon


@pytest.mark.parametrize("text", [UUID.upper(), UUID.replace("-", ""), UUID.replace("-", "").upper()])
def test_ids_are_brought_into_one_form(text):
    assert beacon_from_json(DOOR | {"uuid": text}).heard_as == IBeacon(UUID, 101, 1)
    upper = TILL | {"namespace": TILL["namespace"].upper(), "instance": TILL["instance"].upper()}
    assert beacon_from_json(upper).heard_as == EddystoneUid(TILL["namespace"], TILL["instance"])


@pytest.mark.parametrize(
    ("value", "key"), [(DOOR, f"{UUID}:101:1"), (TILL, "edd1ebeac04e5defa017:0bdb87539b67")]
)
def test_the_key_of_the_radio_ids_is_the_id_of_who_has_no_other(value, key):
    beacon = beacon_from_json(value)
    assert beacon.id == beacon.heard_as.key == key
    assert radio_ids(key) == beacon.heard_as


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        (DOOR | {"uuid": "f7826da6"}, {"uuid"}),
        (DOOR | {"uuid": UUID + "\n"}, {"uuid"}),
        (DOOR | {"uuid": "f7826da64fa2-4e98-8024-bc5b71e0893e"}, {"uuid"}),
        (DOOR | {"uuid": 7}, {"uuid"}),
        (DOOR | {"major": 65536}, {"major"}),
        (DOOR | {"major": True, "minor": 1.5}, {"major", "minor"}),
        (DOOR | {"minor": float("nan")}, {"minor"}),
        (DOOR | {"minor": 10**400}, {"minor"}),
        (without(DOOR, "minor"), {"minor"}),
        (TILL | {"namespace": "xyz"}, {"namespace"}),
        (TILL | {"instance": None}, {"instance"}),
        (TILL | DOOR, {"namespace"}),
        ({"geofence": "bakery"}, {"uuid", "major", "minor"}),
        (without(DOOR, "geofence"), {"geofence"}),
        (DOOR | {"geofence": "a b"}, {"geofence"}),
        (DOOR | {"tx_power": -101}, {"tx_power"}),
        (DOOR | {"tx_power": "-59"}, {"tx_power"}),
        (DOOR | {"path_loss": 0}, {"path_loss"}),
        (DOOR | {"zone": "z" * 65}, {"zone"}),
        (DOOR | {"zone": "\0"}, {"zone"}),
        (DOOR | {"lat": 1}, {"lon"}),
        (DOOR | {"lat": 91, "lon": -181}, {"lat", "lon"}),
        (DOOR | {"id": "other"}, {"id"}),
        (DOOR | {"id": 7}, {"id"}),
        (DOOR | {"battery": 80}, {"battery"}),
        ([], {""}),
        (None, {""}),
    ],
)
def test_every_field_at_fault_is_named(value, fields):
    assert set(faults(value, "door")) == fields


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=3,
)


@given(
    st.dictionaries(
        st.sampled_from([*DOOR, *TILL, "id", "tx_power", "path_loss", "zone", "lat", "lon"]), json_values
    )
)
def test_any_object_is_a_beacon_or_a_fault(value):
    try:
        beacon = beacon_from_json(value)
    except InvalidBeacon as error:
        assert error.errors
    else:
        assert beacon_from_json(json.loads(json.dumps(beacon_json(beacon)))) == beacon


def test_a_list_is_read_with_the_place_of_each_fault():
    again = DOOR | {"id": "again", "uuid": UUID.upper()}
    named = DOOR | {"id": "door", "minor": 2}
    placed, errors = beacons_from_json([DOOR, {}, again, named, TILL | {"id": "door"}, 7])
    assert set(placed) == {"[0]", "[3]"}
    fields = [error.field for error in errors]
    assert fields == ["[1].uuid", "[1].major", "[1].minor", "[1].geofence", "[2].uuid", "[4].id", "[5]"]
    assert errors[4].detail.startswith("[0] has the same")


@pytest.mark.parametrize("value", [{}, None, "x", [DOOR] * 100_001])
def test_what_is_no_list_of_bearable_length_is_one_fault(value):
    placed, [error] = beacons_from_json(value)
    assert (placed, error.field) == ({}, "")


def test_a_fleet_is_asked_by_what_is_heard():
    door, till = beacon_from_json(DOOR, "door"), beacon_from_json(TILL, "till")
    fleet = Beacons.of([door, till])
    assert fleet.get(f"{UUID}:101:1") is door
    assert fleet.get(f"{UUID}:101:2") is None
    assert (len(fleet), set(fleet), len(Beacons())) == (2, {door, till}, 0)


def test_a_region_is_the_place_that_all_its_beacons_hang_in():
    uuid, other = UUID, UUID.replace("f7", "f8")
    several = {
        IBeacon(uuid, 1, 1): "bakery",
        IBeacon(uuid, 1, 2): "bakery",
        IBeacon(uuid, 11, 1): "butcher",
        IBeacon(other, 1, 1): "cafe",
        EddystoneUid("ab" * 10, "cd" * 6): "cafe",
    }
    fleet = Beacons.of(Beacon(heard_as.key, heard_as, place) for heard_as, place in several.items())
    assert {heard_as: fleet.place(heard_as.key) for heard_as in several} == several
    assert [fleet.place(key) for key in (f"{uuid}:1", f"{uuid}:11", other, "ab" * 10)] == [
        "bakery",
        "butcher",
        "cafe",
        "cafe",
    ]
    assert [fleet.place(key) for key in (uuid, f"{uuid}:2", f"{uuid}:1:3", "", ":")] == [None] * 5
