from dataclasses import replace
from datetime import UTC, datetime

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from twilio.request_validator import RequestValidator

from campaigns import history_routes
from campaigns.campaign import CampaignState
from campaigns.decision_store import record_decision
from campaigns.delivery.outbox import begin_attempt, lock_due, record_sent
from campaigns.gates import GateName
from campaigns.message_store import messages_of
from campaigns.routes import STATUS_PATH, TwilioReports, router
from campaigns.store import get_campaign, put_campaign
from consent.store import put_subject
from consent.subject import Device, Subject
from engine.doors.web import speak_problem_json
from tests.campaigns.cast import BREAD as STORED
from tests.campaigns.cast import decided
from tests.conftest import MONDAY_NINE

TOKEN = "0123456789abcdef"
OLD_TOKEN = "fedcba9876543210"
PUBLIC = "https://offers.example"
BREAD = {
    "name": "Bread",
    "trigger": {"event": "enter", "geofences": ["bakery"]},
    "channel": "sms",
    "template": "Fresh bread until ten",
}
JAM = {
    "name": "Jam coffee",
    "starts_at": "2026-11-24T06:00:00+01:00",
    "ends_at": "2026-12-24T20:00:00+01:00",
    "trigger": {"event": "stuck", "tags": ["city-centre"]},
    "audience": {"all": [{"attribute": "tier", "in": ["gold"]}]},
    "windows": [{"days": ["mon", "tue"], "from": "08:00", "to": "20:00"}],
    "cap": [{"max": 1, "per_seconds": 86400}],
    "priority": 50,
    "channel": "push",
    "template": "{{ first_name | default: 'Hello' }}, a coffee while you wait?",
    "shelf_life_seconds": 900,
}


@pytest.fixture
def strangers():
    return []


@pytest.fixture
def shown():
    """Whose data lists showed."""
    return []


@pytest.fixture
def client(records, clock, strangers, shown):
    app = FastAPI()
    app.include_router(
        router(
            reads=records.reads,
            writes=records.writes,
            now=clock,
            twilio=TwilioReports(PUBLIC, (TOKEN, OLD_TOKEN)),
            unknown_report=lambda: strangers.append(1),
        )
    )
    app.include_router(
        history_routes.router(reads=records.reads, note_shown=lambda _, subjects: shown.extend(subjects))
    )
    speak_problem_json(app)
    with TestClient(app) as client:
        yield client


def test_the_smallest_campaign_takes_the_stated_defaults(client):
    answer = client.put("/v1/campaigns/bread", json=BREAD)
    assert answer.status_code == 201
    assert answer.json() == {
        "id": "bread",
        "name": "Bread",
        "version": 1,
        "state": "draft",
        "trigger": {"event": "enter", "geofences": ["bakery"], "tags": [], "any": False},
        "audience": {"all": []},
        "windows": [],
        "cap": [{"max": 1, "per_seconds": 86400}],
        "min_gap_seconds": None,
        "budget": None,
        "value": 0.0,
        "per_visit": "one",
        "min_confidence": None,
        "max_fix_age_seconds": None,
        "priority": 50,
        "channel": "sms",
        "template": "Fresh bread until ten",
        "default_locale": None,
        "missing_locale": None,
        "coupon": None,
        "short_links": False,
        "shelf_life_seconds": 900,
        "max_segments": 4,
        "starts_at": None,
        "ends_at": None,
        "archived": False,
        "experiment": None,
    }
    assert client.get("/v1/campaigns/bread").json() == answer.json()


def test_the_fuller_campaign_comes_back_with_its_times_in_utc(client):
    answer = client.put("/v1/campaigns/jam", json=JAM)
    assert answer.status_code == 201
    for name, value in JAM.items():
        if name in ("trigger", "starts_at", "ends_at"):
            continue
        assert answer.json()[name] == value
    assert answer.json()["starts_at"] == "2026-11-24T05:00:00+00:00"


