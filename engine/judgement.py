"""Judges what happened, a moment at a time: who may speak first is asked first, and what is decided counts at once."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection

from campaigns import decision_store
from campaigns.arbitration import Claim, rounds, won
from campaigns.decide import Decision, compose, decide
from engine.facts import Facts


def judge_all(connection: Connection, claims: Iterable[Claim], facts: Facts, now: datetime) -> list[Decision]:
    """Decide on every claim, and record decisions and messages; those that are new. The caller holds the locks of the
    subjects, and `facts` the counters of budgets.
    """
    made = [decision for each in rounds(claims) for decision in _judge_round(connection, each, facts, now)]
    facts.keep_counters(connection)
    return made


def _judge_round(connection: Connection, claims: list[Claim], facts: Facts, now: datetime) -> list[Decision]:
    decisions, spoke = [], None
    for claim in claims:
        moment = facts.moment(
            claim.campaign,
            claim.event,
            claim.geofence,
            claim.subject,
            winner=won(spoke, claim) if spoke else None,
        )
        decision = decide(claim.campaign, moment, now)
        message = compose(decision, claim.campaign, moment)
        counted = message is not None and facts.is_counted(message)
        if not decision_store.record_decision(connection, decision, message, counted=counted):
            continue
        decisions.append(decision)
        if message is not None:
            facts.count(message)
            spoke = spoke or claim
    return decisions
