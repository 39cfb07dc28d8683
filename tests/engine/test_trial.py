from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from campaigns.gates import GateName
from campaigns.tables import decisions, messages
from consent.access_log import accesses_of
from engine.app import Engine
from engine.clock import SetClock
from engine.keys import Scope
from engine.store import idempotent_answers
from geofences.tables import place_events
from tests.conftest import MONDAY_NINE

PLACE = {
    "type": "Feature",
    "properties": {"name": "b", "radius": 40},
    "geometry": {"type": "Point", "coordinates": [2.241, 48.83]},
}
CAMPAIGN = {
    "name": "B",
    "trigger": {"event": "enter", "geofences": ["b"]},
    "channel": "sms",
    "template": "Hi",
}
TRIAL = {"subject": "ana", "geofence": "b", "event": "enter"}


def grant(client: TestClient, subject: str, **purpose: str) -> None:
    said = {"action": "grant", "source": "app", "text_version": "v1"}
    client.post(f"/v1/subjects/{subject}/consents", json=said | purpose)


@pytest.fixture
def client(client: TestClient) -> TestClient:
    client.put("/v1/geofences/b", json=PLACE)
    client.put("/v1/campaigns/c", json=CAMPAIGN)
    client.post("/v1/campaigns/c/activate")
    client.put("/v1/subjects/ana", json={"phone": "+33639980001", "devices": [{"device": "ana-phone"}]})
    grant(client, "ana", purpose="location")
    grant(client, "ana", purpose="marketing", channel="sms")
    return client


def run(client: TestClient, campaign: str = "c", headers: dict[str, str] | None = None, **changes: str):
    return client.post(f"/v1/campaigns/{campaign}/dry-run", json=TRIAL | changes, headers=headers)


def verdicts(answer) -> dict[str, str]:
    return {gate["gate"]: gate["verdict"] for gate in answer.json()["gates"]}


def test_a_dry_run_shows_every_gate_and_leaves_no_trace_but_the_look(client: TestClient, engine: Engine):
    answer = run(client, headers={"Access-Reason": "complaint 12", "Idempotency-Key": "1"})
    assert (answer.status_code, answer.json()["outcome"], answer.json()["reason"]) == (200, "message", "ok")
    assert list(verdicts(answer)) == [name.value for name in GateName]
    assert answer.json()["event"] == "enter"
    engine.settle()
    with engine.records.reads.connect() as connection:
        for table in (decisions, messages, place_events, idempotent_answers):
            assert connection.scalar(select(func.count()).select_from(table)) == 0
        [look] = [each for each in accesses_of(connection, "ana") if each.what == "dryRunCampaign"]
    assert (look.actor, look.reason) == ("key:admin", "complaint 12")


def test_a_dry_run_knows_what_holds_at_its_instant(client: TestClient, clock: SetClock):
    night = (MONDAY_NINE + timedelta(hours=15)).isoformat()
    answer = run(client, at=night)
    assert (answer.json()["outcome"], answer.json()["reason"]) == ("refused", "country_hours")
    assert answer.json()["at"] == night
    client.post("/v1/campaigns/c/pause")
    said = {"purpose": "marketing", "channel": "sms", "action": "withdraw", "source": "app"}
    client.post("/v1/subjects/ana/consents", json=said)
    answer = run(client, event="exit")
    assert answer.json()["reason"] == "campaign_not_active"
    failed = {name for name, verdict in verdicts(answer).items() if verdict == "fail"}
    assert failed >= {"campaign_active", "trigger", "consent"}


def test_a_dry_run_of_what_is_not_there_is_refused(client: TestClient):
    assert run(client, "nothing").json()["code"] == "campaign_not_found"
    assert run(client, subject="nobody").json()["code"] == "subject_not_found"
    assert run(client, geofence="nowhere").json()["code"] == "geofence_not_found"
    for changes in ({"at": "2026-11-22T08:00:00Z"}, {"at": "2028-01-01T00:00:00Z"}, {"at": "soon"}):
        assert [each["field"] for each in run(client, **changes).json()["errors"]] == ["at"]
    assert run(client, event="dance").status_code == 422


def test_a_marketer_learns_of_nobody_s_consent(client: TestClient, engine: Engine):
    for scope, status in ((Scope.MARKETING, 403), (Scope.PRIVACY, 200)):
        _, secret = engine.keys.create(scope, {scope})
        assert run(client, headers={"Authorization": f"Bearer {secret}"}).status_code == status
