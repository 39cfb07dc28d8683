"""Is this phone on its way to a place, and when will it be there? One step per fix and place, pure.

The distance to the place and the speed at which it closes are followed by a Kalman filter (Kalman, 1960) whose speed
wanders as a car's or a walker's does. An arrival is said once, when the distance has been closing for a while, mostly
straight, and the time that is left is surely enough below the bound; again only after the phone has gone away.
"""

from dataclasses import dataclass
from math import atan2, cos, degrees, erf, exp, radians, sin, sqrt

import msgspec
import numpy as np
from numpy.typing import NDArray

from geofences.motion import Mode
from geofences.plane import Centre, to_local

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ApproachPolicy:
    """When an approach is said. Figures for a phone in a vehicle and for one that walks."""

    driving_seconds: float = 300.0
    walking_seconds: float = 120.0
    """An arrival is said when no more than this is left."""
    least_driving_seconds: float = 30.0
    """Nor less for one that drives: it would come too late."""
    fixes: int = 3
    closing_seconds: float = 60.0
    """The distance has been closing for so many fixes, or for so long."""
    closed_accuracies: float = 3.0
    """It has become shorter by so many accuracies at least."""
    straightness: float = 0.5
    """Of each metre that the phone moved since, so much brought it nearer."""
    backwards_m: float = 30.0
    """A distance that grows by so much, or by an accuracy if that is more, ends the approach."""
    away_m: float = 400.0
    away_share: float = 0.5
    """Once said, an approach is over when the phone is this much further away than at its nearest: so many metres,
    and such a share of the distance at which it was said."""
    least_confidence: float = 0.7
    driving_agility: float = 1.0
    walking_agility: float = 0.05
    """By how much the square of the speed wanders per second (m2/s3)."""
    driving_mps: float = 12.0
    walking_mps: float = 1.2
    """What a speed may be before it is known."""
    error_seconds: float = 60.0
    """Position errors stay alike for about so long."""
    fastest_walk_mps: float = 3.5
    """Who closed in faster and now walks has got out of a vehicle; the approach begins anew."""
    gap_seconds: float = 300.0
    """After a longer silence the approach begins anew."""
    forget_seconds: float = 3600.0
    """After a longer one it is forgotten that it was said."""
    least_accuracy_m: float = 5.0
    unknown_accuracy_m: float = 100.0
    """Stands in for an accuracy of zero, by which phones say that they do not know."""

    def limit_seconds(self, mode: Mode) -> float:
        """The most that may be left when an arrival is said."""
        return self.driving_seconds if mode is Mode.VEHICLE else self.walking_seconds

    def least_seconds(self, mode: Mode) -> float:
        """The least."""
        return self.least_driving_seconds if mode is Mode.VEHICLE else 0.0


STORE_APPROACH = ApproachPolicy()
SERVICE_AREA_APPROACH = ApproachPolicy(
    driving_seconds=600.0,
    walking_seconds=0.0,
    fixes=2,
    backwards_m=200.0,
    away_m=3000.0,
)
"""With distances along the road, as `service_area_ahead` gives them."""


class Nearing(msgspec.Struct, frozen=True, gc=False):
    """What one fix says: the distance to the place (to its border, or along the road; at most 0 inside), the metres
    moved since the fix before, the fix's accuracy, and how the phone moves.
    """

    at: float
    distance_m: float
    moved_m: float
    accuracy_m: float
    mode: Mode


