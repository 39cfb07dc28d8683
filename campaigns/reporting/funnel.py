"""What became of the moments that a campaign was judged at: how far each came, and the one reason why no further."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from campaigns.decide import Outcome
from campaigns.gates import Reason
from campaigns.message import MessageState


class Step(StrEnum):
    """How far a moment came. `held` is kept back on purpose, to compare with or for later; what comes after `delivered`
    is counted side by side, as many come without a click.
    """

    ENTERED = "entered"
    ELIGIBLE = "eligible"
    HELD = "held"
    SENT = "sent"
    DELIVERED = "delivered"
    CLICKED = "clicked"
    VISITED = "visited"
    REDEEMED = "redeemed"


OF: Mapping[Step, Step] = {
    Step.ELIGIBLE: Step.ENTERED,
    Step.HELD: Step.ELIGIBLE,
    Step.SENT: Step.ELIGIBLE,
    Step.DELIVERED: Step.SENT,
    Step.CLICKED: Step.DELIVERED,
    Step.VISITED: Step.DELIVERED,
    Step.REDEEMED: Step.DELIVERED,
}
"""Of which step each is a part. But for `held`: a step's count and its losses are the count of that step, less what is held."""

KEPT_BACK = frozenset({Reason.HOLDOUT, Reason.GLOBAL_CONTROL, Reason.SWITCHED_OFF})
"""Reasons of who might have had the offer, and got none so that it can be told what the offer does."""

IN_VAIN = frozenset({Reason.COUPONS_EXHAUSTED})
"""Reasons that are found only once somebody is to be sent something; who was held out was not asked."""

_NOT_SENT = {
    MessageState.DUE: "waiting",
    MessageState.SENDING: "waiting",
    MessageState.UNKNOWN: "outcome_unknown",
    MessageState.FAILED: "failed",
}


@dataclass(frozen=True, slots=True)
class Happening:
    """A decision on a moment, and what became of its message: `state` and `why` are the message's, None without one.
    `visited`: the subject came to the place afterwards. `clicked` and `redeemed` are None where there was no link, or no
    coupon. `segments` is what an SMS took, None of other channels.
    """

    subject: str
    geofence: str | None
    at: datetime
    outcome: Outcome
    reason: Reason
    version: int | None = None
    variant: str | None = None
    state: MessageState | None = None
    why: Reason | None = None
    clicked: bool | None = None
    visited: bool = False
    redeemed: bool | None = None
    segments: int | None = None

    @property
    def is_eligible(self) -> bool:
        """Whether every gate let the subject pass that does not keep them back on purpose."""
        return self.outcome is not Outcome.REFUSED or self.reason in KEPT_BACK | IN_VAIN


@dataclass(frozen=True, slots=True)
class Fate:
    """The steps that a moment reached, and at each step that it was next to and did not reach, why."""

    reached: frozenset[Step]
    lost: Mapping[Step, str]


def fate(happening: Happening) -> Fate:
    """How far it came. One reason per loss."""
    if not happening.is_eligible:
        return Fate(frozenset({Step.ENTERED}), {Step.ELIGIBLE: happening.reason.value})
    eligible = frozenset({Step.ENTERED, Step.ELIGIBLE})
    if happening.reason in IN_VAIN and happening.outcome is Outcome.REFUSED:
        return Fate(eligible, {Step.SENT: happening.reason.value})
    if happening.state is None:
        # Held, and what it was held for has not made a message of it (yet).
        return Fate(eligible | {Step.HELD}, {Step.HELD: happening.reason.value})
    if happening.state in (MessageState.EXPIRED, MessageState.CANCELLED):
        return Fate(eligible, {Step.SENT: (happening.why or Reason.TOO_LATE).value})
    # Whoever clicks in a message or brings its coupon has it, whatever the provider says.
    arrived = happening.state is MessageState.DELIVERED or happening.clicked or happening.redeemed
    if happening.state in _NOT_SENT and not arrived:
        return Fate(eligible, {Step.SENT: _NOT_SENT[happening.state]})
    sent = eligible | {Step.SENT}
    if not arrived:
        undelivered = happening.state is MessageState.UNDELIVERED
        return Fate(sent, {Step.DELIVERED: "undelivered" if undelivered else "unconfirmed"})
    did = {
        Step.CLICKED: (happening.clicked, "no_link" if happening.clicked is None else "not_clicked"),
        Step.VISITED: (happening.visited, "not_visited"),
        Step.REDEEMED: (happening.redeemed, "no_coupon" if happening.redeemed is None else "not_redeemed"),
    }
    return Fate(
        sent | {Step.DELIVERED} | {step for step, (done, _) in did.items() if done},
        {step: otherwise for step, (done, otherwise) in did.items() if not done},
    )


@dataclass(slots=True)
class Funnel:
    """Counts of fates."""

    reached: Counter[Step] = field(default_factory=Counter)
    lost: dict[Step, Counter[str]] = field(default_factory=dict)
    messages: int = 0
    segments: int = 0

    def add(self, happening: Happening) -> None:
        """Count one more."""
        found = fate(happening)
        self.reached.update(found.reached)
        for step, reason in found.lost.items():
            self.lost.setdefault(step, Counter())[reason] += 1
        if Step.SENT in found.reached:
            self.messages += 1
            self.segments += happening.segments or 0

    def join(self, other: "Funnel") -> None:
        """Count all that the other counts, too."""
        self.reached.update(other.reached)
        for step, reasons in other.lost.items():
            self.lost.setdefault(step, Counter()).update(reasons)
        self.messages += other.messages
        self.segments += other.segments

    def json(self) -> list[dict[str, Any]]:
        """Every step in order: its count, the step that it is a part of, and what was lost on the way, by reason."""
        return [
            {
                "step": step.value,
                "of": OF[step].value if step in OF else None,
                "count": self.reached[step],
                "lost": dict(sorted(self.lost.get(step, Counter()).items())),
            }
            for step in Step
        ]
