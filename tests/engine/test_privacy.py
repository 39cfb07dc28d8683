"""What is held, shown, kept and let go: every table and every key of the live store is accounted for."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import delete, func, insert, select, update

import campaigns.tables
import geofences.tables
from campaigns import decision_store, message_store
from campaigns.audience import list_store
from campaigns.coupons import store as coupon_store
from campaigns.tables import budget_counters
from campaigns.triggers import cart_store
from campaigns.triggers.cart import CartEvent, CartStatus
from config import Settings
from consent import access_log, activity, address, opt_in, processor_store, request_store, review
from consent.entry import Action, Channel, Entry, Purpose
from consent.inbound import InboundPolicy
from consent.processor import Processor
from consent.request import RequestKind, received
from consent.rights import pass_on_erasure
from consent.store import inbound_messages
from engine.app import Engine
from engine.clock import SetClock
from engine.doors.keys import Scope
from engine.privacy.export import rows_of
from engine.privacy.holdings import Holding, Period, holdings, live_holdings, undeclared, whose
from engine.privacy.retention import Retention
from engine.records import Records
from engine.schema import METADATA
from tests.conftest import MONDAY_NINE

POLICY = InboundPolicy("Bakery", "desk@example.org")
PLACE = {
    "type": "Feature",
    "properties": {"name": "Bakery", "kind": "store", "radius": 40},
    "geometry": {"type": "Point", "coordinates": [2.3522, 48.8566]},
}
CAMPAIGN = {
    "name": "Bread",
    "channel": "sms",
    "trigger": {"event": "enter", "geofences": ["bakery"]},
    "template": "Bread for {{ first_name | default: 'you' }}: {{ coupon }} or https://shop.example/",
    "coupon": {"pool": "bread"},
    "short_links": True,
}
WHO = {"ana": ("+33639980001", "Anaïs"), "ben": ("+33639980002", "Benoît")}


def walk(client: TestClient, engine: Engine, subject: str) -> None:
    """Six fixes at the door, ten seconds apart, the newest now."""
    now = engine.now().timestamp()
    pings = [
        {"device": f"{subject}-phone", "at": now - late, "lat": 48.8566, "lon": 2.3522, "accuracy": 8}
        for late in (50, 40, 30, 20, 10, 0)
    ]
    answer = client.post("/v1/pings", json={"pings": pings}).raise_for_status().json()
    assert answer["accepted"] == 6
    engine.settle()


@pytest.fixture
def town(engine: Engine, client: TestClient) -> TestClient:
    """Ana and Ben, each with a row in every table that is about shoppers."""
    client.put("/v1/geofences/bakery", json=PLACE).raise_for_status()
    client.put("/v1/coupon-pools/bread", json={"name": "Bread"}).raise_for_status()
    client.post("/v1/coupon-pools/bread/generate", json={"count": 2}).raise_for_status()
    client.put("/v1/campaigns/bread", json=CAMPAIGN).raise_for_status()
    client.post("/v1/campaigns/bread/activate").raise_for_status()
    engine.settle()
    for subject, (phone, name) in WHO.items():
        body = {
            "phone": phone,
            "attributes": {"first_name": name},
            "devices": [{"device": f"{subject}-phone"}],
        }
        client.put(f"/v1/subjects/{subject}", json=body).raise_for_status()
        for asked in ({"purpose": "location"}, {"purpose": "marketing", "channel": "sms"}):
            said = asked | {"action": "grant", "source": "app", "text_version": "1"}
            client.post(f"/v1/subjects/{subject}/consents", json=said).raise_for_status()
        walk(client, engine, subject)
        engine.desk.hear(sid=f"SM{subject}", from_number=phone, body="HELP", opt_out_type=None, policy=POLICY)
        client.get(
            f"/v1/subjects/{subject}", headers={"Access-Reason": f"call of {subject}"}
        ).raise_for_status()
        asks = {"subject": subject, "kind": "rectification", "means": f"letter of {subject}"}
        client.post("/v1/privacy-requests", json=asks).raise_for_status()
        with engine.records.reads.connect() as conn:
            [coupon] = coupon_store.coupons_of(conn, subject)
            [message] = message_store.messages_of(conn, subject)
        shown = {"code": coupon["code"], "geofence": "bakery", "receipt": f"sale of {subject}"}
        client.post("/v1/redemptions", json=shown).raise_for_status()
        link = message.text.rpartition(" ")[2]
        assert client.get(link, follow_redirects=False).status_code == 302
        with engine.records.writes.begin() as conn:
            processor_store.notify(conn, subject, [("printer", True)], engine.now())
            activity.carry_over(conn, {subject: engine.now()})
            cart_store.add_cart(conn, CartEvent(subject, CartStatus.FILLED, engine.now()), engine.now())
            list_store.put_list(conn, f"list of {subject}", [subject], engine.now())
            decided = campaigns.tables.decisions.c
            [found] = conn.execute(select(decided.id, decided.event).where(decided.subject == subject))
            due_at = engine.now() + timedelta(hours=1)
            waiting = {"kind": "enter", "geofence": "bakery", "at": engine.now(), "due_at": due_at}
            row = {"decision": found.id, "event": found.event, "campaign": "bread", "subject": subject}
            conn.execute(insert(campaigns.tables.held_moments).values(row | waiting))
            review.queue(conn, f"SM{subject}", f"words of {subject}")
            failed = address.Failure(f"message to {subject}", "30003", 3, timedelta(days=1), engine.now())
            address.note_failure(conn, subject, Channel.SMS, failed)
            opt_in.ask(conn, grant_of(subject, engine.now()), engine.now())
    return client


def grant_of(subject: str, at: datetime) -> Entry:
    """A grant of offers that waits for the number's own yes."""
    return Entry(
        id=f"grant-{subject}",
        subject=subject,
        purpose=Purpose.MARKETING,
        channel=Channel.SMS,
        action=Action.GRANT,
        source="form",
        text_version="1",
        at=at,
        recorded_at=at,
        actor="web",
    )


