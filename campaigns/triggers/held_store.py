"""The moments that wait for their delay to be over: kept with a decision `held`, let go when it is decided anew.

Every function takes an open connection; the caller owns the transaction and holds the locks of the subjects.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, or_, select, update

from campaigns.decide import Decision, Outcome
from campaigns.decision_store import decision_row
from campaigns.gates import Reason
from campaigns.message import Message
from campaigns.message_store import insert_message
from campaigns.tables import decisions, held_moments
from campaigns.triggers.occasion import Occasion, Occurrence, Timed
from consent.store import insert_if_new
from geofences.event import EventKind, PlaceEvent
from geofences.tables import place_events


@dataclass(frozen=True, slots=True)
class Held:
    """A moment as it waits: whose it is, and the event that began it."""

    decision: str
    campaign: str
    subject: str
    event: Occasion


def hold(conn: Connection, decision: Decision, event: Occasion, due_at: datetime) -> None:
    """Keep the moment of a decision that is `held`, until `due_at`."""
    row = {
        "decision": decision.id,
        "event": event.id,
        "campaign": decision.campaign,
        "subject": decision.subject,
        "kind": event.kind.value,
        "geofence": event.geofence,
        "zone": event.zone if isinstance(event, PlaceEvent) else None,
        "at": event.at,
        "due_at": due_at,
    }
    insert_if_new(conn, held_moments, row)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A decision whose delay is over. `broadcast` is the campaign if it was one of a broadcast."""

    decision: str
    subject: str
    broadcast: str | None


def due(conn: Connection, now: datetime, limit: int, but: Collection[str] = ()) -> list[Waiting]:
    """What is due, the oldest first, but not of these broadcasts; a look that locks nothing."""
    table = held_moments.c
    query = select(table.decision, table.subject, table.campaign, table.kind).where(table.due_at <= now)
    if but:
        query = query.where(or_(table.kind != Timed.BROADCAST.value, table.campaign.not_in(list(but))))
    rows = conn.execute(query.order_by(table.due_at, table.decision).limit(limit))
    return [
        Waiting(row.decision, row.subject, row.campaign if row.kind == Timed.BROADCAST else None)
        for row in rows
    ]


def next_due(conn: Connection) -> datetime | None:
    """When the next delay is over; None if nothing waits."""
    return conn.scalar(select(held_moments.c.due_at).order_by(held_moments.c.due_at).limit(1))


def still_held(conn: Connection, ids: Iterable[str]) -> list[Held]:
    """Those that still wait, locked, the oldest first. Their events are without device: a judgement asks for none."""
    known = place_events.c
    query = (
        select(held_moments, known.confidence, known.emitted)
        .outerjoin(place_events, known.id == held_moments.c.event)
        .where(held_moments.c.decision.in_(list(ids)))
        .order_by(held_moments.c.due_at, held_moments.c.decision)
    )
    rows = conn.execute(query.with_for_update(of=held_moments))
    return [
        Held(
            row.decision,
            row.campaign,
            row.subject,
            _event(row),
        )
        for row in rows
    ]


def _event(row: Row[Any]) -> Occasion:
    if row.kind in set(Timed):
        return Occurrence(row.event, Timed(row.kind), row.geofence, row.at)
    return PlaceEvent(
        row.event,
        "",
        EventKind(row.kind),
        row.geofence,
        row.at,
        row.emitted or row.at,
        1.0 if row.confidence is None else row.confidence,
        zone=row.zone,
    )


def settle(conn: Connection, decision: Decision, message: Message | None, *, counted: bool = False) -> None:
    """Write down how a held moment was decided in the end, in place of `held`, with the message that it became. `counted`
    says that it is reserved in the counters of budgets.
    """
    row = decision_row(decision)
    conn.execute(update(decisions).where(decisions.c.id == decision.id).values(row))
    conn.execute(delete(held_moments).where(held_moments.c.decision == decision.id))
    if message is not None:
        insert_message(conn, message, counted=counted)


def drop(conn: Connection, held: Held, reason: Reason, at: datetime) -> None:
    """End a held moment that cannot be judged any more."""
    _end(conn, [held.decision], reason, at)


def cancel_of_event(conn: Connection, event: str, at: datetime) -> None:
    """End what waits because of an event that turned out not to have happened."""
    waiting = select(held_moments.c.decision).where(held_moments.c.event == event)
    if ids := list(conn.scalars(waiting)):
        _end(conn, ids, Reason.EVENT_RETRACTED, at)


def postpone(conn: Connection, decision: Decision, due_at: datetime) -> None:
    """Let a moment wait on, until `due_at`."""
    waiting = held_moments.c.decision == decision.id
    conn.execute(update(held_moments).where(waiting).values(due_at=due_at))


def _end(conn: Connection, ids: list[str], reason: Reason, at: datetime) -> None:
    ended = {
        "outcome": Outcome.REFUSED.value,
        "reason": reason.value,
        "at": at,
        "judged_at": decisions.c.at,
    }
    conn.execute(update(decisions).where(decisions.c.id.in_(ids)).values(ended))
    conn.execute(delete(held_moments).where(held_moments.c.decision.in_(ids)))
