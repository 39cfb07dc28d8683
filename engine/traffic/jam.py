"""Is this car stuck? Log-odds from a logistic model of how the phone moves, smoothed over time, pure.

A jam is traffic below 10 km/h for at least two minutes; waiting at a light or at the kerb, parking, walking and
shopping are slow too and are none. The model (Hosmer & Lemeshow, 2000) weighs figures that are about -2..3 each, so
every claim can be taken apart into what each of them gave; the weights are fitted by `engine/traffic/fit.py`.
"""

from dataclasses import dataclass
from math import exp
from typing import Literal

import msgspec

from engine.traffic.drive import Drive, Threefold, features
from engine.traffic.weights import WEIGHTS

JamTransition = tuple[Literal["stuck", "unstuck"], str, float, float]
"""What happened, at which geofence, when by estimate (unix seconds), and with what confidence (0..1)."""


_WEIGHTS = tuple(WEIGHTS.values())


@dataclass(frozen=True, slots=True)
class JamPolicy:
    """The figures of the judgement. Log-odds are natural logarithms."""

    stuck_log_odds: float = 0.85
    unstuck_log_odds: float = -2.2
    smoothing_seconds: float = 25.0
    parted_log_odds: float = -0.5
    """At most so much is left of an earlier slow run."""
    fast_log_odds: float = -3.9
    """What a fix says that is itself fast."""
    fix_limit_log_odds: float = 6.9
    least_slow_seconds: float = 112.0
    jam_seconds: float = 120.0
    """A jam counts from here on; a claim names the moment when it had lasted so long."""
    latest_seconds: float = 150.0
    """A claim dates back no further than this."""


TOWN_TRAFFIC = JamPolicy()


class Jam(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is believed of one phone. Times are unix seconds of the phone's clock."""

    log_odds: float = -3
    at: float = 0
    claimed: str = ""
    """The geofence for which it was said that the phone is stuck."""
    agreed_at: float = 0
    """The newest fix that spoke for a jam."""
    ended_at: float = float("-inf")


def fix_log_odds(
    drive: Drive, surroundings: Threefold, road: Threefold, flow: float, policy: JamPolicy
) -> float:
    """What the newest fix says. `surroundings` count the other phones nearby, and `road` tells what it is used to, as
    `features` takes them; `flow` are the log-odds that feeds of traffic flow give for this stretch.
    """
    if not drive.slow:
        return policy.fast_log_odds
    weighed = (
        sum(
            weight * value
            for weight, value in zip(_WEIGHTS, features(drive, surroundings, road), strict=True)
        )
        + flow
    )
    return max(-policy.fix_limit_log_odds, min(policy.fix_limit_log_odds, weighed))


def step(
    was: Jam, drive: Drive, said: float, place: str, policy: JamPolicy
) -> tuple[Jam, tuple[JamTransition, ...]]:
    """Take one fix into account. `place` is the catchment that the phone is in, "" when in none."""
    at = drive.last.at
    log_odds = min(was.log_odds, policy.parted_log_odds) if drive.parted else was.log_odds
    elapsed = max(at - was.at, 0.0) if was.at else 30.0
    log_odds += (1 - exp(-elapsed / policy.smoothing_seconds)) * (said - log_odds)
    claimed, ended_at = was.claimed, was.ended_at
    transitions: tuple[JamTransition, ...] = ()
    if claimed and (drive.parted or log_odds < policy.unstuck_log_odds):
        ended_at = drive.slow_until if drive.parted else was.agreed_at
        transitions = (("unstuck", claimed, ended_at, _probability(-log_odds)),)
        claimed = ""
    slow_seconds = at - drive.run.since if drive.slow else 0.0
    if (
        not claimed
        and place
        and log_odds > policy.stuck_log_odds
        and slow_seconds >= policy.least_slow_seconds
    ):
        stuck_at = max(
            drive.run.since + policy.jam_seconds,
            at - policy.latest_seconds,
            ended_at + policy.jam_seconds / 2,
        )
        transitions = (*transitions, ("stuck", place, stuck_at, _probability(log_odds)))
        claimed = place
    return Jam(log_odds, at, claimed, at if said > 0 else was.agreed_at, ended_at), transitions


def _probability(log_odds: float) -> float:
    return 1 / (1 + exp(-log_odds))