def exported(engine: Engine) -> list[Holding]:
    return [each for each in engine.privacy.holdings if each.is_exported]


def test_every_table_is_declared_with_a_period_and_nothing_else_is(settings: Settings):
    assert undeclared() == set()
    for each in holdings(settings):
        assert each.data, each.table.name
        assert each.why, each.table.name
        assert bool(each.periods) == (each.kept == "days"), each.table.name
        assert each.kept not in ("with", "ever") or each.reason, each.table.name
        for period in each.periods:
            assert period.days >= 0
            assert {period.start, *period.unless} <= set(each.table.c.keys())


def test_a_table_that_names_a_person_is_about_shoppers(settings: Settings):
    personal = {"subject", "device", "phone", "push", "sid"}
    named = {each.table.name for each in holdings(settings) if personal & set(each.table.c.keys())}
    assert named <= {each.table.name for each in holdings(settings) if each.about == "shopper"}


def test_an_undeclared_table_is_noticed():
    from sqlalchemy import Column, Table, Text

    extra = Table("unheard_of", METADATA[0], Column("id", Text, primary_key=True))
    try:
        assert undeclared() == {"unheard_of"}
    finally:
        METADATA[0].remove(extra)


def test_the_export_shows_every_row_about_the_subject_and_none_of_others(engine: Engine, town: TestClient):
    held = town.get("/v1/subjects/ana/export").json()
    with engine.records.reads.connect() as conn:
        for holding in exported(engine):
            name = holding.table.name
            rows = rows_of(conn, holding, engine.privacy.holdings, "ana")
            everyone = conn.scalar(select(func.count()).select_from(holding.table))
            assert rows, f"nothing fills {name} for the subject of this test; let the town do so"
            assert len(rows) < everyone, f"nothing fills {name} for somebody else"
            shown: Any = held
            for part in holding.section.split("."):
                assert part in shown, f"the export has no section {holding.section} for the table {name}"
                shown = shown[part]
            assert len(shown if holding.rows == "many" else [shown]) == len(rows), name
    text = json.dumps(held, ensure_ascii=False)
    assert all(
        trace in text
        for trace in (
            "+33639980001",
            "Anaïs",
            "ana-phone",
            "letter of ana",
            "call of ana",
            "sale of ana",
            "SMana",
            "words of ana",
            "grant-ana",
        )
    )
    assert not any(
        trace in text for trace in ("+33639980002", "Benoît", "ben", "letter of ben", "call of ben", "SMben")
    )


