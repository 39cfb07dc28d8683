"""The moment of a campaign: what must happen, where, after how many visits, how much later, and what calls it off."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from campaigns.errors import FieldError
from campaigns.triggers.cart import CartWish, wish_from_json, wish_json
from campaigns.triggers.occasion import Timed, kind_of
from campaigns.triggers.schedule import Schedule, schedule_from_json, schedule_json
from geofences.event import EventKind

MAX_DELAY_SECONDS = 7 * 86_400
MAX_DWELL_MINUTES = 240
"""A visit whose end nobody saw is taken to be over then (`geofences.visit.STAY_LIMIT`)."""
MAX_VISIT_NUMBER = 100
MAX_VISIT_DAYS = 366
MAX_ABSENCE_DAYS = 110
"""Visits are kept for 120 days, unless the operator has set it otherwise."""
MIN_UNTOUCHED_MINUTES = 5
MAX_UNTOUCHED_MINUTES = 3 * 1440
MONTH = "month"
"""A calendar month on the wall clock of the place."""


class Deed(StrEnum):
    """What calls a moment off once the shopper has done it."""

    EXIT = "exit"
    PURCHASE = "purchase"
    REDEEMED = "redeemed"
    """A coupon, of whichever campaign."""
    VISIT = "visit"
    """The place, once more."""


@dataclass(frozen=True, slots=True)
class VisitNumber:
    """The `number`-th visit to the place within `days`, or within the calendar month where `days` is None."""

    number: int
    days: int | None


@dataclass(frozen=True, slots=True)
class Trigger:
    """An event of one kind at one of the geofences, at one that carries a tag, or anywhere; or a moment that comes as time
    passes; and what else must hold. The places of an absence are taken together: a visit to any of them ends it.

    `zones` narrows a `zone` event. `dwell_minutes` is a dwell of the campaign's own, from the enter on. `visit` and
    `absent_days` look back at visits of the place. `opening_hours` asks that the place be open. The message goes
    `delay_seconds` after the event, if none of `cancel_if` happened meanwhile. `cart` asks for an open cart, `schedule` is when a
    broadcast goes.
    """

    event: EventKind | Timed
    geofences: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    any: bool = False
    zones: tuple[str, ...] = ()
    dwell_minutes: int | None = None
    visit: VisitNumber | None = None
    absent_days: int | None = None
    opening_hours: bool = False
    delay_seconds: int = 0
    cancel_if: tuple[Deed, ...] = ()
    cart: CartWish | None = None
    schedule: Schedule | None = None

    @property
    def waits_for(self) -> EventKind | Timed:
        """The event that begins it: a dwell of the campaign's own begins with the enter."""
        return EventKind.ENTER if self.dwell_minutes is not None else self.event

    @property
    def delay(self) -> timedelta:
        """How long after that event it is judged for good."""
        return timedelta(minutes=self.dwell_minutes or 0, seconds=self.delay_seconds)

    @property
    def called_off_by(self) -> frozenset[Deed]:
        """What calls it off. Who has left does not dwell, and who has come is not absent."""
        own = {Deed.EXIT} if self.dwell_minutes is not None else set()
        return frozenset({*self.cancel_if, *own, *({Deed.VISIT} if self.event is Timed.ABSENCE else ())})

    @property
    def is_of_a_phone(self) -> bool:
        """Whether a phone brings it about, by being somewhere."""
        return isinstance(self.event, EventKind)

    @property
    def names_places(self) -> bool:
        """Whether it narrows what it is about to some places."""
        return bool(self.geofences or self.tags)

    @property
    def looks_back(self) -> bool:
        """Whether it rests on earlier visits: then somebody is chosen by them, which is profiling."""
        return self.visit is not None or self.absent_days is not None


def trigger_json(trigger: Trigger) -> dict[str, Any]:
    """The trigger as the API writes it. Conditions that are not set are left out."""
    told: dict[str, Any] = {
        "event": trigger.event.value,
        "geofences": list(trigger.geofences),
        "tags": list(trigger.tags),
        "any": trigger.any,
    }
    visit = trigger.visit
    further = {
        "zones": list(trigger.zones),
        "dwell_minutes": trigger.dwell_minutes,
        "visit": visit
        and {"number": visit.number, "per": MONTH if visit.days is None else {"days": visit.days}},
        "absent_days": trigger.absent_days,
        "opening_hours": trigger.opening_hours,
        "delay_seconds": trigger.delay_seconds,
        "cancel_if": [deed.value for deed in trigger.cancel_if],
        "cart": wish_json(trigger.cart),
        "schedule": schedule_json(trigger.schedule),
    }
    return told | {name: value for name, value in further.items() if value}


