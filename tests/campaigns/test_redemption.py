from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import update

from campaigns.audience.behaviour import Act, Behaviour
from campaigns.coupons import redemption_routes
from campaigns.coupons import store as coupon_store
from campaigns.coupons.coupon import CouponOffer, CouponState, Pool
from campaigns.coupons.redemption import Issued, Presented, Refusal, refusal_of
from campaigns.coupons.redemption_store import (
    Taken,
    forget_subject,
    redemptions_of,
    taken_by,
)
from campaigns.decide import decide
from campaigns.decision_store import record_decision
from campaigns.fulfilment import fulfil
from campaigns.message import MessageState
from campaigns.tables import messages
from campaigns.triggers.trigger import Deed
from engine.doors.web import speak_problem_json
from engine.history import read_history
from geofences import store as geofence_store
from tests.campaigns.cast import BAKERY, BREAD, event, moment
from tests.conftest import MONDAY_NINE

NOW = MONDAY_NINE


def asking(behaviour):
    return replace(BREAD, audience=behaviour)


def calling_off(deed):
    return replace(BREAD, trigger=replace(BREAD.trigger, cancel_if=(deed,)))


DAY = timedelta(days=1)
ISSUED = Issued(CouponState.CLAIMED, "m1", MessageState.SENT, "ana", "bakery", ("paris",), NOW, NOW + DAY)
SHOWN = Presented("bakery", NOW + timedelta(hours=1))
OTHER = replace(BAKERY, id="other", tags=())
PARIS = replace(BAKERY, id="paris-2", tags=("paris",))


@pytest.mark.parametrize(
    ("issued", "shown", "store", "refusal"),
    [
        ({}, {}, BAKERY, None),
        ({}, {}, None, None),
        ({}, {"geofence": "paris-2"}, PARIS, None),
        ({}, {"subject": "ana"}, BAKERY, None),
        ({}, {"at": NOW + DAY - timedelta(seconds=1)}, BAKERY, None),
        ({"message_state": MessageState.UNKNOWN}, {}, BAKERY, None),
        ({}, {"geofence": "other"}, OTHER, Refusal.OTHER_STORE),
        ({}, {"geofence": "gone"}, None, Refusal.OTHER_STORE),
        ({"tags": ()}, {"geofence": "paris-2"}, PARIS, Refusal.OTHER_STORE),
        ({}, {"subject": "ben"}, BAKERY, Refusal.OTHER_SUBJECT),
        ({}, {"at": NOW + DAY}, BAKERY, Refusal.EXPIRED),
        ({}, {"at": NOW - timedelta(seconds=1)}, BAKERY, Refusal.TOO_EARLY),
        ({"state": CouponState.FREE}, {}, BAKERY, Refusal.NOT_SENT),
        ({"message_state": MessageState.DUE}, {}, BAKERY, Refusal.NOT_SENT),
        ({"message_state": MessageState.CANCELLED}, {}, BAKERY, Refusal.NOT_SENT),
        ({"message_state": None}, {}, BAKERY, Refusal.NOT_SENT),
        ({"state": CouponState.VOID}, {}, BAKERY, Refusal.VOID),
        ({"state": CouponState.REDEEMED}, {}, BAKERY, Refusal.REDEEMED),
        ({"state": CouponState.REDEEMED}, {"geofence": "other"}, OTHER, Refusal.OTHER_STORE),
    ],
)
def test_a_code_is_bound_to_reader_store_and_time(issued, shown, store, refusal):
    assert refusal_of(replace(ISSUED, **issued), replace(SHOWN, **shown), store) is refusal


def test_a_code_that_nobody_made_is_unknown():
    assert refusal_of(None, SHOWN, BAKERY) is Refusal.UNKNOWN


@pytest.fixture
def till(records, clock):
    """A till, and Ana's message with the code BREAD-1 on her phone since nine."""
    campaign = replace(
        BREAD, template="{{ coupon }}", coupon=CouponOffer("bread", valid_seconds=86_400, tags=("paris",))
    )
    with records.writes.begin() as connection:
        geofence_store.put_many(connection, [BAKERY, PARIS, OTHER], NOW)
        coupon_store.put_pool(connection, Pool("bread", "Bread", 0, None), NOW)
        coupon_store.import_codes(connection, "bread", [(1, "BREAD-1"), (2, "BREAD-2")])
        now = moment(event=event())
        record_decision(connection, *fulfil(connection, decide(campaign, now, NOW), campaign, now, NOW))
        connection.execute(update(messages).values(state=MessageState.SENT.value))
    clock.set(NOW + timedelta(hours=1))
    app = FastAPI()
    app.include_router(redemption_routes.router(writes=records.writes, now=clock))
    speak_problem_json(app)
    with TestClient(app) as client:
        yield client


