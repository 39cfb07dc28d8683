import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.doors.problem import Problem
from engine.signals import (
    Heard,
    decode_pings,
    decode_sightings,
)
from geofences.beacon import EddystoneUid, IBeacon, RegionChange

GOOD = {"device": "ana-phone", "at": 1795453200, "lat": 48.8353, "lon": 2.241, "accuracy": 12}


def body(*pings: dict) -> bytes:
    return json.dumps({"pings": list(pings)}).encode()


def refused(data: bytes) -> tuple[int, str | None]:
    with pytest.raises(Problem) as caught:
        decode_pings(data, limit=3)
    assert "48.8353" not in caught.value.detail  # an error never repeats a coordinate
    return caught.value.status, caught.value.errors[0].field if caught.value.errors else None


def test_a_time_may_be_written_both_ways():
    [one, other] = decode_pings(body(GOOD, GOOD | {"at": "2026-11-23T18:00:00+01:00"}), limit=3)
    assert one.at_seconds == other.at_seconds == datetime(2026, 11, 23, 17, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"lat": 90.1}, "pings[1].lat"),
        ({"lat": "48.8"}, "pings[1].lat"),
        ({"lon": -181}, "pings[1].lon"),
        ({"accuracy": -1}, "pings[1].accuracy"),
        ({"accuracy": None}, "pings[1].accuracy"),
        ({"device": ""}, "pings[1].device"),
        ({"device": "d" * 129}, "pings[1].device"),
        ({"device": "a b"}, "pings[1].device"),
        ({"device": "ana\n"}, "pings[1].device"),
        ({"at": "2026-11-23T18:00:00"}, "pings[1].at"),
        ({"at": "yesterday"}, "pings[1].at"),
        ({"at": -5}, "pings[1].at"),
        ({"consent": True}, "pings[1].consent"),
        ({"lat": float("nan")}, "pings[1].lat"),
        ({"lon": float("inf")}, "pings[1].lon"),
    ],
)
def test_a_wrong_field_is_named(change, field):
    assert refused(body(GOOD, GOOD | change)) == (422, field)


def test_a_missing_field_is_named():
    assert refused(body({key: value for key, value in GOOD.items() if key != "accuracy"})) == (
        422,
        "pings[0].accuracy",
    )


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", (400, None)),
        (b"{", (400, None)),
        (body(GOOD | {"activity": "x"}).replace(b'"x"', b'"\\ud800"'), (422, "pings[0].activity")),
        (b"[]", (422, "body")),
        (b'{"pings": []}', (422, "pings")),
        (b'{"pings": [], "extra": 1}', (422, "extra")),
        (body(GOOD, GOOD, GOOD, GOOD), (422, "pings")),
        (body(GOOD).replace(b'"lat"', b'"lon"', 1), (422, "pings[0].lon")),
        (body(GOOD).replace(b'"lat": 48.8353', b'"lat": 48.8353, "lat": 1'), (422, "pings[0].lat")),
        (body(GOOD).replace(b'"lat": 48.8353', b'"lat": 48.8353, "l\\u0061t": 1'), (422, "pings[0].lat")),
    ],
)
def test_a_wrong_body_is_refused(data, expected):
    status, field = refused(data)
    assert (status, field) == expected


@pytest.mark.parametrize("first", [b'"lat":1', b'"lat" :1', b'"lat"\n: 1', b'"l\\u0061t":1'])
def test_a_repeated_key_is_found_however_it_is_written(first):
    ping = b'{"device":"a",%s,"at":"2026-11-24T08:27:10Z","lat":43.7,"lon":7.4,"accuracy":5}' % first
    assert refused(b'{"pings":[%s]}' % ping)[0] == 422


def test_a_value_that_looks_like_a_key_is_no_repeated_key():
    [ping] = decode_pings(body(GOOD | {"device": "lat"}), limit=3)
    assert ping.device == "lat"


@given(st.binary(max_size=80))
def test_any_bytes_give_pings_or_a_problem(data):
    try:
        decode_pings(data, limit=3)
    except Problem as problem:
        assert problem.status in (400, 422)


DOOR = {"uuid": "f7826da6-4fa2-4e98-8024-bc5b71e0893e", "major": 101, "minor": 1}
TILL = {"namespace": "edd1ebeac04e5defa017", "instance": "0bdb87539b67"}
ADVERT = "0201061aff4c000215f7826da64fa24e988024bc5b71e0893e00650001c5"
"""An iBeacon's: `DOOR`, calibrated at -59 dBm."""
HEARD = {"device": "ana-phone", "at": 1795453200, "rssi": -71, "beacon": DOOR, "tx_power": -59}


def sightings(*several: dict) -> bytes:
    return json.dumps({"sightings": list(several)}).encode()


def test_a_sighting_tells_which_beacon_by_its_key():
    upper = {"uuid": DOOR["uuid"].replace("-", "").upper(), "major": 101, "minor": 1}
    several = [HEARD, HEARD | {"beacon": upper, "rssi": -71.5}, HEARD | {"beacon": TILL}]
    decoded = decode_sightings(sightings(*several), limit=3)
    door = IBeacon(**DOOR).key
    assert [each.beacon.key for each in decoded] == [door, door, EddystoneUid(**TILL).key]
    assert [each.rssi for each in decoded] == [-71.0, -71.5, -71.0]


