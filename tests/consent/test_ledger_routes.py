"""The ledger over HTTP, against a whole engine."""

import json
from base64 import b64decode
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from consent import checkpoint
from consent.merkle import is_consistent
from consent.receipt import check
from consent.signing import KeyRing
from engine.app import Engine
from tests.conftest import ADMIN_KEY

TEXT = "J'accepte de recevoir des offres par SMS. STOP arrête tout."
GRANT = {
    "purpose": "marketing",
    "channel": "sms",
    "action": "grant",
    "source": "till",
    "text_version": "offers-1",
}


@pytest.fixture
def shop(client):
    client.put("/v1/notices/offers-1", json={"language": "fr", "text": TEXT})
    client.put("/v1/subjects/ana", json={"devices": [{"device": "phone-1"}]})
    return client


def say(shop, **differing):
    return shop.post("/v1/subjects/ana/consents", json=GRANT | differing)


def standing(shop, purpose="marketing", channel="sms"):
    answer = shop.get("/v1/subjects/ana/consents").json()
    [found] = [
        each for each in answer["standing"] if (each["purpose"], each["channel"]) == (purpose, channel)
    ]
    return found["allowed"], found["reason"]


def test_a_grant_holds_the_hash_and_language_of_the_text_shown(shop):
    notice = shop.get("/v1/notices/offers-1").json()
    entry = say(shop, evidence="scan 4711", jurisdiction="FR").json()
    assert (entry["language"], entry["text_hash"]) == ("fr", notice["text_hash"])
    assert (entry["evidence"], entry["jurisdiction"], entry["partner"]) == ("scan 4711", "FR", None)
    assert say(shop, text_version="paper").json()["text_hash"] is None


def test_a_version_is_never_changed(shop):
    again = {"language": "fr", "text": TEXT}
    assert shop.put("/v1/notices/offers-1", json=again).status_code == 200
    changed = shop.put("/v1/notices/offers-1", json=again | {"text": TEXT + "!"})
    assert (changed.status_code, changed.json()["code"]) == (409, "notice_taken")
    wrong = shop.put("/v1/notices/offers-2", json={"language": "?", "text": "\x07", "renews": "offers-2"})
    assert wrong.status_code == 422
    assert {each["field"] for each in wrong.json()["errors"]} == {"language", "text", "renews"}
    assert shop.get("/v1/notices/none").status_code == 404
    assert [each["version"] for each in shop.get("/v1/notices").json()["items"]] == ["offers-1"]


def test_a_material_change_needs_renewal_of_what_was_granted(shop, clock):
    say(shop)
    say(shop, purpose="location", channel=None, text_version="loc-1")
    clock.advance(minutes=1)
    for old, new in (("offers-1", "offers-2"), ("loc-1", "loc-2")):
        shop.put(
            f"/v1/notices/{new}", json={"language": "fr", "text": "Aussi par partenaire.", "renews": old}
        )
    assert standing(shop) == (False, "needs_renewal")
    assert standing(shop, "location", None) == (False, "needs_renewal")
    ping = {"device": "phone-1", "at": clock().timestamp(), "lat": 48.8566, "lon": 2.3522, "accuracy": 5}
    assert shop.post("/v1/pings", json={"pings": [ping]}).json()["accepted"] == 0
    clock.advance(minutes=1)
    assert say(shop).status_code == 201
    assert standing(shop) == (False, "needs_renewal")  # the old text again is no renewal
    clock.advance(minutes=1)
    say(shop, text_version="offers-2")
    assert standing(shop) == (True, "granted")


@pytest.mark.parametrize("brought", [{}, {"at": "2026-10-01T10:00:00Z"}, {"evidence": "form 12"}])
def test_what_a_partner_brings_without_proof_allows_nothing(shop, brought):
    assert say(shop, partner="Data SA", **brought).status_code == 201
    assert standing(shop) == (False, "unproven")


def test_what_a_partner_proves_counts(shop):
    say(shop, partner="Data SA", evidence="form 12", at="2026-10-01T10:00:00Z")
    assert standing(shop) == (True, "granted")


