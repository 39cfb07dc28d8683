"""Random campaigns and moments, so varied that every gate passes and fails, for whatever reason it can."""

from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

from campaigns.arbitration import Because, Winner
from campaigns.audience.audience import EVERYONE, All, AnyOf, Attribute, Audience, Comparison, Not, behaviours
from campaigns.audience.behaviour import Act, Behaviour, OnList, Past
from campaigns.campaign import Campaign, CampaignState, PerVisit
from campaigns.content.languages import Languages, MissingLocale
from campaigns.country_rules import CountryRules
from campaigns.coupons.coupon import CouponOffer
from campaigns.delivery.breaker import Breaker, BreakerState
from campaigns.experiments.experiment import Control, Experiment, Switchback, Variant
from campaigns.gates import Moment, Recipient
from campaigns.lifecycle.approval import NOT_ASKED, Clearance
from campaigns.limits.account import Account
from campaigns.limits.budget import Key, Limit, What
from campaigns.limits.cap import Cap, CapScope, Sent
from campaigns.triggers.cart import CartEvent, CartStatus, CartWish, Contents
from campaigns.triggers.occasion import Occurrence, Timed, left_cart
from campaigns.triggers.trigger import Deed, Trigger, VisitNumber
from consent.countries.hours import window_from_json
from consent.countries.rule import Reach
from consent.entry import Action, Channel, Entry, Purpose, Standing, standing
from consent.phone import origin_of
from geofences.event import EventKind, PlaceEvent, Revision
from geofences.geofence import Circle
from geofences.visit import Visit
from tests.campaigns.cast import BAKERY, BREAD
from tests.conftest import MONDAY_NINE as NOW

DAY = timedelta(days=1)
PLACES = [
    BAKERY,
    replace(BAKERY, timezone="Nowhere/At_All"),
    replace(BAKERY, shape=Circle(7.75, 48.58, 30)),  # in Alsace, perhaps
    replace(BAKERY, shape=Circle(-80.19, 25.76, 30), timezone="America/New_York"),
    replace(BAKERY, opening_hours="Mo-Sa 07:00-19:00; PH off"),
    replace(BAKERY, opening_hours="Mo 20:00-26:00", tags=()),
    replace(BAKERY, opening_hours="at times"),
]
ORIGINS = [origin_of(number) for number in ("+33639980001", "+13055550123", "+12125550123")]
HOURS = [
    {"days": ["mon", "tue", "wed"], "from": "08:00", "to": "18:00"},
    {"days": ["sun", "mon"], "from": "22:00", "to": "03:00"},
]
TEMPLATES: list[Any] = [
    "Bread for {{ first_name | default: 'you' }}. STOP au 36111",
    "{{ first_name }}, fresh bread",
    "Fresh bread " * 30,
    {"fr": "Du pain frais", "en": "Fresh bread"},
]


class Dice:
    """A repeatable throw: the same number always makes the same case."""

    def __init__(self, number: int) -> None:
        self._random = Random(f"moment {number}")

    def happens(self, likely: float) -> bool:
        return self._random.random() < likely

    def one(self, *choices: Any) -> Any:
        return self._random.choice(choices)

    def some(self, *choices: Any) -> list[Any]:
        return [each for each in choices if self.happens(0.4)]

    def number(self, least: int, most: int) -> int:
        return self._random.randint(least, most)

    def usually(self, usual: Any, *others: Any, likely: float = 0.9) -> Any:
        """The usual, so that most gates pass and each is seen to fail alone."""
        return usual if self.happens(likely) else self.one(*others)


def campaign_and_moment(number: int) -> tuple[Campaign, Moment]:
    """One of each; the instant is `NOW`, 09:00 on a Monday in Paris."""
    dice = Dice(number)
    trigger = _trigger(dice)
    experiment = _experiment(dice) if dice.happens(0.3) else None
    template = dice.usually(TEMPLATES[0], *TEMPLATES[1:], likely=0.7)
    campaign = replace(
        BREAD,
        trigger=trigger,
        template=template,
        languages=Languages("en", MissingLocale.DO_NOT_SEND)
        if isinstance(template, dict)
        else BREAD.languages,
        channel=dice.usually(Channel.SMS, Channel.PUSH, likely=0.8),
        state=dice.usually(CampaignState.ACTIVE, *CampaignState),
        starts_at=dice.usually(None, NOW + DAY, NOW - DAY),
        ends_at=dice.usually(None, NOW, NOW + DAY),
        audience=_audience(dice, 0) if dice.happens(0.5) else EVERYONE,
        windows=tuple(map(window_from_json, dice.some(*HOURS))) if dice.happens(0.3) else (),
        caps=tuple(dice.some(Cap(1, 86_400), Cap(2, 3600, CapScope.ALL), Cap(1, 7200, CapScope.GEOFENCE))),
        min_gap_seconds=dice.usually(None, 600),
        per_visit=dice.usually(PerVisit.ONE, PerVisit.MANY),
        min_confidence=dice.usually(None, 0.5, 0.95),
        max_fix_age_seconds=dice.usually(None, 60),
        max_segments=dice.usually(4, 1),
        shelf_life_seconds=dice.usually(3600, 60, 86_400, likely=0.6),
        coupon=CouponOffer("pool") if dice.happens(0.1) else None,
        experiment=experiment,
        country=dice.one(None, "FR"),
    )
    return campaign, _moment(dice, campaign)


