"""The apps that offers are pushed to: a TOML file names them, with the credentials of each.

[fcm.default]                       # the name that addresses have as `app`
account = "service-account.json"    # as Google's console hands it out; paths are from the file's own folder
api_url = "http://127.0.0.1:8010"   # another address than the service's own, for trials
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2

from campaigns.channels.push import App, PushService
from campaigns.channels.push_fcm import API_URL as FCM_URL
from campaigns.channels.push_fcm import FcmPush, ServiceAccount
from campaigns.channels.push_web import Post, Unposted, VapidKey, WebPush
from consent.push import PushKind
from engine.outbound import CallFailed, Outbound

Now = Callable[[], datetime]


class InvalidPushApps(ValueError):
    """The file of apps cannot be used; says where, and what was expected."""


@dataclass(frozen=True, slots=True)
class _Means:
    """What services are made with."""

    now: Now
    outbound: Outbound
    client: httpx2.Client


@dataclass(frozen=True, slots=True)
class _Entry:
    """One table of the file."""

    path: Path
    name: str
    values: Mapping[str, Any]

    def text(self, field: str, default: str | None = None) -> str:
        value = self.values.get(field, default)
        if not isinstance(value, str) or not value:
            raise InvalidPushApps(f"{self.path}: [{self.name}] needs {field}, a text")
        return value

    def file(self, field: str) -> Path:
        return self.path.parent / self.text(field)


def push_services(path: str, now: Now, outbound: Outbound) -> dict[App, PushService]:
    """The services of every app in the file; none where no file is set. URLs that browsers gave us are called through
    `outbound`. Raises InvalidPushApps.
    """
    if not path:
        return {}
    found: dict[App, PushService] = {}
    means = _Means(now, outbound, httpx2.Client())
    for service, app, entry in _entries(Path(path)):
        try:
            found |= {(kind, app): made for kind, made in _SERVICES[service](entry, means).items()}
        except (OSError, ValueError) as error:
            if isinstance(error, InvalidPushApps):
                raise
            raise InvalidPushApps(f"{path}: [{entry.name}]: {error}") from None
    return found


def _entries(path: Path) -> list[tuple[str, str, _Entry]]:
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
            entries.append((service, app, _Entry(path, f"{service}.{app}", values)))
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
    service = FcmPush(account, means.client, means.now, api_url=entry.text("api_url", FCM_URL))
    return {PushKind.FCM_TOKEN: service, PushKind.FCM_FID: service}


def _webpush(entry: _Entry, means: _Means) -> dict[PushKind, PushService]:
    key = VapidKey.read(entry.file("key"), entry.text("subject"))
    return {PushKind.WEBPUSH: WebPush(key, posting(means.outbound), means.now)}


_SERVICES: Mapping[str, Callable[[_Entry, _Means], dict[PushKind, PushService]]] = {
    "fcm": _fcm,
    "webpush": _webpush,
}
