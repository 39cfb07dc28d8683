"""Push through Firebase Cloud Messaging, HTTP v1, as a service account of the app's project.

Sources: firebase.google.com/docs/reference/fcm/rest/v1/projects.messages and .../v1/ErrorCode; the account's grant is
RFC 7523, section 2.1.
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import httpx2
import jwt

from campaigns.delivery.channels.push import Came, Notice, PushResult
from campaigns.delivery.channels.service_call import ServiceAnswer, call
from consent.push import PushAddress, PushKind

API_URL = "https://fcm.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
OTHERS_AUTH = "THIRD_PARTY_AUTH_ERROR"
"""A 401 that is about Apple's or the browser's credentials behind one registration, not about ours with Google."""
GRANT_SECONDS = 3600
RENEW_BEFORE_SECONDS = 120
QUOTA_PAUSE_SECONDS = 60.0
"""After a 429 that does not say when to come again (firebase.google.com/docs/cloud-messaging/scale-fcm)."""
TTL_LIMIT_SECONDS = 28 * 86_400
"""Four weeks, the longest that FCM keeps a message."""


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """Who we are to Google: what its console hands out as a JSON file."""

    project_id: str
    client_email: str
    private_key: str = field(repr=False)
    token_uri: str = "https://oauth2.googleapis.com/token"  # noqa: S105  # an address

    @classmethod
    def read(cls, path: Path) -> Self:
        """From the console's file. Raises OSError, ValueError."""
        raw = json.loads(path.read_text(encoding="utf-8"))
        try:
            account = cls(raw["project_id"], raw["client_email"], raw["private_key"], raw["token_uri"])
        except (KeyError, TypeError):
            raise ValueError("it must hold project_id, client_email, private_key and token_uri") from None
        try:
            account.signed({})
        except (ValueError, TypeError, AttributeError, jwt.PyJWTError):
            raise ValueError("its private_key is no RSA key in PEM") from None
        return account

    def signed(self, claims: dict[str, Any]) -> str:
        """A JSON Web Token with these claims."""
        return jwt.encode(claims, self.private_key, algorithm="RS256")


class FcmPush:
    """One project. `ticks` are seconds of a clock that is never set back."""

    def __init__(
        self,
        account: ServiceAccount,
        client: httpx2.Client,
        now: Callable[[], datetime],
        *,
        api_url: str = API_URL,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._account = account
        self._client = client
        self._now = now
        self._ticks = ticks
        self._url = f"{api_url.rstrip('/')}/v1/projects/{account.project_id}/messages:send"
        self._lock = threading.Lock()
        self._token: tuple[str, float] | None = None

    def push(self, address: PushAddress, notice: Notice) -> PushResult:
        """Send one message to one registration."""
        token = self._access()
        if isinstance(token, PushResult):
            return token
        answer = call(
            self._client,
            self._url,
            {"Authorization": f"Bearer {token}"},
            json={"message": fcm_message(address, notice, self._now())},
        )
        if isinstance(answer, PushResult):
            return answer
        result = _result(answer)
        if answer.status == 401 and result.came is Came.SHUT_OUT:
            self._token = None
        return result

    def _access(self) -> str | PushResult:
        """The access token, a new one if the old is about to end."""
        with self._lock:
            if self._token and self._token[1] > self._ticks():
                return self._token[0]
            answer = call(
                self._client,
                self._account.token_uri,
                {},
                data={"grant_type": GRANT, "assertion": self._assertion()},
            )
            if isinstance(answer, PushResult):
                return PushResult(Came.RETRY, "no_access_token")  # nothing was sent yet, whatever happened
            body = answer.body if isinstance(answer.body, dict) else {}
            if answer.status in (400, 401, 403):
                return PushResult(Came.SHUT_OUT, str(body.get("error", answer.status))[:64])
            token, seconds = body.get("access_token"), body.get("expires_in")
            if answer.status != 200 or not isinstance(token, str) or not isinstance(seconds, int):
                return PushResult(Came.RETRY, "no_access_token")
            self._token = token, self._ticks() + seconds - RENEW_BEFORE_SECONDS
            return token

    def _assertion(self) -> str:
        made = int(self._now().timestamp())
        account = self._account
        claims = {
            "iss": account.client_email,
            "scope": SCOPE,
            "aud": account.token_uri,
            "iat": made,
            "exp": made + GRANT_SECONDS,
        }
        return account.signed(claims)


def fcm_message(address: PushAddress, notice: Notice, now: datetime) -> dict[str, Any]:
    """The message resource. What is shown, how long it is good for, and what it replaces is said to each platform."""
    ttl = min(notice.valid_seconds, TTL_LIMIT_SECONDS)
    target = "fid" if address.kind is PushKind.FCM_FID else "token"
    aps: dict[str, Any] = {"interruption-level": "passive"} if notice.silent else {"sound": "default"}
    return {
        target: address.value["token"],
        "notification": {"title": notice.title, "body": notice.text},
        "data": {"message": notice.message, "campaign": notice.campaign},
        "android": {
            "ttl": f"{ttl}s",
            "collapse_key": notice.collapse_key,
            "priority": "NORMAL" if notice.silent else "HIGH",
            "notification": {
                "tag": notice.collapse_key,
                "notification_priority": "PRIORITY_LOW" if notice.silent else "PRIORITY_DEFAULT",
                "default_sound": not notice.silent,
            },
        },
        "apns": {
            "headers": {
                "apns-collapse-id": notice.collapse_key,
                "apns-expiration": str(int(now.timestamp()) + ttl),
                "apns-priority": "5" if notice.silent else "10",
            },
            "payload": {"aps": aps},
        },
        "webpush": {
            "headers": {
                "TTL": str(ttl),
                "Topic": notice.collapse_key,
                "Urgency": "low" if notice.silent else "normal",
            },
            "notification": {"tag": notice.collapse_key, "silent": notice.silent},
        },
    }


def _result(answer: ServiceAnswer) -> PushResult:
    """Only FCM's own word UNREGISTERED is the end of an address: a bare 404 is a wrong project or URL, a 400 may be
    about the message.
    """
    if answer.status == 200 and isinstance(answer.body, dict):
        return PushResult(Came.TAKEN, provider_id=str(answer.body.get("name", ""))[:200] or None)
    code = _code(answer.body) or str(answer.status)
    match answer.status:
        case 404 if code == "UNREGISTERED":
            return PushResult(Came.DEAD, code)
        case 401:
            return PushResult(Came.REFUSED if code == OTHERS_AUTH else Came.SHUT_OUT, code)
        case 403:
            return PushResult(Came.REFUSED if code == "SENDER_ID_MISMATCH" else Came.SHUT_OUT, code)
        case 429:
            pause_seconds = answer.retry_after_seconds or QUOTA_PAUSE_SECONDS
            return PushResult(Came.RETRY, code, retry_after_seconds=pause_seconds, busy=True)
        case 503:
            seconds = answer.retry_after_seconds
            return PushResult(Came.RETRY, code, retry_after_seconds=seconds, busy=seconds is not None)
        case status if 400 <= status < 500:
            return PushResult(Came.REFUSED, code)
        case _:
            return PushResult(Came.UNKNOWN, code)


def _code(body: Any) -> str | None:
    """The errorCode of FCM's own detail; None where there is none."""
    try:
        details = body["error"]["details"]
        return next((str(each["errorCode"])[:64] for each in details if each.get("@type") == FCM_ERROR), None)
    except (KeyError, TypeError, AttributeError):
        return None
