"""Is this phone inside this geofence? A log-odds filter, one step per fix, pure.

Each fix says with what probability its phone is inside: the distance to the boundary against the reported
accuracy, taken as a normal error (Gneiting & Raftery's proper scores are indifferent to the link; the probit is
what a Gaussian position error gives). Fixes of one phone share their error for about a minute, so a fix soon
after another adds little. The odds are fused over time and decay towards not knowing, as in the forward pass of
a two-state hidden Markov model (Rabiner, 1989). Entry and exit have thresholds of their own, so that a phone
that jitters at the border does not flap.
"""

from dataclasses import dataclass
from math import erfc, exp, log, sqrt
from typing import Literal

import msgspec

Transition = tuple[Literal["enter", "exit", "dwell"], float, float]
"""What happened, when by estimate (unix seconds), and with what confidence (0..1)."""


@dataclass(frozen=True, slots=True)
class PresencePolicy:
    """The filter's figures. Log-odds are natural logarithms."""

    enter_log_odds: float = 1.0
    exit_log_odds: float = -1.0
    limit_log_odds: float = 2.5
    """The filter is never surer than this, so that a change of mind stays possible."""
    fix_limit_log_odds: float = 2.8
    """No single fix says more than this: one in five hundred is silently wrong."""
    correlation_seconds: float = 10.0
    """Within this time fixes share most of their error."""
    memory_seconds: float = 600.0
    """Odds decay towards even with this time constant when nothing is heard."""
    leaving_accuracies: float = 0.5
    """Whoever is inside must be this many accuracies beyond the border before a fix speaks for outside."""
    least_accuracy_m: float = 8.0
    unknown_accuracy_m: float = 100.0
    """Stands in for an accuracy of zero, by which phones say that they do not know."""
    reach_accuracies: float = 3.0
    least_reach_m: float = 50.0
    most_reach_m: float = 400.0


STORE_PRESENCE = PresencePolicy()


class Presence(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is believed of one phone and one geofence. Times are unix seconds of the phone's fixes."""

    log_odds: float
    inside: bool
    seen_at: float
    """The newest fix."""
    held_at: float
    """The newest fix that agreed with `inside`."""
    doubted_at: float
    """The first fix after `held_at` that disagreed: a crossing lies between the two. 0 when none did."""
    since: float
    """When the phone is believed to have entered, while inside."""
    dwelled: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one fix says about one geofence: signed distance to the boundary (metres, negative inside)."""

    at: float
    distance_m: float
    accuracy_m: float
    dwell_seconds: float


def stranger(previous_at: float, policy: PresencePolicy) -> Presence:
    """A phone that was too far away to ask about until now; `previous_at` is its last fix out there."""
    return Presence(
        log_odds=policy.exit_log_odds,
        inside=False,
        seen_at=previous_at,
        held_at=previous_at,
        doubted_at=0.0,
        since=0.0,
        dwelled=False,
    )


def step(
    was: Presence, evidence: Evidence, policy: PresencePolicy
) -> tuple[Presence, tuple[Transition, ...]]:
    """Take one fix, newer than all before it, into account."""
    at = evidence.at
    margin_m = policy.leaving_accuracies * _sigma_m(evidence.accuracy_m, policy) if was.inside else 0.0
    said = fix_log_odds(evidence.distance_m - margin_m, evidence.accuracy_m, policy)
    log_odds = _fused(was, at, said, policy)
    held_at, doubted_at = was.held_at, was.doubted_at or at
    if (said > 0) == was.inside:
        held_at, doubted_at = at, 0.0
    now = Presence(log_odds, was.inside, at, held_at, doubted_at, was.since, was.dwelled)
    crossed_at = (held_at + doubted_at) / 2
    if not was.inside and log_odds >= policy.enter_log_odds:
        now = Presence(log_odds, True, at, at, 0.0, crossed_at, False)  # noqa: FBT003  # in the order of the fields
        entered: tuple[Transition, ...] = (("enter", crossed_at, probability(log_odds)),)
        now, dwelled = _dwell(now, evidence, said)
        return now, entered + dwelled
    if was.inside and log_odds <= policy.exit_log_odds:
        now = Presence(log_odds, False, at, at, 0.0, 0.0, False)  # noqa: FBT003  # in the order of the fields
        return now, (("exit", max(was.since, crossed_at), probability(-log_odds)),)
    return _dwell(now, evidence, said)


def fix_log_odds(distance_m: float, accuracy_m: float, policy: PresencePolicy) -> float:
    """Log-odds that one fix alone gives for being inside, limited as the policy says."""
    inside = 0.5 * erfc(distance_m / _sigma_m(accuracy_m, policy) / sqrt(2))
    inside = min(max(inside, 1e-9), 1 - 1e-9)
    return max(-policy.fix_limit_log_odds, min(policy.fix_limit_log_odds, log(inside / (1 - inside))))


def reach_m(accuracy_m: float, policy: PresencePolicy) -> float:
    """How far from a boundary a fix of this accuracy still says something about the geofence."""
    reach = policy.reach_accuracies * (accuracy_m or policy.unknown_accuracy_m)
    return min(max(reach, policy.least_reach_m), policy.most_reach_m)


def _sigma_m(accuracy_m: float, policy: PresencePolicy) -> float:
    return max(accuracy_m or policy.unknown_accuracy_m, policy.least_accuracy_m)


def probability(log_odds: float) -> float:
    """The probability (0..1) that stands behind log-odds."""
    return 1 / (1 + exp(-log_odds))


def _fused(was: Presence, at: float, said: float, policy: PresencePolicy) -> float:
    elapsed = max(at - was.seen_at, 1.0)
    fresh = 1 - exp(-elapsed / policy.correlation_seconds)
    log_odds = was.log_odds * exp(-elapsed / policy.memory_seconds) + fresh * said
    return max(-policy.limit_log_odds, min(policy.limit_log_odds, log_odds))


def _dwell(now: Presence, evidence: Evidence, said: float) -> tuple[Presence, tuple[Transition, ...]]:
    """Say once per visit that it lasted, on a fix that itself speaks for being inside."""
    due_at = now.since + evidence.dwell_seconds
    if not now.inside or now.dwelled or said <= 0 or evidence.at < due_at:
        return now, ()
    return msgspec.structs.replace(now, dwelled=True), (("dwell", due_at, probability(now.log_odds)),)
