"""The apps that offers are pushed to: a TOML file names them, with the credentials of each.

[fcm.default]                       # the name that addresses have as `app`
account = "service-account.json"    # as Google's console hands it out; paths are from the file's own folder
per_second = 300                    # calls of all processes together, where it is to differ from CHALAND_PUSH_PER_SECOND_LIMIT
per_day = 1000000                   # and from CHALAND_PUSH_PER_DAY_LIMIT
api_url = "http://127.0.0.1:8010"   # another address than the service's own, for trials
"""

import contextlib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2

from campaigns.delivery.channels.push import App, PushService
from campaigns.delivery.channels.push_apns import URLS as APNS_URLS
from campaigns.delivery.channels.push_apns import ApnsKey, ApnsPush
from campaigns.delivery.channels.push_fcm import API_URL as FCM_URL
from campaigns.delivery.channels.push_fcm import FcmPush, ServiceAccount
from campaigns.delivery.channels.push_web import Post, Unposted, VapidKey, WebPush
from campaigns.delivery.channels.push_webhook import WebhookPush, WebhookTarget
from consent.push import Environment, PushKind
from engine.outbound import CallFailed, Outbound

Now = Callable[[], datetime]
LARGEST_LIMIT = 1_000_000_000
"""Calls, a second or a day."""


class InvalidPushApps(ValueError):
    """The file of apps cannot be used; says where, and what was expected."""


class _Means:
    """What services are made with; `clients` closes theirs."""

    def __init__(self, now: Now, outbound: Outbound, clients: contextlib.ExitStack) -> None:
        self.now = now
        self.outbound = outbound
        self._clients = clients

    def client(self, *, http2: bool = False) -> httpx2.Client:
        return self._clients.enter_context(httpx2.Client(http1=not http2, http2=http2))


@dataclass(frozen=True, slots=True)
class _Entry:
    """One table of the file."""

    path: Path
    service: str
    app: str
    values: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.service}.{self.app}"

    def text(self, field: str, default: str | None = None) -> str:
        value = self.values.get(field, default)
        if not isinstance(value, str) or not value:
            raise InvalidPushApps(f"{self.path}: [{self.name}] needs {field}, a text")
        return value

    def limit(self, field: str) -> float | None:
        value = self.values.get(field)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LARGEST_LIMIT:
            raise InvalidPushApps(
                f"{self.path}: [{self.name}]: {field} is a number above zero, {LARGEST_LIMIT} at most"
            )
        return value

    def file(self, field: str) -> Path:
        return self.path.parent / self.text(field)


@dataclass(frozen=True, slots=True)
class AppRate:
    """How often an app may be called; None where the settings say it."""

    per_second: float | None = None
    per_day: float | None = None


class PushApps:
    """The apps of the file, none where no file is set, what they call with, and how often each may (`rates`). URLs that
    browsers gave us are called through `outbound`. Raises InvalidPushApps.
    """

    def __init__(self, path: str, now: Now, outbound: Outbound) -> None:
        self._clients = contextlib.ExitStack()
        self.services: dict[App, PushService] = {}
        self.rates: dict[App, AppRate] = {}
        means = _Means(now, outbound, self._clients)
        with contextlib.ExitStack() as failing:
            failing.callback(self.close)
            for entry in _entries(Path(path)) if path else ():
                made = _services(entry, means)
                self.services |= made
                self.rates |= dict.fromkeys(made, AppRate(entry.limit("per_second"), entry.limit("per_day")))
            failing.pop_all()

    def close(self) -> None:
        """Give up the connections."""
        self._clients.close()


def _services(entry: _Entry, means: _Means) -> dict[App, PushService]:
    try:
        made = _SERVICES[entry.service](entry, means)
    except InvalidPushApps:
        raise
    except (OSError, ValueError) as error:
        raise InvalidPushApps(f"{entry.path}: [{entry.name}]: {error}") from None
    return {(kind, entry.app): service for kind, service in made.items()}


def _entries(path: Path) -> list[_Entry]:
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidPushApps(f"{path}: {error}") from None
    entries = []
    for service, apps in told.items():
        if service not in _SERVICES or not isinstance(apps, dict):
            raise InvalidPushApps(f"{path}: [{service}.APP]: a table is of {', '.join(_SERVICES)}")
        for app, values in apps.items():
            if not isinstance(values, dict):
                raise InvalidPushApps(f"{path}: [{service}.{app}] must be a table")
            entries.append(_Entry(path, service, app, values))
    return entries


def posting(outbound: Outbound) -> Post:
    """POSTs to URLs that others gave us, kept out of our own network."""

    def post(url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str]]:
        try:
            answer = outbound.post(url, body, headers)
        except CallFailed as failed:
            raise Unposted(failed.failure, heard=failed.heard, permanent=failed.permanent) from None
        return answer.status, answer.headers

    return post


def _fcm(entry: _Entry, means: _Means) -> dict[PushKind, PushService]:
    account = ServiceAccount.read(entry.file("account"))
    service = FcmPush(account, means.client(), means.now, api_url=entry.text("api_url", FCM_URL))
    return {PushKind.FCM_TOKEN: service, PushKind.FCM_FID: service}


def _webpush(entry: _Entry, means: _Means) -> dict[PushKind, PushService]:
    key = VapidKey.read(entry.file("key"), entry.text("subject"))
    return {PushKind.WEBPUSH: WebPush(key, posting(means.outbound), means.now)}


def _apns(entry: _Entry, means: _Means) -> dict[PushKind, PushService]:
    key = ApnsKey.read(entry.file("key"), entry.text("key_id"), entry.text("team_id"))
    urls = APNS_URLS
    if "api_url" in entry.values:
        url = entry.text("api_url").rstrip("/")
        urls = {Environment.PRODUCTION: url, Environment.SANDBOX: f"{url}/sandbox"}
    return {PushKind.APNS: ApnsPush(entry.app, key, means.client(http2=True), means.now, urls)}


def _webhook(entry: _Entry, means: _Means) -> dict[PushKind, PushService]:
    target = WebhookTarget.read(entry.text("url"), entry.text("secret"))
    if flaw := means.outbound.destinations.flaw(target.url):
        raise ValueError(f"url {flaw}")
    return {PushKind.WEBHOOK: WebhookPush(target, posting(means.outbound), means.now)}


_SERVICES: Mapping[str, Callable[[_Entry, _Means], dict[PushKind, PushService]]] = {
    "fcm": _fcm,
    "webpush": _webpush,
    "apns": _apns,
    "webhook": _webhook,
}
