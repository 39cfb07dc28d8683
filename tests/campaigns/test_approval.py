from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.testclient import TestClient
from sqlalchemy import update

from campaigns import routes
from campaigns.campaign import CampaignState, due_state, edited
from campaigns.decide import decide
from campaigns.gates import GateName, Reason, Verdict
from campaigns.lifecycle import routes as lifecycle_routes
from campaigns.lifecycle.approval import (
    NOT_ASKED,
    NOT_CLEARED,
    ApprovalPolicy,
    Clearance,
    clearance_of,
)
from campaigns.lifecycle.approval_store import clearance_of_message, clearances
from campaigns.lifecycle.version import Approval, Version, content_hash, content_of, hash_of
from campaigns.store import get_campaign, put_campaign
from campaigns.tables import campaign_changes, campaign_versions, campaigns
from consent.entry import Action, Channel, Entry, Purpose
from consent.ledger import count_granted, record
from consent.store import put_subject
from consent.subject import Subject
from engine.doors.web import speak_problem_json
from tests.campaigns.cast import BREAD, moment
from tests.conftest import MONDAY_NINE

NOW = MONDAY_NINE
ALWAYS, ABOVE_ONE = ApprovalPolicy(0), ApprovalPolicy(1)
FORM = {
    "name": "Bread",
    "trigger": {"event": "enter", "geofences": ["bakery"]},
    "channel": "sms",
    "template": "Fresh bread until ten",
}
CAKE = FORM | {"template": "Cake"}


@pytest.mark.parametrize(
    ("above", "audience", "needed"),
    [(None, 10**6, False), (0, 0, True), (0, 5, True), (5, 5, False), (5, 6, True)],
)
def test_a_person_is_needed_above_the_threshold(above, audience, needed):
    assert ApprovalPolicy(above).needs_person(audience) is needed


def version(content, approved=None):
    approval = approved and Approval(approved, "key:2", NOW)
    return Version("bread", 1, content, hash_of(content), NOW, None, approval)


def test_only_the_content_that_was_approved_is_cleared():
    content = content_of(BREAD)
    assert clearance_of(version(content, content_hash(BREAD)), BREAD).is_given
    assert not clearance_of(version(content), BREAD).is_given
    assert not clearance_of(version(content, content_hash(BREAD)), replace(BREAD, priority=1)).is_given
    assert not clearance_of(None, BREAD).is_given
    assert clearance_of(version(content, content_hash(BREAD))).is_given


def test_what_was_approved_before_a_field_was_known_stays_approved():
    older = {name: value for name, value in content_of(BREAD).items() if name != "max_segments"}
    assert clearance_of(version(older, hash_of(older)), BREAD).is_given
    assert not clearance_of(version(older, hash_of(older)), replace(BREAD, name="Cake")).is_given


def test_no_approval_is_no_message():
    refused = decide(BREAD, moment(clearance=NOT_CLEARED), NOW)
    assert refused.reason is Reason.NOT_APPROVED
    [gate] = [each for each in refused.gates if each.gate is GateName.APPROVAL]
    assert (gate.verdict, gate.input["required"]) == (Verdict.FAIL, True)
    assert decide(BREAD, moment(clearance=Clearance("a", "b", "key:2")), NOW).reason is Reason.NOT_APPROVED
    assert decide(BREAD, moment(clearance=Clearance("a", "a", "key:2")), NOW).reason is Reason.OK
    assert decide(BREAD, moment(clearance=NOT_ASKED), NOW).reason is Reason.OK


@pytest.mark.parametrize("state", [CampaignState.IN_REVIEW, CampaignState.APPROVED])
def test_an_edit_takes_a_campaign_out_of_review(state):
    was = replace(BREAD, state=state, version=3)
    assert edited(was, replace(BREAD, name="Cake"), NOW).state is CampaignState.DRAFT
    assert edited(was, replace(BREAD, state=CampaignState.DRAFT), NOW).state is state
    assert due_state(replace(was, ends_at=NOW - timedelta(1)), NOW) is state


def called_by(request: Request) -> None:
    request.state.actor = request.headers.get("caller", "key:1")


@pytest.fixture
def house(records, clock):
    """A house in which every campaign is approved."""
    return door(records, clock, ALWAYS)


def door(records, clock, policy):
    app = FastAPI()
    for each in (
        routes.router(reads=records.reads, writes=records.writes, now=clock, approval=policy),
        lifecycle_routes.router(reads=records.reads, writes=records.writes, now=clock),
    ):
        app.include_router(each, dependencies=[Depends(called_by)])
    speak_problem_json(app)
    client = TestClient(app)
    client.put("/v1/campaigns/bread", json=FORM)
    return client


def post(client, action, caller="key:1", **body):
    return client.post(f"/v1/campaigns/bread/{action}", json=body, headers={"caller": caller})


def shown_hash(client):
    return client.get("/v1/campaigns/bread/versions").json()["items"][0]["content_hash"]


def approve(client, caller="key:2", **body):
    return post(client, "approve", caller, **({"content_hash": shown_hash(client)} | body))


def test_somebody_else_approves_and_only_then_it_speaks(house):
    refused = post(house, "activate")
    assert (refused.status_code, refused.json()["code"]) == (409, "approval_needed")
    assert approve(house).json()["code"] == "campaign_state_conflict"
    assert post(house, "submit").json()["state"] == post(house, "submit").json()["state"] == "in_review"
    assert post(house, "activate").json()["code"] == "campaign_state_conflict"
    own = approve(house, "key:1")
    assert (own.status_code, own.json()["code"]) == (403, "second_person_needed")
    assert approve(house, content_hash="0" * 64).json()["code"] == "content_changed"
    assert approve(house, content_hash="0").status_code == 422
    assert approve(house, comment="Fine").json()["state"] == "approved"
    kept = house.get("/v1/campaigns/bread/versions").json()["items"][0]
    assert (kept["approved_by"], kept["approved_at"]) == ("key:2", NOW.isoformat())
    assert post(house, "activate").json()["state"] == "active"
    log = house.get("/v1/campaigns/bread/changes").json()["items"]
    assert [(each["action"], each["actor"], each["comment"]) for each in log] == [
        ("activate", "key:1", None),
        ("approve", "key:2", "Fine"),
        ("submit", "key:1", None),
        ("create", "key:1", None),
    ]


