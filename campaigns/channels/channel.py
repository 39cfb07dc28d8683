"""What every channel is to the sender: something that takes a message and says what became of it."""

from dataclasses import dataclass, field
from typing import Protocol

from consent.push import PushAddress


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message on its way out. `to` is the address in the channel's own terms (for sms: E.164); a push has `addresses`
    in its place, one for each device, and makes no sound if it is `silent`.
    """

    id: str
    campaign: str
    to: str = field(repr=False)
    text: str = field(repr=False)
    valid_seconds: int
    addresses: tuple[PushAddress, ...] = field(default=(), repr=False)
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """The provider took the message; `provider_id` is its name for it, where it has one."""

    provider_id: str | None


class DeliveryError(Exception):
    """The message was not taken, or nobody knows.

    `permanent`: trying again is pointless. `outcome_unknown`: it may have been taken, so it must not be tried again.
    `code` is the provider's own. The words hold neither address nor text.
    """

    def __init__(
        self, message: str, *, permanent: bool, code: str | None = None, outcome_unknown: bool = False
    ) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.code = code
        self.outcome_unknown = outcome_unknown


class Channel(Protocol):
    """One way to reach a shopper."""

    def send(self, message: Outgoing) -> Receipt:
        """Hand the message over, within a bounded time. Raises `DeliveryError`."""
        ...
