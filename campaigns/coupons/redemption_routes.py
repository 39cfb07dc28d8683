"""The till's call: a coupon's code is taken, once, or refused with a reason."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, PlainValidator, StringConstraints, model_validator
from sqlalchemy import Engine

from campaigns.coupons.redemption import THOUSANDTHS, Presented, redemption_json
from campaigns.coupons.redemption_store import redeem
from campaigns.errors import CampaignError, FieldError
from campaigns.form import ID_PATTERN, Line
from campaigns.times import Instant

MAX_CODE_CHARS = 64
MAX_AMOUNT = Decimal(10) ** 12
CLOCK_SKEW = timedelta(minutes=5)
"""A till's clock may be this far ahead."""
LATEST = timedelta(days=3)
"""A till that was offline tells what it took within this time."""


class InvalidRedemption(CampaignError):
    """What a till says cannot be so."""

    status = 422
    code = "invalid_redemption"


def _amount(said: Any) -> Decimal | None:
    """An amount as a number or a text, of up to three decimals. Raises `ValueError`."""
    if said is None:
        return None
    try:
        amount = (
            Decimal(str(said)) if isinstance(said, int | float | str) and not isinstance(said, bool) else None
        )
    except InvalidOperation:
        amount = None
    whole = (
        amount * THOUSANDTHS if amount is not None and amount.is_finite() and amount.adjusted() < 12 else None
    )
    if amount is None or whole is None or amount < 0 or whole != whole.to_integral_value():
        raise ValueError('an amount from 0 is expected, of at most three decimals: 12.5 or "12.50"')
    return amount


class RedemptionForm(BaseModel):
    """A code that was shown at the till of a store. `receipt` is the till's own number of the sale: the same code told
    again with it gets the first answer. `subject` is who the till knows the buyer to be.
    """

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [
                {
                    "code": "BREAD-7K2M",
                    "geofence": "bakery",
                    "at": "2026-11-24T09:15:00+01:00",
                    "amount": "12.50",
                    "currency": "EUR",
                    "receipt": "till-3/20261124/0815",
                }
            ]
        },
    )
    code: Annotated[str, StringConstraints(min_length=1, max_length=MAX_CODE_CHARS)]
    geofence: Annotated[str, StringConstraints(pattern=ID_PATTERN)]
    at: Annotated[Instant | None, Field(description="Default: now.")] = None
    amount: Annotated[
        Decimal | None,
        PlainValidator(_amount, json_schema_input_type=float | str | None),
        Field(description="Of the sale."),
    ] = None
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] | None = None
    receipt: Line | None = None
    subject: Annotated[str, StringConstraints(pattern=ID_PATTERN)] | None = None

    @model_validator(mode="after")
    def _whole(self) -> "RedemptionForm":
        if (self.amount is None) != (self.currency is None):
            raise ValueError("amount and currency go together; give both or neither")
        return self


def router(*, writes: Engine, now: Callable[[], datetime]) -> APIRouter:
    """The route of tills."""
    api = APIRouter(tags=["coupons"])

    @api.post(
        "/v1/redemptions",
        operation_id="redeemCoupon",
        summary="Take a coupon's code at a till, once",
        status_code=201,
        responses={
            200: _example(_REDEMPTION),
            201: _example(_REDEMPTION),
            404: _example(_UNKNOWN),
            409: _example(_REFUSED),
        },
    )
    def take(form: RedemptionForm, response: Response) -> dict[str, Any]:
        told_at = now()
        at = form.at or told_at
        if not told_at - LATEST <= at <= told_at + CLOCK_SKEW:
            said = f"must lie within the last {LATEST.days} days, by a clock that is at most {CLOCK_SKEW.seconds // 60} minutes ahead"
            raise InvalidRedemption(f"at: {said}", (FieldError("at", said),))
        presented = Presented(form.geofence, at, form.subject, form.receipt, form.amount, form.currency)
        with writes.begin() as connection:
            taken, is_new = redeem(connection, form.code, presented, told_at)
        response.status_code = 201 if is_new else 200
        return redemption_json(taken)

    return api


def _example(example: Any) -> dict[str, Any]:
    return {"content": {"application/json": {"example": example}}}


_REDEMPTION = {
    "id": "7d2c4b6a8f0e1d3c5b7a9f8e6d4c2b0a",
    "campaign": "bread",
    "version": 1,
    "geofence": "bakery",
    "at": "2026-11-24T08:15:00+00:00",
    "receipt": "till-3/20261124/0815",
    "amount": "12.50",
    "currency": "EUR",
    "recorded_at": "2026-11-24T08:15:01+00:00",
}
_UNKNOWN = {
    "type": "about:blank",
    "title": "Not Found",
    "status": 404,
    "code": "coupon_unknown",
    "detail": "no coupon has this code",
}
_REFUSED = {
    "type": "about:blank",
    "title": "Conflict",
    "status": 409,
    "code": "coupon_redeemed",
    "detail": "this code was redeemed before",
}