def test_saving_again_keeps_the_state(client):
    client.put("/v1/campaigns/bread", json=BREAD)
    client.post("/v1/campaigns/bread/activate")
    answer = client.put("/v1/campaigns/bread", json=BREAD | {"name": "Cake"})
    assert (answer.status_code, answer.json()["state"], answer.json()["name"]) == (200, "active", "Cake")
    answer = client.put("/v1/campaigns/bread", json=BREAD | {"starts_at": "2026-11-24T06:00:00Z"})
    assert answer.json()["state"] == "scheduled"


def test_the_life_of_a_campaign(client, clock):
    client.put("/v1/campaigns/jam", json=JAM)

    def post(action):
        return client.post(f"/v1/campaigns/jam/{action}")

    assert post("pause").status_code == 409
    assert post("activate").json()["state"] == "scheduled"
    assert client.delete("/v1/campaigns/jam").status_code == 409
    clock.set(datetime(2026, 11, 24, 12, tzinfo=UTC))
    assert post("pause").json()["state"] == "paused"
    assert post("resume").json()["state"] == "active"
    assert post("end").json()["state"] == "ended"
    assert post("end").status_code == 200
    refused = post("activate")
    assert (refused.status_code, refused.json()["code"]) == (409, "campaign_state_conflict")
    assert client.put("/v1/campaigns/jam", json=JAM).status_code == 409
    assert client.delete("/v1/campaigns/jam").status_code == 204
    assert client.get("/v1/campaigns/jam").status_code == 404
    assert post("activate").status_code == 404


def test_a_draft_whose_end_has_passed_is_not_activated(client, clock):
    client.put("/v1/campaigns/jam", json=JAM)
    clock.set(datetime(2026, 12, 25, tzinfo=UTC))
    assert client.post("/v1/campaigns/jam/activate").status_code == 409


@pytest.mark.parametrize(
    ("change", "field"), [({"state": "active"}, "state"), ({"template": "{{ tier }}"}, "template")]
)
def test_a_wrong_field_is_refused_by_name(client, change, field):
    answer = client.put("/v1/campaigns/bread", json=BREAD | change)
    assert answer.status_code == 422
    assert field in answer.text
    assert client.get("/v1/campaigns/bread").status_code == 404


def test_an_id_has_a_plain_shape(client):
    for campaign_id in ("a b", "a%00", "é", "x" * 129, "a*"):
        assert client.put(f"/v1/campaigns/{campaign_id}", json=BREAD).status_code == 422


def test_campaigns_are_paged(client):
    for name in "abc":
        client.put(f"/v1/campaigns/{name}", json=BREAD)
    first = client.get("/v1/campaigns", params={"limit": 2}).json()
    assert [item["id"] for item in first["items"]] == ["a", "b"]
    second = client.get("/v1/campaigns", params={"limit": 2, "cursor": first["next"]}).json()
    assert [item["id"] for item in second["items"]] == ["c"]
    assert second["next"] is None
    assert client.get("/v1/campaigns", params={"limit": 0}).status_code == 422
    assert client.get("/v1/campaigns", params={"limit": 201}).status_code == 422
    assert client.get("/v1/campaigns", params={"cursor": "made up"}).json()["code"] == "invalid_cursor"


def test_a_preview_fills_the_template_in(client):
    client.put("/v1/campaigns/jam", json=JAM)

    def preview(**body):
        return client.post("/v1/campaigns/jam/preview", json=body)

    assert preview(attributes={"first_name": "Ana"}).json() == {"text": "Ana, a coffee while you wait?"}
    assert preview().json() == {"text": "Hello, a coffee while you wait?"}
    assert preview(attributes={"first_name": "x"}, phone="+33639980001").status_code == 422


