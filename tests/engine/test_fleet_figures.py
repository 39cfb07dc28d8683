"""From sightings at the door to the health of a beacon, over the real stores."""

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from engine.app import Engine
from engine.clock import SetClock
from engine.live import FLEET_PREFIX

LAT, LON = 48.8353, 2.2410
FAR_LON = LON + 0.02
UUID = "f7826da6-4fa2-4e98-8024-bc5b71e0893e"
PHONES = [f"phone-{number}" for number in range(6)]


@pytest.fixture
def town(client: TestClient) -> TestClient:
    feature = {
        "type": "Feature",
        "properties": {"name": "Bakery", "kind": "store", "radius": 40},
        "geometry": {"type": "Point", "coordinates": [LON, LAT]},
    }
    client.put("/v1/geofences/bakery", json=feature).raise_for_status()
    for minor, name in enumerate(["door", "till"]):
        beacon = {"uuid": UUID, "major": 1, "minor": minor, "geofence": "bakery", "tx_power": -59}
        beacon |= {"lat": LAT, "lon": LON} if name == "door" else {}
        client.put(f"/v1/beacons/{name}", json=beacon).raise_for_status()
    subject = {"phone": "+33639980001", "locale": "fr", "devices": [{"device": name} for name in PHONES]}
    client.put("/v1/subjects/ana", json=subject).raise_for_status()
    entry = {"purpose": "location", "action": "grant", "source": "app", "text_version": "v1"}
    client.post("/v1/subjects/ana/consents", json=entry).raise_for_status()
    return client


def hear(
    town: TestClient, engine: Engine, clock: SetClock, phone: str, lon: float, minor: int = 0, **more
) -> None:
    at = clock().timestamp()
    ping = {"device": phone, "at": at - 1, "lat": LAT, "lon": lon, "accuracy": 10}
    town.post("/v1/pings", json={"pings": [ping]}).raise_for_status()
    heard = {"device": phone, "at": at, "rssi": -70, "beacon": {"uuid": UUID, "major": 1, "minor": minor}}
    town.post("/v1/sightings", json={"sightings": [heard | more]}).raise_for_status()
    engine.settle()


def health(town: TestClient, **params) -> dict[str, dict]:
    items = town.get("/v1/beacons/health", params=params).raise_for_status().json()["items"]
    return {each["id"]: each for each in items}


def said(each: dict) -> list[str]:
    return [finding["verdict"] for finding in each["verdicts"]]


def test_a_phone_that_leaves_a_region_did_not_hear_the_beacon(
    town: TestClient, engine: Engine, clock: SetClock
):
    left = {"device": PHONES[0], "beacon": {"uuid": UUID, "major": 1, "minor": 0}, "event": "exit"}
    for change in ("exit", "enter"):
        heard = left | {"event": change, "at": clock().timestamp()}
        town.post("/v1/sightings", json={"sightings": [heard]}).raise_for_status()
        engine.settle()
    assert health(town)["door"]["hearings"] == 1


def test_figures_count_and_few_phones_are_not_told(town: TestClient, engine: Engine, clock: SetClock):
    for phone in PHONES[:4]:
        hear(town, engine, clock, phone, LON, battery_mv=2300)
    door, till = health(town).values()
    assert (door["hearings"], door["phones"], door["near_phones"]) == (4, None, None)
    assert (till["hearings"], till["last_heard_at"], till["verdicts"]) == (0, None, [])
    assert said(door) == ["battery_low"]
    hear(town, engine, clock, PHONES[4], LON, battery_mv=0)
    door = health(town, verdict="battery_low")["door"]
    assert (door["phones"], door["near_phones"], door["battery_mv"]) == (5, 5, 2300)
    assert health(town, verdict="moved") == {}
    assert [beacon.id for beacon, _, _ in engine.rounds.unhealthy_beacons()] == ["door"]
    engine.rounds.count_unhealthy()
    assert 'chaland_beacons_unhealthy{verdict="battery_low"} 1.0' in town.get("/metrics").text


@pytest.mark.parametrize("minor", [0, 1])
def test_a_beacon_heard_far_away_by_five_phones_has_moved(
    town: TestClient, engine: Engine, clock: SetClock, minor: int
):
    for number, phone in enumerate(PHONES[:5]):
        assert said(health(town)["till" if minor else "door"]) == [], number
        hear(town, engine, clock, phone, FAR_LON, minor)
    found = health(town)["till" if minor else "door"]
    assert said(found) == ["moved"]
    assert 1300 < found["far_m"] < 1600
    assert str(FAR_LON)[:5] not in str(found)


def test_a_beacon_heard_in_two_places_at_once_is_cloned(town: TestClient, engine: Engine, clock: SetClock):
    for number, phone in enumerate(PHONES + PHONES[::-1]):
        hear(town, engine, clock, phone, LON if number % 2 else FAR_LON)
        clock.advance(minutes=3)
    assert said(health(town)["door"]) == ["cloned"]


def test_a_beacon_that_falls_silent_while_its_neighbour_is_heard(
    town: TestClient, engine: Engine, clock: SetClock
):
    for hour in range(20):
        hear(town, engine, clock, PHONES[0], LON, 1)
        if hour < 14:
            hear(town, engine, clock, PHONES[0], LON, 0)
        clock.advance(minutes=60)
    door, till = health(town).values()
    assert (said(door), said(till), door["quiet_hours"]) == (["silent"], [], 6)
    assert door["hours_heard"] == 14


def test_what_is_kept_expires_and_names_no_phone(town: TestClient, engine: Engine, clock: SetClock):
    hear(town, engine, clock, PHONES[0], LON)
    keys = list(engine.live.client.scan_iter(f"{FLEET_PREFIX}*"))
    assert len(keys) >= 5
    for key in keys:
        assert 0 < engine.live.client.ttl(key) <= timedelta(days=35).total_seconds()
        dumped = engine.live.client.dump(key)
        assert b"phone-0" not in key + dumped
        assert b"2.24" not in dumped


def test_the_list_is_paged_and_needs_the_scope_of_beacons(town: TestClient, engine: Engine):
    first = town.get("/v1/beacons/health", params={"limit": 1}).json()
    second = town.get("/v1/beacons/health", params={"limit": 1, "cursor": first["next"]}).json()
    assert [first["items"][0]["id"], second["items"][0]["id"], second["next"]] == ["door", "till", None]
    assert town.get("/v1/beacons/health", headers={"Authorization": "Bearer no"}).status_code == 401
