"""How far is the beacon? Distance from smoothed signal strength, zones that do not flicker, and the beacon to go by.

The signal of a beacon in a shop swings by 6 dB and more from one hearing to the next. A scalar Kalman filter (Kalman,
1960) follows its mean, which may drift as the phone moves; one hearing that is far off is believed only so much. The
distance follows from the log-distance path-loss model (Rappaport, 2002, 4.9).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import erfc, log10, sqrt

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Zone(StrEnum):
    """How near, as Apple's Core Location tells it."""

    IMMEDIATE = "immediate"
    NEAR = "near"
    FAR = "far"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class RangingPolicy:
    """The figures of ranging."""

    noise_db: float = 6.0
    """Spread of single hearings at one distance."""
    drift_db: float = 1.5
    """How much the mean may change, per square root of a second."""
    gate_sigmas: float = 2.0
    """A hearing that is farther off counts as if it were so far off."""
    stale_seconds: float = 15.0
    """What was not heard for longer is unknown."""
    immediate_m: float = 0.5
    near_m: float = 3.0
    zone_share: float = 0.25
    """A zone is left only when its bound is passed by so much."""
    challenge_share: float = 0.2
    """Another beacon must be nearer by so much of the distance to take over."""
    least_m: float = 0.1
    most_m: float = 100.0


SHOP_RANGING = RangingPolicy()


class Ranging(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is believed of one phone and one beacon: the mean signal strength and its variance, and by which calibrated
    power at one metre (dBm) and path loss that becomes a distance.
    """

    at: float
    rssi_dbm: float
    variance: float
    power_dbm: float
    path_loss: float
    zone: Zone = Zone.UNKNOWN
    hearings: int = 1

    @property
    def distance_m(self) -> float:
        """Metres, by what was heard until now."""
        return distance_m(self.rssi_dbm, self.power_dbm, self.path_loss)


def step(
    was: Ranging | None,
    at: float,
    rssi_dbm: float,
    power_dbm: float,
    path_loss: float,
    policy: RangingPolicy = SHOP_RANGING,
) -> Ranging:
    """Take one hearing into account. `power_dbm` is the calibrated power at one metre; `at` in unix seconds."""
    noise = policy.noise_db**2
    if was is None or at - was.at > policy.stale_seconds:
        zone = _zone(distance_m(rssi_dbm, power_dbm, path_loss, policy), None, policy)
        return Ranging(at, rssi_dbm, noise, power_dbm, path_loss, zone)
    variance = was.variance + policy.drift_db**2 * max(at - was.at, 0.0)
    spread = sqrt(variance + noise)
    off = max(-policy.gate_sigmas * spread, min(policy.gate_sigmas * spread, rssi_dbm - was.rssi_dbm))
    gain = variance / (variance + noise)
    mean = was.rssi_dbm + gain * off
    zone = _zone(distance_m(mean, power_dbm, path_loss, policy), was.zone, policy)
    return Ranging(max(at, was.at), mean, (1 - gain) * variance, power_dbm, path_loss, zone, was.hearings + 1)


def distance_m(
    rssi_dbm: float, power_dbm: float, path_loss: float, policy: RangingPolicy = SHOP_RANGING
) -> float:
    """Metres, by log-distance path loss."""
    return float(min(max(10 ** ((power_dbm - rssi_dbm) / (10 * path_loss)), policy.least_m), policy.most_m))


def zone_at(each: Ranging, at: float, policy: RangingPolicy = SHOP_RANGING) -> Zone:
    """The zone now: unknown once the beacon was not heard for too long."""
    return each.zone if at - each.at <= policy.stale_seconds else Zone.UNKNOWN


def nearest(
    heard: Mapping[str, Ranging], at: float, before: str | None, policy: RangingPolicy = SHOP_RANGING
) -> str | None:
    """The beacon to go by, of those heard lately: the nearest, but the one before stays until another is clearly nearer.

    How loud a beacon is says little of beacons with other powers and walls, so each counts by its own distance, and by
    the one that it is within with a probability of 84 %: one that is heard little or badly must make up for that.
    """
    fresh = {
        key: _surely_within(each, at, policy)
        for key, each in heard.items()
        if at - each.at <= policy.stale_seconds
    }
    if not fresh:
        return None
    best = min(sorted(fresh), key=fresh.__getitem__)
    if before in fresh and log10(1 - policy.challenge_share) < fresh[best] - fresh[before]:
        return before
    return best


def probability_within(
    metres: float, each: Ranging, at: float, policy: RangingPolicy = SHOP_RANGING
) -> float:
    """Of the beacon being no farther than so many metres."""
    bound_dbm = each.power_dbm - 10 * each.path_loss * log10(metres)
    return 0.5 * erfc((bound_dbm - each.rssi_dbm) / sqrt(2) / _spread_db(each, at, policy))


def _surely_within(each: Ranging, at: float, policy: RangingPolicy) -> float:
    """The decimal logarithm of metres."""
    spread = _spread_db(each, at, policy)
    return (each.power_dbm - each.rssi_dbm + spread) / (10 * each.path_loss)


def _spread_db(each: Ranging, at: float, policy: RangingPolicy) -> float:
    return sqrt(each.variance + policy.drift_db**2 * max(at - each.at, 0.0))


def calibrate(rssi_dbm: Floats, distances_m: Floats) -> tuple[float, float]:
    """Power at one metre (dBm) and path-loss exponent that fit readings best, by least squares on log-distance.
    Raises `ValueError` for fewer than ten readings, or distances within a factor of 1.5.
    """
    known = np.isfinite(rssi_dbm) & (distances_m > 0)
    if known.sum() < 10:
        raise ValueError(f"{int(known.sum())} readings with a distance; at least 10 are needed")
    distances, readings = distances_m[known], rssi_dbm[known]
    if distances.max() < 1.5 * distances.min():
        raise ValueError("the distances are too alike to tell an exponent; take readings from farther apart")
    slope, power = np.polyfit(-10 * np.log10(distances), readings, 1)
    return float(power), float(slope)


def _zone(metres: float, was: Zone | None, policy: RangingPolicy) -> Zone:
    more = 1 + policy.zone_share
    immediate_m = policy.immediate_m * (more if was is Zone.IMMEDIATE else 1 / more if was else 1)
    near_m = policy.near_m * (more if was in (Zone.IMMEDIATE, Zone.NEAR) else 1 / more if was else 1)
    if metres < immediate_m:
        return Zone.IMMEDIATE
    return Zone.NEAR if metres < near_m else Zone.FAR
