"""Offers handed to a system of the shop's own (a pager, a screen, an app with a push service of its own), by Standard
Webhooks 1.0: signed, and with an id that stays the same when it is called again, so that it can tell a repeat.
"""

import json
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

from campaigns.delivery.channels.channel import asked_pause_seconds
from campaigns.delivery.channels.push import Came, Notice, PushResult
from campaigns.delivery.channels.push_web import Post, Unposted
from campaigns.message import derived_id
from consent.push import PushAddress
from consent.standard_webhook import PREFIX, signed_headers

SECRET_BYTES = range(24, 65)
"""As many as Standard Webhooks 1.0 asks for."""


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """Where offers go, and the key that signs them."""

    url: str
    secret: bytes = field(repr=False)

    @classmethod
    def read(cls, url: str, secret: str) -> Self:
        """From a URL and ``whsec_`` with base64. Raises ValueError."""
        try:
            key = b64decode(secret.removeprefix(PREFIX), validate=True)
        except ValueError:
            key = b""
        if not secret.startswith(PREFIX) or len(key) not in SECRET_BYTES:
            raise ValueError("secret must be whsec_ and 24 to 64 bytes in base64")
        return cls(url, key)


class WebhookPush:
    """One system. The address is the name by which it knows the device."""

    def __init__(self, target: WebhookTarget, post: Post, now: Callable[[], datetime]) -> None:
        self._target = target
        self._post = post
        self._now = now

    def push(self, address: PushAddress, notice: Notice) -> PushResult:
        """Hand one offer over."""
        now = self._now()
        body = json.dumps(offer_event(address, notice, now), ensure_ascii=False).encode()
        call_id = f"msg_{derived_id('webhook', notice.message, address.device)}"
        headers = {
            "Content-Type": "application/json",
            **signed_headers([self._target.secret], call_id, now, body),
        }
        try:
            status, answered = self._post(self._target.url, body, headers)
        except Unposted as failure:
            if failure.permanent:
                return PushResult(Came.REFUSED, failure.code)
            return PushResult(Came.UNKNOWN if failure.heard else Came.RETRY, failure.code)
        return _result(status, answered, call_id)


def offer_event(address: PushAddress, notice: Notice, now: datetime) -> dict[str, object]:
    """The event's body."""
    return {
        "type": "offer.due",
        "timestamp": now.isoformat(),
        "data": {
            "to": address.value["token"],
            "message": notice.message,
            "campaign": notice.campaign,
            "title": notice.title,
            "text": notice.text,
            "tag": notice.collapse_key,
            "silent": notice.silent,
            "valid_until": (now + timedelta(seconds=notice.valid_seconds)).isoformat(),
        },
    }


def _result(status: int, headers: Mapping[str, str], call_id: str) -> PushResult:
    """A redirect is a refusal, 410 asks us to call no more; neither says anything of one device."""
    match status:
        case _ if 200 <= status < 300:
            return PushResult(Came.TAKEN, provider_id=call_id)
        case 401 | 403 | 410:
            return PushResult(Came.SHUT_OUT, str(status))
        case 429 | 503:
            seconds = asked_pause_seconds(headers.get("retry-after"))
            busy = status == 429 or seconds is not None
            return PushResult(Came.RETRY, str(status), retry_after_seconds=seconds, busy=busy)
        case _ if 300 <= status < 500:
            return PushResult(Came.REFUSED, str(status))
        case _:
            return PushResult(Came.UNKNOWN, str(status))
