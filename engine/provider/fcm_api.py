"""Firebase Cloud Messaging, HTTP v1, and Google's token endpoint, for one project with a service account of its own.

Shapes as in firebase.google.com/docs/reference/fcm/rest/v1/projects.messages and docs/cloud-messaging/error-codes.
"""

import json
import re
import secrets
from collections.abc import Callable
from functools import cached_property
from itertools import count
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from engine.provider.exchange import Answer, Request, as_json
from engine.provider.fault import Faults, answered
from engine.provider.notifications import Notification, Notifications

PROJECT = "pretend-project"
EMAIL = f"sender@{PROJECT}.iam.gserviceaccount.com"
TOKEN_PATH = "/oauth2/token"  # noqa: S105  # a path
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
ACCESS_SECONDS = 3599
FIELDS = frozenset(
    {"token", "fid", "topic", "condition", "notification", "data", "android", "apns", "webpush"}
)
MAGIC = {
    "unregistered": (404, "NOT_FOUND", "UNREGISTERED"),
    "mismatch": (403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
    "invalid": (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    "busy": (429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
}
"""What a token that begins so is answered: status, Google's word, FCM's own."""

_SEND = re.compile(r"^/v1/projects/([^/]+)/messages:send$")
_TTL = re.compile(r"^(\d+)(\.\d{1,9})?s$")


class FcmApi:
    """The project. `url` tells where it is reached, once that is known."""

    def __init__(self, notifications: Notifications, faults: Faults, url: Callable[[], str]) -> None:
        self._notifications = notifications
        self._faults = faults
        self._url = url
        self._access = secrets.token_urlsafe(24)
        self._names = count(1)

    @cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def account(self) -> dict[str, str]:
        """The service account's file, as the console would hand it out."""
        private = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return {
            "type": "service_account",
            "project_id": PROJECT,
            "client_email": EMAIL,
            "private_key": private.decode(),
            "token_uri": f"{self._url()}{TOKEN_PATH}",
        }

    def end_access(self) -> None:
        """Access tokens that were handed out are good no longer."""
        self._access = secrets.token_urlsafe(24)

    def answers(self, request: Request) -> bool:
        """Whether a call is this service's."""
        return request.path == TOKEN_PATH or _SEND.match(request.path) is not None

    def answer(self, request: Request) -> Answer:
        """Answer one call."""
        if request.path == TOKEN_PATH:
            return self._grant(request)
        return answered(self._faults, request, self._send)

    def _grant(self, request: Request) -> Answer:
        form = request.form
        try:
            claims = jwt.decode(
                form.get("assertion", ""),
                self._key.public_key(),
                algorithms=["RS256"],
                audience=f"{self._url()}{TOKEN_PATH}",
                options={"verify_exp": False, "verify_iat": False},  # the engine may live at another time
            )
        except jwt.InvalidTokenError:
            claims = {}
        if form.get("grant_type") != GRANT or claims.get("iss") != EMAIL:
            return as_json(400, {"error": "invalid_grant", "error_description": "Invalid JWT."})
        told = {"access_token": self._access, "expires_in": ACCESS_SECONDS, "token_type": "Bearer"}
        return as_json(200, told)

    def _send(self, request: Request) -> Answer:
        found = _SEND.match(request.path)
        if found is None or found[1] != PROJECT:
            return _error(404, "NOT_FOUND")
        if request.headers.get("authorization") != f"Bearer {self._access}":
            return _error(401, "UNAUTHENTICATED")
        try:
            message = json.loads(request.body)["message"]
            target = _target(message)
            shown = _shown(target, message)
        except (ValueError, KeyError, TypeError, AttributeError):
            return _error(
                400, "INVALID_ARGUMENT", {"@type": BAD_REQUEST, "fieldViolations": [{"field": "message"}]}
            )
        for start, (status, word, code) in MAGIC.items():
            if target.startswith(start):
                return _error(status, word, {"@type": FCM_ERROR, "errorCode": code})
        self._notifications.show(shown)
        return as_json(200, {"name": f"projects/{PROJECT}/messages/0:{next(self._names):016d}"})


def _target(message: dict[str, Any]) -> str:
    targets = [message[name] for name in ("token", "fid", "topic", "condition") if name in message]
    if len(targets) != 1 or not targets[0] or message.keys() - FIELDS:
        raise ValueError("one target, and known fields only")
    return str(targets[0])


def _shown(target: str, message: dict[str, Any]) -> Notification:
    """What an Android phone shows. Raises on what the service would refuse."""
    notification, android = message["notification"], message["android"]
    ttl = _TTL.match(android["ttl"])
    if ttl is None or not all(isinstance(each, str) for each in message.get("data", {}).values()):
        raise ValueError("ttl is a duration in seconds, data is text")
    return Notification(
        "fcm",
        target,
        notification["title"],
        notification["body"],
        android["notification"]["tag"],
        not android["notification"]["default_sound"],
        int(ttl[1]),
    )


def _error(status: int, word: str, detail: dict[str, Any] | None = None) -> Answer:
    told: dict[str, Any] = {"code": status, "message": "The request was refused.", "status": word}
    return as_json(status, {"error": told | ({"details": [detail]} if detail else {})})
