"""What somebody did with a cart, in a shop or online, and which carts are still open by all that was told."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from campaigns.message import derived_id


class CartStatus(StrEnum):
    """What became of the cart at that moment."""

    FILLED = "filled"
    PURCHASED = "purchased"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class Contents:
    """What was in a cart, by the shop's own names. It is kept sealed, and shown to nobody but the subject."""

    items: tuple[str, ...] = field(default=(), repr=False)
    categories: tuple[str, ...] = field(default=(), repr=False)


NOTHING_TOLD = Contents()


@dataclass(frozen=True, slots=True)
class CartEvent:
    """One thing done with a cart. `value` is in units of `currency`. `cart` tells a subject's carts apart, None where the shop
    does not; `store` is the geofence it was filled at, if it was.
    """

    subject: str
    status: CartStatus
    at: datetime
    value: float | None = None
    currency: str | None = None
    cart: str | None = None
    store: str | None = None
    contents: Contents = NOTHING_TOLD
    known_at: datetime | None = None
    """When we heard of it."""

    @property
    def id(self) -> str:
        """The same however often it is told."""
        named = (self.cart,) if self.cart is not None else ()
        return derived_id("cart", self.subject, self.status.value, self.at.isoformat(), *named)

    @property
    def touched_at(self) -> datetime:
        """From when on it counts as untouched: from when we heard of it, as clocks differ; and whoever waits finds it by that."""
        return self.known_at or self.at

    @property
    def happened_at(self) -> datetime:
        """By which it stands among others: nothing happens after we hear of it, whatever the shop's clock says."""
        return min(self.at, self.touched_at)


@dataclass(frozen=True, slots=True)
class CartWish:
    """The open cart that a campaign asks for: worth at least so much, holding one of the items or categories, and untouched
    for so long.
    """

    min_value: float | None = None
    currency: str | None = None
    items: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    untouched_minutes: int = 0

    @property
    def looks_inside(self) -> bool:
        """Whether it asks what is in the cart."""
        return bool(self.items or self.categories)

    @property
    def untouched(self) -> timedelta:
        """How long nothing must have been done with it."""
        return timedelta(minutes=self.untouched_minutes)


OPEN_FOR = timedelta(days=7)
"""A cart that nobody touched for longer is forgotten, not open."""


def open_carts(events: Iterable[CartEvent], now: datetime) -> tuple[CartEvent, ...]:
    """The carts of one subject that were filled and not bought by what was known at `now`, each by its last event, the
    newest first.

    A purchase closes the cart that it names and the one without a name; one that names none closes all, so that nobody is
    asked to buy what is bought. A cart worth nothing is empty. One that is left keeps what was last said of it.
    """
    found: dict[str | None, CartEvent] = {}
    known = (each for each in events if each.known_at is None or each.known_at <= now)
    for each in sorted(known, key=lambda event: (event.happened_at, event.status is CartStatus.PURCHASED)):
        if each.status is CartStatus.PURCHASED:
            for name in list(found) if each.cart is None else [each.cart, None]:
                found.pop(name, None)
        else:
            found[each.cart] = _carried_over(found.get(each.cart), each)
    still = (each for each in found.values() if each.value != 0 and each.touched_at > now - OPEN_FOR)
    return tuple(sorted(still, key=lambda each: (each.at, each.id), reverse=True))


def _carried_over(was: CartEvent | None, event: CartEvent) -> CartEvent:
    if was is None or event.status is not CartStatus.ABANDONED:
        return event
    if event.value is None:
        event = replace(event, value=was.value, currency=was.currency)
    return replace(
        event, store=event.store or was.store, contents=event.contents if any_told(event) else was.contents
    )


def any_told(event: CartEvent) -> bool:
    """Whether it says what is in the cart."""
    return event.contents != NOTHING_TOLD


def cart_wanted(
    wish: CartWish, carts: Sequence[CartEvent], at: datetime, of_event: str | None = None
) -> CartEvent | None:
    """The newest open cart that is as wished at an instant; `of_event` asks for the one whose last event that is."""
    return next(
        (each for each in carts if of_event in (None, each.id) and _is_wanted(wish, each, at)),
        None,
    )


def _is_wanted(wish: CartWish, cart: CartEvent, at: datetime) -> bool:
    if at < cart.touched_at + wish.untouched:
        return False
    held = cart.contents
    return _is_worth(wish, cart) and (
        not wish.looks_inside
        or bool(set(wish.items) & set(held.items) or set(wish.categories) & set(held.categories))
    )


def _is_worth(wish: CartWish, cart: CartEvent) -> bool:
    least = wish.min_value
    return least is None or (
        cart.value is not None and cart.value >= least and cart.currency == wish.currency
    )


def wish_json(wish: CartWish | None) -> dict[str, Any] | None:
    """The wish as the API writes it; conditions that are not set are left out."""
    if wish is None:
        return None
    told: dict[str, Any] = {"untouched_minutes": wish.untouched_minutes}
    if wish.min_value is not None:
        told |= {"min_value": wish.min_value, "currency": wish.currency}
    inside = {"items": list(wish.items), "categories": list(wish.categories)}
    return told | {name: codes for name, codes in inside.items() if codes}


def wish_from_json(raw: Mapping[str, Any] | None) -> CartWish | None:
    """Read back what `wish_json` wrote."""
    if raw is None:
        return None
    return CartWish(
        raw.get("min_value"),
        raw.get("currency"),
        tuple(raw.get("items", ())),
        tuple(raw.get("categories", ())),
        raw.get("untouched_minutes", 0),
    )


def found_told(wish: CartWish, cart: CartEvent | None) -> dict[str, Any]:
    """What a gate tells of the cart that was found as wished: not what it is worth, nor what is in it, as decisions are kept
    for longer than carts.
    """
    if cart is None:
        return {"cart": None}
    told: dict[str, Any] = {"cart": cart.id, "touched_at": cart.touched_at.isoformat()}
    worth = {"worth": True} if wish.min_value is not None else {}
    return told | worth | ({"holds": True} if wish.looks_inside else {})


def is_as_wished(wish: CartWish, told: Mapping[str, Any], at: datetime) -> bool:
    """Whether what was told of a cart is what is wished for at an instant."""
    if told["cart"] is None:
        return False
    is_left = at >= datetime.fromisoformat(told["touched_at"]) + wish.untouched
    worth = told["worth"] if wish.min_value is not None else True
    inside = told["holds"] if wish.looks_inside else True
    return bool(is_left and worth and inside)
