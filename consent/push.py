"""Where a push reaches a subject: an address of one app on one device, which its owner or its service may end.

A dead address says nothing about consent; a withdrawn consent for offers by push ends the addresses. What an address is
made of is sealed with the subject's key (`consent/store.py`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, select, update

from consent.data_keys import key_of
from consent.store import devices

DEFAULT_APP = "default"


class PushKind(StrEnum):
    """The service an address belongs to; none takes another's."""

    FCM_TOKEN = "fcm_token"  # noqa: S105  # a kind, no secret
    FCM_FID = "fcm_fid"
    APNS = "apns"
    WEBPUSH = "webpush"
    WEBHOOK = "webhook"
    """A system of the shop's own, which knows the device by the token."""


IDLE_KINDS = frozenset({PushKind.FCM_TOKEN, PushKind.FCM_FID})
IDLE_LIMIT = timedelta(days=270)
"""Firebase itself ends a registration that was idle for so long (firebase.google.com/docs/cloud-messaging/manage-tokens)."""


class Environment(StrEnum):
    """Which of APNs' two worlds an address was made in; the other services have one."""

    PRODUCTION = "production"
    SANDBOX = "sandbox"


@dataclass(frozen=True, slots=True)
class PushAddress:
    """One address. `device` and `since` (when it was first told to us; None: before that was kept) name the row; `value`
    is what the service asks for: ``{"token"}``, or ``{"endpoint", "p256dh", "auth"}`` of Web Push. `environment` is None
    where nobody told it: then it is production's, as far as we know.
    """

    device: str
    since: datetime | None
    kind: PushKind
    app: str
    environment: Environment | None
    value: Mapping[str, str] = field(repr=False)


def push_address(device: str, since: datetime | None, raw: Any) -> PushAddress | None:
    """Read what a device was given as ``push``; None for what is no address."""
    try:
        kind = PushKind(raw["kind"])
        value = {"token": str(raw["token"])} if kind is not PushKind.WEBPUSH else _subscription(raw)
        environment = Environment(raw["environment"]) if raw.get("environment") else None
        return PushAddress(device, since, kind, str(raw.get("app") or DEFAULT_APP), environment, value)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _subscription(raw: Mapping[str, Any]) -> dict[str, str]:
    keys = raw["keys"]
    return {"endpoint": str(raw["endpoint"]), "p256dh": str(keys["p256dh"]), "auth": str(keys["auth"])}


def addresses_of(conn: Connection, subject: str) -> tuple[PushAddress, ...]:
    """Where a push reaches the subject now, unsealed to be called upon."""
    theirs = select(devices.c.device, devices.c.push, devices.c.push_since).where(
        devices.c.subject == subject, devices.c.push.is_not(None)
    )
    rows = conn.execute(theirs.order_by(devices.c.position)).all()
    if not rows:
        return ()
    key = key_of(conn, subject)
    read = (push_address(row.device, row.push_since, json.loads(key.open("push", row.push))) for row in rows)
    return tuple(address for address in read if address is not None)


def forget_address(conn: Connection, address: PushAddress) -> bool:
    """Remove an address that its service calls dead, unless the device has given another since."""
    same = devices.c.push_since == address.since if address.since else devices.c.push_since.is_(None)
    return _forget(conn, (devices.c.device == address.device) & same) > 0


def forget_addresses(conn: Connection, subject: str) -> int:
    """Remove all of a subject's addresses; the devices stay. Answers how many there were."""
    return _forget(conn, devices.c.subject == subject)


def forget_idle(conn: Connection, kinds: frozenset[PushKind], before: datetime) -> int:
    """Remove the addresses of these kinds that no app has told us of since `before`. Answers how many."""
    of_kinds = devices.c.push_kind.in_(sorted(kinds))
    return _forget(conn, of_kinds & (devices.c.push_seen_at < before))


def _forget(conn: Connection, which: ColumnElement[bool]) -> int:
    gone = update(devices).where(which, devices.c.push.is_not(None))
    return conn.execute(gone.values(push=None, push_kind=None, push_since=None, push_seen_at=None)).rowcount
