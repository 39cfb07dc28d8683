"""The list of numbers that must be left alone. It holds a keyed hash of a number and why, nothing else, so it outlives
erasure: whoever said stop, or was erased, does not come back with the next import.

The hash is HMAC-SHA256; its key is not in the database. It is never rotated: what is not kept cannot be hashed anew.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, bindparam, exists, select, update
from sqlalchemy.dialects import postgresql, sqlite

from consent.data_keys import KeysInUse, keys_in_use, vault_of
from consent.tables import suppressions
from consent.vault import Vault

KEPT = timedelta(days=3653)
"""Ten years: what Virginia asks for; France asks for three at least."""


class Scope(StrEnum):
    """What must not reach the number."""

    SMS = "sms"


class Because(StrEnum):
    """Why a number is on the list."""

    OPT_OUT = "opt_out"
    ERASURE = "erasure"
    PROVIDER = "provider_optout"


@dataclass(frozen=True, slots=True)
class Suppression:
    """One line of the list that stands."""

    scope: Scope
    because: Because
    since: datetime


def mark_of(conn: Connection, phone: str) -> str:
    """How an E.164 number is written on the list. It stays the same."""
    return mark(vault_of(conn), keys_in_use(conn), phone)


def mark(vault: Vault, in_use: KeysInUse, phone: str) -> str:
    """As `mark_of`, for whoever has the keys at hand."""
    return vault.fingerprint(in_use.suppression, "suppressed", phone)


def suppress(conn: Connection, mark: str, because: Because, at: datetime, scope: Scope = Scope.SMS) -> None:
    """Put a number on the list, or there again. `mark` is what `mark_of` says of it."""
    row = {
        "mark": mark,
        "scope": scope.value,
        "reason": because.value,
        "since": at,
        "keep_until": at + KEPT,
        "lifted_at": None,
    }
    insert = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
    again = {name: row[name] for name in ("reason", "since", "keep_until", "lifted_at")}
    conn.execute(
        insert(suppressions).values(row).on_conflict_do_update(index_elements=["mark", "scope"], set_=again)
    )


def lift(conn: Connection, mark: str, at: datetime, scope: Scope = Scope.SMS) -> bool:
    """The person asked for it by a fresh act of their own: the number may be reached again. False if it could be."""
    stands = _stands(mark) & (suppressions.c.scope == scope.value)
    return conn.execute(update(suppressions).where(stands).values(lifted_at=at)).rowcount > 0


_LISTED = select(suppressions.c.reason, suppressions.c.since).where(
    suppressions.c.mark == bindparam("mark"),
    suppressions.c.lifted_at.is_(None),
    suppressions.c.scope == bindparam("scope"),
)


def suppression_of(conn: Connection, mark: str | None, scope: Scope = Scope.SMS) -> Suppression | None:
    """Whether, and why, the number with this mark is on the list."""
    if mark is None:
        return None
    found = conn.execute(_LISTED, {"mark": mark, "scope": scope.value}).first()
    return None if found is None else Suppression(scope, Because(found.reason), found.since)


def is_listed(mark: ColumnElement[str | None], scope: Scope = Scope.SMS) -> ColumnElement[bool]:
    """Whether the number with the mark of a row is on the list; for a query of that row."""
    return exists().where(
        suppressions.c.mark == mark,
        suppressions.c.lifted_at.is_(None),
        suppressions.c.scope == scope.value,
    )


def _stands(mark: str) -> ColumnElement[bool]:
    return (suppressions.c.mark == mark) & suppressions.c.lifted_at.is_(None)
