"""API keys: who may call what. A key is shown once; only its hash is kept."""

import hashlib
import hmac
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from engine.records import Records
from engine.store import api_keys

NAME_LIMIT = 64
TRUSTED_SECONDS = 1.0
"""A key that was found valid is taken to be so for this long: a revocation elsewhere takes effect within it."""
TRUSTED_LIMIT = 10_000
LIVE_KEYS_OF_APP = 2
"""The new one and the old one, while an app changes from one to the other."""
DEVICES_PATTERN = re.compile(r"[A-Za-z0-9._:@~-]{0,64}")
USED_EVERY = timedelta(minutes=1)
"""When a key was last used is known as exactly as this."""
ADMIN = "admin"

_logger = logging.getLogger(__name__)


class Scope(StrEnum):
    """What a key opens, one per kind of user."""

    INGEST = "ingest"
    """Mobile developers: pings and sightings."""
    MARKETING = "marketing"
    """Marketers: geofences, beacons, campaigns and their reports; nothing about a single shopper."""
    PRIVACY = "privacy"
    """Data-protection officers and support: subjects, consents, export, erasure; events, decisions, messages."""
    SUBSCRIBE = "subscribe"
    """Other systems: webhooks and the stream of what happens; to hear of consent they need `privacy` too."""
    TILL = "till"
    """Tills: redemptions, and nothing else."""
    OPERATIONS = "operations"
    """Operators: keys."""


EVERY_SCOPE = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it may be listed: never the secret. An `app` is named by the id of its first key. It speaks of
    `devices` whose names begin so; every other one is unknown to it.
    """

    id: str
    name: str
    scopes: frozenset[Scope]
    created_at: datetime | None = None
    revoked_at: datetime | None = None
    app: str = ""
    last_used_at: datetime | None = None
    devices: str = ""


class Keys:
    """The keys of this installation. `admin_key` from the configuration has every scope and is never stored."""

    def __init__(self, records: Records, admin_key: str, now: Callable[[], datetime]) -> None:
        self._records = records
        self._admin_hash = hash_of(admin_key) if admin_key else None
        self._now = now
        self._trusted: dict[str, tuple[ApiKey, float]] = {}
        self._noted: dict[str, datetime] = {}
        self._writer = ThreadPoolExecutor(1, "key uses")

    def close(self) -> None:
        """Write down what is left of uses."""
        self._writer.shutdown()

    def create(
        self, name: str, scopes: Iterable[Scope], app: str | None = None, devices: str = ""
    ) -> tuple[ApiKey, str]:
        """Make a key, a further one of an `app` if it is named, for the same devices. The second value is the secret, to be
        shown once. Raises ValueError.
        """
        if not 1 <= len(name) <= NAME_LIMIT:
            raise ValueError(f"a key's name has 1 to {NAME_LIMIT} characters")
        if not DEVICES_PATTERN.fullmatch(devices):
            raise ValueError(
                "the names of a key's devices begin with at most 64 of: letters, digits and . _ : @ ~ -"
            )
        key_id = secrets.token_hex(4)
        secret = f"ck_{key_id}_{secrets.token_urlsafe(32)}"
        with self._records.writes.begin() as connection:
            if app is not None:
                devices = _make_room(connection, app, devices)
            key = ApiKey(key_id, name, frozenset(scopes), self._now(), app=app or key_id, devices=devices)
            if devices and key.scopes != {Scope.INGEST}:
                raise ValueError(
                    f"a key that speaks of some devices alone has the scope {Scope.INGEST} alone"
                )
            connection.execute(
                insert(api_keys).values(
                    id=key.id,
                    name=name,
                    hash=hash_of(secret),
                    scopes=" ".join(sorted(key.scopes)),
                    created_at=key.created_at,
                    app=app,
                    devices=devices or None,
                )
            )
        return key, secret

    def revoke(self, key_id: str) -> bool:
        """End a key. False when there is none of that id."""
        self._trusted.clear()
        with self._records.writes.begin() as connection:
            done = connection.execute(
                update(api_keys)
                .where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
                .values(revoked_at=self._now())
            )
        self._trusted.clear()
        return done.rowcount == 1

    def all(self) -> Sequence[ApiKey]:
        """Every key that was ever made, oldest first."""
        with self._records.reads.connect() as connection:
            rows = connection.execute(select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id))
            return [_key(row) for row in rows]

    def trusted(self, hashed: str) -> ApiKey | None:
        """The key whose secret has this hash if it was found valid just now; None means that `find` must look."""
        key, until = self._trusted.get(hashed, (None, 0.0))
        return key if time.monotonic() < until else None

    def find(self, secret: str) -> ApiKey | None:
        """The live key with this secret. Compared in constant time, so that timing tells nothing."""
        hashed = hash_of(secret)
        key = self._find(secret, hashed)
        if key is not None:
            if len(self._trusted) >= TRUSTED_LIMIT:
                self._trusted.clear()
            self._trusted[hashed] = (key, time.monotonic() + TRUSTED_SECONDS)
            self.used(key)
        return key

    def used(self, key: ApiKey) -> None:
        """The key was used just now: written down every `USED_EVERY`, and nobody waits for that."""
        now = self._now()
        was = self._noted.get(key.id)
        if key.id == ADMIN or (was is not None and now - was < USED_EVERY):
            return
        self._noted[key.id] = now
        self._writer.submit(self._write_use, key.id, now)

    def _write_use(self, key_id: str, at: datetime) -> None:
        newer = api_keys.c.last_used_at.is_(None) | (api_keys.c.last_used_at < at)
        try:
            with self._records.writes.begin() as connection:
                connection.execute(
                    update(api_keys).where(api_keys.c.id == key_id, newer).values(last_used_at=at)
                )
        except SQLAlchemyError as error:
            self._noted.pop(key_id, None)  # the next use tries again
            _logger.warning("when a key was used is not written down: %s", type(error).__name__)

    def live(self, key_id: str) -> ApiKey | None:
        """The key of that id, if it was not revoked. For callers that have proved themselves otherwise."""
        with self._records.reads.connect() as connection:
            row = _live_row(connection, key_id)
        return None if row is None else _key(row)

    def standing(self, key_id: str) -> tuple[ApiKey, str] | None:
        """The live key of that id, the configuration's included, with the hash of its secret."""
        if key_id == ADMIN:
            return (_ADMIN_KEY, self._admin_hash) if self._admin_hash else None
        with self._records.reads.connect() as connection:
            row = _live_row(connection, key_id)
        return None if row is None else (_key(row), row.hash)

    def of_app(self, app: str) -> list[ApiKey]:
        """The app's live keys, the newest first. For callers that have proved themselves otherwise."""
        theirs = select(api_keys).where(_of_app(app), api_keys.c.revoked_at.is_(None))
        with self._records.reads.connect() as connection:
            rows = connection.execute(theirs.order_by(api_keys.c.created_at.desc(), api_keys.c.id)).all()
        return [_key(row) for row in rows[:LIVE_KEYS_OF_APP]]

    def _find(self, secret: str, hashed: str) -> ApiKey | None:
        if self._admin_hash and hmac.compare_digest(hashed, self._admin_hash):
            return _ADMIN_KEY
        parts = secret.split("_", 2)
        if len(parts) != 3 or parts[0] != "ck":
            return None
        key, its_hash = self.standing(parts[1]) or (None, "")
        return key if hmac.compare_digest(hashed, its_hash) else None


