"""Push through Apple's service: HTTP/2, with a provider token that our key signs.

Sources: developer.apple.com/documentation/usernotifications, "Sending notification requests to APNs", "Handling
notification responses from APNs" and "Establishing a token-based connection to APNs".
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self
from uuid import NAMESPACE_URL, uuid5

import httpx2
import jwt

from campaigns.delivery.channels.push import Came, Notice, PushResult
from campaigns.delivery.channels.service_call import ServiceAnswer, call
from consent.push import Environment, PushAddress

URLS: Mapping[Environment, str] = {
    Environment.PRODUCTION: "https://api.push.apple.com",
    Environment.SANDBOX: "https://api.sandbox.push.apple.com",
}
TOKEN_LASTS = timedelta(minutes=40)
"""Apple refuses tokens older than an hour, and more than one new one in twenty minutes."""


@dataclass(frozen=True, slots=True)
class ApnsKey:
    """Who we are to Apple: a key of the developer account, its id and the team's."""

    key_id: str
    team_id: str
    private_key: str = field(repr=False)

    @classmethod
    def read(cls, path: Path, key_id: str, team_id: str) -> Self:
        """From Apple's ``.p8`` file. Raises OSError, ValueError."""
        key = cls(key_id, team_id, path.read_text(encoding="utf-8"))
        try:
            key.token(datetime.fromtimestamp(0, UTC))
        except (jwt.InvalidKeyError, TypeError):
            raise ValueError(f"{path.name} holds no key of Apple's") from None
        return key

    def token(self, now: datetime) -> str:
        """A provider token of this instant. Raises ValueError."""
        claims = {"iss": self.team_id, "iat": int(now.timestamp())}
        return jwt.encode(claims, self.private_key, algorithm="ES256", headers={"kid": self.key_id})


class ApnsPush:
    """One app, by its bundle id. `client` speaks HTTP/2."""

    def __init__(
        self,
        topic: str,
        key: ApnsKey,
        client: httpx2.Client,
        now: Callable[[], datetime],
        urls: Mapping[Environment, str] = URLS,
    ) -> None:
        self._topic = topic
        self._key = key
        self._client = client
        self._now = now
        self._urls = urls
        self._lock = threading.Lock()
        self._token: tuple[str, datetime] | None = None

    def push(self, address: PushAddress, notice: Notice) -> PushResult:
        """Send one notification to one device, in the environment that its token was made in."""
        url = self._urls[address.environment or Environment.PRODUCTION]
        answer = call(
            self._client,
            f"{url}/3/device/{address.value['token']}",
            self._headers(address, notice),
            json=apns_payload(notice),
        )
        if isinstance(answer, PushResult):
            return answer
        if answer.status == 403:
            self._token = None
        return _result(answer, address)

    def _headers(self, address: PushAddress, notice: Notice) -> dict[str, str]:
        now = self._now()
        return {
            "authorization": f"bearer {self._provider_token(now)}",
            "apns-id": str(uuid5(NAMESPACE_URL, f"{notice.message}:{address.device}")),
            "apns-topic": self._topic,
            "apns-push-type": "alert",
            "apns-expiration": str(int(now.timestamp()) + notice.valid_seconds),
            "apns-priority": "5" if notice.silent else "10",
            "apns-collapse-id": notice.collapse_key,
        }

    def _provider_token(self, now: datetime) -> str:
        with self._lock:
            if self._token is None or now - self._token[1] >= TOKEN_LASTS:
                self._token = self._key.token(now), now
            return self._token[0]


def apns_payload(notice: Notice) -> dict[str, Any]:
    """What the phone is told. A silent offer lights up nothing and makes no sound."""
    how: dict[str, Any] = {"interruption-level": "passive"} if notice.silent else {"sound": "default"}
    return {
        "aps": {"alert": {"title": notice.title, "body": notice.text}, **how},
        "message": notice.message,
        "campaign": notice.campaign,
    }


def _result(answer: ServiceAnswer, address: PushAddress) -> PushResult:
    if answer.status == 200:
        return PushResult(Came.TAKEN, provider_id=answer.headers.get("apns-id"))
    body = answer.body if isinstance(answer.body, dict) else {}
    reason = str(body.get("reason") or answer.status)[:64]
    match answer.status:
        case 410:
            return PushResult(Came.DEAD if _ended_since(body, address) else Came.REFUSED, reason)
        case 400 if reason == "BadDeviceToken":
            # Also what a good token of the other environment gets.
            return PushResult(Came.DEAD if address.environment else Came.REFUSED, reason)
        case 403:
            return PushResult(Came.SHUT_OUT, reason)
        case 429 | 503:
            seconds = answer.retry_after_seconds
            # TooManyRequests is about this device alone; any other 429, and a 503 that names a time, about all we send.
            busy = reason != "TooManyRequests" if answer.status == 429 else seconds is not None
            return PushResult(Came.RETRY, reason, retry_after_seconds=seconds, busy=busy)
        case status if 400 <= status < 500:
            return PushResult(Came.REFUSED, reason)
        case _:
            return PushResult(Came.UNKNOWN, reason)


def _ended_since(body: Mapping[str, Any], address: PushAddress) -> bool:
    """Whether the token ended after the app told us of it: since then the app may have got it anew."""
    ended_ms = body.get("timestamp")
    if not isinstance(ended_ms, int) or address.since is None:
        return False
    return ended_ms > address.since.timestamp() * 1000
