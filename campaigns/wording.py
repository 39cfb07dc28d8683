"""Under which circumstances a text is worded: what may be linked, whose language it is, by which clock, with which coupon."""

from dataclasses import dataclass

from campaigns.content.links import OWN_LINKS_ONLY, LinkPolicy
from campaigns.coupons.coupon import SAMPLE_COUPON, Coupon


@dataclass(frozen=True, slots=True)
class Wording:
    """`locale` is the reader's language tag and `zone` the time zone of the place (IANA); None where nobody knows. `coupon` is the
    message's, or stands for one; with `pool_is_empty` there is none. `tokens` are those of the short
    links, in order; samples stand for those that are not there yet.
    """

    links: LinkPolicy = OWN_LINKS_ONLY
    locale: str | None = None
    zone: str | None = None
    coupon: Coupon = SAMPLE_COUPON
    pool_is_empty: bool = False
    tokens: tuple[str, ...] = ()


PLAIN = Wording()
"""As it is where nothing is known."""