def trigger_from_json(raw: Mapping[str, Any]) -> Trigger:
    """Read back what `trigger_json` wrote."""
    visit = raw.get("visit")
    return Trigger(
        kind_of(raw["event"]),
        tuple(raw["geofences"]),
        tuple(raw["tags"]),
        raw["any"],
        zones=tuple(raw.get("zones", ())),
        dwell_minutes=raw.get("dwell_minutes"),
        visit=VisitNumber(visit["number"], None if visit["per"] == MONTH else visit["per"]["days"])
        if visit
        else None,
        absent_days=raw.get("absent_days"),
        opening_hours=raw.get("opening_hours", False),
        delay_seconds=raw.get("delay_seconds", 0),
        cancel_if=tuple(map(Deed, raw.get("cancel_if", ()))),
        cart=wish_from_json(raw.get("cart")),
        schedule=schedule_from_json(raw.get("schedule")),
    )


def trigger_problems(trigger: Trigger) -> Iterator[FieldError]:
    """The rules between its fields that a trigger breaks."""
    if not (trigger.geofences or trigger.tags or trigger.any) and trigger.event not in ABOUT_NO_PLACE:
        yield FieldError("trigger", 'name at least one of geofences or tags, or say "any": true')
    if trigger.any and (trigger.geofences or trigger.tags):
        yield FieldError("trigger.any", "any geofence and named ones exclude each other; drop one")
    if trigger.zones and trigger.event is not EventKind.ZONE:
        yield FieldError("trigger.zones", 'goes with "event": "zone" alone')
    if trigger.dwell_minutes is not None and trigger.event is not EventKind.DWELL:
        yield FieldError(
            "trigger.dwell_minutes", 'goes with "event": "dwell" alone; elsewhere say delay_seconds'
        )
    absent = trigger.event is Timed.ABSENCE and not trigger.visit
    if trigger.looks_back and trigger.event not in _OF_A_VISIT and not absent:
        name = "visit" if trigger.visit else "absent_days"
        yield FieldError(f"trigger.{name}", "goes with an event of a visit: " + ", ".join(_OF_A_VISIT))
    if Deed.EXIT in trigger.cancel_if and trigger.event is EventKind.EXIT:
        yield FieldError("trigger.cancel_if", "an exit cannot call off what it brings about; drop it")
    yield from _timed_problems(trigger)
    yield from _cart_problems(trigger)
    yield from _schedule_problems(trigger)


def _timed_problems(trigger: Trigger) -> Iterator[FieldError]:
    if trigger.is_of_a_phone:
        return
    if trigger.event is Timed.ABSENCE and not 1 <= (trigger.absent_days or 0) <= MAX_ABSENCE_DAYS:
        yield FieldError("trigger.absent_days", f"say after how many days, 1 to {MAX_ABSENCE_DAYS}")
    for name in ("opening_hours", "delay_seconds", "cancel_if"):
        if getattr(trigger, name):
            yield FieldError(f"trigger.{name}", f'goes with what a phone does, not with "{trigger.event}"')


def _schedule_problems(trigger: Trigger) -> Iterator[FieldError]:
    if trigger.event is not Timed.BROADCAST:
        if trigger.schedule is not None:
            yield FieldError("trigger.schedule", 'goes with "event": "broadcast" alone')
        return
    if trigger.schedule is None:
        yield FieldError(
            "trigger.schedule", 'say when: {"at": ...}, or {"time": "09:00", "timezone": ..., "days": [...]}'
        )
    if trigger.tags or trigger.any or len(trigger.geofences) > 1:
        yield FieldError(
            "trigger.geofences", "a broadcast is about one geofence or none; tags and any do not go with it"
        )
    if trigger.cart is not None:
        yield FieldError("trigger.cart", "does not go with a broadcast")


def _cart_problems(trigger: Trigger) -> Iterator[FieldError]:
    wish = trigger.cart
    if wish is None:
        if trigger.event is Timed.CART:
            yield FieldError(
                "trigger.cart", f"say after how many untouched_minutes, from {MIN_UNTOUCHED_MINUTES} on"
            )
        return
    if (wish.min_value is None) != (wish.currency is None):
        yield FieldError(
            "trigger.cart.currency", "a min_value needs its currency (ISO 4217), and a currency its min_value"
        )
    if trigger.event is Timed.CART and wish.untouched_minutes < MIN_UNTOUCHED_MINUTES:
        yield FieldError(
            "trigger.cart.untouched_minutes",
            f"must be at least {MIN_UNTOUCHED_MINUTES}, or nobody has left the cart yet",
        )


ABOUT_NO_PLACE = frozenset({Timed.CART, Timed.BROADCAST})
"""What may be about no place."""
_OF_A_VISIT = (EventKind.ENTER, EventKind.DWELL, EventKind.EXIT, EventKind.ZONE)
