"""API keys: who may call what. A key is shown once; only its hash is kept."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, insert, select, update

from engine.records import Records
from engine.store import api_keys

NAME_LIMIT = 64
TRUSTED_SECONDS = 1.0
"""A key that was found valid is taken to be so for this long: a revocation elsewhere takes effect within it."""
TRUSTED_LIMIT = 10_000


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
    """A key as it may be listed: never the secret."""

    id: str
    name: str
    scopes: frozenset[Scope]
    created_at: datetime | None = None
    revoked_at: datetime | None = None


class Keys:
    """The keys of this installation. `admin_key` from the configuration has every scope and is never stored."""

    def __init__(self, records: Records, admin_key: str, now: Callable[[], datetime]) -> None:
        self._records = records
        self._admin_hash = _hash(admin_key) if admin_key else None
        self._now = now
        self._trusted: dict[str, tuple[ApiKey, float]] = {}

    def create(self, name: str, scopes: Iterable[Scope]) -> tuple[ApiKey, str]:
        """Make a key. The second value is the secret, to be shown once."""
        if not 1 <= len(name) <= NAME_LIMIT:
            raise ValueError(f"a key's name has 1 to {NAME_LIMIT} characters")
        key_id = secrets.token_hex(4)
        secret = f"ck_{key_id}_{secrets.token_urlsafe(32)}"
        key = ApiKey(id=key_id, name=name, scopes=frozenset(scopes), created_at=self._now())
        with self._records.writes.begin() as connection:
            connection.execute(
                insert(api_keys).values(
                    id=key.id,
                    name=name,
                    hash=_hash(secret),
                    scopes=" ".join(sorted(key.scopes)),
                    created_at=key.created_at,
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

    def trusted(self, secret: str) -> ApiKey | None:
        """The key with this secret if it was found valid just now; None means that `find` must look."""
        key, until = self._trusted.get(_hash(secret), (None, 0.0))
        return key if time.monotonic() < until else None

    def find(self, secret: str) -> ApiKey | None:
        """The live key with this secret. Compared in constant time, so that timing tells nothing."""
        hashed = _hash(secret)
        key = self._find(secret, hashed)
        if key is not None:
            if len(self._trusted) >= TRUSTED_LIMIT:
                self._trusted.clear()
            self._trusted[hashed] = (key, time.monotonic() + TRUSTED_SECONDS)
        return key

    def live(self, key_id: str) -> ApiKey | None:
        """The key of that id, if it was not revoked. For callers that have proved themselves otherwise."""
        with self._records.reads.connect() as connection:
            row = _live_row(connection, key_id)
        return None if row is None else _key(row)

    def _find(self, secret: str, hashed: str) -> ApiKey | None:
        if self._admin_hash and hmac.compare_digest(hashed, self._admin_hash):
            return ApiKey(id="admin", name="admin", scopes=EVERY_SCOPE)
        parts = secret.split("_", 2)
        if len(parts) != 3 or parts[0] != "ck":
            return None
        with self._records.reads.connect() as connection:
            row = _live_row(connection, parts[1])
        if row is None or not hmac.compare_digest(hashed, row.hash):
            return None
        return _key(row)


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
    )


def _hash(secret: str) -> str:
    """SHA-256 is enough: a key is 256 random bits, not a password."""
    return hashlib.sha256(secret.encode()).hexdigest()
