from dataclasses import replace
from datetime import UTC, datetime

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from campaigns import routes
from campaigns.campaign import Action, CampaignState
from campaigns.lifecycle import routes as lifecycle_routes
from campaigns.lifecycle.change import By, ChangeAction, deleted, moved, saved
from campaigns.lifecycle.register import move_due
from campaigns.lifecycle.version import content_hash
from engine.doors.web import speak_problem_json
from tests.campaigns.cast import BREAD
from tests.conftest import MONDAY_NINE

BY = By("key:1", MONDAY_NINE)
FORM = {
    "name": "Bread",
    "trigger": {"event": "enter", "geofences": ["bakery"]},
    "channel": "sms",
    "template": "Fresh bread until ten",
}


def test_what_changes_nothing_is_no_change():
    assert saved(BREAD, BREAD, BY) is None
    assert moved(BREAD, CampaignState.ACTIVE, Action.ACTIVATE, BY) is None


def test_a_change_tells_who_did_what_and_what_differs():
    edited = replace(BREAD, priority=51, template="x", version=2)
    change = saved(BREAD, edited, BY)
    assert change is not None
    assert (change.action, change.fields, change.version) == (ChangeAction.EDIT, ("priority", "template"), 2)
    assert (change.actor, change.at, change.content_hash) == ("key:1", MONDAY_NINE, content_hash(edited))
    made = saved(None, BREAD, BY)
    assert made is not None
    assert (made.action, made.was, made.fields) == (ChangeAction.CREATE, None, ())
    assert (deleted(BREAD, BY).was, deleted(BREAD, BY).now) == (CampaignState.ACTIVE, None)


@pytest.mark.parametrize(
    ("state", "action"),
    [(CampaignState.ACTIVE, ChangeAction.START), (CampaignState.ENDED, ChangeAction.END)],
)
def test_the_clock_starts_and_ends(state, action):
    change = moved(replace(BREAD, state=CampaignState.SCHEDULED), state, None, BY)
    assert change is not None
    assert (change.action, change.was, change.now) == (action, CampaignState.SCHEDULED, state)


def test_a_change_has_an_instant():
    with pytest.raises(ValueError, match="naive"):
        By("key:1", datetime(2026, 11, 23))  # noqa: DTZ001


@pytest.fixture
def client(records, clock):
    def called_by(request: Request) -> None:
        request.state.actor = request.headers.get("caller", "key:1")

    app = FastAPI()
    for each in (
        routes.router(reads=records.reads, writes=records.writes, now=clock),
        lifecycle_routes.router(reads=records.reads, writes=records.writes, now=clock),
    ):
        app.include_router(each, dependencies=[routes.Depends(called_by)])
    speak_problem_json(app)
    with TestClient(app) as client:
        yield client


def changes(client, **params):
    return client.get("/v1/campaigns/bread/changes", params=params).json()


def test_every_door_writes_its_line(client, records, clock):
    timed = FORM | {"starts_at": "2026-11-23T09:00:00Z"}
    two = {"caller": "key:2"}
    client.put("/v1/campaigns/bread", json=timed)
    client.put("/v1/campaigns/bread", json=timed)
    client.post("/v1/campaigns/bread/activate", headers=two)
    clock.set(datetime(2026, 11, 23, 10, tzinfo=UTC))
    with records.writes.begin() as connection:
        assert move_due(connection, clock()) == 1
    client.put("/v1/campaigns/bread", json=timed | {"template": "Cake", "priority": 9}, headers=two)
    for action in ("pause", "resume", "pause", "resume", "end", "end"):
        client.post(f"/v1/campaigns/bread/{action}")
    assert client.put("/v1/campaigns/bread", json=FORM).status_code == 409
    client.delete("/v1/campaigns/bread", headers=two)
    found = list(reversed(changes(client)["items"]))
    assert [(each["action"], each["actor"], each["from_state"], each["to_state"]) for each in found] == [
        ("create", "key:1", None, "draft"),
        ("activate", "key:2", "draft", "scheduled"),
        ("start", "clock", "scheduled", "active"),
        ("edit", "key:2", "active", "active"),
        ("pause", "key:1", "active", "paused"),
        ("resume", "key:1", "paused", "active"),
        ("pause", "key:1", "active", "paused"),
        ("resume", "key:1", "paused", "active"),
        ("end", "key:1", "active", "ended"),
        ("delete", "key:2", "ended", None),
    ]
    assert [each["version"] for each in found] == [1, 1, 1] + [2] * 7
    assert (found[3]["fields"], found[4]["fields"]) == (["priority", "template"], [])
    hashes = {each["version"]: each["content_hash"] for each in found}
    listed = client.get("/v1/campaigns/bread/versions").json()["items"]
    assert {each["version"]: each["content_hash"] for each in listed} == hashes
    assert found[3]["at"] == "2026-11-23T10:00:00+00:00"


def test_changes_are_paged_and_those_of_no_campaign_refused(client):
    assert client.get("/v1/campaigns/bread/changes").json()["code"] == "campaign_not_found"
    client.put("/v1/campaigns/bread", json=FORM)
    for action in ("activate", "pause"):
        client.post(f"/v1/campaigns/bread/{action}")
    page = changes(client, limit=2)
    assert [each["action"] for each in page["items"]] == ["pause", "activate"]
    rest = changes(client, limit=2, cursor=page["next"])
    assert ([each["action"] for each in rest["items"]], rest["next"]) == (["create"], None)
    assert client.get("/v1/campaigns/bread/changes", params={"cursor": "x"}).status_code == 422
