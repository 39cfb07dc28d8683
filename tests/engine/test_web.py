import json
import re

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from engine.app import Engine, Role
from engine.clock import SetClock
from engine.doors.keys import Scope
from engine.doors.web import speak_problem_json

SUBJECT = {"locale": "fr", "devices": [{"device": "ana-phone"}]}
CONSENT = {"purpose": "location", "action": "grant", "source": "app", "text_version": "v1"}
CAMPAIGN = {
    "name": "Bread",
    "trigger": {"event": "enter", "geofences": ["b"]},
    "channel": "sms",
    "template": "Hi",
}


def square(*corners: list[float]) -> dict:
    return {
        "type": "Feature",
        "properties": {"name": "x"},
        "geometry": {"type": "Polygon", "coordinates": [list(corners)]},
    }


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"),
    [
        ("PUT", "/v1/geofences/b", {"type": "Feature", "properties": {}, "geometry": None}, 422, "geometry"),
        (
            "PUT",
            "/v1/geofences/b",
            square([0, 0], [1, 1], [1, 0], [0, 1], [0, 0]),
            422,
            "geometry.coordinates[0]",
        ),
        ("PUT", "/v1/geofences/b", square([0, 0], [1, 0], [1, 1], [0, 1]), 422, "geometry.coordinates[0]"),
        (
            "PUT",
            "/v1/geofences/b",
            square([0, 0], [1, 0], [1, 91], [0, 0]),
            422,
            "geometry.coordinates[0][2]",
        ),
        ("POST", "/v1/geofences/import", {"type": "Nothing"}, 422, "type"),
        ("PUT", "/v1/subjects/ana", SUBJECT | {"consent": True}, 422, "consent"),
        ("PUT", "/v1/subjects/ana", SUBJECT | {"phone": "12"}, 422, "phone"),
        ("POST", "/v1/subjects/ana/consents", CONSENT | {"purpose": "everything"}, 422, "purpose"),
        ("PUT", "/v1/campaigns/c", CAMPAIGN | {"state": "active"}, 422, "state"),
        ("PUT", "/v1/campaigns/c", CAMPAIGN | {"template": "{{ nobody }}"}, 422, "template"),
        ("PUT", "/v1/campaigns/c", CAMPAIGN | {"shelf_life_seconds": "900"}, 422, "shelf_life_seconds"),
        ("GET", "/v1/events?since=yesterday", None, 422, "since"),
        ("GET", "/v1/messages?limit=0", None, 422, "limit"),
        ("GET", "/v1/geofences/nowhere", None, 404, None),
        ("GET", "/v1/nothing", None, 404, None),
        ("PATCH", "/v1/campaigns/c", CAMPAIGN, 405, None),
    ],
)
def test_bad_input_is_a_problem_that_names_the_field(client: TestClient, method, path, body, status, field):
    answer = client.request(method, path, json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["status"] == status
    if field:
        assert any(each["field"].startswith(field) for each in answer.json()["errors"]), answer.json()


@pytest.mark.parametrize("path", ["/v1/geofences/b", "/v1/beacons/b", "/v1/subjects/ana", "/v1/campaigns/c"])
@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b'{"a": ', 400),
        (b'{"a": NaN}', 422),
        (b'{"a": 1, "a": 2}', 422),
        (b"\xff\xfe", 400),
        (b"[" * 50_000, 400),
    ],
    ids=["cut off", "NaN", "key twice", "not UTF-8", "too deep"],
)
def test_json_that_breaks_the_contract_is_refused_everywhere(client: TestClient, path, content, status):
    answer = client.put(path, content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_a_body_over_the_limit_is_refused(client: TestClient):
    assert client.put("/v1/subjects/ana", content=b"x" * 70_000).status_code == 413


def test_every_operation_is_documented_with_an_id_of_its_own(client: TestClient):
    document = client.get("/openapi.json").json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids)) >= 25
    assert all(operation["summary"] for operation in operations)


def test_every_call_is_opened_by_exactly_one_scope(client: TestClient, engine: Engine):
    """Save those that a provider, a shopper's link or a probe makes; consent in events out takes a second one."""
    if engine.records.reads.dialect.name != "sqlite":
        pytest.skip("the store has no part in it")
    bearers = {
        scope: {"Authorization": f"Bearer {engine.keys.create(f'only {scope}', [scope])[1]}"}
        for scope in Scope
    }
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        if not path.startswith("/v1/") or path.startswith("/v1/twilio/"):
            continue
        for method in operations:
            called = re.sub(r"{.*?}", "x", path)
            nobody = client.request(method, called, headers={"Authorization": ""})
            assert nobody.status_code == 401, (method, path)
            answers = {scope: client.request(method, called, headers=bearers[scope]) for scope in Scope}
            opened = [scope for scope, answer in answers.items() if answer.status_code != 403]
            assert len(opened) == 1, (method, path, opened)