def test_the_export_holds_what_the_live_store_has_of_the_devices(engine: Engine, town: TestClient):
    [phone] = town.get("/v1/subjects/ana/export").json()["live"]
    assert (phone["device"], phone["gate"]) == ("ana-phone", "open")
    assert len(phone["signals"]) == 6
    assert {signal["lat"] for signal in phone["signals"]} == {48.8566}
    assert phone["state"]["beliefs"]
    keys = {key.decode() for key in engine.live.client.scan_iter(count=1000)}
    mine = {key for key in keys if "ana-phone" in key}
    assert mine, "the state of her device stands under a key of its own"
    town.delete("/v1/subjects/ana").raise_for_status()
    left = {key.decode() for key in engine.live.client.scan_iter(count=1000)}
    assert not {key for key in left if "ana-phone" in key}


def test_every_key_of_the_live_store_is_declared(engine: Engine, town: TestClient):
    keys = {key.decode() for key in engine.live.client.scan_iter(count=1000)}
    strangers = {key for key in keys if not any(family.has(key) for family in live_holdings())}
    assert strangers == set()
    met = {family.name for family in live_holdings() for key in keys if family.has(key)}
    assert {"gate", "log", "state", "due", "counters"} <= met
    assert [family.name for family in live_holdings() if family.has("{p00}:dev:x")] == ["state"]
    assert not any(family.has("phones:x") for family in live_holdings())


def test_looks_at_a_subject_are_written_down_with_actor_and_reason(engine: Engine, town: TestClient):
    for path in (
        "/v1/subjects/ana/consents",
        "/v1/messages?subject=ana",
        "/v1/campaigns/bread",
        "/v1/events",
    ):
        town.get(path).raise_for_status()
    looks = town.get("/v1/subjects/ana/export").json()["access_log"]
    assert {(each["what"], each["reason"]) for each in looks} == {
        ("getSubject", "call of ana"),
        ("listConsents", None),
        ("listMessages", None),
        ("listEvents", None),
        ("exportSubject", None),
    }
    assert len(looks) == 5
    assert {each["actor"] for each in looks} == {"key:admin"}


def test_whoever_is_shown_in_a_list_is_told_of_it_once_an_hour(
    engine: Engine, town: TestClient, clock: SetClock
):
    def seen(subject: str) -> list[tuple[str, str]]:
        with engine.records.reads.connect() as conn:
            looks = access_log.accesses_of(conn, subject)
        asked = ("listDecisions", "replayDecision")
        return sorted((look.what, look.reason or "") for look in looks if look.what in asked)

    why = {"Access-Reason": "complaint of ana"}
    for headers in ({}, {}, why, why):
        decisions = town.get("/v1/decisions", headers=headers).json()["items"]
    bare, complained = ("listDecisions", ""), ("listDecisions", "complaint of ana")
    assert seen("ana") == seen("ben") == [bare, complained]
    clock.set(engine.now() + timedelta(hours=1, seconds=1))
    assert town.get("/v1/decisions", params={"subject": "ana"}).json()["items"]
    town.get("/v1/decisions").raise_for_status()
    assert seen("ana") == seen("ben") == [bare, bare, complained], "asked for or shown, it is one look"
    [mine] = [each["id"] for each in decisions if each["subject"] == "ana"]
    again = town.get(f"/v1/decisions/{mine}/replay", headers=why).json()
    assert (again["decision"], again["sameness"]) == (mine, "same")
    assert seen("ana")[-1] == ("replayDecision", "complaint of ana")


def test_a_marketer_is_shown_no_single_shopper(engine: Engine, town: TestClient):
    _, secret = engine.keys.create("marketer", [Scope.MARKETING])
    marketer = {"Authorization": f"Bearer {secret}"}
    [made, _] = town.get("/v1/decisions").json()["items"]
    for path in (
        "/v1/events",
        "/v1/decisions",
        "/v1/decisions?subject=ana",
        f"/v1/decisions/{made['id']}/replay",
        "/v1/messages",
        "/v1/messages?campaign=bread",
    ):
        answer = town.get(path, headers=marketer)
        assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
        assert "privacy" in answer.text
    assert town.get("/v1/campaigns/bread/report", headers=marketer).status_code == 200
    [message, _] = town.get("/v1/messages").json()["items"]
    with engine.records.writes.begin() as conn:
        conn.execute(
            update(campaigns.tables.messages)
            .where(campaigns.tables.messages.c.id == message["id"])
            .values(state="failed", reason="retries_exhausted")
        )
    again = town.post(f"/v1/messages/{message['id']}/redrive", headers=marketer).json()
    assert again["state"] == "due"
    assert again.keys().isdisjoint({"subject", "event", "text"})


