"""How does this phone move: does it lie still, walk with its owner, or ride in a vehicle? A small hidden Markov
filter, one forward step per fix (Rabiner, 1989), pure, and cheap enough to run for every ping.

Four hidden states stand behind three modes: a vehicle drives or halts. A halted one looks exactly like a phone that
lies still, and only time tells the two apart: a light turns green, a jam moves on. What was moved and what speed was
reported are both taken as a velocity with an error, normal along each axis, so that its length is Rayleigh
distributed. Fixes that come soon after each other see the same stretch of behaviour and share their error, so they
say less.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import exp

import msgspec


class Mode(StrEnum):
    """How a phone moves. A bicycle counts as a vehicle."""

    STILL = "still"
    WALKING = "walking"
    VEHICLE = "vehicle"


@dataclass(frozen=True, slots=True)
class MotionPolicy:
    """The filter's figures. Speeds are along each of two axes: a usual speed is about 1.25 times as much."""

    drive_seconds: float = 90.0
    """So long a vehicle drives between two halts, in the mean."""
    halt_seconds: float = 60.0
    """So long it halts."""
    park_seconds: float = 1500.0
    """After so long in the mean a halt turns out to be the end of a ride, and the phone lies still."""
    alight_seconds: float = 900.0
    """And after so long, that its owner has got out and walks."""
    ride_seconds: float = 3600.0
    """A phone that lies still rides off after so long."""
    board_seconds: float = 900.0
    """One that walks rides off after so long."""
    rest_seconds: float = 300.0
    """A walk is so long."""
    rise_seconds: float = 600.0
    """A rest is so long."""
    walking_mps: float = 1.0
    creeping_mps: float = 2.5
    """In a jam or on a car park."""
    cruising_mps: float = 14.0
    creeping_share: float = 0.3
    speed_error_mps: float = 0.3
    """Of a reported speed; and so much a phone that lies still may drift."""
    accuracy_share: float = 0.66
    """A reported accuracy is the radius that holds 68 %; of a normal error that is 1.51 deviations along an axis."""
    error_seconds: float = 60.0
    """Position errors stay alike for about so long."""
    correlation_seconds: float = 15.0
    """Within this time fixes see the same stretch of behaviour."""
    moved_correlation_seconds: float = 3.0
    """The same for displacements, whose errors are nearly independent of each other."""
    least_speed_share: float = 0.02
    """No reported speed makes a state less likely than this share of the likeliest."""
    least_moved_share: float = 0.06
    """Nor does a displacement; it is less, since one fix in five hundred is silently wrong."""
    moved_limit_seconds: float = 300.0
    """What was moved over a longer time does not say how the phone moves now."""
    unknown_accuracy_m: float = 100.0
    """Stands in for an accuracy of zero, by which phones say that they do not know."""


EVERYDAY_MOTION = MotionPolicy()


