"""Judges what happened, a moment at a time: who may speak first is asked first, and what is decided counts at once."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from campaigns import decision_store, message_store
from campaigns.arbitration import Claim, rounds, won
from campaigns.decide import Decision, Outcome, decide, decision_id, due_at
from campaigns.fulfilment import fulfil
from campaigns.message import Message
from campaigns.triggers import held_store
from consent.vault import DataKey
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


class New:
    """Writes new decisions down, all that were made on some claims together: one that was made before is not new."""

    def __init__(self, claims: Iterable[Claim]) -> None:
        self._asked = {decision_id(claim.event.id, claim.campaign.id) for claim in claims}
        self._decided: set[str] | None = None
        self._made: list[Judged] = []

    def keep(self, connection: Connection, judged: Judged) -> bool:
        """As `record_new`, but that it is written down only by `write`."""
        if self._decided is None:
            self._decided = decision_store.decided_among(connection, self._asked)
        if judged.decision.id in self._decided:
            return False
        self._decided.add(judged.decision.id)
        self._made.append(judged)
        return True

    def write(self, connection: Connection, keys: Mapping[str, DataKey]) -> None:
        """Write down what was kept, the messages that it became, sealed with the subjects' `keys`, and what waits. Raises
        `IntegrityError` if one was decided meanwhile, by somebody who did not wait for the locks of the subjects.
        """
        decision_store.add_decisions(connection, [each.decision for each in self._made])
        messages = [each.message for each in self._made if each.message is not None]
        counted = {each.message.id for each in self._made if each.message is not None and each.counted}
        message_store.insert_messages(connection, messages, keys, counted)
        for each in self._made:
            _hold(connection, each)


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
    several = list(claims)
    new = New(several)
    keep = settle or record or new.keep
    made = [
        each
        for together in rounds(several)
        for each in _judge(connection, together, facts, now, keep, was_held=settle is not None)
    ]
    new.write(connection, facts.keys)
    facts.keep_counters(connection)
    return made


def _judge(
    connection: Connection,
    claims: list[Claim],
    facts: Facts,
    now: datetime,
    keep: Keep,
    *,
    was_held: bool,
) -> list[Decision]:
    decisions: list[Decision] = []
    spoke: Claim | None = None
    for claim in claims:
        winner = won(spoke, claim) if spoke else None
        moment = facts.moment(claim.campaign, claim.event, claim.geofence, claim.subject, winner=winner)
        decision = decide(claim.campaign, moment, now)
        decision, message = fulfil(connection, decision, claim.campaign, moment, now, was_held=was_held)
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
    if not decision_store.record_decision(
        connection, judged.decision, judged.message, counted=judged.counted
    ):
        return False
    _hold(connection, judged)
    return True


def _hold(connection: Connection, judged: Judged) -> None:
    if judged.decision.outcome is Outcome.HELD:
        held_store.hold(connection, judged.decision, judged.claim.event, due_at(judged.decision))
