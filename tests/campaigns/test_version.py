import json
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import update

from campaigns import routes
from campaigns.campaign import CampaignState
from campaigns.decision_store import decisions_page, record_decision
from campaigns.lifecycle import routes as lifecycle_routes
from campaigns.lifecycle.version import content_hash, content_of, hash_of, numbered
from campaigns.lifecycle.version_store import latest_version, versions_page
from campaigns.listing import Filters
from campaigns.message_store import messages_page
from campaigns.store import delete_campaign, get_campaign, put_campaign, set_state
from campaigns.tables import campaign_versions
from engine.doors.web import speak_problem_json
from tests.campaigns.cast import BREAD, decided
from tests.conftest import MONDAY_NINE

NOW = MONDAY_NINE
FORM = {
    "name": "Bread",
    "trigger": {"event": "enter", "geofences": ["bakery"]},
    "channel": "sms",
    "template": "Fresh bread until ten",
}
CAKE = FORM | {"name": "Cake"}


@pytest.fixture
def client(records, clock):
    app = FastAPI()
    app.include_router(routes.router(reads=records.reads, writes=records.writes, now=clock))
    app.include_router(lifecycle_routes.router(reads=records.reads, writes=records.writes, now=clock))
    speak_problem_json(app)
    with TestClient(app) as client:
        yield client


def versions(client, **params):
    return client.get("/v1/campaigns/bread/versions", params=params).json()


def test_the_hash_is_of_the_content_alone():
    same = replace(BREAD, id="cake", state=CampaignState.PAUSED, version=7)
    assert content_hash(same) == content_hash(BREAD)
    assert content_hash(replace(BREAD, priority=51)) != content_hash(BREAD)
    fixed = {"name": "Früh", "cap": [{"max": 1, "per_seconds": 60}], "ends_at": None}
    assert hash_of(fixed) == "6e0d3be3020c52c5ef8ecd87d2af7cec94dc5a53b79569af36962011dff79363"
    written = json.dumps(content_of(BREAD), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert content_hash(BREAD) == sha256(written.encode()).hexdigest()


@pytest.mark.parametrize("state", CampaignState)
def test_only_other_content_of_what_was_let_speak_has_a_number_of_its_own(state):
    was, wanted = replace(BREAD, state=state, version=3), replace(BREAD, state=state, name="Cake")
    assert numbered(was, replace(BREAD, state=state), 3, frozen=True).version == 3
    assert numbered(was, wanted, 3, frozen=True).version == 4
    assert numbered(was, wanted, 3, frozen=False).version == 3
    assert numbered(None, wanted, 3, frozen=False).version == 4


def test_a_draft_is_written_over(client):
    assert client.put("/v1/campaigns/bread", json=FORM).json()["version"] == 1
    assert client.put("/v1/campaigns/bread", json=CAKE).json()["version"] == 1
    [only] = versions(client)["items"]
    assert (only["content"]["name"], only["frozen_at"]) == ("Cake", None)


def test_what_speaks_is_frozen_and_other_content_makes_the_next_version(client, clock):
    client.put("/v1/campaigns/bread", json=FORM)
    client.post("/v1/campaigns/bread/activate")
    clock.set(NOW + timedelta(hours=1))
    for _ in range(2):
        assert client.put("/v1/campaigns/bread", json=FORM).json()["version"] == 1
    for _ in range(2):
        assert client.put("/v1/campaigns/bread", json=CAKE).json()["version"] == 2
    client.post("/v1/campaigns/bread/pause")
    assert client.put("/v1/campaigns/bread", json=FORM).json()["version"] == 3
    assert client.get("/v1/campaigns/bread").json()["version"] == 3
    third, second, first = versions(client)["items"]
    assert [each["content"]["name"] for each in (first, second, third)] == ["Bread", "Cake", "Bread"]
    assert first["content_hash"] == third["content_hash"] != second["content_hash"]
    assert first["frozen_at"] == NOW.isoformat()
    assert {"id", "state", "version"}.isdisjoint(first["content"])


def test_versions_are_paged_and_outlive_their_campaign(client):
    client.put("/v1/campaigns/bread", json=FORM)
    client.post("/v1/campaigns/bread/activate")
    for name in ("b", "c"):
        client.put("/v1/campaigns/bread", json=FORM | {"name": name})
    client.post("/v1/campaigns/bread/end")
    assert client.delete("/v1/campaigns/bread").status_code == 204
    page = versions(client, limit=2)
    assert [each["version"] for each in page["items"]] == [3, 2]
    rest = versions(client, limit=2, cursor=page["next"])
    assert ([each["version"] for each in rest["items"]], rest["next"]) == ([1], None)
    assert client.put("/v1/campaigns/bread", json=FORM).json()["version"] == 4


def test_versions_of_no_campaign_or_from_a_made_up_cursor_are_refused(client):
    assert client.get("/v1/campaigns/bread/versions").json()["code"] == "campaign_not_found"
    client.put("/v1/campaigns/bread", json=FORM)
    for cursor in ("x", "WyJhIl0", "WyItMSJd"):
        refused = client.get("/v1/campaigns/bread/versions", params={"cursor": cursor})
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_cursor")


def test_the_store_never_changes_a_frozen_version(records):
    with records.writes.begin() as connection:
        put_campaign(connection, replace(BREAD, state=CampaignState.DRAFT), NOW)
        set_state(connection, "bread", CampaignState.ACTIVE, NOW)
        with pytest.raises(ValueError, match="frozen"):
            put_campaign(connection, replace(BREAD, name="Cake"), NOW)
        assert versions_page(connection, "bread", 9).items[0].content["name"] == "Bread"


def test_a_version_from_before_a_field_was_known_stays_as_it_was(records):
    with records.writes.begin() as connection:
        put_campaign(connection, BREAD, NOW)
        older = {name: value for name, value in content_of(BREAD).items() if name != "max_segments"}
        connection.execute(update(campaign_versions).values(definition=older, content_hash="of then"))
        put_campaign(connection, BREAD, NOW)
        [kept] = versions_page(connection, "bread", 9).items
        assert (kept.content, kept.content_hash) == (older, "of then")
        with pytest.raises(ValueError, match="frozen"):
            put_campaign(connection, replace(BREAD, name="Cake"), NOW)


def test_decisions_and_messages_say_by_which_version(records):
    with records.writes.begin() as connection:
        put_campaign(connection, BREAD, NOW)
        put_campaign(connection, replace(BREAD, version=2, template="Cake"), NOW)
        record_decision(connection, *decided(campaign=get_campaign(connection, "bread")))
        delete_campaign(connection, "bread")
        assert latest_version(connection, "bread") == 2
        assert [each.version for each in decisions_page(connection, Filters(), 9).items] == [2]
        assert [each.version for each in messages_page(connection, Filters(), 9).items] == [2]
