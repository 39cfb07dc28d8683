"""The calls about geofences and events, at their own door."""

from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from engine.doors.web import speak_problem_json
from geofences import event_routes, store
from geofences.routes import router
from geofences.sensitive import SensitivePlaces
from tests.conftest import MONDAY_NINE
from tests.geofences.places import COURTYARD, ISLANDS, feature
from tests.geofences.test_store import event

BAKERY = feature("Point", [2.241, 48.8353], "bakery", radius=40, name="Bakery", tags=["bread"], osm="node/1")
BROKEN = feature("Point", [2.241, 48.8353], "broken", radius=0, kind="shop")


@pytest.fixture
def door(records, clock):
    app = FastAPI()
    speak_problem_json(app)
    app.include_router(
        router(reads=records.reads, writes=records.writes, now=clock, check=SensitivePlaces().faults)
    )
    app.include_router(event_routes.router(reads=records.reads))
    with TestClient(app) as client:
        yield client


def collection(*features: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features)}


def test_a_geofence_is_made_replaced_read_and_deleted(door):
    made = door.put("/v1/geofences/bakery", json=BAKERY)
    assert (made.status_code, made.json()["id"]) == (201, "bakery")
    assert made.json()["properties"] == BAKERY["properties"] | {
        "radius": 40.0,
        "kind": "store",
        "dwell_seconds": 300,
        "timezone": "Europe/Paris",
    }
    assert door.put("/v1/geofences/bakery", json=BAKERY).status_code == 200
    assert door.get("/v1/geofences/bakery").json() == made.json()
    assert door.delete("/v1/geofences/bakery").status_code == 204
    for gone in (door.get("/v1/geofences/bakery"), door.delete("/v1/geofences/bakery")):
        assert (gone.status_code, gone.json()["code"]) == (404, "geofence_not_found")


def test_a_broken_feature_is_refused_field_by_field(door):
    refused = door.put("/v1/geofences/broken", json=BROKEN)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_geofence")
    assert {each["field"] for each in refused.json()["errors"]} == {"properties.radius", "properties.kind"}
    assert door.get("/v1/geofences/broken").status_code == 404


@pytest.mark.parametrize("body", [[], "text", 1, None])
def test_a_body_is_an_object(door, body):
    assert door.put("/v1/geofences/bakery", json=body).status_code == 422
    assert door.post("/v1/geofences/import", json=body).status_code == 422


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("name", ["a b", "%00", "x" * 129, "caf%C3%A9"])
def test_an_id_that_cannot_be_is_refused(door, method, name):
    body = feature("Point", [1, 1], None, radius=5) if method == "PUT" else None
    assert door.request(method, f"/v1/geofences/{name}", json=body).status_code == 422


def test_the_list_is_a_feature_collection_in_pages(door):
    door.post("/v1/geofences/import", json=collection(BAKERY, COURTYARD, ISLANDS))
    first = door.get("/v1/geofences", params={"limit": 2}).json()
    assert first["type"] == "FeatureCollection"
    second = door.get("/v1/geofences", params={"limit": 2, "cursor": first["next"]}).json()
    ids = [each["id"] for each in first["features"] + second["features"]]
    assert (ids, second["next"]) == (["Fiji", "bakery", "way-23715051"], None)
    tagged = door.get("/v1/geofences", params={"tag": "bread", "kind": "store"}).json()
    assert [each["id"] for each in tagged["features"]] == ["bakery"]


@pytest.mark.parametrize(
    "params",
    [
        {"limit": 0},
        {"limit": 201},
        {"cursor": "%%"},
        {"cursor": "WyJcdTAwMDAiXQ=="},
        {"kind": "shop"},
        {"tag": "\0"},
    ],
)
def test_a_list_is_asked_for_within_limits(door, params):
    assert door.get("/v1/geofences", params=params).status_code == 422


def test_an_import_stores_all_or_nothing(door):
    refused = door.post("/v1/geofences/import", json=collection(BAKERY, BROKEN, "x"))
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_import")
    assert [each["field"] for each in refused.json()["errors"]] == [
        "features[1].properties.radius",
        "features[1].properties.kind",
        "features[2]",
    ]
    assert door.get("/v1/geofences").json()["features"] == []


def test_a_partial_import_stores_what_is_right_and_tells_the_rest(door):
    answer = door.post("/v1/geofences/import", params={"partial": True}, json=collection(BAKERY, BROKEN))
    assert answer.status_code == 200
    assert answer.json()["imported"] == 1
    (rejected,) = answer.json()["rejected"]
    assert (rejected["index"], rejected["id"]) == (1, "broken")
    assert [each["field"] for each in rejected["errors"]] == ["properties.radius", "properties.kind"]
    assert door.get("/v1/geofences/bakery").status_code == 200


def test_what_is_listed_can_be_imported_again(door):
    door.post("/v1/geofences/import", json=collection(BAKERY, COURTYARD, ISLANDS))
    listed = door.get("/v1/geofences").json()
    again = door.post("/v1/geofences/import", json=listed)
    assert again.json() == {"imported": 3, "rejected": []}
    assert door.get("/v1/geofences").json() == listed


def test_events_are_listed_newest_first_and_filtered(door, records):
    later = MONDAY_NINE + timedelta(minutes=5)
    with records.writes.begin() as connection:
        store.add_events(connection, [(event(1), "ana"), (event(2, later), None)], later)
    listed = door.get("/v1/events").json()
    assert [each["id"] for each in listed["items"]] == ["e2", "e1"]
    assert listed["items"][1] == {
        "id": "e1",
        "device": "ana-phone",
        "subject": "ana",
        "kind": "enter",
        "geofence": "bakery",
        "at": "2026-11-23T08:00:00+00:00",
        "emitted": "2026-11-23T08:00:09+00:00",
        "confidence": 0.9,
        "evidence": {"distance_m": -21.5},
        "beacon": None,
        "zone": None,
        "retracted_at": None,
    }
    since = door.get("/v1/events", params={"since": "2026-11-23T09:05:00+01:00", "kind": "enter"}).json()
    assert [each["id"] for each in since["items"]] == ["e2"]
    first = door.get("/v1/events", params={"limit": 1}).json()
    assert (
        door.get("/v1/events", params={"limit": 1, "cursor": first["next"]}).json()["items"]
        == listed["items"][1:]
    )


@pytest.mark.parametrize(
    "params",
    [
        {"since": "2026-11-23T09:00:00"},
        {"until": "0001-01-01T00:00:00+14:00"},
        {"since": "yesterday"},
        {"kind": "walk"},
        {"device": "\0"},
        {"cursor": "WyJcdTAwMDAiLCAiXHUwMDAwIl0="},
    ],
)
def test_events_are_asked_for_with_what_can_be(door, params):
    assert door.get("/v1/events", params=params).status_code == 422