def test_the_stores_are_told_ready_and_not_ready(client: TestClient, engine: Engine):
    assert client.get("/healthz").json() == {"status": "ok"}
    stores = {"live": True, "records": True}
    ready = {"status": "ready", "stores": stores, "geofences_loaded": True, "attention": []}
    assert client.get("/readyz").json() == ready


def test_an_engine_is_ready_once_its_geofences_are_loaded(client: TestClient, engine: Engine):
    engine._roles = {Role.ENGINE}
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["geofences_loaded"]) == (503, False)
    engine.worker.refresh()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")


def test_the_same_idempotency_key_gets_the_same_answer(client: TestClient):
    client.put("/v1/subjects/ana", json=SUBJECT)
    headers = {"Idempotency-Key": "one"}
    first = client.post("/v1/subjects/ana/consents", json=CONSENT, headers=headers)
    again = client.post("/v1/subjects/ana/consents", json=CONSENT, headers=headers)
    assert first.status_code == again.status_code == 201
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert len(client.get("/v1/subjects/ana/consents").json()["items"]) == 1
    other = client.post("/v1/subjects/ana/consents", json=CONSENT | {"source": "web"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_an_idempotency_key_is_the_callers_own_and_not_for_ever(
    client: TestClient, engine: Engine, clock: SetClock
):
    from engine.doors.idempotency import Idempotency
    from engine.doors.keys import EVERY_SCOPE

    client.put("/v1/subjects/ana", json=SUBJECT)
    headers = {"Idempotency-Key": "one"}
    client.post("/v1/subjects/ana/consents", json=CONSENT, headers=headers)
    _, secret = engine.keys.create("another", EVERY_SCOPE)
    mine = client.post(
        "/v1/subjects/ana/consents", json=CONSENT, headers=headers | {"Authorization": f"Bearer {secret}"}
    )
    assert "idempotency-replayed" not in mine.headers
    clock.advance(hours=25)
    assert Idempotency(None, engine.records, clock).purge() == 2


def test_a_text_is_heard_only_with_a_signature(client: TestClient):
    form = {"MessageSid": "SM1", "From": "+33639980001", "Body": "STOP"}
    answer = client.post("/v1/twilio/inbound", data=form, headers={"X-Twilio-Signature": "wrong"})
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")


def test_nothing_personal_is_logged(
    client: TestClient, engine: Engine, clock: SetClock, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("DEBUG")
    phone, lat = "+33639987654", 48.83531
    client.put("/v1/subjects/ana", json=SUBJECT | {"phone": phone, "attributes": {"first_name": "Anastasia"}})
    for each in (CONSENT, CONSENT | {"purpose": "marketing", "channel": "sms"}):
        client.post("/v1/subjects/ana/consents", json=each)
    feature = {
        "type": "Feature",
        "properties": {"name": "b", "radius": 40},
        "geometry": {"type": "Point", "coordinates": [2.241, lat]},
    }
    client.put("/v1/geofences/b", json=feature)
    client.put("/v1/campaigns/c", json=CAMPAIGN | {"template": "{{ first_name | default: 'x' }} secret text"})
    client.post("/v1/campaigns/c/activate")
    now = clock().timestamp()
    pings = [
        {"device": "ana-phone", "at": now - age, "lat": lat, "lon": 2.241, "accuracy": 8}
        for age in range(60, 0, -10)
    ]
    client.post("/v1/pings", json={"pings": pings})
    client.post("/v1/pings", json={"pings": [pings[0] | {"lat": 98.83531}]})
    engine.settle()
    assert [each["state"] for each in client.get("/v1/messages").json()["items"]] == ["sent"]
    said = (
        caplog.text
        + client.get("/metrics").text
        + json.dumps([record.__dict__ for record in caplog.records], default=str)
    )
    for secret in (phone, phone[3:], "48.83531", "98.83531", "Anastasia", "secret text"):
        assert secret not in said


def test_a_mistake_of_ours_is_a_problem_and_the_log_repeats_no_value(caplog: pytest.LogCaptureFixture):
    app = FastAPI()
    speak_problem_json(app)

    @app.get("/v1/subjects/{subject_id}")
    def fail(subject_id: str) -> None:
        raise RuntimeError(f"{subject_id} is not to be told")

    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.get("/v1/subjects/ana")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert answer.json()["code"] == "internal_error"
    told = [record.getMessage() for record in caplog.records if record.name == "engine.doors.web"]
    assert told == ["GET /v1/subjects/{subject_id} failed: RuntimeError"]
