"""What is still to be delivered to whom. Of one subject's deliveries to one receiver only the oldest has a time at which it
is tried (`next_at`); the others wait behind it, and behind nobody else's.

Whoever queues or settles for a subscription holds its row. Functions take an open connection; whoever calls opened the
transaction.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, func, insert, select, update

from campaigns.message import derived_id
from engine.events_out.change import Change
from engine.events_out.feed import change_of, subjects_of
from engine.events_out.tables import deliveries, subscriptions

QUEUE_LIMIT = 100_000
"""Deliveries that wait for one receiver; what comes on top is missed, and counted."""
DEAD_LIMIT = 10_000
"""Dead letters of one receiver; beyond it the oldest go."""
ORPHANS_AT_ONCE = 500
TAKEN_FOR = timedelta(seconds=60)
"""How long a delivery that one process took is left alone by the others: longer than a call can last."""


class DeliveryState(StrEnum):
    """`dead` is for a person to look at: every call has failed."""

    WAITING = "waiting"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One change for one receiver; `attempts` counts the calls, the one it was taken for included."""

    id: str
    subscription: str
    change: Change
    state: DeliveryState
    attempts: int
    last_answer: str | None


def enqueue(conn: Connection, subscription: str, several: Sequence[Change], now: datetime) -> int:
    """Queue changes for a receiver whose row is held; answers how many found no room."""
    waiting = counts(conn, [subscription]).get(subscription, {}).get(DeliveryState.WAITING, 0)
    room = max(0, QUEUE_LIMIT - waiting)
    taken = several[:room]
    behind = _waiting_subjects(conn, subscription, subjects_of(taken))
    rows = []
    for change in taken:
        rows.append(_row(subscription, change, None if change.subject in behind else now))
        behind.add(change.subject)
    if rows:
        conn.execute(insert(deliveries), rows)
    return len(several) - len(taken)


def due_subscriptions(conn: Connection, now: datetime) -> list[str]:
    """The active subscriptions that have something due, and do not rest."""
    due = select(deliveries.c.id).where(deliveries.c.subscription == subscriptions.c.id, *_due(now)).exists()
    resting = subscriptions.c.rest_until.is_not(None) & (subscriptions.c.rest_until > now)
    query = select(subscriptions.c.id).where(subscriptions.c.state == "active", ~resting, due)
    return list(conn.scalars(query.order_by(subscriptions.c.id)))


