from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from campaigns.triggers.trigger import Deed, Trigger
from engine.app import Engine
from engine.doors.keys import Scope
from engine.history import read_history
from geofences.event import EventKind
from tests.campaigns.cast import BREAD

SUBJECT = {"devices": [{"device": "ana-phone"}]}


@pytest.fixture
def ana(client: TestClient) -> TestClient:
    """Ana allows carts; Ben does not."""
    client.put("/v1/subjects/ana", json=SUBJECT).raise_for_status()
    client.put("/v1/subjects/ben", json={}).raise_for_status()
    said = {"purpose": "cart", "action": "grant", "source": "app", "text_version": "1"}
    client.post("/v1/subjects/ana/consents", json=said).raise_for_status()
    return client


def bought(engine: Engine, **changes) -> dict:
    usual = {"subject": "ana", "at": engine.now().isoformat(), "status": "purchased"}
    return {name: value for name, value in (usual | changes).items() if value is not None}


def test_carts_are_kept_of_who_allows_it_and_once(ana: TestClient, engine: Engine):
    several = [
        bought(engine, value=24.5, currency="EUR"),
        bought(engine, subject=None, device="ana-phone", status="filled"),
        bought(engine, subject="ben"),
        bought(engine, subject="nobody"),
        bought(engine, subject=None, device="unknown"),
    ]
    for _ in range(2):
        answer = ana.post("/v1/carts", json={"carts": several})
        assert (answer.status_code, answer.json()) == (202, {"accepted": 2, "dropped": 3})
    held = ana.get("/v1/subjects/ana/export").json()["carts"]
    assert sorted((each["status"], each["value"]) for each in held) == [("filled", None), ("purchased", 24.5)]
    assert ana.get("/v1/subjects/ben/export").json()["carts"] == []
    ana.delete("/v1/subjects/ana").raise_for_status()
    with engine.records.reads.connect() as connection:
        assert read_history(connection, ["ana"], [UNLESS_BOUGHT], engine.now()).bought == {"ana": []}


def test_an_app_held_to_its_devices_tells_of_no_other_s_cart(ana: TestClient, engine: Engine):
    ana.put("/v1/subjects/ana", json={"devices": [{"device": "shop:1"}, {"device": "ana-phone"}]})
    _, secret = engine.keys.create("shop", [Scope.INGEST], devices="shop:")
    names = ({}, {"subject": None, "device": "ana-phone"}, {"subject": None, "device": "shop:1"})
    carts = {"carts": [bought(engine, **name) for name in names]}
    answer = ana.post("/v1/carts", json=carts, headers={"Authorization": f"Bearer {secret}"})
    assert answer.json() == {"accepted": 1, "dropped": 2}


UNLESS_BOUGHT = replace(
    BREAD,
    trigger=Trigger(EventKind.ENTER, ("bakery",), delay_seconds=600, cancel_if=(Deed.PURCHASE,)),
)


def test_a_purchase_since_the_event_calls_the_offer_off(ana: TestClient, engine: Engine):
    now = engine.now()
    ana.post("/v1/carts", json={"carts": [bought(engine)]}).raise_for_status()
    with engine.records.reads.connect() as connection:
        history = read_history(connection, ["ana", "ben"], [UNLESS_BOUGHT], now)
    second = timedelta(seconds=1)
    assert history.done(UNLESS_BOUGHT, "ana", "bakery", now - second) == {Deed.PURCHASE}
    assert history.done(UNLESS_BOUGHT, "ana", "bakery", now + second) == frozenset(), "bought before it"
    assert history.done(UNLESS_BOUGHT, "ben", "bakery", now - second) == frozenset()
    assert history.done(BREAD, "ana", "bakery", now - second) == frozenset(), "nobody asked"
    then = replace(history, now=now - timedelta(hours=1))
    assert then.done(UNLESS_BOUGHT, "ana", "bakery", then.now) == frozenset(), "not known then"


@pytest.mark.parametrize(
    "changes",
    [
        {"device": "ana-phone"},
        {"subject": None},
        {"status": "stolen"},
        {"value": 3},
        {"value": -1, "currency": "EUR"},
        {"value": 3, "currency": "euro"},
        {"at": "2020-01-01T00:00:00Z"},
        {"at": 5},
        {"items": ["a private thing"]},
    ],
)
def test_what_is_no_cart_is_refused(ana: TestClient, engine: Engine, changes):
    answer = ana.post("/v1/carts", json={"carts": [bought(engine, **changes)]})
    assert answer.status_code == 422
    assert "carts" in answer.text
    assert ana.post("/v1/carts", json={"carts": []}).status_code == 422