def test_a_preview_shows_the_variant_that_is_asked_for(client):
    tried = {"variants": [{"name": "plain"}, {"name": "warm", "template": "Warm bread"}]}
    client.put("/v1/campaigns/b", json=BREAD | {"experiment": tried})
    texts = {
        name: client.post("/v1/campaigns/b/preview", json={"variant": name}).json()["text"]
        for name in ("plain", "warm")
    }
    assert texts == {"plain": BREAD["template"], "warm": "Warm bread"}
    answer = client.post("/v1/campaigns/b/preview", json={"variant": "hot"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "variant")


def test_a_preview_of_an_sms_tells_its_size(client):
    client.put(
        "/v1/campaigns/b", json=BREAD | {"template": "Pain frais, {{ first_name }}", "max_segments": 1}
    )

    def preview(name):
        return client.post("/v1/campaigns/b/preview", json={"attributes": {"first_name": name}})

    assert preview("Ana").json() == {
        "text": "Pain frais, Ana",
        "encoding": "GSM-7",
        "characters": 15,
        "units": 15,
        "segments": 1,
        "sms_limit": 1,
        "ucs2_because": [],
    }
    odd = preview("François 🥐").json()
    assert (odd["encoding"], odd["characters"], odd["units"]) == ("UCS-2", 22, 23)
    assert odd["ucs2_because"] == ["ç", "🥐"]
    long = preview("ç" * 80)
    assert long.status_code == 422
    assert "2 SMS segments in UCS-2" in long.json()["errors"][0]["detail"]


def test_a_preview_that_comes_out_wrong_says_so(client):
    client.put("/v1/campaigns/b", json=BREAD | {"template": "{% if visits contains 'x' %}x{% endif %}y"})
    answer = client.post("/v1/campaigns/b/preview", json={"attributes": {"visits": 3}})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "attributes")


@pytest.fixture
def decided_for_ana(client, records):
    client.put("/v1/campaigns/bread", json=BREAD)
    decision, message = decided("fix-1")
    with records.writes.begin() as connection:
        put_subject(connection, Subject("ana", devices=(Device("phone-1"),)), MONDAY_NINE)
        record_decision(connection, decision, message)
        record_decision(connection, *decided("fix-2", subject="ben"))
    return decision, message


def test_decisions_and_messages_are_listed_and_explained(client, decided_for_ana):
    decision, message = decided_for_ana
    [listed] = client.get("/v1/decisions", params={"subject": "ana"}).json()["items"]
    assert set(listed) >= {"id", "event", "campaign", "subject", "outcome", "reason", "gates", "at"}
    assert (listed["id"], listed["reason"], listed["at"]) == (decision.id, "ok", "2026-11-23T08:00:00+00:00")
    assert listed["gates"][0] == {"gate": "campaign_active", "verdict": "pass", "input": {"state": "active"}}
    [listed] = client.get("/v1/messages", params={"subject": "ana"}).json()["items"]
    assert (listed["id"], listed["state"], listed["text"]) == (
        message.id,
        "due",
        "Ana, fresh bread until ten",
    )
    assert listed["valid_until"] == "2026-11-23T08:15:00+00:00"


def test_whose_decisions_and_messages_are_shown_is_told(client, decided_for_ana, shown):
    client.get("/v1/decisions", params={"limit": 1}).raise_for_status()
    client.get("/v1/messages").raise_for_status()
    assert sorted(shown[:1]) in (["ana"], ["ben"])
    assert sorted(shown[1:]) == ["ana", "ben"]


