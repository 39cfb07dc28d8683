from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from pydantic import ValidationError

from campaigns.campaign import campaign_from_json, campaign_json, campaign_problems
from campaigns.coupons.coupon import CouponOffer
from campaigns.decide import compose, decide, due_at, may_still_send
from campaigns.gates import GateName, Moment, Reason, Recipient, Verdict
from campaigns.limits.account import NO_LIMITS
from campaigns.triggers.cart import CartEvent, CartStatus, CartWish, Contents, cart_wanted, open_carts
from campaigns.triggers.form import CartWishForm
from campaigns.triggers.occasion import Timed, left_cart
from campaigns.triggers.trigger import Trigger
from consent.entry import Channel, Purpose
from consent.phone import origin_of
from geofences.event import EventKind
from tests.campaigns.cast import ANA, BREAD, NEVER_ASKED, granted, moment, withdrawn
from tests.conftest import MONDAY_NINE

NOW = MONDAY_NINE
FRENCH = replace(ANA, origin=origin_of("+33639981234"))
SHOES = Contents(("shoe-81",), ("shoes",))
WISH = CartWish(50, "EUR", untouched_minutes=30)
LEFT = replace(BREAD, id="left", trigger=Trigger(Timed.CART, cart=WISH))


def filled(minutes_ago: float = 40, **changes) -> CartEvent:
    usual = CartEvent("ana", CartStatus.FILLED, NOW - timedelta(minutes=minutes_ago), 60, "EUR")
    return replace(usual, **changes)


def bought(minutes_ago: float, **changes) -> CartEvent:
    return filled(minutes_ago, status=CartStatus.PURCHASED, **changes)


def test_a_cart_is_open_until_it_is_bought_emptied_or_forgotten():
    def values(*events: CartEvent) -> list[float | None]:
        [found] = {
            tuple(open_carts(order, NOW)) for order in permutations(events)
        }  # in whatever order it is told
        return [each.value for each in found]

    assert values(filled(50), filled(40, value=70)) == [70]
    assert values(filled(), bought(30)) == []
    assert values(filled(30), bought(30)) == [], "at one instant the purchase counts"
    assert values(filled(), bought(50)) == [60], "that was another"
    assert values(filled(cart="a"), bought(30, cart="b")) == [60]
    assert values(filled(cart="a"), bought(30, cart="a")) == values(filled(cart="a"), bought(30)) == []
    assert values(filled(), bought(30, cart="b")) == [], "which cart that was nobody knows"
    assert values(filled(cart="a"), filled(30, cart="b", value=70)) == [70, 60]
    assert values(filled(), filled(30, value=0)) == []
    assert values(filled(8 * 1440)) == []
    assert values(filled(known_at=NOW + timedelta(seconds=1))) == [], "not heard of yet"
    [left] = open_carts(
        [filled(50, contents=SHOES, store="bakery"), filled(40, status=CartStatus.ABANDONED, value=None)], NOW
    )
    assert (left.value, left.contents, left.store) == (60, SHOES, "bakery"), "what was said of it stands"


@pytest.mark.parametrize(
    ("wish", "wanted"),
    [
        (CartWish(), True),
        (CartWish(60, "EUR"), True),
        (CartWish(60.01, "EUR"), False),
        (CartWish(50, "USD"), False),
        (CartWish(items=("shoe-81", "hat")), True),
        (CartWish(categories=("shoes",)), True),
        (CartWish(items=("hat",), categories=("shoes",)), True),
        (CartWish(items=("shoes",)), False),
        (CartWish(untouched_minutes=40), True),
        (CartWish(untouched_minutes=41), False),
    ],
)
def test_what_a_campaign_asks_of_a_cart(wish, wanted):
    cart = filled(contents=SHOES)
    assert (cart_wanted(wish, [cart], NOW) is not None) == wanted
    assert cart_wanted(wish, [cart], NOW, "another") is None
    late = replace(cart, known_at=NOW - timedelta(minutes=20))
    assert cart_wanted(CartWish(untouched_minutes=21), [late], NOW) is None, "since we know of it"