def take(till, code="BREAD-1", geofence="bakery", **more):
    return till.post("/v1/redemptions", json={"code": code, "geofence": geofence, **more})


def test_a_code_is_taken_once_and_counted(till, records):
    taken = take(till, code="bread 1", geofence="paris-2", amount=12.5, currency="EUR")
    assert taken.status_code == 201
    assert (taken.json()["campaign"], taken.json()["amount"]) == ("bread", "12.5")
    assert "ana" not in taken.text
    again = take(till)
    assert (again.status_code, again.json()["code"]) == (409, "coupon_redeemed")
    with records.writes.begin() as connection:
        at = NOW + timedelta(hours=1)
        assert taken_by(connection, ["ana", "ben"], NOW) == {"ana": [Taken("bread", at)], "ben": []}
        assert taken_by(connection, ["ana"], at + timedelta(seconds=1)) == {"ana": []}
        asks, waits = asking(Behaviour(Act.REDEEMED, campaign="bread")), calling_off(Deed.REDEEMED)
        history = read_history(connection, ["ana", "ben"], [asks, waits], at)
        assert history.past(asks, "ana").times == {asks.audience: 1}
        assert history.past(asks, "ben").times == {asks.audience: 0}
        assert history.done(waits, "ana", "bakery", NOW) == {Deed.REDEEMED}
        assert history.done(waits, "ana", "bakery", at + timedelta(seconds=1)) == frozenset()
        assert history.done(waits, "ben", "bakery", NOW) == frozenset()
        then = replace(history, now=NOW)
        assert then.done(waits, "ana", "bakery", NOW) == frozenset(), "not known then"
        assert then.past(asks, "ana").times == {asks.audience: 0}
        assert [each["geofence"] for each in redemptions_of(connection, "ana")] == ["paris-2"]
        assert coupon_store.coupons_of(connection, "ana")[0]["state"] == "redeemed"
        forget_subject(connection, "ana")
        assert taken_by(connection, ["ana"], NOW) == {"ana": []}


def test_the_same_sale_told_again_gets_the_first_answer(till):
    first, again = (take(till, receipt="till-1/7") for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert take(till, receipt="till-1/8").json()["code"] == "coupon_redeemed"
    assert take(till, receipt="till-1/7", geofence="paris-2").json()["code"] == "coupon_redeemed"


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        ({"code": "BREAD-9"}, 404, "coupon_unknown"),
        ({"code": "BREAD-2"}, 409, "coupon_not_sent"),
        ({"geofence": "other"}, 409, "coupon_other_store"),
        ({"subject": "ben"}, 409, "coupon_other_subject"),
        ({"at": "2026-11-23T07:59:59Z"}, 409, "coupon_too_early"),
        ({"at": "2026-11-20T07:00:00Z"}, 422, "invalid_redemption"),
        ({"at": "2026-11-23T09:06:00Z"}, 422, "invalid_redemption"),
        ({"amount": 1}, 422, "invalid_body"),
        ({"amount": 1.2345, "currency": "EUR"}, 422, "invalid_body"),
        ({"amount": -1, "currency": "EUR"}, 422, "invalid_body"),
        ({"amount": "1e999999999", "currency": "EUR"}, 422, "invalid_body"),
        ({"amount": "NaN", "currency": "EUR"}, 422, "invalid_body"),
        ({"amount": True, "currency": "EUR"}, 422, "invalid_body"),
        ({"currency": "euro", "amount": 1}, 422, "invalid_body"),
        ({"code": "x" * 65}, 422, "invalid_body"),
        ({"phone": "x"}, 422, "invalid_body"),
    ],
)
def test_what_a_till_may_not_take_is_refused_with_a_reason(till, said, status, code):
    answer = take(till, **said)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "BREAD" not in answer.text


def test_a_coupon_that_is_over_is_refused(till, clock):
    clock.set(NOW + DAY)
    assert take(till).json()["code"] == "coupon_expired"


def test_after_an_erasure_nobody_can_use_the_code(till, records):
    with records.writes.begin() as connection:
        coupon_store.forget_subject(connection, "ana")
    assert take(till).json()["code"] == "coupon_void"
