"""Is this phone inside this geofence? A log-odds filter, one step per signal, pure.

Each fix says with what probability its phone is inside: the distance to the boundary against the reported
accuracy, taken as a normal error (the probit is what a Gaussian position error gives). A beacon that hangs in the
store and is heard says so too. Signals of one phone share their error for a while, so one that comes soon after
another of its kind adds little. The odds are fused over time and decay towards not knowing, as in the forward pass
of a two-state hidden Markov model (Rabiner, 1989). Entry and exit have thresholds of their own, so that a phone that
jitters at the border does not flap.
"""

from dataclasses import dataclass
from math import erfc, exp, log, log10, sqrt
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

ROOT_OF_2 = sqrt(2)
Transition = tuple[Literal["enter", "exit", "dwell"], float, float]
"""What happened, when by estimate (unix seconds), and with what confidence (0..1)."""


@dataclass(frozen=True, slots=True)
class PresencePolicy:
    """The filter's figures. Log-odds are natural logarithms."""

    enter_log_odds: float = 0.05
    exit_log_odds: float = -0.75
    unrest_log_odds: float = 0.8
    unrest_seconds: float = 600.0
    """Each coming and going makes the next one need so much more, fading over this time."""
    alone_seconds: float = 25.0
    """A signal that comes sooner after the last must be borne out by one more before it makes a visit."""
    limit_log_odds: float = 2.3
    """The filter is never surer than this, so that a change of mind stays possible."""
    fix_limit_log_odds: float = 2.7
    """No single fix says more than this: one in five hundred is silently wrong."""
    stranger_log_odds: float = -1.2
    """Of a phone that was too far away to ask about."""
    correlation_seconds: float = 8.0
    """Within this time fixes share most of their error."""
    beacon_correlation_seconds: float = 30.0
    beacon_reach_m: float = 18.0
    """So near to a beacon one is taken to be in its store."""
    beacon_shadowing_db: float = 6.0
    """Spread of the signal strength at one distance, by bodies and shelves."""
    beacon_limit_log_odds: float = 3.5
    region_enter_log_odds: float = 1.6
    """The phone began to hear a beacon, somewhere within its reach."""
    region_exit_log_odds: float = -1.7
    """It has not heard one for a while: of those inside, one in six or so."""
    region_alone_log_odds: float = -4.0
    """The same, where nothing but beacons has spoken for being inside."""
    region_lag_seconds: float = 30.0
    """Phones say so late that they do not hear a beacon any more; a fix of this time knows better."""
    memory_seconds: float = 200.0
    """Odds decay towards even with this time constant when nothing is heard."""
    leaving_accuracies: float = 0.45
    """Whoever is inside must be this many accuracies beyond the border before a fix speaks for outside."""
    least_accuracy_m: float = 8.0
    unknown_accuracy_m: float = 100.0
    """Stands in for an accuracy of zero, by which phones say that they do not know."""
    assumed_accuracy_m: float = 0.0
    """Taken for every fix's accuracy, whatever it says; 0 believes the fixes. To see what their word is worth."""
    reach_accuracies: float = 3.0
    least_reach_m: float = 50.0
    most_reach_m: float = 400.0
    stale_seconds: float = 40.0
    """A phone that was silent for longer than this when a dwell is due is not said to dwell by the clock alone."""


STORE_PRESENCE = PresencePolicy()