_ADMIN_KEY = ApiKey(id=ADMIN, name=ADMIN, scopes=EVERY_SCOPE, app=ADMIN)


def _make_room(connection: Connection, app: str, devices: str) -> str:
    """See that the app may have one key more; of which devices it speaks. Raises ValueError."""
    rows = connection.execute(select(api_keys).where(_of_app(app)).with_for_update()).all()
    if not rows:
        raise ValueError(f"there is no app {app}: an app is named by the id of its first key")
    if sum(row.revoked_at is None for row in rows) >= LIVE_KEYS_OF_APP:
        raise ValueError(f"app {app} has {LIVE_KEYS_OF_APP} live keys already: revoke the old one first")
    if devices and devices != rows[0].devices:
        raise ValueError(f"app {app} speaks of other devices")
    return rows[0].devices or ""


def _of_app(app: str) -> ColumnElement[bool]:
    return (api_keys.c.app == app) | ((api_keys.c.id == app) & api_keys.c.app.is_(None))


def _live_row(connection: Connection, key_id: str) -> Any:
    return connection.execute(
        select(api_keys).where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
    ).one_or_none()


def _key(row: Any) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        scopes=frozenset(Scope(scope) for scope in row.scopes.split()),
        created_at=row.created_at,
        revoked_at=row.revoked_at,
        app=row.app or row.id,
        last_used_at=row.last_used_at,
        devices=row.devices or "",
    )


def hash_of(secret: str) -> str:
    """SHA-256 is enough: a key is 256 random bits, not a password."""
    return hashlib.sha256(secret.encode()).hexdigest()
