from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from campaigns.decide import TEST_ASKS
from campaigns.gates import GateName
from campaigns.tables import decisions, messages
from consent.access_log import accesses_of
from engine.app import Engine
from engine.clock import SetClock
from engine.doors.keys import Scope
from engine.store import idempotent_answers
from engine.trials.trial import TESTS_A_DAY
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


@pytest.fixture
def settings(settings):
    return replace(settings, test_recipients="staff ana", report_minimum_people=1)


def send(client: TestClient, **changes: str):
    return client.post("/v1/campaigns/c/test-send", json={"subject": "ana"} | changes)


def test_a_test_goes_out_although_the_campaign_may_not_speak_and_counts_nowhere(
    client: TestClient, engine: Engine, clock: SetClock
):
    closed = {"windows": [{"days": ["sun"], "from": "01:00", "to": "02:00"}], "audience": {"all": [NOBODY]}}
    client.put("/v1/campaigns/c", json=CAMPAIGN | closed | {"template": "Hi at {{ geofence }}"})
    client.post("/v1/campaigns/c/pause")
    for _ in range(2):  # once a day is the cap
        answer = send(client)
        assert (answer.status_code, answer.json()["outcome"]) == (201, "message")
        engine.sender.run_once()
    texts = client.get("/v1/messages", params={"subject": "ana"}).json()["items"]
    assert [(each["state"], each["test"], each["text"]) for each in texts] == [("sent", True, "Hi at b")] * 2
    [made, _] = client.get("/v1/decisions", params={"subject": "ana"}).json()["items"]
    skipped = {gate["gate"] for gate in made["gates"] if gate["verdict"] == "skip"}
    assert made["test"]
    assert skipped == {name.value for name in GateName} - {name.value for name in TEST_ASKS}
    assert client.get("/v1/campaigns/c/report").json()["withheld"]  # one person would be enough here
    log = client.get("/v1/campaigns/c/changes").json()["items"]
    assert [(each["action"], each["actor"]) for each in log[:2]] == [("test_send", "key:admin")] * 2
    client.put("/v1/campaigns/c", json=CAMPAIGN)
    client.post("/v1/campaigns/c/resume")
    assert run(client).json()["reason"] == "ok"


NOBODY = {"attribute": "tier", "in": ["nobody"]}


def test_a_link_in_a_test_leads_where_it_will(client: TestClient):
    text = {"template": "See https://shop.example/bread", "short_links": True}
    client.put("/v1/campaigns/c", json=CAMPAIGN | text).raise_for_status()
    assert send(client).json()["outcome"] == "message"
    [made] = client.get("/v1/messages", params={"subject": "ana"}).json()["items"]
    link = made["text"].removeprefix("See ")
    assert link.startswith("https://offers.example.org/l/")
    answer = client.get(link, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (302, "https://shop.example/bread")


def test_the_law_holds_for_tests(client: TestClient, engine: Engine, clock: SetClock):
    clock.advance(hours=15)
    assert send(client).json()["reason"] == "country_hours"
    clock.advance(hours=10)
    assert send(client).json()["reason"] == "ok"
    said = {"purpose": "marketing", "channel": "sms", "action": "withdraw", "source": "app"}
    client.post("/v1/subjects/ana/consents", json=said)
    engine.sender.run_once()
    assert [each["state"] for each in client.get("/v1/messages").json()["items"]] == ["cancelled"]
    refused = send(client).json()
    assert (refused["outcome"], refused["reason"], refused["message"]) == (
        "refused",
        "consent_withdrawn",
        None,
    )


def test_tests_go_to_test_recipients_alone_and_not_without_end(client: TestClient, engine: Engine):
    client.put("/v1/subjects/ben", json={"phone": "+33639980002"})
    for subject in ("ben", "nobody"):
        refused = send(client, subject=subject)
        assert (refused.status_code, refused.json()["code"]) == (403, "not_a_test_recipient")
    assert send(client, subject="staff").json()["code"] == "subject_not_found"
    assert send(client, geofence="nowhere").json()["code"] == "geofence_not_found"
    for _ in range(TESTS_A_DAY):
        assert send(client).status_code == 201
    refused = send(client)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_tests")
