"""The coupon of a campaign as a marketer sends it."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, StringConstraints

from campaigns.content.languages import template_of
from campaigns.coupons.coupon import DEFAULT_VALID_SECONDS, MAX_VALID_SECONDS, CouponOffer

MAX_TAGS = 50


class CouponForm(BaseModel):
    """A code for each message, from `pool`; `{{ coupon }}` shows it, `{{ coupon_until }}` is when it ends."""

    model_config = ConfigDict(extra="forbid", strict=True)
    pool: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    valid_seconds: Annotated[int, Field(ge=60, le=MAX_VALID_SECONDS)] = DEFAULT_VALID_SECONDS
    tags: Annotated[
        list[Annotated[str, StringConstraints(min_length=1, max_length=64)]],
        Field(
            max_length=MAX_TAGS,
            description="Good also at geofences with one of these; else where it was earned.",
        ),
    ] = []
    fallback: Annotated[
        str | dict[str, str] | None,
        PlainValidator(
            lambda said: None if said is None else template_of(said),
            json_schema_input_type=str | dict[str, str] | None,
        ),
        Field(description="The text once the pool is empty; without one nothing is sent then."),
    ] = None

    def offer(self) -> CouponOffer:
        """What it promises."""
        return CouponOffer(self.pool, self.valid_seconds, tuple(self.tags), self.fallback)
