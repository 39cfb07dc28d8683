"""A Web Push service with pretended browsers: it takes what RFC 8030, 8291 and 8292 ask for, and shows what it decrypts."""

import json
import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from campaigns.delivery.channels.web_push_crypt import CURVE, in_base64url, keys, public_bytes, unpadded
from engine.provider.exchange import Answer, Request
from engine.provider.fault import Faults, answered
from engine.provider.notifications import Notification, Notifications

BODY_LIMIT_BYTES = 4096
SALT_BYTES, HEAD_BYTES = 16, 21
AUTH_BYTES = 16
_PUSH = re.compile(r"^/web-push/([A-Za-z0-9_-]{1,64})$")
_TOPIC = re.compile(r"^[A-Za-z0-9_-]{1,32}$")
_VAPID = re.compile(r"^vapid t=([^,\s]+), ?k=([A-Za-z0-9_-]{87})$")


@dataclass(frozen=True, slots=True)
class Browser:
    """A pretended browser. `server_key` is the key that its page subscribed with, if any."""

    name: str
    private_key: ec.EllipticCurvePrivateKey = field(repr=False)
    auth: bytes = field(repr=False)
    server_key: str | None = None


class WebPushApi:
    """The service. Browsers that are not known are gone (410)."""

    def __init__(self, notifications: Notifications, faults: Faults, url: Callable[[], str]) -> None:
        self._notifications = notifications
        self._faults = faults
        self._url = url
        self._lock = threading.Lock()
        self._browsers: dict[str, Browser] = {}

    def subscribe(self, name: str, server_key: str | None = None) -> dict[str, Any]:
        """A new browser's subscription, as `PushSubscription.toJSON()` has it."""
        private = ec.generate_private_key(CURVE)
        auth = secrets.token_bytes(AUTH_BYTES)
        with self._lock:
            self._browsers[name] = Browser(name, private, auth, server_key)
        keys_told = {"p256dh": in_base64url(public_bytes(private.public_key())), "auth": in_base64url(auth)}
        return {"endpoint": f"{self._url()}/web-push/{name}", "keys": keys_told}

    def unsubscribe(self, name: str) -> None:
        """The browser takes nothing any more."""
        with self._lock:
            self._browsers.pop(name, None)

    def answers(self, request: Request) -> bool:
        """Whether a call is this service's."""
        return _PUSH.match(request.path) is not None

    def answer(self, request: Request) -> Answer:
        """Answer one push."""
        return answered(self._faults, request, self._take)

    def _take(self, request: Request) -> Answer:
        found = _PUSH.match(request.path)
        with self._lock:
            browser = self._browsers.get(found[1]) if found else None
        if request.method != "POST":
            return Answer(405)
        if browser is None:
            return Answer(410)
        if not self._is_signed(request, browser):
            return Answer(403)
        headers = request.headers
        ttl, topic = headers.get("ttl", ""), headers.get("topic", "")
        if not ttl.isdecimal() or not _TOPIC.match(topic) or headers.get("content-encoding") != "aes128gcm":
            return Answer(400)
        if len(request.body) > BODY_LIMIT_BYTES:
            return Answer(413)
        try:
            told = json.loads(decrypt(request.body, browser))
        except (ValueError, InvalidTag):
            return Answer(400)  # a real service cannot tell; a real browser would stay silent
        self._notifications.show(
            Notification(
                "webpush", browser.name, told["title"], told["body"], topic, told["silent"], int(ttl)
            )
        )
        return Answer(201, headers={"Location": f"{self._url()}/web-push-message/{browser.name}"})

    def _is_signed(self, request: Request, browser: Browser) -> bool:
        found = _VAPID.match(request.headers.get("authorization", ""))
        if found is None or browser.server_key not in (None, found[2]):
            return False
        try:
            key = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, unpadded(found[2]))
            options: Any = {
                "verify_exp": False,
                "require": ["exp", "sub"],
            }  # the engine may live at another time
            jwt.decode(found[1], key, algorithms=["ES256"], audience=self._url(), options=options)
        except (jwt.InvalidTokenError, ValueError):
            return False
        return True


def decrypt(body: bytes, browser: Browser) -> bytes:
    """What a browser reads. Raises ValueError, InvalidTag."""
    salt, length = body[:SALT_BYTES], body[HEAD_BYTES - 1]
    theirs_raw, sealed = body[HEAD_BYTES : HEAD_BYTES + length], body[HEAD_BYTES + length :]
    theirs = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, theirs_raw)
    shared = browser.private_key.exchange(ec.ECDH(), theirs)
    ours_raw = public_bytes(browser.private_key.public_key())
    key, nonce = keys(shared, browser.auth, salt, ours_raw, theirs_raw)
    text = AESGCM(key).decrypt(nonce, sealed, None).rstrip(b"\x00")
    if not text.endswith(b"\x02"):
        raise ValueError("this is not the last record")
    return text[:-1]
