"""Offers by push: to every address of the subject, each over its own service; one that is dead is told to `bury`."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Protocol

from campaigns.channels.channel import DeliveryError, Outgoing, Receipt
from consent.push import PushAddress, PushKind

CALL_SECONDS = 8.0
"""The longest that one call may last."""
START_WITHIN_SECONDS = 30.0
"""No call begins later than this, so that a message with many addresses, too, ends while its claim is good."""
PAUSE_SECONDS = 900.0
"""An app whose credentials were refused is left alone for so long."""

_logger = logging.getLogger(__name__)


class Came(StrEnum):
    """How the call for one address came out. `shut_out` is about the app: no address of it is reached."""

    TAKEN = "taken"
    DEAD = "dead"
    REFUSED = "refused"
    RETRY = "retry"
    SHUT_OUT = "shut_out"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class PushResult:
    """What a service answered for one address, with its own code, or its id of what it took."""

    came: Came
    code: str | None = None
    provider_id: str | None = None
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """What is shown. A newer one with the same `collapse_key` (32 hex digits) takes the place of an older one."""

    message: str
    campaign: str
    title: str
    text: str = field(repr=False)
    collapse_key: str
    valid_seconds: int
    silent: bool


class PushService(Protocol):
    """One app on one push service."""

    def push(self, address: PushAddress, notice: Notice) -> PushResult:
        """Hand a notice over for one address, within `CALL_SECONDS`; raises nothing."""
        ...


App = tuple[PushKind, str]


class Push:
    """The channel. `services` tells the app's service by kind and app; `bury` is called with each address that its
    service calls dead, and touches no consent; `title` stands above every offer.
    """

    def __init__(
        self,
        services: Mapping[App, PushService],
        *,
        title: str,
        bury: Callable[[PushAddress, str | None], None],
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._services = services
        self._title = title
        self._bury = bury
        self._ticks = ticks
        self._paused_until: dict[App, float] = {}

    def send(self, message: Outgoing) -> Receipt:
        """Push to every address; taken once any service took it. Raises `DeliveryError`."""
        notice = Notice(
            message.id,
            message.campaign,
            self._title,
            message.text,
            collapse_key(message.campaign),
            max(0, message.valid_seconds),
            message.silent,
        )
        begun = self._ticks()
        results: list[PushResult] = []
        for address in message.addresses:
            if self._ticks() - begun > START_WITHIN_SECONDS:
                results.append(PushResult(Came.RETRY, "out_of_time"))
            else:
                results.append(self._push(address, notice))
        return _receipt(results)

    def paused(self) -> tuple[App, ...]:
        """The apps that are left alone, for their credentials were refused."""
        return tuple(app for app, until in self._paused_until.items() if until > self._ticks())

    def _push(self, address: PushAddress, notice: Notice) -> PushResult:
        app = address.kind, address.app
        service = self._services.get(app)
        if service is None:
            return PushResult(Came.REFUSED, "no_such_app")
        if self._paused_until.get(app, 0.0) > self._ticks():
            return PushResult(Came.RETRY, "paused")
        result = service.push(address, notice)
        if result.came is Came.DEAD:
            self._bury(address, result.code)
        elif result.came is Came.SHUT_OUT:
            self._paused_until[app] = self._ticks() + PAUSE_SECONDS
            _logger.error("%s refuses the credentials of app %s: %s", address.kind, address.app, result.code)
        return result


def asked_pause_seconds(headers: Mapping[str, str]) -> float | None:
    """When to come again, by an answer's ``retry-after`` in seconds; a date is passed over. Names are in lower case."""
    said = headers.get("retry-after", "")
    return float(said) if said.isascii() and said.isdigit() else None


def collapse_key(campaign: str) -> str:
    """The same for every offer of a campaign, in letters that every service takes."""
    return sha256(campaign.encode()).hexdigest()[:32]


def _receipt(results: Sequence[PushResult]) -> Receipt:
    """What became of the message as a whole: the best that came of any address. Unknown outdoes a retry, for one who
    may have seen it is not to see it twice.
    """
    by_came = {result.came: result for result in results}
    if taken := by_came.get(Came.TAKEN):
        return Receipt(provider_id=taken.provider_id)
    for came in (Came.UNKNOWN, Came.RETRY, Came.SHUT_OUT, Came.REFUSED, Came.DEAD):
        if result := by_came.get(came):
            raise DeliveryError(
                f"the push was not taken: {came}",
                permanent=came in (Came.REFUSED, Came.DEAD),
                code=result.code,
                outcome_unknown=came is Came.UNKNOWN,
                busy=result.retry_after_seconds is not None,
                retry_after_seconds=result.retry_after_seconds,
            )
    raise DeliveryError("there is no address to push to", permanent=True, code="no_address")
