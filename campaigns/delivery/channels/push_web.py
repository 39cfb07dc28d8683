"""Push to browsers: the Web Push protocol (RFC 8030), encrypted for the browser (RFC 8291), signed by VAPID (RFC 8292).

The endpoint is a URL that a browser gave us, so it is called through `Post`, which keeps us out of our own network.
"""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from campaigns.delivery.channels.channel import asked_pause_seconds
from campaigns.delivery.channels.push import Came, Notice, PushResult
from campaigns.delivery.channels.web_push_crypt import encrypt, in_base64url, public_bytes
from consent.push import PushAddress

TOKEN_LASTS = timedelta(hours=12)
"""Of the 24 hours that RFC 8292 allows."""
TTL_LIMIT_SECONDS = 28 * 86_400
TOKENS_LIMIT = 100
"""Push services whose tokens are kept at once."""


class Unposted(Exception):
    """There was no answer. `heard`: the other side may have heard us. `permanent`: this URL is never called."""

    def __init__(self, code: str, *, heard: bool, permanent: bool) -> None:
        super().__init__(code)
        self.code = code
        self.heard = heard
        self.permanent = permanent


Post = Callable[[str, bytes, Mapping[str, str]], tuple[int, Mapping[str, str]]]
"""Posts a body with headers to a URL that somebody gave us, within a bounded time; status and headers (in lower case) of
the answer. Raises `Unposted`.
"""


@dataclass(frozen=True, slots=True)
class VapidKey:
    """Who we are to push services: our key, and where they find us (``mailto:`` or ``https:``)."""

    subject: str
    private_key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def read(cls, path: Path, subject: str) -> Self:
        """From a PEM file. Raises OSError, ValueError."""
        key = load_pem_private_key(path.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
            raise ValueError("the key must be one of the curve P-256")
        if not subject.startswith(("mailto:", "https://")):
            raise ValueError("subject must start with mailto: or https://")
        return cls(subject, key)

    @property
    def public(self) -> str:
        """The public key as browsers are given it (`applicationServerKey`), base64url."""
        return in_base64url(public_bytes(self.private_key.public_key()))


class WebPush:
    """One key pair, which is an app's."""

    def __init__(self, key: VapidKey, post: Post, now: Callable[[], datetime]) -> None:
        self._key = key
        self._post = post
        self._now = now
        self._lock = threading.Lock()
        self._tokens: dict[str, tuple[str, datetime]] = {}

    def push(self, address: PushAddress, notice: Notice) -> PushResult:
        """Send one message to one browser."""
        endpoint = address.value["endpoint"]
        try:
            body = encrypt(web_message(notice), address.value["p256dh"], address.value["auth"])
            headers = self._headers(endpoint, notice)
        except ValueError:
            return PushResult(Came.REFUSED, "bad_subscription")
        try:
            status, answered = self._post(endpoint, body, headers)
        except Unposted as failure:
            if failure.permanent:
                return PushResult(Came.REFUSED, failure.code)
            return PushResult(Came.UNKNOWN if failure.heard else Came.RETRY, failure.code)
        return _result(status, answered)

    def _headers(self, endpoint: str, notice: Notice) -> dict[str, str]:
        return {
            "Authorization": f"vapid t={self._token(endpoint)}, k={self._key.public}",
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(min(notice.valid_seconds, TTL_LIMIT_SECONDS)),
            "Topic": notice.collapse_key,
            "Urgency": "low" if notice.silent else "normal",
        }

    def _token(self, endpoint: str) -> str:
        """A token for the push service of an endpoint, used again for half of its life. Raises ValueError."""
        parts = urlsplit(endpoint)
        service, now = f"{parts.scheme}://{parts.netloc}", self._now()
        with self._lock:
            token, until = self._tokens.get(service, ("", now))
            if until - now < TOKEN_LASTS / 2:
                until = now + TOKEN_LASTS
                claims = {"aud": service, "exp": int(until.timestamp()), "sub": self._key.subject}
                token = jwt.encode(claims, self._key.private_key, algorithm="ES256")
                if len(self._tokens) >= TOKENS_LIMIT:
                    self._tokens.clear()
                self._tokens[service] = token, until
        return token


def web_message(notice: Notice) -> bytes:
    """What the page's service worker gets, in JSON; `tag` and `silent` are options of `showNotification`."""
    told = {
        "title": notice.title,
        "body": notice.text,
        "tag": notice.collapse_key,
        "silent": notice.silent,
        "message": notice.message,
        "campaign": notice.campaign,
    }
    return json.dumps(told, ensure_ascii=False).encode()


def _result(status: int, headers: Mapping[str, str]) -> PushResult:
    """404 and 410 are the end of a subscription (RFC 8030, section 7.3); 401 and 403 are about our key pair."""
    match status:
        case 200 | 201 | 202:
            return PushResult(Came.TAKEN, provider_id=headers.get("location", "")[-200:] or None)
        case 404 | 410:
            return PushResult(Came.DEAD, str(status))
        case 401 | 403:
            return PushResult(Came.SHUT_OUT, str(status))
        case 429 | 503:
            seconds = asked_pause_seconds(headers.get("retry-after"))
            busy = status == 429 or seconds is not None
            return PushResult(Came.RETRY, str(status), retry_after_seconds=seconds, busy=busy)
        case _ if 300 <= status < 500:
            return PushResult(Came.REFUSED, str(status))
        case _:
            return PushResult(Came.UNKNOWN, str(status))
