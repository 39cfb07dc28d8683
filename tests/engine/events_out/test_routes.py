"""The calls about subscriptions, through the door."""

import json
from dataclasses import replace

from sqlalchemy import select

from engine.destination import Destinations, Targets
from engine.doors.keys import Scope
from engine.events_out import subscription_store
from engine.events_out.subscription import SUBSCRIPTIONS_LIMIT
from engine.store import idempotent_answers
from tests.engine.events_out.receiving import verified
from tests.support.receiver import receiving

HOOK = {
    "url": "https://crm.example.org/hooks",
    "kinds": ["event", "message.delivered"],
    "geofences": ["bakery"],
}


def test_a_secret_is_shown_once_and_a_second_put_changes_the_rest(client):
    first = client.put("/v1/subscriptions/crm", json=HOOK)
    assert (first.status_code, first.headers["cache-control"]) == (201, "no-store")
    assert first.json()["secret"].startswith("whsec_")
    again = client.put("/v1/subscriptions/crm", json=HOOK | {"kinds": ["consent"]})
    assert (again.status_code, again.json()["kinds"]) == (200, ["consent"])
    shown = client.get("/v1/subscriptions/crm")
    assert shown.json() == again.json() == client.get("/v1/subscriptions").json()["items"][0]
    assert "secret" not in shown.json()
    assert shown.json()["secrets"] == [{"until": None}]
    assert client.delete("/v1/subscriptions/crm").status_code == 204
    assert client.get("/v1/subscriptions/crm").status_code == 404
    assert client.put("/v1/subscriptions/crm", json=HOOK).json()["secret"] != first.json()["secret"]


def test_secrets_rotate_and_no_answer_with_one_is_kept(client, engine, clock):
    client.put("/v1/subscriptions/crm", json=HOOK)
    path, headers = "/v1/subscriptions/crm/rotate-secret", {"Idempotency-Key": "once"}
    secrets = [client.post(path, json={}, headers=headers).json()["secret"] for _ in range(2)]
    assert secrets[0] != secrets[1]
    with engine.records.reads.connect() as conn:
        assert conn.scalars(select(idempotent_answers.c.id)).all() == []
    shown = client.get("/v1/subscriptions/crm").json()["secrets"]
    assert [each["until"] is None for each in shown] == [True, False, False]
    full = client.post(path, json={})
    assert (full.status_code, full.json()["code"]) == (409, "too_many_secrets")
    clock.advance(hours=25)
    assert len(client.get("/v1/subscriptions/crm").json()["secrets"]) == 1
    client.post(path, json={"overlap_hours": 0})
    assert len(client.get("/v1/subscriptions/crm").json()["secrets"]) == 1


def test_bad_subscriptions_name_the_field(client):
    for changed, field in (
        ({"url": "http://crm.example.org/"}, "url"),
        ({"url": "https://127.0.0.1/"}, "url"),
        ({"url": "https://[::1]/"}, "url"),
        ({"url": "https://169.254.169.254/"}, "url"),
        ({"url": "https://2130706433/"}, "url"),
        ({"url": "https://crm.example.org:22/"}, "url"),
        ({"kinds": []}, "kinds"),
        ({"kinds": ["event", "sms"]}, "kinds[1]"),
        ({"geofences": ["a b"]}, "geofences[0]"),
        ({"secret": "mine"}, "secret"),
    ):
        answer = client.put("/v1/subscriptions/crm", json=HOOK | changed)
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        assert answer.json()["errors"][0]["field"] == field
        assert HOOK["url"] not in answer.text


def test_there_is_a_limit_to_subscriptions(client):
    for number in range(SUBSCRIPTIONS_LIMIT):
        client.put(f"/v1/subscriptions/s{number}", json=HOOK).raise_for_status()
    answer = client.put("/v1/subscriptions/more", json=HOOK)
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_subscriptions")
    assert client.put("/v1/subscriptions/s0", json=HOOK).status_code == 200