class Presence(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is believed of one phone and one geofence. Times are unix seconds of the phone's clock."""

    log_odds: float
    inside: bool
    fix_at: float
    """The newest fix."""
    beacon_at: float
    """The newest beacon heard; -inf when none was."""
    held_at: float
    """The newest signal that agreed with `inside`."""
    doubted_at: float
    """The first signal after `held_at` that disagreed: a crossing lies between the two. 0 when none did."""
    since: float
    """When the phone is believed to have entered, while inside."""
    dwelled: bool
    unrest: float = 0.0
    """How often it came and went lately."""

    @property
    def seen_at(self) -> float:
        """The newest signal of any kind."""
        return max(self.beacon_at, self.fix_at)


class Evidence(msgspec.Struct, frozen=True, gc=False):
    """What one signal says about one geofence: log-odds of being inside. It is a fix, or else the hearing of a beacon."""

    at: float
    log_odds: float
    dwell_seconds: float
    by_beacon: bool = False


def stranger(previous_at: float, policy: PresencePolicy) -> Presence:
    """A phone that was too far away to ask about until now; `previous_at` is its last fix out there."""
    return Presence(
        log_odds=policy.stranger_log_odds,
        inside=False,
        fix_at=previous_at,
        beacon_at=float("-inf"),
        held_at=previous_at,
        doubted_at=0.0,
        since=0.0,
        dwelled=False,
    )


def step(
    was: Presence, evidence: Evidence, policy: PresencePolicy
) -> tuple[Presence, tuple[Transition, ...]]:
    """Take one signal, newer than all before it, into account."""
    at, told = evidence.at, evidence.log_odds
    silent_seconds = at - was.seen_at  # never negative
    log_odds = _fused(was, evidence, silent_seconds, policy)
    held_at, doubted_at = was.held_at, was.doubted_at or at
    if not told:
        doubted_at = was.doubted_at
    elif (told > 0) == was.inside:
        held_at, doubted_at = at, 0.0
    inside, since, dwelled = was.inside, was.since, was.dwelled
    unrest = was.unrest * exp(-silent_seconds / policy.unrest_seconds) if was.unrest else 0.0
    more = policy.unrest_log_odds * unrest
    crossed_at = (held_at + (doubted_at or at)) / 2
    borne_out = was.doubted_at > 0 or silent_seconds >= policy.alone_seconds
    said: tuple[Transition, ...] = ()
    if not inside and borne_out and log_odds >= policy.enter_log_odds + more:
        inside, since, dwelled, held_at, doubted_at = True, crossed_at, False, at, 0.0
        unrest += 1
        said = (("enter", crossed_at, probability(log_odds)),)
    elif inside and log_odds <= policy.exit_log_odds - more:
        left_at = max(since, crossed_at)
        said = (("exit", left_at, probability(-log_odds)),)
        due_at = since + evidence.dwell_seconds
        if not dwelled and left_at >= due_at and due_at - held_at <= policy.stale_seconds:
            said = (("dwell", due_at, probability(policy.enter_log_odds)), *said)
        inside, since, dwelled, held_at, doubted_at = False, 0.0, False, at, 0.0
        unrest += 1
    if inside and not dwelled and told > 0 and at >= since + evidence.dwell_seconds:
        dwelled = True
        said = (*said, ("dwell", since + evidence.dwell_seconds, probability(log_odds)))
    now = Presence(
        log_odds,
        inside,
        was.fix_at if evidence.by_beacon else at,
        at if evidence.by_beacon else was.beacon_at,
        held_at,
        doubted_at,
        since,
        dwelled,
        unrest,
    )
    return now, said


def dwell_by_clock(
    was: Presence, at: float, dwell_seconds: float, policy: PresencePolicy
) -> tuple[float, float] | None:
    """When a dwell was due and with what confidence, if it can be said at `at` though the phone is silent: it is
    believed to be inside, and was heard to be so lately enough.
    """
    due_at = was.since + dwell_seconds
    if not was.inside or was.dwelled or at < due_at or was.doubted_at:
        return None
    if due_at - was.held_at > policy.stale_seconds or was.log_odds < policy.enter_log_odds:
        return None
    return due_at, probability(was.log_odds)


def fix_log_odds(distance_m: float, accuracy_m: float, policy: PresencePolicy, *, inside: bool) -> float:
    """Log-odds that one fix alone gives for being inside, limited as the policy says. `distance_m` is signed,
    negative inside; `inside` is what was believed before.
    """
    sigma_m = policy.assumed_accuracy_m or accuracy_m or policy.unknown_accuracy_m
    sigma_m = max(sigma_m, policy.least_accuracy_m)
    if inside:
        distance_m -= policy.leaving_accuracies * sigma_m
    share = _within(0.5 * erfc(distance_m / sigma_m / ROOT_OF_2), 1e-9, 1 - 1e-9)
    limit = policy.fix_limit_log_odds
    return _within(log(share / (1 - share)), -limit, limit)


def beacon_log_odds(rssi_dbm: float, power_dbm: float, path_loss: float, policy: PresencePolicy) -> float:
    """Log-odds that one hearing of a store's beacon gives for being in the store: never against it, as a faint one
    may be behind a wall. Log-distance path loss with log-normal shadowing (Rappaport, 2002, 4.9); `power_dbm` is the
    calibrated power at one metre.
    """
    expected_dbm = power_dbm - 10 * path_loss * log10(policy.beacon_reach_m)
    share = 0.5 * erfc((expected_dbm - rssi_dbm) / policy.beacon_shadowing_db / sqrt(2))
    share = min(max(share, 0.5), 1 - 1e-9)
    return min(policy.beacon_limit_log_odds, log(share / (1 - share)))


def region_log_odds(was: Presence, at: float, policy: PresencePolicy, *, entered: bool) -> float:
    """Log-odds that a phone's own word gives, by which it began to hear a store's beacon, or hears it no more."""
    if entered:
        return policy.region_enter_log_odds
    if was.inside and was.fix_at < was.since:
        return policy.region_alone_log_odds
    if was.inside and was.held_at >= was.fix_at >= at - policy.region_lag_seconds:
        return 0.0
    return policy.region_exit_log_odds


def reaches_m(accuracies_m: NDArray[np.float64], policy: PresencePolicy) -> NDArray[np.float64]:
    """How far from a boundary fixes of these accuracies still say something about the geofence."""
    known_m = np.where(accuracies_m > 0, accuracies_m, policy.unknown_accuracy_m)
    return np.minimum(
        np.maximum(policy.reach_accuracies * known_m, policy.least_reach_m), policy.most_reach_m
    )


def probability(log_odds: float) -> float:
    """The probability (0..1) that stands behind log-odds."""
    return 1 / (1 + exp(-log_odds))


def _fused(was: Presence, evidence: Evidence, silent_seconds: float, policy: PresencePolicy) -> float:
    if evidence.by_beacon:
        elapsed, correlation = evidence.at - was.beacon_at, policy.beacon_correlation_seconds
    else:
        elapsed, correlation = evidence.at - was.fix_at, policy.correlation_seconds
    fresh = 1 - exp(-(max(1.0, elapsed)) / correlation)
    faded = was.log_odds * exp(-silent_seconds / policy.memory_seconds)
    return _within(faded + fresh * evidence.log_odds, -policy.limit_log_odds, policy.limit_log_odds)


def _within(value: float, least: float, most: float) -> float:
    """The value, no less and no more than these: `min` and `max` take three times as long, a million times."""
    return least if value < least else min(value, most)