def test_a_phone_may_say_that_it_began_or_ceased_to_hear_a_beacon():
    change = {"device": "ana-phone", "at": 1795453200, "event": "exit", "beacon": DOOR}
    [left] = decode_sightings(sightings(change), limit=3)
    assert left.heard == Heard(1795453200.0, None, None, IBeacon(**DOOR).key, region=RegionChange.EXIT)


@pytest.mark.parametrize(
    ("ids", "key"),
    [
        ({"uuid": DOOR["uuid"].upper()}, DOOR["uuid"]),
        ({"uuid": DOOR["uuid"], "major": 101}, f"{DOOR['uuid']}:101"),
        ({"namespace": TILL["namespace"].upper()}, TILL["namespace"]),
    ],
)
def test_a_region_may_be_wider_than_one_beacon(ids, key):
    change = {"device": "ana-phone", "at": 1795453200, "event": "enter", "beacon": ids}
    [entered] = decode_sightings(sightings(change), limit=3)
    assert entered.heard.beacon == key
    for wrong in ({"uuid": DOOR["uuid"], "minor": 1}, {"major": 1}, {"instance": TILL["instance"]}, {}):
        with pytest.raises(Problem):
            decode_sightings(sightings(change | {"beacon": wrong}), limit=3)


def test_an_advertisement_says_itself_which_beacon_sent_it():
    raw = {"device": "gateway", "at": 1795453200, "rssi": -71, "advert": ADVERT.upper()}
    frame = "0201060303aafe1516aafe00e7edd1ebeac04e5defa0170bdb87539b670000"
    several = [raw, raw | {"advert": frame}, raw | {"advert": "020106", "tx_power": -60}]
    altogether = decode_sightings(sightings(*several), limit=3)
    assert [each.beacon and each.beacon.key for each in altogether] == [
        IBeacon(**DOOR).key,
        EddystoneUid(**TILL).key,
        None,
    ]
    assert [each.tx_power for each in altogether] == [-59, -25 - 41, -60]
    telemetry = "0303aafe1116aafe20000bb815000000002a00000190"
    several = [
        HEARD | {"advert": telemetry},
        HEARD | {"advert": telemetry, "battery_mv": 2500},
        raw | {"advert": telemetry},
    ]
    measured = decode_sightings(sightings(*several), limit=3)
    assert [each.battery_mv for each in measured] == [3000, 2500, 3000]
    assert [each.beacon is not None for each in measured] == [True, True, False]
    with pytest.raises(Problem, match="twice"):
        decode_sightings(sightings(raw).replace(b'"rssi": -71', b'"rssi": -71, "rssi": -70'), limit=3)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rssi": -128}, "rssi"),
        ({"rssi": 20.1}, "rssi"),
        ({"rssi": "-71"}, "rssi"),
        ({"rssi": None}, "rssi"),
        ({"rssi": float("nan")}, "rssi"),
        ({"tx_power": -129}, "tx_power"),
        ({"tx_power": float("inf")}, "tx_power"),
        ({"at": "2026-11-23T18:00:00"}, "at"),
        ({"device": "a b"}, "device"),
        ({"lat": 48.8}, "lat"),
        ({"beacon": None}, "beacon"),
        ({"beacon": "door"}, "beacon"),
        ({"beacon": {}}, "beacon.uuid"),
        ({"beacon": DOOR | TILL}, "beacon"),
        ({"beacon": DOOR | {"name": "x"}}, "beacon.name"),
        ({"beacon": DOOR | {"uuid": "f7826da6"}}, "beacon.uuid"),
        ({"beacon": DOOR | {"uuid": DOOR["uuid"] + "\n"}}, "beacon.uuid"),
        ({"beacon": DOOR | {"major": 65536}}, "beacon.major"),
        ({"beacon": DOOR | {"major": 1.5}}, "beacon.major"),
        ({"beacon": {"uuid": DOOR["uuid"], "major": 1}}, "beacon.minor"),
        ({"beacon": {"namespace": TILL["namespace"]}}, "beacon.instance"),
        ({"beacon": TILL | {"instance": "xyz"}}, "beacon.instance"),
        ({"event": "enter"}, ""),
        ({"rssi": None, "event": "stay"}, "event"),
        ({"advert": ADVERT}, ""),
        ({"beacon": None, "advert": "4c0"}, "advert"),
        ({"beacon": None, "advert": "xy"}, "advert"),
        ({"beacon": None, "advert": ""}, "advert"),
        ({"beacon": None, "advert": "00" * 256}, "advert"),
    ],
)
def test_a_wrong_field_of_a_sighting_is_named(change, field):
    with pytest.raises(Problem) as caught:
        decode_sightings(sightings(HEARD, HEARD | change), limit=3)
    assert (caught.value.status, caught.value.errors[0].field) == (422, f"sightings[1].{field}".rstrip("."))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"{", (400, None)),
        (body(GOOD), (422, "pings")),
        (b'{"sightings": []}', (422, "sightings")),
        (sightings(HEARD, HEARD, HEARD, HEARD), (422, "sightings")),
        (sightings(HEARD).replace(b'"major"', b'"major": 7, "major"'), (422, "sightings[0].beacon.major")),
    ],
)
def test_a_wrong_body_of_sightings_is_refused(data, expected):
    with pytest.raises(Problem) as caught:
        decode_sightings(data, limit=3)
    errors = caught.value.errors
    assert (caught.value.status, errors[0].field if errors else None) == expected


@given(st.binary(max_size=80))
def test_any_bytes_give_sightings_or_a_problem(data):
    try:
        decode_sightings(data, limit=3)
    except Problem as problem:
        assert problem.status in (400, 422)
