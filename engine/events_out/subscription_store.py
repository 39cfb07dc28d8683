"""What is remembered of subscriptions; URL and secrets are sealed with a key of their own in the vault.

Functions take an open connection; whoever calls opened the transaction.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from consent.data_keys import destroy_key, key_for, keys_of
from consent.vault import DataKey
from engine.events_out import feed
from engine.events_out.subscription import (
    Secret,
    Subscription,
    SubscriptionState,
    definition_json,
    wanted_from_json,
)
from engine.events_out.tables import deliveries, subscriptions


def _owner(subscription_id: str) -> str:
    """Under which name the vault keeps its key; no subject's id has a slash."""
    return f"subscription/{subscription_id}"


def hold(conn: Connection) -> None:
    """Nobody else makes or removes subscriptions until the transaction ends."""
    feed.want(conn)


def count(conn: Connection) -> int:
    """How many there are."""
    return conn.scalar(select(func.count()).select_from(subscriptions)) or 0


def put(conn: Connection, subscription: Subscription, *, new: bool) -> None:
    """Keep a subscription as it is now."""
    key = key_for(conn, _owner(subscription.id))
    secrets = [
        {"text": each.text, "until": each.until and each.until.isoformat()} for each in subscription.secrets
    ]
    row = {
        "url": key.seal("url", subscription.url),
        "definition": definition_json(subscription.wanted),
        "secrets": key.seal("secrets", json.dumps(secrets)),
        "state": subscription.state.value,
        "because": subscription.because,
        "created_at": subscription.created_at,
        "changed_at": subscription.changed_at,
        "missed": subscription.missed,
        "failing": subscription.failing,
        "rest_until": subscription.rest_until,
    }
    if new:
        conn.execute(insert(subscriptions).values(id=subscription.id, **row))
    else:
        conn.execute(update(subscriptions).where(subscriptions.c.id == subscription.id).values(row))


def get(conn: Connection, subscription_id: str, *, lock: bool = False) -> Subscription | None:
    """The subscription with this id; with `lock` nobody changes it, or queues for it, until the transaction ends."""
    query = select(subscriptions).where(subscriptions.c.id == subscription_id)
    found = _subscriptions(conn, conn.execute(query.with_for_update() if lock else query).all())
    return found[0] if found else None


def every(conn: Connection) -> list[Subscription]:
    """All there are, in the order of their ids."""
    return _subscriptions(conn, conn.execute(select(subscriptions).order_by(subscriptions.c.id)).all())


def in_trouble(conn: Connection) -> tuple[list[str], list[str]]:
    """The ids of those that were ended by their receiver, and of those whose queue was full."""
    query = select(subscriptions.c.id, subscriptions.c.state, subscriptions.c.missed).order_by(
        subscriptions.c.id
    )
    rows = conn.execute(query).all()
    ended = [row.id for row in rows if row.state == SubscriptionState.DISABLED.value]
    return ended, [row.id for row in rows if row.missed]


def note(conn: Connection, subscription_id: str, **values: object) -> None:
    """Change single columns."""
    conn.execute(update(subscriptions).where(subscriptions.c.id == subscription_id).values(**values))


def remove(conn: Connection, subscription_id: str) -> bool:
    """Forget a subscription, its secrets and all that waits for it. False when there is none."""
    conn.execute(delete(deliveries).where(deliveries.c.subscription == subscription_id))
    destroy_key(conn, _owner(subscription_id))
    return conn.execute(delete(subscriptions).where(subscriptions.c.id == subscription_id)).rowcount == 1


def _subscriptions(conn: Connection, rows: Sequence[Row[Any]]) -> list[Subscription]:
    keys = keys_of(conn, [_owner(row.id) for row in rows])
    return [_subscription(row, keys[_owner(row.id)]) for row in rows]


def _subscription(row: Row[Any], key: DataKey) -> Subscription:
    secrets = json.loads(key.open("secrets", row.secrets))
    return Subscription(
        id=row.id,
        url=key.open("url", row.url),
        wanted=wanted_from_json(row.definition),
        secrets=tuple(
            Secret(each["text"], datetime.fromisoformat(each["until"]) if each["until"] else None)
            for each in secrets
        ),
        state=SubscriptionState(row.state),
        because=row.because,
        created_at=row.created_at,
        changed_at=row.changed_at,
        missed=row.missed,
        failing=row.failing,
        rest_until=row.rest_until,
    )
