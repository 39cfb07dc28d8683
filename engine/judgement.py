"""Judges what happened, a moment at a time: who may speak first is asked first, and what is decided counts at once."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from campaigns import decision_store
from campaigns.arbitration import Claim, rounds, won
from campaigns.decide import Decision, Outcome, decide, due_at
from campaigns.fulfilment import fulfil
from campaigns.message import Message
from campaigns.triggers import held_store
from engine.facts import Facts


@dataclass(frozen=True, slots=True)
class Judged:
    """What was decided on a claim, the message that it became, and whether budgets count that."""

    claim: Claim
    decision: Decision
    message: Message | None
    counted: bool


Keep = Callable[[Connection, Judged], bool]
"""Writes down what was decided; False if nothing was to be written."""


def judge_all(
    connection: Connection,
    claims: Iterable[Claim],
    facts: Facts,
    now: datetime,
    settle: Keep | None = None,
    *,
    record: Keep | None = None,
) -> list[Decision]:
    """Decide on every claim, and record decisions and messages; those that are new. Claims that were held are written down
    by `settle`, others by `record`, if given. The caller holds the locks of the subjects, and `facts` the counters of budgets.
    """
    made = [
        each
        for together in rounds(claims)
        for each in _judge(connection, together, facts, now, settle, record)
    ]
    facts.keep_counters(connection)
    return made


def _judge(
    connection: Connection,
    claims: list[Claim],
    facts: Facts,
    now: datetime,
    settle: Keep | None,
    record: Keep | None,
) -> list[Decision]:
    decisions: list[Decision] = []
    spoke: Claim | None = None
    keep = settle or record or record_new
    for claim in claims:
        winner = won(spoke, claim) if spoke else None
        moment = facts.moment(claim.campaign, claim.event, claim.geofence, claim.subject, winner=winner)
        decision = decide(claim.campaign, moment, now)
        decision, message = fulfil(
            connection, decision, claim.campaign, moment, now, was_held=settle is not None
        )
        counted = message is not None and facts.is_counted(message)
        if not keep(connection, Judged(claim, decision, message, counted)):
            continue
        decisions.append(decision)
        if message is not None:
            facts.count(message)
            spoke = spoke or claim
    return decisions


def record_new(connection: Connection, judged: Judged) -> bool:
    """Write down a new decision, the message that it became, and what waits."""
    claim, decision = judged.claim, judged.decision
    if not decision_store.record_decision(connection, decision, judged.message, counted=judged.counted):
        return False
    if decision.outcome is Outcome.HELD:
        held_store.hold(connection, decision, claim.event, due_at(decision))
    return True