def _trigger(dice: Dice) -> Trigger:
    cart = CartWish(dice.one(None, 50), "EUR", tuple(dice.some("shoe-81")), untouched_minutes=30)
    cart = replace(cart, currency="EUR" if cart.min_value is not None else None)
    if dice.happens(0.15):
        if dice.happens(0.3):
            return Trigger(Timed.ABSENCE, geofences=("bakery",), absent_days=30)
        if dice.happens(0.3):
            return Trigger(Timed.BROADCAST)
        return Trigger(Timed.CART, cart=cart)
    return Trigger(
        dice.usually(EventKind.ENTER, EventKind.DWELL, EventKind.ZONE),
        geofences=dice.usually(("bakery",), ("other",), likely=0.8),
        tags=tuple(dice.some("city-centre")),
        zones=tuple(dice.some("till")) if dice.happens(0.2) else (),
        visit=VisitNumber(dice.number(1, 2), dice.one(None, 30)) if dice.happens(0.15) else None,
        absent_days=30 if dice.happens(0.1) else None,
        opening_hours=dice.happens(0.2),
        delay_seconds=dice.usually(0, 600, 3600, likely=0.7),
        cancel_if=tuple(dice.some(*Deed)) if dice.happens(0.2) else (),
        cart=cart if dice.happens(0.15) else None,
    )


def _audience(dice: Dice, depth: int) -> Audience:
    leaves = [
        Attribute("tier", Comparison.IN, ("gold", "silver")),
        Attribute("age", Comparison.AT_LEAST, 18),
        Attribute("tier", Comparison.EXISTS, operand=True),
        Behaviour(Act.VISITED, any=True, since_seconds=86_400),
        Behaviour(Act.RECEIVED, campaign="bread", least=0, most=1),
        OnList("staff"),
    ]
    if depth == 3 or dice.happens(0.4):
        return dice.one(*leaves)
    inner = tuple(_audience(dice, depth + 1) for _ in range(dice.number(0, 3)))
    return dice.one(All(inner), AnyOf(inner), Not(_audience(dice, depth + 1)))


def _experiment(dice: Dice) -> Experiment:
    return Experiment(
        dice.one("bread", "cake"),
        holdout_percent=dice.one(0, 20),
        variants=dice.one((), (Variant("a", 1, "Fresh bread"), Variant("b", 3, "{{ first_name }}, bread"))),
        switchback=dice.usually(None, Switchback(7200, 600)),
    )


def _moment(dice: Dice, campaign: Campaign) -> Moment:
    geofence = dice.usually(BAKERY, None, *PLACES, likely=0.4)
    carts = _carts(dice)
    event: PlaceEvent | Occurrence
    if campaign.trigger.event is Timed.CART:
        event = left_cart(dice.one(*carts), NOW - timedelta(minutes=dice.number(0, 70)))
    elif isinstance(campaign.trigger.event, Timed):
        event = Occurrence("occurrence", campaign.trigger.event, None, NOW)
    else:
        at = NOW - timedelta(seconds=dice.number(0, 4200))
        event = PlaceEvent(
            "event",
            "phone-1",
            dice.usually(campaign.trigger.waits_for, *EventKind),
            "bakery",
            at,
            at + timedelta(seconds=dice.number(0, 90)),
            dice.number(0, 100) / 100,
            revision=dice.usually(Revision.SAID, Revision.RETRACTED),
            zone=dice.one(None, "till", "wine"),
        )
    return Moment(
        event=event,
        geofence=None if event.geofence is None else geofence,
        recipient=_recipient(dice) if dice.happens(0.97) else None,
        marketing=_standing(dice, Purpose.MARKETING, campaign.channel),
        location=_standing(dice, Purpose.LOCATION),
        profiling=_standing(dice, Purpose.PROFILING) if campaign.profiles else None,
        carting=_standing(dice, Purpose.CART) if campaign.trigger.cart else None,
        carts=carts,
        sent=tuple(_sent(dice) for _ in range(dice.usually(0, 1, 3))),
        rules=CountryRules(
            enforced=dice.happens(0.8),
            reach=dice.one(*Reach),
            strict=dice.happens(0.5),
            sender=dice.one(None, "36111", "+33644000001"),
            brand="Bread",
        ),
        account=Account(
            caps=tuple(dice.some(Cap(1, 86_400, CapScope.ALL))), min_gap_seconds=dice.usually(None, 900)
        ),
        budgets=tuple(_limit(dice) for _ in range(dice.usually(0, 1, 3, likely=0.7))),
        visit=dice.one(None, "v1"),
        around=frozenset(dice.some("v1", "v2")),
        winner=dice.usually(None, Winner("cake", "an event", Because.PRIORITY)),
        visits=_visits(dice),
        done=frozenset(dice.some(*Deed)),
        past=_past(dice, campaign),
        breakers={Channel.SMS: _breaker(dice)} if dice.happens(0.3) else {},
        clearance=dice.usually(NOT_ASKED, Clearance("a", "a", "x"), Clearance("a", "b", "x"), Clearance()),
        pool_is_empty=dice.happens(0.3),
        control=Control(dice.usually(0, 10)),
    )