def take(conn: Connection, subscription: str, now: datetime, limit: int) -> list[Delivery]:
    """Take what is due, the longest due first; another process does not see it for a minute."""
    query = (
        select(deliveries)
        .where(deliveries.c.subscription == subscription, *_due(now))
        .order_by(deliveries.c.next_at, deliveries.c.position)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = conn.execute(query).all()
    conn.execute(
        update(deliveries)
        .where(deliveries.c.id.in_([row.id for row in rows]))
        .values(next_at=now + TAKEN_FOR, attempts=deliveries.c.attempts + 1)
    )
    return [_delivery(row, attempts=row.attempts + 1) for row in rows]


def done(conn: Connection, delivery: Delivery, now: datetime) -> bool:
    """It was taken, or may not be told any more: the next of its subject may go. False if somebody else settled it."""
    if conn.execute(delete(deliveries).where(_still(delivery))).rowcount == 0:
        return False
    _wake(conn, delivery.subscription, [delivery.change.subject], now)
    return True


def again(conn: Connection, delivery: Delivery, answer: str, at: datetime) -> bool:
    """It failed and is tried again at `at`."""
    values = {"next_at": at, "last_answer": answer}
    return conn.execute(update(deliveries).where(_still(delivery)).values(values)).rowcount == 1


def given_back(conn: Connection, delivery: Delivery, answer: str, now: datetime) -> bool:
    """It was not to be tried after all, and that does not count."""
    values = {"next_at": now, "attempts": delivery.attempts - 1, "last_answer": answer}
    return conn.execute(update(deliveries).where(_still(delivery)).values(values)).rowcount == 1


def bury(conn: Connection, delivery: Delivery, answer: str, now: datetime) -> bool:
    """Every call has failed: it is a dead letter, and the next of its subject may go."""
    values = {"state": DeliveryState.DEAD.value, "next_at": None, "last_answer": answer}
    if conn.execute(update(deliveries).where(_still(delivery)).values(values)).rowcount == 0:
        return False
    _wake(conn, delivery.subscription, [delivery.change.subject], now)
    _drop_oldest_dead(conn, delivery.subscription)
    return True


def redrive(conn: Connection, subscription: str, ids: Collection[str] | None, now: datetime) -> int:
    """Let dead letters wait again, all or those named, each subject's in their order. Answers how many."""
    dead = (deliveries.c.subscription == subscription) & (deliveries.c.state == DeliveryState.DEAD.value)
    if ids is not None:
        dead &= deliveries.c.id.in_(ids)
    subjects = set(conn.scalars(select(deliveries.c.subject).where(dead).distinct()))
    values = {"state": DeliveryState.WAITING.value, "attempts": 0, "next_at": None}
    moved = conn.execute(update(deliveries).where(dead).values(values)).rowcount
    _wake(conn, subscription, sorted(subjects), now)
    return moved


def orphans(conn: Connection) -> list[tuple[str, str]]:
    """Subscription and subject of deliveries that wait for one that is not there any more, as it was kept for too long;
    up to a limit at once. Locks nothing.
    """
    of_subject = deliveries.c.subscription, deliveries.c.subject
    query = (
        select(*of_subject)
        .where(deliveries.c.state == DeliveryState.WAITING.value)
        .group_by(*of_subject)
        .having(func.count(deliveries.c.next_at) == 0)
        .order_by(*of_subject)
        .limit(ORPHANS_AT_ONCE)
    )
    return [(row.subscription, row.subject) for row in conn.execute(query)]


def wake_orphans(conn: Connection, several: Sequence[tuple[str, str]], now: datetime) -> None:
    """Give the oldest of each its time, unless somebody else did."""
    for subscription, theirs in groupby(sorted(several), key=lambda each: each[0]):
        conn.execute(select(subscriptions.c.id).where(subscriptions.c.id == subscription).with_for_update())
        _wake(conn, subscription, [subject for _, subject in theirs], now)


def dead_letters(conn: Connection, subscription: str, after: int, limit: int) -> list[Delivery]:
    """Dead letters behind a position, in order."""
    query = select(deliveries).where(
        deliveries.c.subscription == subscription,
        deliveries.c.state == DeliveryState.DEAD.value,
        deliveries.c.position > after,
    )
    return [_delivery(row) for row in conn.execute(query.order_by(deliveries.c.position).limit(limit))]


def counts(conn: Connection, ids: Collection[str] | None = None) -> dict[str, dict[str, int]]:
    """How many deliveries wait, and how many are dead, of these subscriptions or of all."""
    query = select(deliveries.c.subscription, deliveries.c.state, func.count())
    if ids is not None:
        query = query.where(deliveries.c.subscription.in_(ids))
    told: dict[str, dict[str, int]] = {}
    for subscription, state, number in conn.execute(
        query.group_by(deliveries.c.subscription, deliveries.c.state)
    ):
        told.setdefault(subscription, {})[state] = number
    return told


def _due(now: datetime) -> tuple[Any, ...]:
    return deliveries.c.state == DeliveryState.WAITING.value, deliveries.c.next_at <= now


def _still(delivery: Delivery) -> Any:
    """As it was taken: a process that slept through its minute settles nothing."""
    return and_(
        deliveries.c.id == delivery.id,
        deliveries.c.state == DeliveryState.WAITING.value,
        deliveries.c.attempts == delivery.attempts,
    )


def _waiting_subjects(conn: Connection, subscription: str, subjects: Collection[str]) -> set[str]:
    query = select(deliveries.c.subject).where(
        deliveries.c.subscription == subscription,
        deliveries.c.subject.in_(subjects),
        deliveries.c.state == DeliveryState.WAITING.value,
    )
    return set(conn.scalars(query.distinct()))


def _wake(conn: Connection, subscription: str, subjects: Sequence[str], now: datetime) -> None:
    """Give each subject's oldest waiting delivery its time, unless one of them has it."""
    for subject in subjects:
        query = select(deliveries.c.id, deliveries.c.next_at).where(
            deliveries.c.subscription == subscription,
            deliveries.c.subject == subject,
            deliveries.c.state == DeliveryState.WAITING.value,
        )
        if conn.execute(query.where(deliveries.c.next_at.is_not(None)).limit(1)).first():
            continue
        oldest = conn.execute(query.order_by(deliveries.c.position).limit(1)).first()
        if oldest:
            conn.execute(update(deliveries).where(deliveries.c.id == oldest.id).values(next_at=now))


def _drop_oldest_dead(conn: Connection, subscription: str) -> None:
    dead = select(deliveries.c.position).where(
        deliveries.c.subscription == subscription, deliveries.c.state == DeliveryState.DEAD.value
    )
    last_kept = conn.scalar(dead.order_by(deliveries.c.position.desc()).offset(DEAD_LIMIT).limit(1))
    if last_kept is not None:
        conn.execute(
            delete(deliveries).where(
                deliveries.c.subscription == subscription,
                deliveries.c.state == DeliveryState.DEAD.value,
                deliveries.c.position <= last_kept,
            )
        )


def _row(subscription: str, change: Change, next_at: datetime | None) -> Mapping[str, Any]:
    return {
        "id": derived_id("webhook", subscription, str(change.seq)),
        "subscription": subscription,
        "position": change.position,
        "seq": change.seq,
        "kind": change.kind.value,
        "detail": change.detail,
        "revision": change.revision,
        "ref": change.ref,
        "subject": change.subject,
        "geofence": change.geofence,
        "campaign": change.campaign,
        "placed_at": change.placed_at,
        "state": DeliveryState.WAITING.value,
        "attempts": 0,
        "next_at": next_at,
    }


def _delivery(row: Row[Any], **other: Any) -> Delivery:
    return Delivery(
        **{
            "id": row.id,
            "subscription": row.subscription,
            "change": change_of(row),
            "state": DeliveryState(row.state),
            "attempts": row.attempts,
            "last_answer": row.last_answer,
            **other,
        }
    )