def counts(engine: Engine) -> dict[str, int]:
    with engine.records.reads.connect() as conn:
        return {
            each.table.name: conn.scalar(select(func.count()).select_from(each.table)) or 0
            for each in engine.privacy.holdings
        }


def after(engine: Engine, **parts: float) -> datetime:
    return engine.now() + timedelta(**parts)


def test_each_table_is_emptied_when_its_period_is_over_and_not_before(engine: Engine, town: TestClient):
    retention, before = engine.privacy.retention, counts(engine)
    assert before["place_events"] == before["decisions"] == before["messages"] == before["attempts"] == 2
    with engine.records.writes.begin() as conn:
        refused = {"outcome": "refused", "reason": "window_closed", "gates": [], "at": engine.now()}
        conn.execute(
            insert(campaigns.tables.decisions).values(
                id="d", event="e", campaign="c", subject="ana", **refused
            )
        )
    assert retention.purge(after(engine, days=29)) == 0
    expected = {each.name: each.rows for each in retention.expired(after(engine, days=31))}
    assert expected["place_events after 30 days"] == 2
    assert expected["carts after 30 days"] == 2
    assert expected["decisions after 30 days"] == 1
    assert expected["messages after 395 days"] == 0
    assert retention.purge(after(engine, days=31)) == sum(expected.values()) == 5
    assert counts(engine) == before | {"place_events": 0, "carts": 0}
    retention.purge(after(engine, days=396))
    assert counts(engine) == before | dict.fromkeys(
        (
            "place_events",
            "visits",
            "carts",
            "held_moments",
            "decisions",
            "coupons",
            "redemptions",
            "short_links",
            "clicks",
            "messages",
            "attempts",
            "inbound_messages",
            "inbound_subjects",
            "review_texts",
            "opt_in_requests",
            "access_log",
        ),
        0,
    )
    assert retention.purge(after(engine, days=396)) == 0


def test_what_is_not_answered_is_not_purged(engine: Engine, town: TestClient):
    engine.privacy.retention.purge(after(engine, days=10_000))
    assert counts(engine)["privacy_requests"] == counts(engine)["erasure_notices"] == 2
    [request] = town.get("/v1/privacy-requests?subject=ana").json()["items"]
    town.post(f"/v1/privacy-requests/{request['id']}/close", json={"outcome": "done"}).raise_for_status()
    engine.privacy.retention.purge(after(engine, days=1827))
    assert counts(engine)["privacy_requests"] == 1


def test_a_purge_goes_in_small_portions_and_tells_of_each(engine: Engine, monkeypatch):
    from engine.privacy import retention

    monkeypatch.setattr(retention, "PORTION", 10)
    at = engine.now() - timedelta(days=40)
    row = {"device": "d", "subject": "s", "kind": "enter", "geofence": "g", "at": at, "emitted": at}
    rows = [row | {"id": f"e{n}", "confidence": 1.0, "evidence": {}, "recorded_at": at} for n in range(25)]
    with engine.records.writes.begin() as conn:
        conn.execute(insert(geofences.tables.place_events), rows)
    told: list[int] = []
    assert engine.privacy.retention.purge(engine.now(), told.append) == 25
    assert told == [10, 10, 5]


def test_rows_with_a_key_of_two_columns_and_an_end_of_their_own_go_at_it(records: Records):
    from sqlalchemy import Column, MetaData, Table, Text
    from sqlalchemy_utc import UtcDateTime

    marks = Table(
        "marks",
        MetaData(),
        Column("mark", Text, primary_key=True),
        Column("scope", Text, primary_key=True),
        Column("keep_until", UtcDateTime, nullable=False),
    )
    own_end = Holding(marks, "shopper", "marks", "test", "days", periods=(Period(0, "keep_until", {}),))
    retention = Retention(records.writes, records.reads, (), 1000)
    with records.writes.begin() as conn:
        marks.create(conn)
        for number, scope in enumerate(["sms", "push", "sms"]):
            end = MONDAY_NINE + timedelta(hours=number)
            conn.execute(insert(marks).values(mark=f"m{number // 2}", scope=scope, keep_until=end))
    assert retention._purge_portion(own_end, own_end.periods[0], MONDAY_NINE + timedelta(minutes=90)) == 2
    with records.writes.begin() as conn:
        assert conn.execute(select(marks.c.mark, marks.c.scope)).all() == [("m1", "sms")]
        marks.drop(conn)
    assert own_end.duration == "until `keep_until`"


