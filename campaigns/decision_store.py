"""Every decision with its gates, once per event and campaign.

Every function takes an open connection; the caller owns the transaction.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, true

from campaigns.decide import Decision, Outcome
from campaigns.errors import DecisionNotFound
from campaigns.gates import Reason, gate_from_json, gate_json
from campaigns.limits.budget_store import release_of_subject
from campaigns.listing import Filters, conditions_of, newest
from campaigns.message import Message
from campaigns.message_store import insert_message
from campaigns.paging import Page
from campaigns.tables import decisions, messages
from consent.data_keys import batches
from consent.store import insert_all_new, insert_if_new

_ADD = insert(decisions)
_DECIDED = select(decisions.c.id).where(decisions.c.id.in_(bindparam("some", expanding=True)))


def record_decision(
    conn: Connection, decision: Decision, message: Message | None, *, counted: bool = False
) -> bool:
    """Record a decision and the message it became, once per event and campaign. False if it was decided before. `counted`
    says that the message is reserved in the counters of budgets.
    """
    if not insert_if_new(conn, decisions, decision_row(decision)):
        return False
    return message is None or insert_message(conn, message, counted=counted)


def add_decisions(conn: Connection, several: Sequence[Decision]) -> None:
    """Record decisions of which none was made before. Raises `IntegrityError` if one was, meanwhile."""
    if several:
        conn.execute(_ADD, [decision_row(each) for each in several])


def insert_decisions(conn: Connection, several: Sequence[Decision]) -> None:
    """Record many decisions at once; those that were decided before stay as they are."""
    insert_all_new(conn, decisions, [decision_row(each) for each in several])


def decision_row(decision: Decision) -> dict[str, Any]:
    """A decision as its row."""
    return {
        "id": decision.id,
        "event": decision.event,
        "campaign": decision.campaign,
        "subject": decision.subject,
        "geofence": decision.geofence,
        "outcome": decision.outcome.value,
        "reason": decision.reason.value,
        "gates": [gate_json(gate) for gate in decision.gates],
        "at": decision.at,
        "version": decision.version,
        "variant": decision.variant,
        "test": decision.test or None,
        "judged_at": decision.judged_at,
    }


def is_decided(conn: Connection, decision_id: str) -> bool:
    """Whether this was judged before: a replay."""
    return conn.execute(select(decisions.c.id).where(decisions.c.id == decision_id)).first() is not None


def decided_among(conn: Connection, ids: Iterable[str]) -> set[str]:
    """Those of the ids that were judged before."""
    return {each for some in batches(ids) for each in conn.scalars(_DECIDED, {"some": some}).all()}


def decisions_page(
    conn: Connection, filters: Filters, limit: int, cursor: str | None = None
) -> Page[Decision]:
    """Decisions, the newest first."""
    rows, following = newest(conn, decisions, decisions.c.at, filters, limit, cursor)
    return Page(tuple(map(_decision, rows)), following)


def get_decision(conn: Connection, decision_id: str) -> Decision:
    """One decision. Raises `DecisionNotFound`."""
    row = conn.execute(select(decisions).where(decisions.c.id == decision_id)).one_or_none()
    if row is None:
        raise DecisionNotFound(f"no decision {decision_id}; GET /v1/decisions lists them")
    return _decision(row)


def count_decisions(conn: Connection, filters: Filters) -> int:
    """How many there are."""
    conditions = conditions_of(decisions, decisions.c.at, filters)
    return conn.scalar(select(func.count()).select_from(decisions).where(*conditions)) or 0


def decisions_of(conn: Connection, subject: str) -> list[Decision]:
    """Every decision about a subject, oldest first; for the subject's export."""
    query = select(decisions).where(decisions.c.subject == subject).order_by(decisions.c.at, decisions.c.id)
    return [_decision(row) for row in conn.execute(query)]


def outcome_totals(conn: Connection) -> dict[str, int]:
    """How many decisions of each outcome there are, over all campaigns; tests do not count."""
    real = select(decisions.c.outcome, func.count()).where(decisions.c.test.is_not(true()))
    query = real.group_by(decisions.c.outcome)
    return {row[0]: row[1] for row in conn.execute(query)}


def forget_subject(conn: Connection, subject: str) -> None:
    """Remove every decision about a subject and every message to them, and give back what these had reserved."""
    release_of_subject(conn, subject)
    conn.execute(delete(messages).where(messages.c.subject == subject))
    conn.execute(delete(decisions).where(decisions.c.subject == subject))


def _decision(row: Row[Any]) -> Decision:
    return Decision(
        id=row.id,
        event=row.event,
        campaign=row.campaign,
        subject=row.subject,
        geofence=row.geofence,
        outcome=Outcome(row.outcome),
        reason=Reason(row.reason),
        gates=tuple(map(gate_from_json, row.gates)),
        at=row.at,
        version=row.version,
        variant=row.variant,
        test=bool(row.test),
        judged_at=row.judged_at,
    )
