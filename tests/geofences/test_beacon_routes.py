"""The calls about beacons, at the product's own door."""

import pytest
from fastapi.testclient import TestClient

from engine.app import Engine
from engine.doors.keys import Scope

UUID = "f7826da6-4fa2-4e98-8024-bc5b71e0893e"
DOOR = {"uuid": UUID, "major": 101, "minor": 1, "geofence": "bakery", "tx_power": -59, "zone": "door"}
TILL = {"namespace": "edd1ebeac04e5defa017", "instance": "0bdb87539b67", "geofence": "bakery"}
BAKERY = {
    "type": "Feature",
    "properties": {"name": "Bakery", "radius": 40},
    "geometry": {"type": "Point", "coordinates": [2.241, 48.8353]},
}


@pytest.fixture
def town(client: TestClient) -> TestClient:
    for name in ("bakery", "butcher"):
        client.put(f"/v1/geofences/{name}", json=BAKERY).raise_for_status()
    return client


def listed(client: TestClient, **params) -> list[str]:
    return [
        each["id"] for each in client.get("/v1/beacons", params=params).raise_for_status().json()["items"]
    ]


def test_a_beacon_is_made_replaced_read_and_deleted(town: TestClient):
    made = town.put("/v1/beacons/door", json=DOOR | {"uuid": UUID.upper()})
    assert (made.status_code, made.json()) == (201, DOOR | {"id": "door", "path_loss": 2.7})
    assert town.put("/v1/beacons/door", json=made.json()).status_code == 200
    assert town.get("/v1/beacons/door").json() == made.json()
    assert town.put("/v1/beacons/till", json=TILL).json() == TILL | {"id": "till", "path_loss": 2.7}
    assert town.delete("/v1/beacons/door").status_code == 204
    for gone in (town.get("/v1/beacons/door"), town.delete("/v1/beacons/door")):
        assert (gone.status_code, gone.json()["code"]) == (404, "beacon_not_found")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (DOOR | {"geofence": "nowhere"}, "geofence"),
        (DOOR | {"minor": -1}, "minor"),
        (DOOR | {"battery": 80}, "battery"),
        (DOOR | TILL, "namespace"),
        ({"geofence": "bakery"}, "uuid"),
        ([], "body"),
    ],
)
def test_a_wrong_beacon_is_a_problem_that_names_the_field(town: TestClient, body, field):
    answer = town.put("/v1/beacons/door", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["errors"][0]["field"] == field
    assert listed(town) == []


@pytest.mark.parametrize("name", ["a b", "%00", "x" * 129, "caf%C3%A9"])
def test_an_id_that_cannot_be_is_refused(town: TestClient, name):
    for method in ("GET", "PUT", "DELETE"):
        body = DOOR if method == "PUT" else None
        assert town.request(method, f"/v1/beacons/{name}", json=body).status_code == 422


def test_two_beacons_that_sound_the_same_are_a_conflict_that_names_the_other(town: TestClient):
    town.put("/v1/beacons/door", json=DOOR).raise_for_status()
    answer = town.put("/v1/beacons/window", json=DOOR | {"uuid": UUID.replace("-", "").upper()})
    assert (answer.status_code, answer.json()["code"]) == (409, "radio_ids_taken")
    [error] = answer.json()["errors"]
    assert error["field"] == "uuid"
    assert "'door'" in error["detail"]


def test_a_geofence_with_beacons_is_kept_until_they_hang_elsewhere(town: TestClient):
    town.put("/v1/beacons/door", json=DOOR).raise_for_status()
    refused = town.delete("/v1/geofences/bakery")
    assert (refused.status_code, refused.json()["code"]) == (409, "geofence_has_beacons")
    town.put("/v1/beacons/door", json=DOOR | {"geofence": "butcher"}).raise_for_status()
    assert town.delete("/v1/geofences/bakery").status_code == 204
    assert town.put("/v1/beacons/door", json=DOOR).json()["errors"][0]["field"] == "geofence"


def test_a_list_is_paged_and_asked_by_geofence(town: TestClient):
    several = [DOOR | {"id": f"b{minor}", "minor": minor} for minor in range(4)]
    several.append(TILL | {"geofence": "butcher"})
    assert town.post("/v1/beacons/import", json=several).json() == {"imported": 5}
    key = "edd1ebeac04e5defa017:0bdb87539b67"
    assert listed(town) == ["b0", "b1", "b2", "b3", key]
    assert listed(town, geofence="butcher") == [key]
    first = town.get("/v1/beacons", params={"limit": 3}).json()
    assert listed(town, limit=3, cursor=first["next"]) == ["b3", key]
    assert town.get(f"/v1/beacons/{key}").json()["geofence"] == "butcher"
    for wrong in ({"limit": 0}, {"limit": 201}, {"cursor": "%%"}, {"geofence": "\0"}):
        assert town.get("/v1/beacons", params=wrong).status_code == 422


def test_an_import_stores_all_or_nothing_and_tells_all_that_is_wrong(town: TestClient):
    several = [DOOR, DOOR | {"minor": 2, "geofence": "nowhere"}, {"uuid": UUID}, TILL, TILL]
    answer = town.post("/v1/beacons/import", json=several)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_import")
    fields = [error["field"] for error in answer.json()["errors"]]
    assert fields == ["[2].major", "[2].minor", "[2].geofence", "[4].namespace", "[1].geofence"]
    assert listed(town) == []


@pytest.mark.parametrize("body", [{}, "text", 1, None])
def test_an_import_is_a_list(town: TestClient, body):
    assert town.post("/v1/beacons/import", json=body).status_code == 422


def test_what_is_listed_can_be_imported_again(town: TestClient):
    town.post("/v1/beacons/import", json=[DOOR | {"lat": 48.8, "lon": 2.2}, TILL]).raise_for_status()
    held = town.get("/v1/beacons").json()["items"]
    assert town.post("/v1/beacons/import", json=held).json() == {"imported": 2}
    assert town.get("/v1/beacons").json()["items"] == held


def test_beacons_are_the_marketers(town: TestClient, engine: Engine):
    for scope, status in ((Scope.INGEST, 403), (Scope.MARKETING, 200)):
        _, secret = engine.keys.create(scope.value, [scope])
        headers = {"Authorization": f"Bearer {secret}"}
        assert town.get("/v1/beacons", headers=headers).status_code == status