def test_a_dry_run_counts_what_a_run_removes(engine: Engine, town: TestClient):
    late = after(engine, days=400)
    expected = sum(each.rows for each in engine.privacy.retention.expired(late))
    before = counts(engine)
    assert counts(engine) == before
    # rows that fall to an earlier period are counted in both
    assert 0 < engine.privacy.retention.purge(late) <= expected


def inactive(engine: Engine, at: datetime) -> set[str]:
    return set(engine.privacy.retention.inactive(at))


def test_who_was_silent_for_three_years_is_erased_and_nobody_else(
    engine: Engine, town: TestClient, clock: SetClock
):
    days = engine.settings.inactive_days
    assert inactive(engine, after(engine, days=days - 1)) == set()
    clock.advance(days=700)
    walk(town, engine, "ben")
    engine.privacy.retention.purge(after(engine, days=60))
    assert counts(engine)["place_events"] == 0, "the visit itself is gone"
    clock.advance(days=days - 600)
    assert inactive(engine, clock()) == {"ana"}
    engine.privacy.purge()
    assert town.get("/v1/subjects/ana").status_code == 404
    assert town.get("/v1/subjects/ben").status_code == 200
    with engine.records.reads.connect() as conn:
        assert [each.processor for each in processor_store.notices_of(conn, "ana")] == ["printer"]


@pytest.mark.parametrize("sign", ["text", "consent", "visit"])
def test_each_sign_of_life_counts(engine: Engine, town: TestClient, clock: SetClock, sign: str):
    clock.advance(days=1000)
    if sign == "text":
        engine.desk.hear(sid="SM9", from_number=WHO["ana"][0], body="merci", opt_out_type=None, policy=POLICY)
    elif sign == "consent":
        said = {"purpose": "cart", "action": "withdraw", "source": "app"}
        town.post("/v1/subjects/ana/consents", json=said).raise_for_status()
    else:
        walk(town, engine, "ana")
    late = after(engine, days=500)
    assert inactive(engine, late) == {"ben"}
    engine.privacy.retention.purge(late)
    assert inactive(engine, late) == {"ben"}, "remembered after the purge"


def test_what_others_do_is_no_sign_of_life(engine: Engine, town: TestClient, clock: SetClock):
    clock.advance(days=1000)
    body = {"phone": WHO["ana"][0], "attributes": {"birth_year": 2024}}
    town.put(
        "/v1/subjects/ana", json=body
    ).raise_for_status()  # a synchronisation; she turns out to be a child
    town.get("/v1/subjects/ana").raise_for_status()
    with engine.records.writes.begin() as conn:
        conn.execute(delete(inbound_messages))
    assert inactive(engine, after(engine, days=200)) == {"ana", "ben"}


def test_an_erasure_answers_its_requests_and_forgets_the_words(engine: Engine, town: TestClient):
    asks = {
        "subject": "ana",
        "kind": "erasure",
        "means": "letter",
        "identity_check": "by the address on file",
    }
    town.post("/v1/privacy-requests", json=asks).raise_for_status()
    town.delete("/v1/subjects/ana").raise_for_status()
    with engine.records.reads.connect() as conn:
        assert {each.reason for each in access_log.accesses_of(conn, "ana")} == {None}
        assert {each.reason for each in access_log.accesses_of(conn, "ben")} == {"call of ben"}
    items = town.get("/v1/privacy-requests?subject=ana&open=false").json()["items"]
    assert {(each["kind"], each["outcome"], each["identity_check"]) for each in items} == {
        ("erasure", "done", None),
        ("rectification", "done", None),
    }


