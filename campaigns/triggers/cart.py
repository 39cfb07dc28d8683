"""What somebody did with a cart, in a shop or online: filled it, bought it, or left it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from campaigns.message import derived_id


class CartStatus(StrEnum):
    """What became of the cart at that moment."""

    FILLED = "filled"
    PURCHASED = "purchased"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class CartEvent:
    """One thing done with a cart; what was in it is nobody's business here. `value` is in units of `currency`."""

    subject: str
    status: CartStatus
    at: datetime
    value: float | None = None
    currency: str | None = None

    @property
    def id(self) -> str:
        """The same however often it is told."""
        return derived_id("cart", self.subject, self.status.value, self.at.isoformat())
