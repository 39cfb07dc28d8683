"""What is remembered of carts. What was in one is sealed with the subject's key.

Every function takes an open connection; the caller owns the transaction.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, select, tuple_

from campaigns.tables import carts
from campaigns.triggers.cart import NOTHING_TOLD, CartEvent, CartStatus, Contents, any_told
from consent.data_keys import batches, key_of, keys_of
from consent.store import insert_if_new
from consent.vault import DataKey


def add_cart(conn: Connection, event: CartEvent, at: datetime) -> bool:
    """Keep what was done with a cart; False if it was told before."""
    row = {
        "id": event.id,
        "subject": event.subject,
        "status": event.status.value,
        "at": event.at,
        "value": event.value,
        "currency": event.currency,
        "recorded_at": at,
        "cart": event.cart,
        "store": event.store,
        "contents": _sealed(key_of(conn, event.subject), event) if any_told(event) else None,
    }
    return insert_if_new(conn, carts, row)


def purchases_of(conn: Connection, subjects: Iterable[str], since: datetime) -> dict[str, list[datetime]]:
    """When each subject bought something, from `since` on, oldest first."""
    found: dict[str, list[datetime]] = {subject: [] for subject in subjects}
    bought = (carts.c.status == CartStatus.PURCHASED.value) & (carts.c.at >= since)
    for some in batches(found):
        query = select(carts.c.subject, carts.c.at).where(carts.c.subject.in_(some), bought)
        for row in conn.execute(query.order_by(carts.c.at)):
            found[row.subject].append(row.at)
    return found


def carts_of(
    conn: Connection, subjects: Iterable[str], since: datetime, *, look_inside: bool
) -> dict[str, list[CartEvent]]:
    """What each subject did with carts from behind `since` on; what was in them only to `look_inside`."""
    told: dict[str, list[CartEvent]] = {subject: [] for subject in subjects}
    for some in batches(told):
        query = select(carts).where(carts.c.subject.in_(some), carts.c.at > since)
        for event in _events(conn, conn.execute(query).all(), look_inside=look_inside):
            told[event.subject].append(event)
    return told


def touched(
    conn: Connection, after: tuple[datetime, str], until: datetime, limit: int
) -> Sequence[tuple[datetime, str, str]]:
    """What was done with carts but for purchases and was known by `until`: when we heard, the id and whose, in that order,
    from behind `after`.
    """
    place = tuple_(carts.c.recorded_at, carts.c.id)
    query = (
        select(carts.c.recorded_at, carts.c.id, carts.c.subject)
        .where(carts.c.recorded_at <= until, carts.c.recorded_at >= after[0], place > after)
        .where(carts.c.status != CartStatus.PURCHASED.value)
        .order_by(carts.c.recorded_at, carts.c.id)
    )
    return [(row.recorded_at, row.id, row.subject) for row in conn.execute(query.limit(limit))]


def carts_json_of(conn: Connection, subject: str) -> list[dict[str, Any]]:
    """All that is kept of a subject's carts, oldest first, for the subject's export."""
    query = select(carts).where(carts.c.subject == subject).order_by(carts.c.at, carts.c.id)
    return [
        {
            "id": event.id,
            "status": event.status.value,
            "at": event.at.isoformat(),
            "value": event.value,
            "currency": event.currency,
            "cart": event.cart,
            "store": event.store,
            "items": list(event.contents.items),
            "categories": list(event.contents.categories),
        }
        for event in _events(conn, conn.execute(query).all(), look_inside=True)
    ]


def forget_subject(conn: Connection, subject: str) -> None:
    """Remove every cart of a subject."""
    conn.execute(delete(carts).where(carts.c.subject == subject))


def _events(conn: Connection, rows: Sequence[Row[Any]], *, look_inside: bool) -> list[CartEvent]:
    sealed = {row.subject for row in rows if row.contents is not None} if look_inside else set()
    keys = keys_of(conn, sealed) if sealed else {}
    return [_event(row, keys.get(row.subject)) for row in rows]


def _event(row: Row[Any], key: DataKey | None) -> CartEvent:
    contents = NOTHING_TOLD
    if row.contents is not None and key is not None:
        raw = json.loads(key.open(_field(row.id), row.contents))
        contents = Contents(tuple(raw["items"]), tuple(raw["categories"]))
    return CartEvent(
        row.subject,
        CartStatus(row.status),
        row.at,
        row.value,
        row.currency,
        row.cart,
        row.store,
        contents,
        row.recorded_at,
    )


def _sealed(key: DataKey, event: CartEvent) -> str:
    held = {"items": event.contents.items, "categories": event.contents.categories}
    return key.seal(_field(event.id), json.dumps(held))


def _field(event: str) -> str:
    return f"contents of cart {event}"