def test_an_erasure_that_fails_leaves_its_request_open(engine: Engine, town: TestClient):
    def fails(_conn: Any, _subject: str) -> None:
        raise RuntimeError("another domain failed")

    tells = pass_on_erasure([Processor("call centre", "calls", "phone", "FR")], engine.now)
    desk = replace(engine.desk, on_erasure=(tells, fails))
    with pytest.raises(RuntimeError):
        replace(engine.privacy.rights, desk=desk).erase("ana", "letter", "key:desk")
    items = town.get("/v1/privacy-requests?subject=ana").json()["items"]
    assert {each["kind"] for each in items} == {"erasure", "rectification"}
    with engine.records.reads.connect() as conn:
        assert [each.processor for each in processor_store.notices_of(conn, "ana")] == ["printer"]
    replace(engine.desk, on_erasure=(*engine.desk.on_erasure, tells)).erase("ana", "key:desk")
    with engine.records.reads.connect() as conn:
        told = {each.processor for each in processor_store.notices_of(conn, "ana")}
    assert told == {"printer", "call centre"}
    assert town.get("/v1/privacy-requests?subject=ana").json()["items"] == []


def test_the_clock_of_requests(engine: Engine, town: TestClient, clock: SetClock):
    [request] = town.get("/v1/privacy-requests?subject=ana").json()["items"]
    assert (request["due_at"], request["overdue"]) == ("2026-12-23T08:00:00Z", False)
    path = f"/v1/privacy-requests/{request['id']}"
    clock.set(MONDAY_NINE + timedelta(days=31))
    [late, _] = town.get("/v1/privacy-requests?overdue=true").json()["items"]
    assert late["overdue"]
    refused = town.post(f"{path}/extend", json={"reason": "late"})
    assert (refused.status_code, refused.json()["code"]) == (409, "request_closed")
    clock.set(MONDAY_NINE + timedelta(days=20))
    assert town.post(f"{path}/extend", json={}).status_code == 422
    longer = town.post(f"{path}/extend", json={"reason": "three brands"}).json()
    assert (longer["due_at"], longer["extension_reason"]) == ("2027-02-23T08:00:00Z", "three brands")
    assert town.post(f"{path}/extend", json={"reason": "again"}).status_code == 409
    assert town.post(f"{path}/close", json={"outcome": "refused"}).status_code == 422
    assert town.post(f"{path}/close", json={"outcome": "refused", "note": "not hers"}).status_code == 200
    assert town.post(f"{path}/close", json={"outcome": "done"}).status_code == 409
    assert town.post("/v1/privacy-requests/none/close", json={"outcome": "done"}).status_code == 404
    first = town.get("/v1/privacy-requests?limit=1&open=false").json()
    second = town.get(
        "/v1/privacy-requests", params={"limit": 1, "open": "false", "cursor": first["next"]}
    ).json()
    assert {first["items"][0]["subject"], second["items"][0]["subject"]} == {"ana", "ben"}
    assert second["next"] is None
    for cursor in ("x", "é", "MjAyNg=="):
        assert town.get("/v1/privacy-requests", params={"cursor": cursor}).status_code == 422


def test_an_erasure_waits_for_each_declared_processor(settings: Settings, clock: SetClock, tmp_path: Path):
    file = tmp_path / "processors.toml"
    file.write_text('[[processor]]\nname = "call centre"\ntask = "calls"\ndata = "phone"\ncountry = "FR"\n')
    engine = Engine(replace(settings, processors_path=str(file)), clock)
    engine.open()
    try:
        key = {"Authorization": f"Bearer {settings.admin_key}"}
        desk = TestClient(engine.web(), base_url=settings.public_url, headers=key)
        desk.put("/v1/subjects/zoe", json={}).raise_for_status()
        desk.delete("/v1/subjects/zoe").raise_for_status()
        [notice] = desk.get("/v1/erasure-notices").raise_for_status().json()["items"]
        assert (notice["processor"], notice["subject"], notice["state"]) == ("call centre", "zoe", "manual")
        assert desk.post(f"/v1/erasure-notices/{notice['id']}/done").status_code == 204
        assert desk.post(f"/v1/erasure-notices/{notice['id']}/done").status_code == 404
        assert desk.get("/v1/erasure-notices").json()["items"] == []
    finally:
        engine.close()