def _recipient(dice: Dice) -> Recipient:
    attributes = {
        "first_name": dice.one("Ana", "Loïc"),
        "tier": dice.one("gold", "tin"),
        "age": dice.number(10, 40),
    }
    return Recipient(
        f"shopper-{dice.number(0, 99)}",
        {name: value for name, value in attributes.items() if dice.happens(0.8)},
        frozenset(dice.usually({Channel.SMS, Channel.PUSH}, {Channel.PUSH}, set())),
        dice.usually(ORIGINS[0], None, *ORIGINS, likely=0.7),
        frozenset(dice.usually(set(), {Channel.SMS})),
        dice.one(None, "fr", "de"),
    )


def _standing(dice: Dice, purpose: Purpose, channel: Channel | None = None) -> Standing | None:
    """As the ledger says it, of a grant that may lack proof or be due for renewal, and a withdrawal."""
    at = NOW - timedelta(minutes=dice.number(0, 90))
    usual = Entry("grant", "ana", purpose, channel, Action.GRANT, "app", "v1", at, at, "app")
    entries = [
        dice.usually(
            usual,
            replace(usual, partner="a partner"),
            replace(usual, renewal_due=NOW - DAY),
            replace(usual, renewal_due=NOW + DAY),
        )
    ]
    if dice.happens(0.08):
        entries.append(replace(usual, id="withdrawal", action=Action.WITHDRAW, at=at + timedelta(minutes=1)))
    if dice.happens(0.05):
        entries = []
    return None if dice.happens(0.02) else standing(entries, purpose, channel, NOW)


def _carts(dice: Dice) -> tuple[CartEvent, ...]:
    value, ago = dice.one(None, 20, 60), timedelta(minutes=dice.number(0, 120))
    contents = dice.one(Contents(), Contents(("shoe-81",)))
    return (CartEvent("ana", CartStatus.FILLED, NOW - ago, value, "EUR", contents=contents),)


def _sent(dice: Dice) -> Sent:
    ago = timedelta(minutes=dice.number(0, 1600))
    campaign, visit = dice.one("bread", "cake"), dice.one(None, "v1")
    return Sent(NOW - ago, "an event", campaign, dice.one(None, "bakery"), Channel.SMS, visit)


def _limit(dice: Dice) -> Limit:
    key = dice.one(Key("campaign:bread"), Key("campaign:bread", "2026-11-23"), Key("account", "2026-11-23"))
    return Limit(key, dice.one(*What), dice.one(3, 5_000_000), dice.number(0, 3))


def _visits(dice: Dice) -> tuple[Visit, ...]:
    days = sorted(dice.some(0, 3, 31, 40), reverse=True)
    began = [NOW - days_ago * DAY - timedelta(hours=2) for days_ago in days]
    return tuple(Visit(f"v{at:%j}", "bakery", at, None, at + timedelta(hours=4)) for at in began)


def _past(dice: Dice, campaign: Campaign) -> Past:
    times = {each: dice.number(0, 2) for each in behaviours(campaign.audience) if dice.happens(0.95)}
    return Past(times, dice.usually(frozenset(dice.some("staff")), None))


def _breaker(dice: Dice) -> Breaker:
    return Breaker(dice.one(*BreakerState), NOW + timedelta(seconds=dice.number(-100, 9000)))
