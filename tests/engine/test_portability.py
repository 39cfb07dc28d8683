"""An export re-imports into an empty installation with the same effect."""

import json

import pytest
from fastapi.testclient import TestClient

from consent import store
from consent.errors import InvalidConsent
from engine.app import Engine
from engine.clock import SetClock
from engine.privacy.portability import SubjectKnown, take_in

ANA = {
    "phone": "+33639980001",
    "locale": "fr-FR",
    "timezone": "Europe/Paris",
    "attributes": {"first_name": "Ana", "visits": 3},
    "devices": [{"device": "ana-phone", "push": {"kind": "fcm_token", "token": "t0k3n"}}],
}
SAID = [
    {"purpose": "location", "action": "grant"},
    {"purpose": "marketing", "channel": "sms", "action": "grant"},
    {"purpose": "marketing", "channel": "push", "action": "grant"},
    {"purpose": "marketing", "channel": "sms", "action": "withdraw"},
    {"purpose": "cart", "action": "withdraw"},
]


def standing(client: TestClient) -> list[tuple[object, ...]]:
    told = client.get("/v1/subjects/ana/consents").raise_for_status().json()["standing"]
    return [
        tuple(each[name] for name in ("purpose", "channel", "allowed", "reason", "since")) for each in told
    ]


@pytest.fixture
def export(client: TestClient, clock: SetClock) -> dict:
    client.put("/v1/subjects/ana", json=ANA).raise_for_status()
    for said in SAID:
        clock.advance(seconds=7)
        body = said | {"source": "app", "text_version": "1"}
        client.post("/v1/subjects/ana/consents", json=body).raise_for_status()
    return client.get("/v1/subjects/ana/export").raise_for_status().json()


def empty(engine: Engine) -> None:
    """As if it had never been: an empty installation."""
    with engine.records.writes.begin() as conn:
        store.delete_subject(conn, "ana")
        conn.execute(store.consent_entries.delete())


def test_the_same_consents_stand_in_an_empty_installation(
    engine: Engine, client: TestClient, clock: SetClock, export
):
    before = standing(client)
    clock.advance(days=3)
    empty(engine)
    assert take_in(engine.desk, json.loads(json.dumps(export))) == ("ana", len(SAID))
    assert standing(client) == before
    assert client.get("/v1/subjects/ana").json() == {"id": "ana", **ANA}
    ping = {"device": "ana-phone", "at": clock().timestamp(), "lat": 48.85, "lon": 2.35, "accuracy": 8}
    assert client.post("/v1/pings", json={"pings": [ping]}).json()["accepted"] == 1


def test_who_is_known_is_not_mixed_up(engine: Engine, export):
    with pytest.raises(SubjectKnown):
        take_in(engine.desk, export)


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"subject": None, "consents": []},
        {"subject": {"id": "ana"}, "consents": []},
        {"consents": [{"id": "e1"}]},
        {"consents": None},
        {"consents": ["x"]},
    ],
)
def test_what_is_no_export_is_refused_whole(engine: Engine, export, broken):
    empty(engine)
    with pytest.raises(InvalidConsent):
        take_in(engine.desk, (export | broken) if broken else {})
    assert not engine.desk.is_known("ana")


def test_entries_of_somebody_else_are_refused(engine: Engine, export):
    empty(engine)
    strangers = [each | {"subject": "ben"} for each in export["consents"]]
    with pytest.raises(InvalidConsent, match="consents"):
        take_in(engine.desk, export | {"consents": strangers})