def test_a_decision_is_judged_again(client, records, decided_for_ana, shown):
    decision, _ = decided_for_ana
    path = f"/v1/decisions/{decision.id}/replay"
    told = client.get(path).json()
    assert (told["sameness"], told["because"]) == (
        "not_enough_recorded",
        "the version could still be written over when it was decided",
    )
    with records.writes.begin() as connection:
        put_campaign(connection, STORED, MONDAY_NINE)
    told = client.get(path).json()
    assert told["sameness"] == "same"
    assert told["recorded"] == told["replayed"] == {"outcome": "message", "reason": "ok"}
    assert [each["gate"] for each in told["gates"]] == list(GateName)
    assert told["gates"][0] == {
        "gate": "campaign_active",
        "sameness": "same",
        "because": None,
        "recorded": {"verdict": "pass", "reason": None},
        "replayed": {"verdict": "pass", "reason": None},
    }
    assert shown == ["ana", "ana"]
    unknown = client.get(f"/v1/decisions/{'0' * 32}/replay")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "decision_not_found")
    assert client.get("/v1/decisions/x/replay").status_code == 422


def test_history_is_filtered(client, decided_for_ana):
    for path in ("/v1/decisions", "/v1/messages"):
        check_filters(client, path)

    assert len(client.get("/v1/decisions", params={"outcome": "message"}).json()["items"]) == 2
    assert client.get("/v1/decisions", params={"outcome": "refused"}).json()["items"] == []
    assert client.get("/v1/decisions", params={"outcome": "maybe"}).status_code == 422


def check_filters(client, path):
    def count(**params):
        return len(client.get(path, params=params).json()["items"])

    assert count() == 2
    assert count(device="phone-1") == 1
    assert count(device="phone-1", subject="ben") == 0
    assert count(device="phone-2") == 0
    assert count(campaign="bread", geofence="bakery") == 2
    assert count(campaign="cake") == 0
    assert count(since="2026-11-23T09:00:00+01:00") == 2
    assert count(until="2026-11-23T08:00:00Z") == 0
    assert client.get(path, params={"since": "2026-11-23T09:00:00"}).status_code == 422
    assert client.get(path, params={"subject": "a\0"}).status_code == 422
    assert client.get(path, params={"cursor": "x"}).status_code == 422


@pytest.fixture
def sent(records, decided_for_ana):
    _, message = decided_for_ana
    with records.writes.begin() as connection:
        number = begin_attempt(connection, lock_due(connection, message.id), MONDAY_NINE)
        record_sent(connection, message.id, number, "SM1", MONDAY_NINE)
    return message


def report(client, form, query="", token=TOKEN, signature=None):
    if signature is None:
        signature = RequestValidator(token).compute_signature(PUBLIC + STATUS_PATH + query, form)
    return client.post(STATUS_PATH + query, data=form, headers={"X-Twilio-Signature": signature})


def state_of(records):
    with records.reads.connect() as connection:
        [message] = messages_of(connection, "ana")
    return message


def test_a_signed_report_moves_the_message_and_never_back(client, records, sent):
    form = {"MessageSid": "SM1", "MessageStatus": "delivered", "Surprise": "", "To": "+33639980001"}
    assert report(client, form).status_code == 204
    assert state_of(records).state == "delivered"
    assert report(client, form | {"MessageStatus": "sent"}, token=OLD_TOKEN).status_code == 204
    assert state_of(records).state == "delivered"


def test_a_failure_keeps_the_provider_s_code(client, records, sent):
    report(client, {"MessageSid": "SM1", "MessageStatus": "undelivered", "ErrorCode": "30003"})
    assert (state_of(records).state, state_of(records).error_code) == ("undelivered", "30003")


def test_a_report_finds_its_message_by_our_id_too(client, records, decided_for_ana, strangers):
    _, message = decided_for_ana
    with records.writes.begin() as connection:
        begin_attempt(connection, lock_due(connection, message.id), MONDAY_NINE)
    answer = report(client, {"MessageSid": "SM9", "MessageStatus": "delivered"}, f"?message={message.id}")
    assert answer.status_code == 204
    assert (state_of(records).state, state_of(records).provider_id) == ("delivered", "SM9")
    assert strangers == []