def of_cart(cart: CartEvent = filled(), **changes) -> Moment:  # noqa: B008  # frozen
    """Ana left a cart online half an hour ago; nobody knows where she is."""
    usual = moment(
        event=left_cart(cart, cart.touched_at + WISH.untouched),
        geofence=None,
        recipient=FRENCH,
        location=NEVER_ASKED,
        carting=granted(Purpose.CART),
        carts=(cart,),
    )
    return replace(usual, **changes)


def test_a_cart_that_is_left_asks_for_the_cart_and_not_for_the_place():
    decision = decide(LEFT, of_cart(), NOW)
    assert (decision.reason, decision.geofence, decision.event) == (Reason.OK, None, filled().id)
    assert [gate.gate for gate in decision.gates] == list(GateName)
    told = {gate.gate: gate.input for gate in decision.gates}
    assert told[GateName.CART]["worth"] is True
    assert not {"value", "currency"} & told[GateName.CART].keys(), "decisions are kept for longer than carts"
    assert "shoe" not in repr(decide(LEFT, of_cart(filled(contents=SHOES)), NOW).gates)
    message = compose(decision, LEFT, of_cart())
    assert message is not None
    assert message.valid_until == NOW - timedelta(minutes=10) + timedelta(seconds=LEFT.shelf_life_seconds)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"carting": None}, Reason.NO_CART_CONSENT),
        ({"carting": withdrawn(Purpose.CART)}, Reason.CART_CONSENT_WITHDRAWN),
        ({"carts": ()}, Reason.NO_SUCH_CART),
        ({"carts": (filled(10),)}, Reason.NO_SUCH_CART),
        ({"carts": (filled(60),)}, Reason.NO_SUCH_CART),
        ({"marketing": withdrawn()}, Reason.CONSENT_WITHDRAWN),
        ({"recipient": replace(ANA, origin=None)}, Reason.COUNTRY_HOURS),
        ({"recipient": None}, Reason.UNKNOWN_SUBJECT),
    ],
)
def test_why_a_left_cart_brings_nothing(changes, reason):
    assert decide(LEFT, of_cart(**changes), NOW).reason is reason


def test_a_store_that_the_cart_names_rules_and_one_that_is_gone_forbids():
    at_home = of_cart(filled(store="bakery"), geofence=moment().geofence)
    assert decide(LEFT, at_home, NOW).reason is Reason.OK
    gone = decide(LEFT, replace(at_home, geofence=None), NOW)
    assert gone.reason is Reason.COUNTRY_HOURS
    elsewhere = replace(LEFT, trigger=replace(LEFT.trigger, geofences=("cafe",)))
    assert decide(elsewhere, at_home, NOW).reason is Reason.TRIGGER_MISMATCH


def test_who_has_no_number_is_where_the_campaign_says():
    push = replace(LEFT, channel=Channel.PUSH, template="Still there")
    ben = Recipient("ben", {}, frozenset({Channel.PUSH}))
    assert decide(push, of_cart(recipient=ben), NOW).reason is Reason.COUNTRY_HOURS
    assert decide(replace(push, country="FR"), of_cart(recipient=ben), NOW).reason is Reason.OK


def test_at_night_it_waits_for_the_first_lawful_minute_within_its_shelf_life():
    night = datetime(2026, 11, 24, 2, 10, tzinfo=UTC)  # ten past three in Paris
    cart = filled(at=night - timedelta(minutes=30))
    patient = replace(LEFT, shelf_life_seconds=6 * 3600)
    held = decide(patient, of_cart(cart), night)
    assert held.reason is Reason.DELAYED
    assert due_at(held) == datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
    assert decide(patient, of_cart(cart), due_at(held)).reason is Reason.OK
    assert decide(LEFT, of_cart(cart), night).reason is Reason.COUNTRY_HOURS, "too late by then"
    no_consent = decide(patient, of_cart(cart, marketing=withdrawn()), night)
    assert no_consent.reason is Reason.CONSENT_WITHDRAWN, "nothing to wait for"


