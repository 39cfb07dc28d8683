"""Offers by push: to every address of the subject, each over its own service; one that is dead is told to `bury`."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Protocol
from urllib.parse import urlsplit

from campaigns.delivery.channels.channel import DeliveryError, Outgoing, Receipt
from consent.push import PushAddress, PushKind

CALL_SECONDS = 8.0
"""The longest that one call may last."""
START_WITHIN_SECONDS = 2.0
"""No call begins later than this. Whoever withdraws waits 12 s for a hand-over to end (`engine/handover.py`), and a call
that began within these takes at most `CALL_SECONDS` more.
"""
PAUSE_SECONDS = 900.0
"""An app whose credentials were refused is left alone for so long."""
PAUSES_LIMIT = 1000
"""Pauses that are kept at once: an endpoint's host is whatever a browser said."""
PAUSED = "paused"

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
    """What a service answered for one address, with its own code, or its id of what it took. `busy`: it wants fewer calls
    of the app. Without a call it was not `called`.
    """

    came: Came
    code: str | None = None
    provider_id: str | None = None
    retry_after_seconds: float | None = None
    busy: bool = False
    called: bool = True


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


Heard = Callable[[PushAddress, PushResult], None]
App = tuple[PushKind, str]
Paused = tuple[PushKind, str, str]
"""An app, and of browsers the host of their push service: each looks at our key by itself."""


class Push:
    """The channel. `services` tells the app's service by kind and app; `bury` is called with each address that its
    service calls dead, and touches no consent; `heard` with what came of each address; `title` stands above every offer.
    """

    def __init__(
        self,
        services: Mapping[App, PushService],
        *,
        title: str,
        bury: Callable[[PushAddress, str | None], None],
        heard: Heard = lambda _address, _result: None,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._services = services
        self._title = title
        self._bury = bury
        self._heard = heard
        self._ticks = ticks
        self._lock = threading.Lock()
        self._paused_until: dict[Paused, float] = {}

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
                results.append(PushResult(Came.RETRY, "out_of_time", called=False))
            else:
                results.append(self._push(address, notice))
            self._tell(address, results[-1])
        return _receipt(results)

    def paused(self) -> tuple[App, ...]:
        """The apps that are left alone, for their credentials were refused; by one push service of browsers at least."""
        now, pauses = self._ticks(), dict(self._paused_until)
        return tuple(dict.fromkeys((kind, app) for (kind, app, _), until in pauses.items() if until > now))

    def _push(self, address: PushAddress, notice: Notice) -> PushResult:
        app = address.kind, address.app
        service = self._services.get(app)
        if service is None:
            return PushResult(Came.REFUSED, "no_such_app", called=False)
        own = *app, _host(address)
        if (left_seconds := self._paused_until.get(own, 0.0) - self._ticks()) > 0:
            return PushResult(Came.RETRY, PAUSED, retry_after_seconds=left_seconds, called=False)
        result = service.push(address, notice)
        if result.came is Came.DEAD:
            self._end(address, result.code)
        elif result.came is Came.SHUT_OUT:
            self._pause(own)
            _logger.error("%s refuses the credentials of app %s: %s", address.kind, address.app, result.code)
        return result

    def _pause(self, own: Paused) -> None:
        with self._lock:
            if len(self._paused_until) >= PAUSES_LIMIT:
                self._paused_until = {}
            self._paused_until[own] = self._ticks() + PAUSE_SECONDS

    def _tell(self, address: PushAddress, result: PushResult) -> None:
        """Tell how it came out. Where that fails the message is what it is all the same."""
        try:
            self._heard(address, result)
        except Exception as error:  # noqa: BLE001  # of whatever store the line is in
            _logger.warning(
                "how a push by %s came out is not counted: %s", address.kind, type(error).__name__
            )

    def _end(self, address: PushAddress, code: str | None) -> None:
        """Bury it. Where that fails the next message will, and this one goes on to the other devices."""
        try:
            self._bury(address, code)
        except Exception as error:  # noqa: BLE001  # of whatever store the address is in
            # A database error's own words hold the statement's values, so only its kind is logged.
            _logger.error("a dead address of %s is kept: %s", address.kind, type(error).__name__)  # noqa: TRY400


def collapse_key(campaign: str) -> str:
    """The same for every offer of a campaign, in letters that every service takes."""
    return sha256(campaign.encode()).hexdigest()[:32]


def _host(address: PushAddress) -> str:
    """Of a browser's push service; empty for other kinds, and for what is no URL."""
    if address.kind is not PushKind.WEBPUSH:
        return ""
    try:
        return urlsplit(address.value["endpoint"]).netloc.lower()
    except ValueError:
        return ""


def _receipt(results: Sequence[PushResult]) -> Receipt:
    """What became of the message as a whole: the best that came of any address. Unknown outdoes a retry, for one who
    may have seen it is not to see it twice. Of several to be tried again, the one that may be soonest counts.
    """
    latest_first = sorted(results, key=lambda result: -(result.retry_after_seconds or 0))
    by_came = {result.came: result for result in latest_first}
    if taken := by_came.get(Came.TAKEN):
        return Receipt(provider_id=taken.provider_id)
    for came in (Came.UNKNOWN, Came.RETRY, Came.SHUT_OUT, Came.REFUSED, Came.DEAD):
        if result := by_came.get(came):
            raise DeliveryError(
                f"the push was not taken: {came}",
                permanent=came in (Came.REFUSED, Came.DEAD),
                code=result.code,
                outcome_unknown=came is Came.UNKNOWN,
                busy=result.busy,
                retry_after_seconds=result.retry_after_seconds,
            )
    raise DeliveryError("there is no address to push to", permanent=True, code="no_address")
