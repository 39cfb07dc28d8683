"""Carts, absences and broadcasts through the product's own doors."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from config import Settings
from engine.app import Engine
from engine.clock import SetClock

CART = {
    "name": "Your cart",
    "trigger": {
        "event": "cart",
        "cart": {"min_value": 50, "currency": "EUR", "items": ["shoe-81"], "untouched_minutes": 30},
    },
    "channel": "sms",
    "template": "Your cart waits",
}
SALE = {
    "name": "Sale",
    "trigger": {"event": "broadcast", "schedule": {"time": "09:30", "timezone": "Europe/Paris"}},
    "channel": "sms",
    "template": "Ten off today",
    "shelf_life_seconds": 7200,
}
AWAY = {
    "name": "Away",
    "trigger": {"event": "absence", "geofences": ["bakery"], "absent_days": 30},
    "channel": "sms",
    "template": "We miss you",
}
BAKERY = {
    "type": "Feature",
    "geometry": {"type": "Point", "coordinates": [2.35, 48.85]},
    "properties": {"name": "The bakery", "kind": "store", "radius": 30, "timezone": "Europe/Paris"},
}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, test_recipients="ana", report_minimum_people=1)


@pytest.fixture
def ana(client: TestClient) -> TestClient:
    """Ana allows offers by SMS and carts, and not that anybody knows where she is."""
    client.put("/v1/geofences/bakery", json=BAKERY).raise_for_status()
    client.put("/v1/subjects/ana", json={"phone": "+33639980001"}).raise_for_status()
    for purpose, channel in (("marketing", "sms"), ("cart", None)):
        said = {
            "purpose": purpose,
            "channel": channel,
            "action": "grant",
            "source": "app",
            "text_version": "1",
        }
        said = {name: value for name, value in said.items() if value is not None}
        client.post("/v1/subjects/ana/consents", json=said).raise_for_status()
    return client


def run(client: TestClient, **campaigns: dict[str, Any]) -> None:
    for name, campaign in campaigns.items():
        client.put(f"/v1/campaigns/{name}", json=campaign).raise_for_status()
        client.post(f"/v1/campaigns/{name}/activate").raise_for_status()


def settle(engine: Engine) -> None:
    """All jobs that decide, once, and the sender."""
    engine.watcher.run_once()
    engine.broadcaster.run_once()
    engine.releaser.run_once()
    engine.sender.run_once()


def fill(client: TestClient, engine: Engine, **changes: Any) -> None:
    cart = {
        "subject": "ana",
        "at": engine.now().isoformat(),
        "status": "filled",
        "value": 60,
        "currency": "EUR",
    }
    told = cart | {"items": ["shoe-81"], "categories": ["shoes"], "cart": "c-1"} | changes
    client.post("/v1/carts", json={"carts": [told]}).raise_for_status()


def told(client: TestClient, campaign: str) -> list[tuple[str, str]]:
    found = client.get("/v1/decisions", params={"campaign": campaign}).json()["items"]
    return [(each["outcome"], each["reason"]) for each in found]


def test_a_cart_from_the_shop_to_the_phone(ana: TestClient, engine: Engine, clock: SetClock):
    run(ana, left=CART)
    settle(engine)
    fill(ana, engine)
    clock.advance(minutes=30)
    dry = ana.post("/v1/campaigns/left/dry-run", json={"subject": "ana", "event": "cart"}).json()
    assert (dry["outcome"], dry["event"], dry["geofence"]) == ("message", "cart", None)
    settle(engine)
    assert told(ana, "left") == [("message", "ok")]
    [message] = ana.get("/v1/messages").json()["items"]
    assert (message["state"], message["geofence"], message["text"]) == ("sent", None, "Your cart waits")
    [cart] = ana.get("/v1/subjects/ana/export").json()["carts"]
    assert (cart["items"], cart["categories"], cart["cart"]) == (["shoe-81"], ["shoes"], "c-1")
    report = ana.get("/v1/campaigns/left/report").json()
    assert [(each["step"], each["count"]) for each in report["funnel"]][:4] == [
        ("entered", 1),
        ("eligible", 1),
        ("held", 0),
        ("sent", 1),
    ]
    assert (report["by_geofence"], report["by_hour"]) == ([], [])
    ana.delete("/v1/subjects/ana").raise_for_status()
    assert told(ana, "left") == []


def test_what_is_bought_before_the_message_goes_calls_it_off(
    ana: TestClient, engine: Engine, clock: SetClock
):
    run(ana, left=CART)
    settle(engine)
    fill(ana, engine)
    clock.advance(minutes=30)
    engine.watcher.run_once()
    fill(ana, engine, status="purchased")
    engine.sender.run_once()
    [message] = ana.get("/v1/messages").json()["items"]
    assert (message["state"], message["reason"]) == ("cancelled", "no_such_cart")


def test_a_broadcast_each_day(ana: TestClient, engine: Engine, clock: SetClock):
    run(ana, sale=SALE)
    settle(engine)
    assert told(ana, "sale") == []
    clock.advance(minutes=30)
    settle(engine)
    settle(engine)
    assert told(ana, "sale") == [("message", "ok")]
    dry = ana.post("/v1/campaigns/sale/dry-run", json={"subject": "ana", "event": "broadcast"}).json()
    assert dry["reason"] == "cap_reached"
    clock.advance(days=1)
    settle(engine)
    assert told(ana, "sale") == [("message", "ok"), ("message", "ok")]
    page = ana.get("/v1/campaigns/sale/broadcasts", params={"limit": 1}).json()
    [newest] = page["items"]
    assert (newest["occurrence"], newest["in_audience"]) == ("2026-11-24T08:30:00+00:00", 1)
    [oldest] = ana.get("/v1/campaigns/sale/broadcasts", params={"cursor": page["next"]}).json()["items"]
    assert (oldest["occurrence"], oldest["why"]) == ("2026-11-23T08:30:00+00:00", None)
    assert ana.get("/v1/campaigns/none/broadcasts").status_code == 404


def test_an_absence_asks_for_location(ana: TestClient, engine: Engine):
    run(ana, away=AWAY)
    settle(engine)
    dry = ana.post(
        "/v1/campaigns/away/dry-run", json={"subject": "ana", "event": "absence", "geofence": "bakery"}
    )
    assert dry.json()["reason"] == "no_location_consent"


def test_a_test_is_sent_without_a_place(ana: TestClient, engine: Engine):
    ana.put("/v1/campaigns/sale", json=SALE).raise_for_status()
    sent = ana.post("/v1/campaigns/sale/test-send", json={"subject": "ana"}).json()
    assert sent["outcome"] == "message"
    engine.sender.run_once()
    [message] = ana.get("/v1/messages").json()["items"]
    assert message["state"] == "sent"


ODD: list[tuple[dict[str, Any], str]] = [
    ({"trigger": {"event": "cart"}}, "trigger.cart"),
    ({"trigger": {"event": "carts"}}, "trigger.event"),
    ({"trigger": {"event": "absence", "any": True}}, "trigger.absent_days"),
    ({"trigger": {"event": "broadcast"}}, "trigger.schedule"),
    (
        {"trigger": {"event": "broadcast", "schedule": {"time": "25:00", "timezone": "UTC"}}},
        "trigger.schedule.time",
    ),
    ({"trigger": {"event": "broadcast", "schedule": {"time": "09:00"}}}, "trigger.schedule"),
    ({"country": "XX"}, "country"),
    ({"trigger": {"event": "cart", "cart": {"items": ["x"] * 51}}}, "trigger.cart.items"),
]


def test_what_makes_no_sense_is_named(client: TestClient):
    for changes, field in ODD:
        answer = client.put("/v1/campaigns/odd", json=CART | changes)
        assert answer.status_code == 422
        assert [each["field"] for each in answer.json()["errors"]] == [field]


def test_a_backtest_of_what_no_phone_does_is_refused(ana: TestClient, engine: Engine):
    run(ana, sale=SALE)
    since = (engine.now() - timedelta(days=1)).isoformat()
    answer = ana.post("/v1/campaigns/sale/backtest", json={"since": since})
    assert (answer.status_code, "phones" in answer.text) == (422, True)