def test_a_cart_beside_an_event_of_a_phone():
    near = replace(BREAD, trigger=replace(BREAD.trigger, event=EventKind.ENTER, cart=CartWish(50, "EUR")))
    assert decide(near, moment(carting=granted(Purpose.CART), carts=(filled(1),)), NOW).reason is Reason.OK
    assert decide(near, moment(carting=granted(Purpose.CART)), NOW).reason is Reason.NO_SUCH_CART
    assert decide(near, moment(carts=(filled(),)), NOW).reason is Reason.NO_CART_CONSENT
    held_out = decide(BREAD, moment(), NOW)
    assert next(gate for gate in held_out.gates if gate.gate is GateName.CART).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, Reason.OK),
        ({"carts": ()}, Reason.NO_SUCH_CART),
        ({"carting": withdrawn(Purpose.CART)}, Reason.CART_CONSENT_WITHDRAWN),
        ({"origin": None}, Reason.COUNTRY_HOURS),
    ],
)
def test_it_is_asked_again_when_it_is_sent(changes, reason):
    decision = decide(LEFT, of_cart(), NOW)
    message = compose(decision, LEFT, of_cart())
    assert message is not None
    usual = {
        "marketing": granted(),
        "location": NEVER_ASKED,
        "suppressed": False,
        "geofence": None,
        "origin": FRENCH.origin,
        "earlier": [],
        "has_address": True,
        "carting": granted(Purpose.CART),
        "carts": (filled(),),
        "rules": of_cart().rules,
        "account": NO_LIMITS,
        "now": NOW,
    }
    assert may_still_send(message, LEFT, **(usual | changes)).reason is reason


def test_what_is_written_is_read_back_and_nonsense_is_named():
    full = CartWish(0, "EUR", ("a",), ("b",), 60)
    for wish in (CartWish(), CartWish(untouched_minutes=5), full):
        campaign = replace(LEFT, trigger=Trigger(Timed.CART, cart=wish), country="FR")
        assert campaign_from_json(campaign_json(campaign)) == campaign
    assert "country" not in campaign_json(BREAD)

    def fields(trigger: Trigger) -> list[str]:
        return [problem.field for problem in campaign_problems(replace(BREAD, trigger=trigger))]

    assert fields(Trigger(Timed.CART, cart=WISH)) == []
    assert fields(Trigger(Timed.CART)) == ["trigger.cart"]
    assert fields(Trigger(Timed.CART, cart=CartWish())) == ["trigger.cart.untouched_minutes"]
    assert fields(Trigger(Timed.CART, cart=replace(WISH, currency=None))) == ["trigger.cart.currency"]
    assert fields(Trigger(Timed.CART, cart=WISH, delay_seconds=5)) == ["trigger.delay_seconds"]
    assert fields(Trigger(EventKind.ENTER, any=True, cart=CartWish())) == []
    here = Trigger(Timed.CART, ("bakery",), cart=WISH)
    for trigger, tags, wrong in (
        (LEFT.trigger, (), ["coupon.tags"]),
        (LEFT.trigger, ("a",), []),
        (here, (), []),
    ):
        code = replace(LEFT, trigger=trigger, template="{{ coupon }}", coupon=CouponOffer("pool", tags=tags))
        assert [problem.field for problem in campaign_problems(code)] == wrong
    assert CartWishForm.model_validate({"min_value": "50", "currency": "EUR"}).wish().min_value == 50
    for no_number in ("inf", "nan", "1e400"):
        with pytest.raises(ValidationError, match="min_value"):
            CartWishForm.model_validate({"min_value": no_number, "currency": "EUR"})
