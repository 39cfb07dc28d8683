"""A house in which a second person approves every campaign."""

from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from campaigns.tables import campaign_versions, campaigns
from engine.app import Engine
from engine.clock import SetClock
from engine.doors.keys import Scope

CAMPAIGN = {
    "name": "B",
    "trigger": {"event": "enter", "geofences": ["b"]},
    "channel": "sms",
    "template": "Hi",
}
PLACE = {
    "type": "Feature",
    "properties": {"name": "b", "radius": 40},
    "geometry": {"type": "Point", "coordinates": [2.241, 48.83]},
}


@pytest.fixture
def settings(settings):
    return replace(settings, approval_above_subjects="0")


def comes_in(client: TestClient, engine: Engine, clock: SetClock, name: str, number: int) -> None:
    """A new shopper who allows everything enters; it is decided, and not yet sent."""
    subject = {"phone": f"+3363998{number:04d}", "devices": [{"device": f"{name}-phone"}]}
    client.put(f"/v1/subjects/{name}", json=subject)
    for purpose in ({"purpose": "location"}, {"purpose": "marketing", "channel": "sms"}):
        grant = {"action": "grant", "source": "app", "text_version": "v1"}
        client.post(f"/v1/subjects/{name}/consents", json=purpose | grant)
    now = clock().timestamp()
    fixes = [
        {"device": f"{name}-phone", "at": now - age, "lat": 48.83, "lon": 2.241, "accuracy": 8}
        for age in range(60, 0, -10)
    ]
    client.post("/v1/pings", json={"pings": fixes})
    engine.worker.refresh()
    while engine.worker.run_once() or engine.decider.run_once():
        pass


def outcome(client: TestClient, name: str) -> tuple[str, list[str]]:
    [decision] = client.get("/v1/decisions", params={"subject": name}).json()["items"]
    messages = client.get("/v1/messages", params={"subject": name}).json()["items"]
    return decision["reason"], [each["state"] for each in messages]


def test_only_what_a_second_person_approved_is_decided_and_sent(
    client: TestClient, engine: Engine, clock: SetClock
):
    client.put("/v1/geofences/b", json=PLACE)
    client.put("/v1/campaigns/c", json=CAMPAIGN)
    assert client.post("/v1/campaigns/c/activate").json()["code"] == "approval_needed"
    client.post("/v1/campaigns/c/submit")
    seen = {"content_hash": client.get("/v1/campaigns/c/versions").json()["items"][0]["content_hash"]}
    assert client.post("/v1/campaigns/c/approve", json=seen).json()["code"] == "second_person_needed"
    _, secret = engine.keys.create("the other", {Scope.MARKETING})
    other = {"Authorization": f"Bearer {secret}"}
    assert client.post("/v1/campaigns/c/approve", json=seen, headers=other).status_code == 200
    assert client.post("/v1/campaigns/c/activate").json()["state"] == "active"

    comes_in(client, engine, clock, "ana", 1)
    engine.sender.run_once()
    assert outcome(client, "ana") == ("ok", ["sent"])

    comes_in(client, engine, clock, "ben", 2)
    with engine.records.writes.begin() as connection:
        connection.execute(update(campaign_versions).values(approved_hash=None))
    engine.sender.run_once()
    assert outcome(client, "ben") == ("ok", ["cancelled"])
    [message] = client.get("/v1/messages", params={"subject": "ben"}).json()["items"]
    assert message["reason"] == "not_approved"

    with engine.records.writes.begin() as connection:
        connection.execute(update(campaign_versions).values(approved_hash=seen["content_hash"]))
        definition = connection.scalar(select(campaigns.c.definition))
        connection.execute(update(campaigns).values(definition=definition | {"template": "Casino"}))
    comes_in(client, engine, clock, "cleo", 3)
    assert outcome(client, "cleo") == ("not_approved", [])