def test_an_objection_through_the_desk_is_in_force_when_it_is_answered(engine: Engine, town: TestClient):
    asks = {"subject": "ana", "kind": "objection", "means": "e-mail"}
    answer = town.post("/v1/privacy-requests", json=asks).raise_for_status().json()
    assert (answer["outcome"], answer["actor"]) == ("done", "key:admin")
    told = town.get("/v1/subjects/ana/consents").json()["standing"]
    assert not any(each["allowed"] for each in told)
    nobody = town.post("/v1/privacy-requests", json=asks | {"subject": "nobody"})
    assert nobody.status_code == 404


def test_the_metrics_tell_what_waits(engine: Engine, town: TestClient, clock: SetClock):
    clock.advance(days=40)
    with engine.records.writes.begin() as conn:
        request_store.add(conn, received("r", "ana", RequestKind.ACCESS, "letter", "key:x", clock()))
    engine.privacy.watch()
    told = town.get("/metrics/").text
    for line in (
        'chaland_privacy_requests_open{kind="rectification"} 2.0',
        'chaland_privacy_requests_overdue{kind="rectification"} 2.0',
        'chaland_privacy_requests_overdue{kind="access"} 0.0',
        'chaland_privacy_request_oldest_age_seconds{kind="rectification"} 3.456e+06',
        'chaland_erasure_notices_waiting{state="due"} 2.0',
    ):
        assert line in told, line


def test_the_sheet_tells_the_configuration_and_follows_it(engine: Engine, town: TestClient):
    told = engine.privacy.sheet(engine.settings)
    for each in engine.privacy.holdings:
        assert f"| {each.table.name} |" in told
    for family in live_holdings():
        assert family.data in told
    for purpose in ("location", "marketing", "profiling", "cart"):
        assert f"| {purpose} |" in told
    assert "| subjects | shopper |" in told
    assert "30 days from `at`" in told
    for secret in (
        "twilio-token",
        "test-admin-key",
        *(key.decode() for key in engine.privacy.door.links.keys),
    ):
        assert secret not in told
    for trace in ("+33639980001", "Anaïs", "ana-phone"):
        assert trace not in told


@pytest.mark.parametrize(
    ("differing", "line"),
    [
        ({"sms_channel": "twilio"}, "Messages leave through Twilio"),
        ({"brand": "Fournil | Lyon"}, "# Data-protection sheet of Fournil \\| Lyon"),
        ({"inactive_days": 500}, "silent for 500 days"),
        ({"default_region": "DE"}, "(16 in DE)"),
        ({"age_must_be_known": "yes"}, "of unknown age: refused"),
        ({"preference_link_days": 7}, "good for 7 days"),
        ({"state_expiry_seconds": 900}, "forgotten after 900 s"),
    ],
)
def test_the_sheet_differs_where_the_configuration_does(engine: Engine, differing, line):
    assert line in engine.privacy.sheet(replace(engine.settings, **differing))
    assert line not in engine.privacy.sheet(engine.settings)


def test_periods_follow_the_settings(settings: Settings):
    [events] = [
        each
        for each in holdings(replace(settings, event_retention_days=7))
        if each.table.name == "place_events"
    ]
    assert events.duration == "7 days from `at`"


def test_whose_rows_they_are_is_known_for_every_table_about_shoppers(settings: Settings):
    several = holdings(settings)
    for each in several:
        if each.is_exported:
            assert whose(each, several)[1] is not None


def test_what_was_used_of_budgets_on_a_day_goes_and_over_a_life_stays(engine: Engine):
    today = engine.now().date()
    days = ["", *((today - timedelta(days=ago)).isoformat() for ago in (61, 60, 0))]
    used = dict.fromkeys(
        ("reserved_messages", "reserved_micros", "committed_messages", "committed_micros"), 1
    )
    with engine.records.writes.begin() as connection:
        rows = [{"owner": "account", "day": day, **used} for day in days]
        connection.execute(budget_counters.insert(), rows)
    assert engine.privacy.retention.purge(engine.now()) == 1
    with engine.records.reads.connect() as connection:
        kept = connection.scalars(select(budget_counters.c.day).order_by(budget_counters.c.day)).all()
    assert kept == [days[0], days[2], days[3]]


def test_an_erasure_locks_the_counters_of_budgets_after_everything_else(engine: Engine):
    assert engine.desk.on_erasure[-1] is decision_store.forget_subject