CALLS = [
    ("PUT", "/v1/subscriptions/crm", HOOK),
    ("GET", "/v1/subscriptions", None),
    ("GET", "/v1/subscriptions/crm", None),
    ("POST", "/v1/subscriptions/crm/rotate-secret", {}),
    ("POST", "/v1/subscriptions/crm/pause", None),
    ("POST", "/v1/subscriptions/crm/resume", None),
    ("GET", "/v1/subscriptions/crm/dead-letters", None),
    ("POST", "/v1/subscriptions/crm/redrive", {}),
    ("DELETE", "/v1/subscriptions/crm", None),
]


def test_each_call_takes_its_scope_and_consent_takes_one_more(client, engine):
    def answer_to(scopes, method, path, body):
        _, secret = engine.keys.create("matrix", scopes)
        bearer = {"Authorization": f"Bearer {secret}"}
        return client.request(method, path, json=body, headers=bearer).status_code

    for method, path, body in CALLS:
        for scope in Scope:
            allowed = scope is Scope.SUBSCRIBE
            assert (answer_to([scope], method, path, body) != 403) is allowed, (method, path, scope)
        assert client.request(method, path, json=body, headers={"Authorization": ""}).status_code == 401
    for kind in ("consent", "consent.withdraw", "subject.erased"):
        told = HOOK | {"kinds": ["event", kind]}
        assert answer_to([Scope.SUBSCRIBE], "PUT", "/v1/subscriptions/dpo", told) == 403
        assert answer_to([Scope.SUBSCRIBE, Scope.PRIVACY], "PUT", "/v1/subscriptions/dpo", told) < 300
        stream = f"/v1/stream?kinds={kind}"
        assert answer_to([Scope.SUBSCRIBE], "GET", stream, None) == 403
        assert answer_to([Scope.PRIVACY, Scope.MARKETING], "GET", stream, None) == 403


def test_a_key_without_privacy_cannot_redirect_what_tells_of_consent(client, engine):
    client.put("/v1/subscriptions/dpo", json=HOOK | {"kinds": ["consent"]}).raise_for_status()
    _, secret = engine.keys.create("curious", [Scope.SUBSCRIBE])
    bearer = {"Authorization": f"Bearer {secret}"}
    answer = client.put("/v1/subscriptions/dpo", json=HOOK | {"kinds": ["event"]}, headers=bearer)
    assert answer.status_code == 403
    assert client.get("/v1/subscriptions/dpo").json()["kinds"] == ["consent"]


def test_from_a_consent_to_a_verified_call_pause_and_redrive(client, engine, clock):
    """The whole way; the address is put in afterwards, as the door takes none of this machine."""
    engine.outbound.destinations = Destinations(Targets.ANY)
    with receiving() as crm:
        hook = HOOK | {"url": "https://crm.example.org/hooks", "kinds": ["consent"], "geofences": []}
        secret = client.put("/v1/subscriptions/crm", json=hook).json()["secret"]
        with engine.records.writes.begin() as conn:
            known = subscription_store.get(conn, "crm", lock=True)
            mine = replace(known, url=f"http://127.0.0.1:{crm.port}/hooks")
            subscription_store.put(conn, mine, new=False)
        assert client.post("/v1/subscriptions/crm/pause").json()["state"] == "paused"
        client.put("/v1/subjects/ana", json={"phone": "+33639980001"}).raise_for_status()
        said = {"purpose": "location", "action": "grant", "source": "app", "text_version": "v1"}
        client.post("/v1/subjects/ana/consents", json=said).raise_for_status()
        engine.events_out.courier.run_once()
        assert not crm.heard
        assert client.get("/v1/subscriptions/crm").json()["waiting"] == 1
        assert client.post("/v1/subscriptions/crm/resume").json()["state"] == "active"
        engine.events_out.courier.run_once()
        [heard] = crm.heard
        assert verified(secret, heard.headers, heard.body, clock())
        assert json.loads(heard.body)["type"] == "consent.grant"
    assert client.get("/v1/subscriptions/crm/dead-letters").json() == {"items": [], "next": None}
    assert client.post("/v1/subscriptions/crm/redrive", json={}).json() == {"redriven": 0}
    engine.events_out.watch()
    assert client.delete("/v1/subjects/ana").status_code < 300
    engine.events_out.watch()
    assert 'chaland_webhooks_waiting{state="waiting"}' in client.get("/metrics").text
