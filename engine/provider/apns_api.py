"""Apple's push service for pretended phones, in both environments: tokens are of one of them and of one app.

Shapes as in developer.apple.com/documentation/usernotifications, "Handling notification responses from APNs".
"""

import json
import re
from functools import cached_property
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from engine.clock import Now
from engine.provider.exchange import Answer, Request, as_json
from engine.provider.fault import Faults, answered
from engine.provider.notifications import Notification, Notifications

KEY_ID, TEAM_ID, TOPIC = "PRETENDKEY", "PRETENDTEA", "org.example.offers"
PAYLOAD_LIMIT_BYTES = 4096
_DEVICE = re.compile(r"^(/sandbox)?/3/device/([0-9a-fA-F]+)$")


class ApnsApi:
    """The service. A token that begins with ``dead`` ended at `ended_at_ms`; one with ``5a`` is of the sandbox, every
    other of production.
    """

    def __init__(self, notifications: Notifications, faults: Faults, now: Now) -> None:
        self._notifications = notifications
        self._faults = faults
        self._now = now
        self.ended_at_ms = 0

    @cached_property
    def _key(self) -> ec.EllipticCurvePrivateKey:
        return ec.generate_private_key(ec.SECP256R1())

    def key_file(self) -> str:
        """The key that signs provider tokens, as Apple hands it out."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def answer(self, request: Request) -> Answer:
        """Answer one call; a path that begins with ``/sandbox`` is of that environment."""
        return answered(self._faults, request, self._take)

    def _take(self, request: Request) -> Answer:
        found = _DEVICE.match(request.path)
        if found is None or request.method != "POST":
            return _refused(404, "BadPath")
        if not self._is_signed(request):
            return _refused(403, "InvalidProviderToken")
        headers, token = request.headers, found[2]
        if headers.get("apns-topic") != TOPIC:
            return _refused(400, "DeviceTokenNotForTopic" if headers.get("apns-topic") else "MissingTopic")
        if bool(found[1]) != token.lower().startswith("5a"):
            return _refused(400, "BadDeviceToken")
        if token.lower().startswith("dead"):
            return as_json(410, {"reason": "Unregistered", "timestamp": self.ended_at_ms})
        if len(request.body) > PAYLOAD_LIMIT_BYTES:
            return _refused(413, "PayloadTooLarge")
        return self._show(token, headers, request.body)

    def _show(self, token: str, headers: Any, body: bytes) -> Answer:
        expiration, tag = headers.get("apns-expiration", ""), headers.get("apns-collapse-id", "")
        if not expiration.isdecimal() or headers.get("apns-push-type") != "alert":
            return _refused(400, "BadExpirationDate" if not expiration.isdecimal() else "InvalidPushType")
        if not 1 <= len(tag.encode()) <= 64 or headers.get("apns-priority") not in ("1", "5", "10"):
            return _refused(400, "BadCollapseId")
        aps = json.loads(body)["aps"]
        valid_seconds = int(expiration) - int(self._now().timestamp())
        alert, silent = aps["alert"], "sound" not in aps
        self._notifications.show(
            Notification("apns", token, alert["title"], alert["body"], tag, silent, valid_seconds)
        )
        return Answer(200, headers={"apns-id": headers.get("apns-id", "")})

    def _is_signed(self, request: Request) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            claims = jwt.decode(
                token, self._key.public_key(), algorithms=["ES256"], options={"verify_iat": False}
            )
            known = jwt.get_unverified_header(token).get("kid") == KEY_ID
        except jwt.InvalidTokenError:
            return False
        return scheme == "bearer" and known and claims.get("iss") == TEAM_ID


def _refused(status: int, reason: str) -> Answer:
    return as_json(status, {"reason": reason})
