"""How far is the beacon? Distance from smoothed signal strength, zones that do not flicker, and the beacon to go by.

The signal of a beacon in a shop swings by 6 dB and more from one hearing to the next. A scalar Kalman filter (Kalman,
1960) follows its mean, which may drift as the phone moves; one hearing that is far off is believed only so much. The
distance follows from the log-distance path-loss model (Rappaport, 2002, 4.9).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import sqrt

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
    challenge_db: float = 4.0
    """Another beacon must be so much louder to take over."""
    least_m: float = 0.1
    most_m: float = 100.0


SHOP_RANGING = RangingPolicy()


class Ranging(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is believed of one phone and one beacon: the mean signal strength and its variance."""

    at: float
    rssi_dbm: float
    variance: float
    zone: Zone = Zone.UNKNOWN


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
        return Ranging(
            at, rssi_dbm, noise, _zone(distance_m(rssi_dbm, power_dbm, path_loss, policy), None, policy)
        )
    variance = was.variance + policy.drift_db**2 * max(at - was.at, 0.0)
    spread = sqrt(variance + noise)
    off = max(-policy.gate_sigmas * spread, min(policy.gate_sigmas * spread, rssi_dbm - was.rssi_dbm))
    gain = variance / (variance + noise)
    mean = was.rssi_dbm + gain * off
    zone = _zone(distance_m(mean, power_dbm, path_loss, policy), was.zone, policy)
    return Ranging(max(at, was.at), mean, (1 - gain) * variance, zone)


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
    """The beacon to go by, of those heard lately: the loudest, but the one before stays until another is clearly so.
    Keys are radio keys; powers are taken to be alike.
    """
    fresh = {key: each.rssi_dbm for key, each in heard.items() if at - each.at <= policy.stale_seconds}
    if not fresh:
        return None
    loudest = max(sorted(fresh), key=lambda key: fresh[key])
    if before in fresh and fresh[loudest] - fresh[before] < policy.challenge_db:
        return before
    return loudest


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
