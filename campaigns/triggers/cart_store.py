"""What is remembered of carts.

Every function takes an open connection; the caller owns the transaction.
"""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, delete, select

from campaigns.tables import carts
from campaigns.triggers.cart import CartEvent, CartStatus
from consent.data_keys import batches
from consent.store import insert_if_new


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


def forget_subject(conn: Connection, subject: str) -> None:
    """Remove every cart of a subject."""
    conn.execute(delete(carts).where(carts.c.subject == subject))