def test_a_rejection_says_why_and_leaves_a_draft(house):
    post(house, "submit")
    assert post(house, "reject", "key:2").status_code == 422
    assert post(house, "reject", "key:2", comment="Too dear").json()["state"] == "draft"
    [newest, *_] = house.get("/v1/campaigns/bread/changes").json()["items"]
    assert (newest["action"], newest["comment"], newest["from_state"]) == ("reject", "Too dear", "in_review")
    assert post(house, "reject", "key:2", comment="x").json()["code"] == "campaign_state_conflict"


@pytest.mark.parametrize("then", ["before it speaks", "while it speaks"])
def test_an_edit_voids_what_was_approved_even_if_it_is_taken_back(house, then):
    post(house, "submit")
    approve(house)
    if then == "while it speaks":
        post(house, "activate")
        assert house.put("/v1/campaigns/bread", json=FORM).json()["state"] == "active"
    answers = [house.put("/v1/campaigns/bread", json=each).json() for each in (CAKE, FORM)]
    assert [each["state"] for each in answers] == ["draft", "draft"]
    assert answers[1]["version"] == (1 if then == "before it speaks" else 2)
    assert post(house, "activate").json()["code"] == "approval_needed"
    post(house, "submit")
    approve(house)
    assert post(house, "activate").json()["state"] == "active"


def test_who_edits_last_may_not_approve(house):
    house.put("/v1/campaigns/bread", json=CAKE, headers={"caller": "key:2"})
    post(house, "submit")
    assert approve(house, "key:2").json()["code"] == "second_person_needed"
    assert approve(house, "key:1").json()["state"] == "approved"


def test_a_small_audience_needs_nobody_until_it_has_grown(records, clock):
    client = door(records, clock, ABOVE_ONE)
    assert post(client, "activate").json()["state"] == "active"
    assert client.put("/v1/campaigns/bread", json=CAKE).json()["state"] == "active"
    with records.writes.begin() as connection:
        bread = get_campaign(connection, "bread")
        assert clearances(connection, ABOVE_ONE, [bread])["bread"].by == "threshold"
        for number, action in enumerate((Action.GRANT, Action.GRANT, Action.GRANT, Action.WITHDRAW)):
            put_subject(connection, Subject(f"s{number}"), NOW)
            record(connection, entry(number, action))
        assert count_granted(connection, Purpose.MARKETING, Channel.SMS) == 2
    assert client.put("/v1/campaigns/bread", json=FORM).json()["state"] == "draft"
    assert post(client, "activate").json()["code"] == "approval_needed"


def entry(number: int, action: Action) -> Entry:
    subject = f"s{number}" if action is Action.GRANT else "s0"
    return Entry(
        f"e{number}", subject, Purpose.MARKETING, Channel.SMS, action, "test", "v1", NOW, NOW, "test"
    )


def test_content_that_is_changed_behind_the_counter_is_not_sent(house, records):
    post(house, "submit")
    approve(house)
    post(house, "activate")
    with records.writes.begin() as connection:
        bread = get_campaign(connection, "bread")
        assert clearances(connection, ALWAYS, [bread])["bread"].is_given
        assert clearance_of_message(connection, ALWAYS, "bread", 1).is_given
        assert not clearance_of_message(connection, ALWAYS, "bread", None).is_given
        assert not clearance_of_message(connection, ALWAYS, "bread", 2).is_given
        definition = connection.scalar(campaigns.select().with_only_columns(campaigns.c.definition))
        connection.execute(update(campaigns).values(definition=definition | {"template": "Casino"}))
        bread = get_campaign(connection, "bread")
        assert not clearances(connection, ALWAYS, [bread])["bread"].is_given
        swapped = content_of(bread)
        connection.execute(update(campaign_versions).values(definition=swapped))
        assert not clearances(connection, ALWAYS, [bread])["bread"].is_given
        assert not clearance_of_message(connection, ALWAYS, "bread", 1).is_given
    assert post(house, "pause").status_code == 200
    refused = post(house, "resume")
    assert (refused.status_code, refused.json()["code"]) == (409, "approval_needed")
    assert "was approved, and this is" in refused.json()["detail"]


def test_what_speaks_from_before_is_held_until_it_is_approved(records, clock):
    """The setting is turned on while a campaign speaks; nothing tells who wrote it."""
    client = door(records, clock, ALWAYS)
    with records.writes.begin() as connection:
        put_campaign(connection, replace(BREAD, state=CampaignState.ACTIVE, version=2), NOW)
        connection.execute(campaign_changes.delete())
        assert not clearances(connection, ALWAYS, [replace(BREAD, version=2)])["bread"].is_given
    assert post(client, "submit").json()["code"] == "campaign_state_conflict"
    post(client, "pause")
    assert post(client, "submit").json()["state"] == "in_review"
    assert approve(client, "key:1").json()["code"] == "second_person_needed"
    assert approve(client).json()["state"] == "approved"
    assert post(client, "activate").json()["state"] == "active"
    post(client, "pause")
    post(client, "submit")
    assert client.put("/v1/campaigns/bread", json=CAKE).json()["version"] == 3