class Motion(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is believed of one phone: probabilities that sum to 1. `accuracy_m` is that of the newest fix, 0 when
    not known.
    """

    still: float
    walking: float
    driving: float
    halted: float
    accuracy_m: float = 0

    @property
    def vehicle(self) -> float:
        """The probability of being in a vehicle."""
        return self.driving + self.halted


_MET = Motion(still=0.55, walking=0.25, driving=0.12, halted=0.08)


def met() -> Motion:
    """A phone of which nothing is known."""
    return _MET


def mode(motion: Motion) -> tuple[Mode, float]:
    """The likeliest mode and its probability."""
    vehicle = motion.driving + motion.halted
    if vehicle >= motion.still and vehicle >= motion.walking:
        return Mode.VEHICLE, vehicle
    if motion.walking >= motion.still:
        return Mode.WALKING, motion.walking
    return Mode.STILL, motion.still


def step(
    was: Motion,
    elapsed_seconds: float,
    speed_mps: float | None,
    moved_m: float,
    accuracy_m: float,
    policy: MotionPolicy = EVERYDAY_MOTION,
) -> Motion:
    """Take one fix into account: how long after the one before it, the speed that it reports if any, how far from the
    one before, and its accuracy. One that is no newer changes nothing.
    """
    if elapsed_seconds <= 0:
        return was
    still, walking, driving, halted = _later(was, elapsed_seconds, policy)
    speed_weight = 1 - exp(-elapsed_seconds / policy.correlation_seconds)
    error_mps2 = policy.speed_error_mps**2
    if speed_mps is not None:
        rest, walk, drive = _likelihoods(speed_mps, error_mps2, policy.least_speed_share, policy)
        still *= rest**speed_weight
        halted *= rest**speed_weight
        walking *= walk**speed_weight
        driving *= drive**speed_weight
    if elapsed_seconds <= policy.moved_limit_seconds:
        variance_m2 = (was.accuracy_m or policy.unknown_accuracy_m) ** 2
        variance_m2 += (accuracy_m or policy.unknown_accuracy_m) ** 2
        share = policy.accuracy_share / elapsed_seconds
        error_mps2 += variance_m2 * (1 - exp(-elapsed_seconds / policy.error_seconds)) * share * share
        rest, walk, drive = _likelihoods(
            moved_m / elapsed_seconds, error_mps2, policy.least_moved_share, policy
        )
        moved_weight = 1 - exp(-elapsed_seconds / policy.moved_correlation_seconds)
        stood = exp(-elapsed_seconds / policy.halt_seconds)
        still *= rest**moved_weight
        halted *= (stood * rest + (1 - stood) * drive) ** moved_weight
        walking *= walk**moved_weight
        driving *= drive**moved_weight
    total = still + walking + driving + halted
    return Motion(still / total, walking / total, driving / total, halted / total, accuracy_m)


def _likelihoods(
    speed_mps: float, error_mps2: float, least_share: float, policy: MotionPolicy
) -> tuple[float, float, float]:
    """How likely this speed is for a phone that rests, walks or drives, against the likeliest, and at least
    `least_share`. Rayleigh densities, without the factor that they share.
    """
    half = -0.5 * speed_mps * speed_mps
    walking = error_mps2 + policy.walking_mps**2
    creeping = error_mps2 + policy.creeping_mps**2
    cruising = error_mps2 + policy.cruising_mps**2
    rest = exp(half / error_mps2) / error_mps2
    walk = exp(half / walking) / walking
    drive = policy.creeping_share * exp(half / creeping) / creeping
    drive += (1 - policy.creeping_share) * exp(half / cruising) / cruising
    best = max(rest, walk, drive) or 1.0
    return max(rest / best, least_share), max(walk / best, least_share), max(drive / best, least_share)


def _later(was: Motion, elapsed: float, policy: MotionPolicy) -> tuple[float, float, float, float]:
    """The probabilities `elapsed` seconds on, before anything is seen. Each pair of states exchanges by its own exact
    law, the quickest pair in two halves, first and last (Strang, 1968): near to the exponential of the whole matrix.
    """
    pace = elapsed / 2
    driving, halted = _exchanged(was.driving, was.halted, policy.drive_seconds, policy.halt_seconds, pace)
    halted, still = _exchanged(halted, was.still, policy.park_seconds, policy.ride_seconds, elapsed)
    halted, walking = _exchanged(halted, was.walking, policy.alight_seconds, policy.board_seconds, elapsed)
    walking, still = _exchanged(walking, still, policy.rest_seconds, policy.rise_seconds, elapsed)
    driving, halted = _exchanged(driving, halted, policy.drive_seconds, policy.halt_seconds, pace)
    return still, walking, driving, halted


def _exchanged(
    one: float, other: float, one_seconds: float, other_seconds: float, elapsed: float
) -> tuple[float, float]:
    """Two states after `elapsed` seconds, when each is left for the other after so many seconds in the mean."""
    both = one_seconds + other_seconds
    flow = (one - (one + other) * one_seconds / both) * (
        1 - exp(-elapsed * both / (one_seconds * other_seconds))
    )
    return one - flow, other + flow