def test_a_proof_and_a_receipt_are_checked_with_the_published_keys(shop, clock):
    entry = say(shop).json()
    clock.advance(minutes=1)
    keys = KeyRing.parse(shop.get("/v1/consent-log/keys").text)
    found = shop.get("/v1/subjects/ana/proof", params={"purpose": "marketing", "channel": "sms"}).json()
    assert found["standing"]["because"] == entry["id"]
    proven = check(json.dumps(found["receipt"]).encode(), keys)
    assert (proven.entry.id, proven.notice.text) == (entry["id"], TEXT)
    receipt = shop.get(f"/v1/subjects/ana/consents/{entry['id']}/receipt")
    assert check(receipt.content, keys).entry == proven.entry
    before = shop.get(
        "/v1/subjects/ana/proof", params={"purpose": "location", "at": "2026-01-01T00:00:00Z"}
    ).json()
    assert (before["standing"]["reason"], before["receipt"]) == ("never_asked", None)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/subjects/ana/proof?purpose=marketing", 422),
        ("/v1/subjects/ana/proof?purpose=location&channel=sms", 422),
        ("/v1/subjects/ana/proof?purpose=weather", 422),
        ("/v1/subjects/ana/proof?purpose=location&at=yesterday", 422),
        ("/v1/subjects/nobody/proof?purpose=location", 404),
        ("/v1/subjects/ana/consents/none/receipt", 404),
        ("/v1/subjects/nobody/consents/none/receipt", 404),
        ("/v1/consent-log/consistency?old=99", 422),
        ("/v1/consent-log/consistency?old=0", 422),
    ],
)
def test_what_cannot_be_answered_says_so(shop, path, status):
    assert shop.get(path).status_code == status


def test_an_auditor_checks_that_nothing_old_was_changed(shop):
    keys = KeyRing.parse(shop.get("/v1/consent-log/keys").text)
    say(shop)
    old = checkpoint.read(keys, shop.get("/v1/consent-log/checkpoint").text)
    for _ in range(5):
        say(shop)
    answer = shop.get("/v1/consent-log/consistency", params={"old": old.size}).json()
    new = checkpoint.read(keys, answer["checkpoint"])
    path = [b64decode(step) for step in answer["path"]]
    assert (old.size, new.size) == (2, 7)
    assert is_consistent(old.size, old.root, new.size, new.root, path)


def test_the_scheduled_checkpoint_is_taken_once_for_what_was_written(engine, shop, clock):
    [job] = [job for job in engine.jobs() if job.name == "ledger checkpoint"]
    first = job.run()
    clock.advance(minutes=60)
    assert job.run() == first
    say(shop)
    second = job.run()
    assert checkpoint.read(engine.ring, second).size == checkpoint.read(engine.ring, first).size + 1
    beside = engine.settings.data_dir / "ledger.checkpoint"
    assert (beside.read_text(), beside.stat().st_mode & 0o777) == (second, 0o600)


def test_complete_grants_may_be_demanded(settings, clock):
    opened = Engine(replace(settings, grants="complete"), clock)
    opened.open()
    with TestClient(opened.web(), headers={"Authorization": f"Bearer {ADMIN_KEY}"}) as client:
        client.put("/v1/subjects/ana", json={})
        bare = say(client)
        assert bare.status_code == 422
        assert [each["field"] for each in bare.json()["errors"]] == [
            "text_version",
            "evidence",
            "jurisdiction",
        ]
        client.put("/v1/notices/offers-1", json={"language": "fr", "text": TEXT})
        assert say(client, evidence="scan 1", jurisdiction="FR").status_code == 201
        assert say(client, action="withdraw", text_version=None).status_code == 201
        assert say(client, partner="Data SA").status_code == 201
    opened.close()


def test_the_key_lives_outside_the_database(engine, shop):
    file = engine.settings.data_dir / "ledger.key"
    assert file.stat().st_mode & 0o777 == 0o600
    seed = file.read_text().strip().split("+", 4)[-1]
    if engine.records.reads.dialect.name == "sqlite":
        say(shop)
        engine.rounds.take_checkpoint()
        files = [each for each in engine.settings.data_dir.glob("records.sqlite*") if each.is_file()]
        stored = b"".join(each.read_bytes() for each in files)
        assert b"chaland/" in stored
        assert seed.encode() not in stored
        assert b64decode(seed)[1:] not in stored
