"""The API that shops and tills tell of carts. Of whoever has not allowed `cart` nothing but a counter remains."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, model_validator
from sqlalchemy import Connection, Engine

from campaigns.errors import CampaignError, FieldError
from campaigns.form import ID_PATTERN
from campaigns.times import Instant
from campaigns.triggers.cart import CartEvent, CartStatus, Contents
from campaigns.triggers.cart_store import add_cart
from consent.entry import Purpose
from consent.ledger import standing_of
from consent.store import lock_subjects, subjects_of_devices

MAX_CARTS = 200
MAX_VALUE = 10_000_000
MAX_ITEMS = 100
MAX_CATEGORIES = 20
PAST_LIMIT = timedelta(days=1)
FUTURE_LIMIT = timedelta(minutes=2)

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

_CART: dict[str, JsonValue] = {
    "subject": "ana",
    "at": "2026-11-23T09:00:00+01:00",
    "status": "purchased",
    "value": 24.5,
    "currency": "EUR",
    "cart": "c-81",
    "store": "bakery",
    "items": ["baguette-250"],
    "categories": ["bread"],
}

_Code = Annotated[str, StringConstraints(pattern=ID_PATTERN)]


class CartForm(BaseModel):
    """One thing done with a cart, by a subject or by whoever has the device. `items` and `categories` are codes of the shop's
    own; they are kept sealed. `store` is the geofence that it is to be bought at, `cart` tells it from the shopper's others.
    """

    model_config = _STRICT
    subject: Annotated[str, StringConstraints(pattern=ID_PATTERN)] | None = None
    device: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
    at: Instant
    status: Annotated[CartStatus, Field(strict=False)]
    value: Annotated[float, Field(ge=0, le=MAX_VALUE, strict=False)] | None = None
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] | None = None
    cart: _Code | None = None
    store: _Code | None = None
    items: Annotated[list[_Code], Field(max_length=MAX_ITEMS)] = []
    categories: Annotated[list[_Code], Field(max_length=MAX_CATEGORIES)] = []

    def is_of(self, devices: str) -> bool:
        """Whether a caller may name it that speaks of devices alone whose names begin so."""
        return not devices or (self.device is not None and self.device.startswith(devices))

    def event_of(self, subject: str) -> CartEvent:
        """What the subject did."""
        held = Contents(tuple(self.items), tuple(self.categories))
        return CartEvent(
            subject, self.status, self.at, self.value, self.currency, self.cart, self.store, held
        )

    @model_validator(mode="after")
    def _one_name(self) -> "CartForm":
        if (self.subject is None) == (self.device is None):
            raise ValueError("name either the subject or the device")
        if (self.value is None) != (self.currency is None):
            raise ValueError("a value needs its currency (ISO 4217), and a currency its value")
        return self


class CartsForm(BaseModel):
    """Several, in any order."""

    model_config = ConfigDict(**_STRICT, json_schema_extra={"examples": [{"carts": [_CART]}]})
    carts: Annotated[list[CartForm], Field(min_length=1, max_length=MAX_CARTS)]


class CartsRefused(CampaignError):
    """Carts of another time; `errors` names them."""

    status = 422
    code = "cart_time"


def router(
    *, writes: Engine, now: Callable[[], datetime], dropped: Callable[[int], object] = lambda _: None
) -> APIRouter:
    """The route; `dropped` counts carts of those who have not allowed it."""
    api = APIRouter()

    @api.post(
        "/v1/carts",
        operation_id="postCarts",
        summary="What was done with carts; of whoever has not allowed `cart` nothing is kept",
        tags=["campaigns"],
        status_code=202,
        responses={202: {"content": {"application/json": {"example": {"accepted": 1, "dropped": 0}}}}},
    )
    def post(form: CartsForm, request: Request) -> dict[str, Any]:
        at = now()
        _check_times(form.carts, at)
        named = [each for each in form.carts if each.is_of(getattr(request.state, "devices", ""))]
        with writes.begin() as connection:
            kept = _keep(connection, named, at)
        dropped(len(form.carts) - kept)
        return {"accepted": kept, "dropped": len(form.carts) - kept}

    return api


def _check_times(several: Sequence[CartForm], now: datetime) -> None:
    errors = tuple(
        FieldError(f"carts[{number}].at", "must be of the last day, and not in the future")
        for number, each in enumerate(several)
        if not now - PAST_LIMIT <= each.at <= now + FUTURE_LIMIT
    )
    if errors:
        raise CartsRefused("carts of another time; see errors", errors)


def _keep(connection: Connection, several: Sequence[CartForm], now: datetime) -> int:
    """Keep those of who allows it; how many. A cart told twice counts, and is kept once."""
    owners = subjects_of_devices(connection, {each.device for each in several if each.device is not None})
    whose = [each.subject or owners.get(each.device or "") for each in several]
    lock_subjects(connection, {subject for subject in whose if subject})
    allowed = {
        subject
        for subject in set(whose)
        if subject and standing_of(connection, subject, Purpose.CART, None, now).allowed
    }
    for subject, each in zip(whose, several, strict=True):
        if subject in allowed and subject is not None:
            add_cart(connection, each.event_of(subject), now)
    return sum(subject in allowed for subject in whose)