def test_a_report_on_an_unknown_message_is_counted_and_creates_nothing(client, records, sent, strangers):
    assert report(client, {"MessageSid": "SM404", "MessageStatus": "delivered"}).status_code == 204
    assert (
        report(
            client, {"MessageSid": "SM1", "MessageStatus": "delivered"}, f"?message={'0' * 32}"
        ).status_code
        == 204
    )
    assert strangers == [1, 1]
    assert state_of(records).state == "sent"
    assert client.get("/v1/messages").json()["items"].__len__() == 2


def test_a_signed_report_that_says_nothing_changes_nothing(client, records, sent):
    for form in (
        {"MessageSid": "SM1"},
        {"MessageStatus": "delivered"},
        {"MessageSid": "SM1", "MessageStatus": "new"},
        {"MessageSid": "S\0", "MessageStatus": "delivered"},
    ):
        assert report(client, form).status_code == 204
    assert state_of(records).state == "sent"


def test_an_unsigned_report_is_refused(client, records, sent):
    form = {"MessageSid": "SM1", "MessageStatus": "delivered"}
    for signature in (b"", b"x", b"\xe9", b"AAAAAAAAAAAAAAAAAAAAAAAAAAA="):
        answer = report(client, form, signature=signature)
        assert (answer.status_code, answer.json()["code"]) == (403, "not_signed")
    assert state_of(records).state == "sent"


def test_other_ways_to_go_unsigned_are_refused_too(client, sent):
    form = {"MessageSid": "SM1", "MessageStatus": "delivered"}
    assert client.post(STATUS_PATH, data=form).status_code == 403
    assert client.post(STATUS_PATH, json=form, headers={"X-Twilio-Signature": "x"}).status_code == 403
    assert client.post(STATUS_PATH).status_code == 403
    assert report(client, form, token="another").status_code == 403
    signed = RequestValidator(TOKEN).compute_signature(PUBLIC + STATUS_PATH, form)
    assert report(client, form, query="?message=" + "0" * 32, signature=signed).status_code == 403
    assert report(client, form | {"MessageStatus": "failed"}, signature=signed).status_code == 403


def test_without_twilio_every_report_is_refused(records, clock):
    app = FastAPI()
    app.include_router(router(reads=records.reads, writes=records.writes, now=clock))
    speak_problem_json(app)
    with TestClient(app) as client:
        assert report(client, {"MessageSid": "SM1", "MessageStatus": "sent"}).status_code == 403


def test_every_operation_is_described(client):
    paths = client.get("/openapi.json").json()["paths"]
    operations = [operation for path in paths.values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations) == 13
    assert all(operation["summary"] and operation["tags"] == ["campaigns"] for operation in operations)


def test_the_stored_campaign_is_the_one_that_was_answered(client, records):
    client.put("/v1/campaigns/bread", json=BREAD)
    client.post("/v1/campaigns/bread/activate")
    with records.reads.connect() as connection:
        assert get_campaign(connection, "bread").state is CampaignState.ACTIVE


def test_whether_a_campaign_may_speak_is_asked_while_others_can_write(records, clock):
    def meanwhile(_connection, campaign):
        with records.writes.begin() as connection:
            put_campaign(connection, replace(campaign, name="Other", state=CampaignState.DRAFT), clock())

    app = FastAPI()
    quiet = router(reads=records.reads, writes=records.writes, now=clock)
    app.include_router(router(reads=records.reads, writes=records.writes, now=clock, may_speak=meanwhile))
    speak_problem_json(app)
    plain = FastAPI()
    plain.include_router(quiet)
    with TestClient(app) as client, TestClient(plain) as other:
        other.put("/v1/campaigns/bread", json=BREAD).raise_for_status()
        changed = client.post("/v1/campaigns/bread/activate")
        assert (changed.status_code, changed.json()["code"]) == (409, "campaign_state_conflict")
        assert other.get("/v1/campaigns/bread").json()["state"] == "draft"
        assert client.post("/v1/campaigns/bread/activate").json()["state"] == "active", "it is as it was seen"
        assert client.put("/v1/campaigns/bread", json=BREAD).status_code == 200
