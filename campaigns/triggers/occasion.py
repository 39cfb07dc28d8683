"""What may make a campaign speak: something a phone did at a place, or a moment that comes as time passes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from campaigns.message import derived_id
from campaigns.triggers.cart import CartEvent
from geofences.event import EventKind, PlaceEvent, Revision
from geofences.visit import Visit


class Timed(StrEnum):
    """What no phone does: it comes about because time passes."""

    CART = "cart"
    """A cart was left untouched."""
    ABSENCE = "absence"
    """Somebody has not come back for so many days."""
    BROADCAST = "broadcast"
    """It is the time at which an audience is spoken to."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A moment that came by itself, to one subject. Its `id` follows from its cause, so that no cause counts twice.

    `geofence` is the place that it is about, None where it is about none. `told` is what the gate `trigger` shows of it,
    never what was in a cart.
    """

    id: str
    kind: Timed
    geofence: str | None
    at: datetime
    told: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise ValueError("a naive datetime has no instant; give `at` a zone")

    @property
    def revision(self) -> Revision:
        """What the clock brought about is not taken back."""
        return Revision.SAID

    @property
    def evidence(self) -> Mapping[str, float]:
        """No figures: nothing was measured."""
        return {}


Occasion = PlaceEvent | Occurrence


def left_cart(cart: CartEvent, at: datetime) -> Occurrence:
    """The moment at which a cart has been left for long enough."""
    return Occurrence(cart.id, Timed.CART, cart.store, at)


def long_absent(last: Visit, at: datetime) -> Occurrence:
    """The moment at which somebody has been away for long enough after the visit that was the last. One absence has one."""
    return Occurrence(derived_id("absence", last.id), Timed.ABSENCE, last.geofence, at)


def kind_of(name: str) -> EventKind | Timed:
    """The kind of occasion of that name. Raises `ValueError` where there is none."""
    return Timed(name) if name in set(Timed) else EventKind(name)