class Approach(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is known of one phone and one place. `variance_m2`, `covariance` and `variance_mps2` are the filter's."""

    at: float
    distance_m: float
    closing_mps: float
    variance_m2: float
    covariance: float
    variance_mps2: float
    from_m: float
    """The distance at which the closing in that goes on began."""
    since: float
    fixes: int
    moved_m: float
    nearest_m: float
    """The shortest distance measured: since it began, or since an arrival was said."""
    said_m: float | None = None
    """The distance at which an arrival was said; None when there is none to be got over."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """An arrival to be expected."""

    eta_seconds: float
    distance_m: float
    speed_mps: float
    confidence: float
    """The probability (0..1) that the phone closes in fast enough to be there within the bound."""


def step(
    was: Approach | None, seen: Nearing, policy: ApproachPolicy = STORE_APPROACH
) -> tuple[Approach, Arrival | None]:
    """Take one fix, newer than all before it, into account; None stands for a phone that was not near before."""
    if was is not None and seen.at <= was.at:
        return was, None
    if was is None or seen.at - was.at > policy.forget_seconds:
        return _begun(seen, policy), None
    if _breaks_off(was, seen, policy):
        return _perhaps_gone(_still_said(_begun(seen, policy), was), seen, policy), None
    now = _followed(was, seen, policy)
    if now.said_m is not None:
        return _perhaps_gone(now, seen, policy), None
    if seen.distance_m > was.nearest_m + max(policy.backwards_m, seen.accuracy_m):
        return _begun(seen, policy), None
    arrival = _arrival(now, seen, policy)
    if arrival is None and seen.distance_m > 0:
        return now, None
    return msgspec.structs.replace(now, said_m=max(seen.distance_m, 0.0)), arrival


def unsaid(now: Approach) -> Approach:
    """The same, of which an arrival was not said after all."""
    return msgspec.structs.replace(now, said_m=None)


def _begun(seen: Nearing, policy: ApproachPolicy) -> Approach:
    """A beginning; who is inside already has nothing to be told."""
    speed_mps = policy.driving_mps if seen.mode is Mode.VEHICLE else policy.walking_mps
    return Approach(
        at=seen.at,
        distance_m=seen.distance_m,
        closing_mps=0.0,
        variance_m2=_error_m(seen, policy) ** 2,
        covariance=0.0,
        variance_mps2=speed_mps**2,
        from_m=seen.distance_m,
        since=seen.at,
        fixes=1,
        moved_m=0.0,
        nearest_m=seen.distance_m,
        said_m=0.0 if seen.distance_m <= 0 else None,
    )


def _breaks_off(was: Approach, seen: Nearing, policy: ApproachPolicy) -> bool:
    """Whether what was measured before says nothing of how the phone closes in now."""
    got_out = seen.mode is Mode.WALKING and was.closing_mps > policy.fastest_walk_mps
    return seen.at - was.at > policy.gap_seconds or seen.mode is Mode.STILL or got_out


def _still_said(begun: Approach, was: Approach) -> Approach:
    if was.said_m is None:
        return begun
    return msgspec.structs.replace(begun, nearest_m=min(was.nearest_m, begun.nearest_m), said_m=was.said_m)


def _perhaps_gone(now: Approach, seen: Nearing, policy: ApproachPolicy) -> Approach:
    """The same, or a beginning when the phone has gone away since an arrival was said."""
    if now.said_m is None:
        return now
    gone_m = now.nearest_m + max(policy.away_m, policy.away_share * now.said_m)
    return _begun(seen, policy) if seen.distance_m >= gone_m else now


def _error_m(seen: Nearing, policy: ApproachPolicy) -> float:
    return max(seen.accuracy_m or policy.unknown_accuracy_m, policy.least_accuracy_m)


def _followed(was: Approach, seen: Nearing, policy: ApproachPolicy) -> Approach:
    """The filter's step: a distance that shrinks by a speed, and a speed that wanders (white acceleration). Only the
    part of a fix's error that is not the one before's counts against it.
    """
    elapsed = seen.at - was.at
    agility = policy.driving_agility if seen.mode is Mode.VEHICLE else policy.walking_agility
    distance_m = was.distance_m - was.closing_mps * elapsed
    variance_m2 = was.variance_m2 - 2 * elapsed * was.covariance + elapsed**2 * was.variance_mps2
    variance_m2 += agility * elapsed**3 / 3
    covariance = was.covariance - elapsed * was.variance_mps2 - agility * elapsed**2 / 2
    variance_mps2 = was.variance_mps2 + agility * elapsed
    error_m2 = _error_m(seen, policy) ** 2 * (1 - exp(-elapsed / policy.error_seconds))
    gain = variance_m2 / (variance_m2 + error_m2)
    speed_gain = covariance / (variance_m2 + error_m2)
    surprise_m = seen.distance_m - distance_m
    return Approach(
        at=seen.at,
        distance_m=distance_m + gain * surprise_m,
        closing_mps=was.closing_mps + speed_gain * surprise_m,
        variance_m2=(1 - gain) * variance_m2,
        covariance=(1 - gain) * covariance,
        variance_mps2=variance_mps2 - speed_gain * covariance,
        from_m=was.from_m,
        since=was.since,
        fixes=was.fixes + 1,
        moved_m=was.moved_m + seen.moved_m,
        nearest_m=min(was.nearest_m, seen.distance_m),
        said_m=was.said_m,
    )


def _arrival(now: Approach, seen: Nearing, policy: ApproachPolicy) -> Arrival | None:
    """The arrival that can be said of an approach. Lights and corners lie ahead as they lay behind: it goes by the
    mean speed since the approach began where that is less than the speed now.
    """
    if seen.mode is Mode.STILL or now.distance_m <= 0 or seen.distance_m <= 0 or now.closing_mps <= 0:
        return None
    closed_m = now.from_m - seen.distance_m
    if now.fixes < policy.fixes and (now.fixes < 2 or now.at - now.since < policy.closing_seconds):
        return None
    if closed_m < max(policy.closed_accuracies * seen.accuracy_m, policy.straightness * now.moved_m):
        return None
    speed_mps = min(now.closing_mps, closed_m / (now.at - now.since))
    eta_seconds, limit_seconds = now.distance_m / speed_mps, policy.limit_seconds(seen.mode)
    if not policy.least_seconds(seen.mode) <= eta_seconds <= limit_seconds:
        return None
    margin_mps = speed_mps - now.distance_m / limit_seconds
    confidence = 0.5 + 0.5 * erf(margin_mps / sqrt(2 * now.variance_mps2))
    if confidence < policy.least_confidence:
        return None
    return Arrival(eta_seconds, now.distance_m, speed_mps, confidence)


@dataclass(frozen=True, slots=True)
class ServiceAreaPolicy:
    """Which service areas lie ahead of a phone on a motorway, and can still be reached by their exit."""

    least_mps: float = 15.0
    course_degrees: float = 45.0
    """The course may differ by so much from the area's heading, or from the bearing to it."""
    aside_m: float = 400.0
    aside_share: float = 0.25
    """The area may lie aside of the course by so many metres, and by such a share of the way, for roads bend."""
    least_seconds: float = 30.0
    most_seconds: float = 600.0


MOTORWAY = ServiceAreaPolicy()


def service_area_ahead(
    lon: float,
    lat: float,
    course_deg: float,
    speed_mps: float,
    area_lon: float,
    area_lat: float,
    area_heading_deg: float | None,
    policy: ServiceAreaPolicy = MOTORWAY,
) -> float | None:
    """Metres along the course to a service area, None when it is not one that lies ahead: see
    `service_areas_ahead`.
    """
    heading = np.nan if area_heading_deg is None else area_heading_deg
    lons, lats, headings = np.array([[area_lon], [area_lat], [heading]])
    along_m = service_areas_ahead(lon, lat, course_deg, speed_mps, lons, lats, headings, policy)[0]
    return None if np.isnan(along_m) else float(along_m)


def service_areas_ahead(
    lon: float,
    lat: float,
    course_deg: float,
    speed_mps: float,
    area_lons: Floats,
    area_lats: Floats,
    area_headings_deg: Floats,
    policy: ServiceAreaPolicy = MOTORWAY,
) -> Floats:
    """Metres along a phone's course to each service area; nan where the area is not on its carriageway, not ahead,
    too far aside, or not to be reached in the time that the policy gives. All angles in degrees, courses and headings
    clockwise from north; a heading is the direction of travel that an area serves, nan where it is not known.
    """
    nowhere = np.full(len(area_lons), np.nan)
    if speed_mps < policy.least_mps:
        return nowhere
    centre = Centre(np.array([lon]), np.array([lat]))
    east_m, north_m = to_local(area_lons, area_lats, centre)
    east, north = sin(radians(course_deg)), cos(radians(course_deg))
    along_m, aside_m = east_m * east + north_m * north, east_m * north - north_m * east
    bearings = np.degrees(np.arctan2(east_m, north_m))
    towards = np.where(np.isnan(area_headings_deg), bearings, area_headings_deg)
    off_degrees = np.abs((towards - course_deg + 180.0) % 360.0 - 180.0)
    ahead = (along_m >= policy.least_seconds * speed_mps) & (along_m <= policy.most_seconds * speed_mps)
    ahead &= np.abs(aside_m) <= policy.aside_m + policy.aside_share * along_m
    return np.where(ahead & (off_degrees <= policy.course_degrees), along_m, nowhere)


def course_deg(lon0: float, lat0: float, lon1: float, lat1: float) -> float | None:
    """The course from one fix to another: degrees clockwise from north, 0 up to 360, at the first along the great
    circle (off by at most 0.2 degrees on the ellipsoid). None when both are the same place.
    """
    phi0, phi1, turn = radians(lat0), radians(lat1), radians(lon1 - lon0)
    east = sin(turn) * cos(phi1)
    north = cos(phi0) * sin(phi1) - sin(phi0) * cos(phi1) * cos(turn)
    if (lat0 == lat1 and (lon1 - lon0) % 360.0 == 0.0) or (east == 0.0 and north == 0.0):
        return None
    return degrees(atan2(east, north)) % 360.0
