"""Coupons: a code of one message, good for its reader, at some stores, for a while; and pools of such codes."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from campaigns.content.languages import Template, texts_of
from campaigns.content.template import TextRefused
from campaigns.errors import CampaignError, FieldError
from consent.keywords import adds_way_out

CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{3,23}")
MIN_CHARS = 4
"""Letters and digits of a code, hyphens aside."""
CODE_RULE = "4 to 24 letters, digits and hyphens, at least 4 of them no hyphens"
ALPHABET = "23456789BCDFGHJKMNPQRTVWXYZ"
"""Of codes that we make: no two look alike when read aloud at a till, and no word comes of them."""
DEFAULT_VALID_SECONDS = 7 * 86_400
MAX_VALID_SECONDS = 90 * 86_400
DEFAULT_ALERT_BELOW = 100
SAMPLE = "SAMPLE-CODE1"
"""What a preview shows, and a check counts, in place of a code."""


class CouponState(StrEnum):
    """What became of a code. A `void` one was sent to somebody who was erased since; it is never used again."""

    FREE = "free"
    CLAIMED = "claimed"
    REDEEMED = "redeemed"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class CouponOffer:
    """What a campaign promises: a code of `pool`, good for `valid_seconds` from the event, at the store where it was
    earned, and with `tags` at every store that carries one of them. `fallback` is the text once the pool is empty;
    without one nothing is sent then.
    """

    pool: str
    valid_seconds: int = DEFAULT_VALID_SECONDS
    tags: tuple[str, ...] = ()
    fallback: Template | None = None


@dataclass(frozen=True, slots=True)
class Coupon:
    """A code that a message may show. `until` is excluded."""

    code: str
    until: datetime


SAMPLE_COUPON = Coupon(SAMPLE, datetime(2026, 12, 24, 23, tzinfo=UTC))
"""For a text that is only looked at."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Codes of one kind. From `expires_at` on none is given out or taken any more; an alarm is raised when fewer than
    `alert_below` are left. `longest_chars` is the length of its longest code.
    """

    id: str
    name: str
    alert_below: int
    expires_at: datetime | None
    longest_chars: int = len(SAMPLE)

    @property
    def sample(self) -> str:
        """Stands for a code of this pool where none is to be used up."""
        return SAMPLE[: self.longest_chars].ljust(self.longest_chars, "0")


class NoCouponLeft(TextRefused):
    """The pool is empty, and the campaign has no text for that."""


class PoolNotFound(CampaignError):
    """No coupon pool has this id."""

    status = 404
    code = "coupon_pool_not_found"


class PoolInUse(CampaignError):
    """Codes of the pool were sent."""

    status = 409
    code = "coupon_pool_in_use"


class PoolFull(CampaignError):
    """The pool would hold more codes than one may."""

    status = 409
    code = "coupon_pool_full"


def template_with(template: Template, offer: CouponOffer | None, *, pool_is_empty: bool) -> Template:
    """The template to go by. Raises `NoCouponLeft`."""
    if offer is None or not pool_is_empty:
        return template
    if offer.fallback is None:
        raise NoCouponLeft("the coupon pool is empty, and coupon.fallback has no text for that")
    return offer.fallback


def coupon_values(
    offer: CouponOffer | None, coupon: Coupon, *, pool_is_empty: bool = False
) -> dict[str, str]:
    """What a template may name of a coupon."""
    if offer is None or pool_is_empty:
        return {}
    return {"coupon": coupon.code, "coupon_until": coupon.until.isoformat()}


def plain_code(code: str) -> str:
    """A code as it is compared: capital letters and digits alone, so that it may be typed in any way."""
    return "".join(each for each in unicodedata.normalize("NFKC", code).upper() if each.isalnum())


def code_problem(code: str) -> str | None:
    """Why this cannot be a code; never shows it."""
    if not CODE.fullmatch(code) or len(plain_code(code)) < MIN_CHARS:
        return f"a code has {CODE_RULE}"
    if adds_way_out(code):
        return "it reads as a word by which offers are refused"
    return None


def offer_problems(template: Template, offer: CouponOffer | None) -> Iterator[FieldError]:
    """The rules between a campaign's texts and its coupon that are broken."""
    if offer is None:
        return
    for field, text in texts_of(template).items():
        if "coupon" not in text:
            yield FieldError(
                field, "it gives a code away and does not show it; add {{ coupon }}, or drop `coupon`"
            )
    if isinstance(template, str) != isinstance(offer.fallback or template, str):
        yield FieldError("coupon.fallback", "must be one text or several, as the template is")
    elif not isinstance(template, str) and offer.fallback and set(offer.fallback) != set(template):
        yield FieldError("coupon.fallback", "must be there in the languages of the template")


def coupon_json(offer: CouponOffer | None) -> dict[str, Any] | None:
    """The coupon of a campaign as the API writes it."""
    if offer is None:
        return None
    fallback = offer.fallback
    return {
        "pool": offer.pool,
        "valid_seconds": offer.valid_seconds,
        "tags": list(offer.tags),
        "fallback": fallback if fallback is None or isinstance(fallback, str) else dict(fallback),
    }


def coupon_from_json(raw: Mapping[str, Any] | None) -> CouponOffer | None:
    """Read back what `coupon_json` wrote."""
    if raw is None:
        return None
    return CouponOffer(raw["pool"], raw["valid_seconds"], tuple(raw["tags"]), raw["fallback"])
