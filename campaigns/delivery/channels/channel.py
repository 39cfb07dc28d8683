"""What every channel is to the sender: something that takes a message and says what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable

from campaigns.message import MessageState
from consent.push import PushAddress

LONGEST_ASKED_SECONDS = 86_400.0
"""Whoever asks for a longer pause gets this one."""


def asked_pause_seconds(said: str | None) -> float | None:
    """The pause that a ``Retry-After`` header asks for, a day at most; None for a date, which is passed over, and for what
    is no number of seconds or has more than nine digits.
    """
    if not said or not (said.isascii() and said.isdecimal() and len(said) < 10):
        return None
    return min(float(said), LONGEST_ASKED_SECONDS)


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
    `busy`: the provider wants fewer calls, and none for `retry_after_seconds` where it says so. `shut_out`: it takes
    nothing of ours, whatever the message. `code` is the provider's own. The words hold neither address nor text.
    """

    def __init__(
        self,
        message: str,
        *,
        permanent: bool,
        code: str | None = None,
        outcome_unknown: bool = False,
        busy: bool = False,
        retry_after_seconds: float | None = None,
        shut_out: bool = False,
    ) -> None:
        super().__init__(message)
        self.busy = busy
        self.retry_after_seconds = retry_after_seconds
        self.shut_out = shut_out
        self.permanent = permanent
        self.code = code
        self.outcome_unknown = outcome_unknown


class Channel(Protocol):
    """One way to reach a shopper."""

    def send(self, message: Outgoing) -> Receipt:
        """Hand the message over, within a bounded time. Raises `DeliveryError`."""
        ...


@dataclass(frozen=True, slots=True)
class Sought:
    """A message that may have reached the provider in a call that began at `called_at`."""

    to: str = field(repr=False)
    text: str = field(repr=False)
    called_at: datetime


@dataclass(frozen=True, slots=True)
class Trace:
    """A message that the provider holds and that may be the one sought; made there at `made_at`."""

    provider_id: str
    state: MessageState
    made_at: datetime
    error_code: str | None = None


@runtime_checkable
class Findable(Channel, Protocol):
    """A channel whose provider can be asked later what became of a call."""

    def find(self, sought: Sought) -> Sequence[Trace]:
        """What the provider holds to that address, with that text, from about that time. Raises `DeliveryError`."""
        ...
