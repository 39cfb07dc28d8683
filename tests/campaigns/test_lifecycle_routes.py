import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.testclient import TestClient

from campaigns import routes
from campaigns.lifecycle import routes as lifecycle_routes
from engine.doors.web import speak_problem_json

FORM = {
    "name": "Bread",
    "trigger": {"event": "enter", "geofences": ["bakery"]},
    "channel": "sms",
    "template": "Fresh bread until ten",
    "priority": 7,
}


def called_by(request: Request) -> None:
    request.state.actor = request.headers.get("caller", "key:1")


@pytest.fixture
def client(records, clock):
    app = FastAPI()
    for each in (
        routes.router(reads=records.reads, writes=records.writes, now=clock),
        lifecycle_routes.router(reads=records.reads, writes=records.writes, now=clock),
    ):
        app.include_router(each, dependencies=[Depends(called_by)])
    speak_problem_json(app)
    with TestClient(app) as client:
        client.put("/v1/campaigns/bread", json=FORM)
        yield client


def post(client, action, campaign="bread", **body):
    return client.post(f"/v1/campaigns/{campaign}/{action}", json=body)


def listed(client, **params):
    return [each["id"] for each in client.get("/v1/campaigns", params=params).json()["items"]]


def changes(client, campaign="bread"):
    return client.get(f"/v1/campaigns/{campaign}/changes").json()["items"]


def test_a_clone_is_a_draft_that_does_the_same(client):
    post(client, "activate")
    client.put("/v1/campaigns/bread", json=FORM | {"priority": 8})
    answer = post(client, "clone", id="cake", name="Cake")
    original = client.get("/v1/campaigns/bread").json()
    assert answer.status_code == 201
    assert answer.json() == original | {"id": "cake", "name": "Cake", "state": "draft", "version": 1}
    assert client.get("/v1/campaigns/cake").json() == answer.json()
    assert post(client, "clone", id="bun").json()["name"] == "Bread"
    [made] = changes(client, "cake")
    assert (made["action"], made["actor"], made["to_state"]) == ("clone", "key:1", "draft")
    assert made["comment"] == "of bread, version 2"


def test_a_clone_takes_no_id_that_is_taken_and_counts_on_where_one_was(client):
    refused = post(client, "clone", id="bread")
    assert (refused.status_code, refused.json()["code"]) == (409, "campaign_exists")
    assert post(client, "clone", "nothing", id="cake").status_code == 404
    assert post(client, "clone", id="a b").status_code == 422
    post(client, "clone", id="cake")
    client.delete("/v1/campaigns/cake")
    assert post(client, "clone", id="cake").json()["version"] == 2


def test_what_is_archived_is_not_listed_and_stays_as_it_is(client):
    post(client, "clone", id="cake")
    for _ in range(2):
        assert post(client, "archive").json()["archived"] is True
    assert (listed(client), listed(client, archived=True)) == (["cake"], ["bread", "cake"])
    assert client.get("/v1/campaigns/bread").json()["archived"] is True
    for action in ("activate", "end"):
        refused = post(client, action)
        assert (refused.status_code, refused.json()["code"]) == (409, "campaign_state_conflict")
    assert "unarchive" in client.put("/v1/campaigns/bread", json=FORM | {"priority": 9}).json()["detail"]
    assert post(client, "unarchive").json()["state"] == "draft"
    assert listed(client) == ["bread", "cake"]
    assert post(client, "activate").json()["state"] == "active"
    assert [each["action"] for each in changes(client)] == ["activate", "unarchive", "archive", "create"]


def test_only_drafts_and_ended_ones_are_archived(client):
    post(client, "activate")
    refused = post(client, "archive")
    assert (refused.status_code, refused.json()["code"]) == (409, "campaign_state_conflict")
    post(client, "end")
    assert post(client, "archive").json()["state"] == "ended"
    assert post(client, "unarchive").json()["state"] == "ended"
    assert post(client, "archive").status_code == 200
    assert client.delete("/v1/campaigns/bread").status_code == 204
