"""What is believed of one phone, and how one signal changes it. Pure: a signal goes in, new beliefs and what happened
come out; the signal carries all that the step needs to know of the world.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import erfc, hypot, sqrt
from typing import NamedTuple

import msgspec

from engine.traffic import jam
from engine.traffic.drive import (
    METRES_PER_DEGREE,
    ORDINARY_ROAD,
    Drive,
    Point,
    Threefold,
    offset_m,
    same_way,
)
from engine.traffic.drive import met as met_on_the_road
from engine.traffic.drive import step as drive_on
from engine.traffic.jam import TOWN_TRAFFIC, Jam, JamPolicy
from geofences import approach, motion, presence, zones
from geofences.aim import depth_m
from geofences.approach import SERVICE_AREA_APPROACH, STORE_APPROACH, Approach, Nearing
from geofences.beacon import RegionChange
from geofences.event import EventKind
from geofences.geofence import Geofence, Kind
from geofences.motion import Mode, Motion
from geofences.presence import (
    STORE_PRESENCE,
    Evidence,
    Presence,
    PresencePolicy,
    probability,
    stranger,
)
from geofences.zones import SHOP_ZONES, SILENCE, Radio, ZonePolicy, Zones

FORGET_AFTER_SECONDS = 1800.0
"""A phone silent for longer (by its own clock) is met as a new one."""
ROUGH_ACCURACY_M = 150.0
"""A fix by the network, too rough to say how the phone moves."""
IMPOSSIBLE_MPS = 60.0
"""Nobody on the road moves so fast; such a fix says nothing until the next one bears it out."""
NEXT_DOOR_DEGREES = IMPOSSIBLE_MPS / METRES_PER_DEGREE
"""Whoever moved by less has not moved impossibly far in a second, and most have: they need not be measured."""
LEAVING_M = 50.0
"""Out of a catchment by less than this, a phone is still near."""
AT_ONCE_ACCURACIES = 2.0
"""So far inside a catchment, one fix is enough."""
NEARBY_CONFIDENCE = 0.84
"""One accuracy inside the border: what a normal error leaves on this side."""

LEAST_AIM_M = 5.0
"""An approach is said only if the way leads deeper into the place than this, and than a fix may err."""
STANDING_M = 1.0
"""A shorter stretch has no direction."""

Find = Callable[[str], Geofence | None]
CATCHMENT = Kind.CATCHMENT
"""Asked for at each geofence of each fix: a member of an enumeration takes longer to be found than to be compared."""


@dataclass(frozen=True, slots=True)
class DetectionPolicy:
    """All the figures that detection goes by. Parts can be switched off, to see what each is worth."""

    presence: PresencePolicy = STORE_PRESENCE
    zones: ZonePolicy = SHOP_ZONES
    jam: JamPolicy = TOWN_TRAFFIC
    lateness_seconds: float = 120.0
    """Signals may arrive out of order by so much of the phone's own time."""
    driving_mps: float = 5.0
    driving_limit_log_odds: float = 0.3
    """A fix at driving speed says no more than this for being inside: most who drive through a place drive on."""
    seated_log_odds: float = 0.5
    """So much less a fix says for a visit while its phone still seems to sit in a car."""
    jammed_log_odds: float = 0.5
    """And so much less while it is believed to be stuck in traffic; a beacon, which is heard in the street as well, says
    twice as much less."""
    beacons: bool = True
    crowd: bool = True
    roads: bool = True


STANDARD = DetectionPolicy()


class Sign(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One signal of one phone, with what the world said about it when it came. `beacon` is the radio key of the one
    that was heard, "" for a fix; then `near` holds the one geofence that it hangs in, with the log-odds that it gives;
    for a fix every geofence within reach, with the signed distance in metres.

    Defaults here and in what is believed are whole numbers where they can be: the live store keeps each in one byte, for
    a broken one it takes nine, and of most signs most fields are as they were.
    """

    at: float
    beacon: str
    near: tuple[tuple[str, float], ...]
    lon: float = 0.0
    lat: float = 0.0
    accuracy_m: float = 0.0
    speed_mps: float | None = None
    ahead: tuple[tuple[str, float], ...] = ()
    """Where the phone may be heading: the stores whose catchment it is in, with the signed distance to their border,
    and service areas ahead of it, with the distance along the road, in metres."""
    crossed: tuple[tuple[str, float, float, float, int], ...] = ()
    """Geofences passed through since the fix before, without a fix inside: when entered and left (unix seconds), how
    deep (metres), and from which side (see `geofences.crossing`)."""
    surroundings: Threefold = (0, 0, 0)
    """Other phones nearby (see `engine.traffic.crowd`)."""
    road: Threefold = ORDINARY_ROAD
    """What the road here is used to (see `engine.traffic.roads`)."""
    flow: float = 0
    """Log-odds of a jam here, by feeds of traffic flow."""
    by_road: bool = False
    """Near a catchment, where a jam matters."""
    radio: Radio | None = None
    """The beacon that was heard, as it was heard; None for a fix, and where the phone only says that it began or ceased
    to hear it."""
    region: RegionChange | None = None

    @property
    def order(self) -> tuple[float, str]:
        """Signals are taken in this order; two with the same are one told twice."""
        return self.at, self.beacon + self.region if self.region else self.beacon


class Happening(NamedTuple):
    """Something that a step brought about. `at` in unix seconds of the phone's clock."""

    kind: EventKind
    geofence: str
    at: float
    confidence: float
    evidence: Mapping[str, float]
    beacon: str = ""
    zone: str = ""

    @property
    def about(self) -> str:
        """What tells it from others of its kind at its geofence."""
        return self.zone or self.beacon


class Beliefs(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is believed after the signals so far; `order` is that of the newest."""

    order: tuple[float, str]
    presences: dict[str, Presence] = msgspec.field(default_factory=dict)
    drive: Drive | None = None
    jam: Jam = Jam()
    motion: Motion = motion.met()
    nearby: dict[str, bool] = msgspec.field(default_factory=dict)
    """The catchments that the phone is in or beside, and whether that was told."""
    approaches: dict[str, Approach] = msgspec.field(default_factory=dict)
    doubted: Point | None = None
    """A fix that would need an impossible speed."""
    zones: Zones | None = None
    """Of beacons heard; None when none was."""

    @property
    def at(self) -> float:
        """When the newest signal was measured."""
        return self.order[0]


NOTHING = Beliefs(order=(float("-inf"), ""))


def step(was: Beliefs, sign: Sign, find: Find, policy: DetectionPolicy) -> tuple[Beliefs, list[Happening]]:
    """Take one signal into account, later than all before it."""
    if sign.at - was.at > FORGET_AFTER_SECONDS:
        was = Beliefs(order=was.order)
    if sign.beacon:
        return _hear(was, sign, find, policy)
    accuracy_m = sign.accuracy_m
    fix = Point(sign.at, sign.lon, sign.lat, max(5.0, accuracy_m))
    good = 0 < accuracy_m <= ROUGH_ACCURACY_M
    jumped = good and was.drive and _impossible(was.drive.last, fix)
    if jumped and (not was.doubted or _impossible(was.doubted, fix)):
        return msgspec.structs.replace(was, order=sign.order, doubted=fix), []
    presences, happened = _place(was, sign, find, policy)
    around = was.zones and zones.still(was.zones, sign.at, policy.zones)
    if not good:
        return msgspec.structs.replace(was, order=sign.order, presences=presences, zones=around), happened
    if sign.crossed:
        happened += [_crossed(*each, sign) for each in sign.crossed]
    if not (sign.by_road or sign.ahead or was.jam.claimed or was.nearby):
        return Beliefs(sign.order, presences, met_on_the_road(fix), zones=around), happened
    now, moved = _travel(was, presences, around, fix, sign, find, policy)
    return now, happened + moved


def _travel(
    was: Beliefs,
    presences: dict[str, Presence],
    around: Zones | None,
    fix: Point,
    sign: Sign,
    find: Find,
    policy: DetectionPolicy,
) -> tuple[Beliefs, list[Happening]]:
    """How the phone moves by this fix, whether it is stuck, and what it is near to or heads for. Away from catchments
    and motorways nobody asks.
    """
    moved_m = hypot(*offset_m(was.drive.last, fix)) if was.drive else 0.0
    elapsed = fix.at - was.drive.last.at if was.drive else 0.0
    moving = (
        motion.step(was.motion, elapsed, sign.speed_mps, moved_m, fix.accuracy_m) if elapsed else was.motion
    )
    drive = _move(was.drive, fix, sign, presences, find)
    belief, stuck = _judge(was.jam, drive, sign, find, policy)
    nearby, neared = _near(was, sign, moving, find)
    approaches, headed = _head(was, sign, moved_m, moving, find)
    return (
        Beliefs(sign.order, presences, drive, belief, moving, nearby, approaches, zones=around),
        [*stuck, *neared, *headed],
    )


def _near(was: Beliefs, sign: Sign, moving: Motion, find: Find) -> tuple[dict[str, bool], list[Happening]]:
    """The catchments that the phone is in or beside. One that it is clearly in is told once, until the phone is
    clearly out again; by its first fix there only if that is clearer still. Where a phone is when it is met, it has
    not come to.
    """
    distances = dict(sign.near)
    here: dict[str, bool] = {}
    happened: list[Happening] = []
    for geofence_id, distance_m in sign.near:
        geofence = find(geofence_id)
        if geofence is None or geofence.kind is not CATCHMENT:
            continue
        if distance_m > max(LEAVING_M, sign.accuracy_m):
            continue
        told = was.nearby.get(geofence_id)
        if was.drive is None and distance_m <= 0:
            told = True
        here[geofence_id] = bool(told)
        if not told and distance_m <= -sign.accuracy_m * (AT_ONCE_ACCURACIES if told is None else 1.0):
            here[geofence_id] = True
            if distances.get(geofence.store or "", 1.0) > 0:
                happened.append(_nearby(geofence, sign, moving))
    return here, happened


def _nearby(geofence: Geofence, sign: Sign, moving: Motion) -> Happening:
    how, sure = motion.mode(moving)
    evidence = {"accuracy_m": round(sign.accuracy_m, 1), str(how): round(sure, 2)}
    store_m = dict(sign.ahead).get(geofence.store or "")
    if store_m is not None:
        evidence["distance_m"] = round(store_m, 1)
    return Happening(EventKind.NEARBY, geofence.id, sign.at, NEARBY_CONFIDENCE, evidence)


def _crossed(
    geofence_id: str, enter_at: float, exit_at: float, depth_m: float, direction: int, sign: Sign
) -> Happening:
    """Passed through. The deeper the way led, against the accuracy, the surer."""
    evidence = {
        "seconds": round(exit_at - enter_at, 1),
        "depth_m": round(depth_m, 1),
        "accuracy_m": round(sign.accuracy_m, 1),
        "direction": float(direction),
    }
    sure = 1 - 0.5 * erfc(depth_m / max(sign.accuracy_m, 5.0) / sqrt(2))
    return Happening(EventKind.CROSS, geofence_id, enter_at, sure, evidence)


def _head(
    was: Beliefs, sign: Sign, moved_m: float, moving: Motion, find: Find
) -> tuple[dict[str, Approach], list[Happening]]:
    """Follow the way to each place that the phone may be heading for."""
    if not sign.ahead:
        return was.approaches, []
    how, sure = motion.mode(moving)
    approaches = {
        name: each for name, each in was.approaches.items() if sign.at - each.at < FORGET_AFTER_SECONDS
    }
    happened: list[Happening] = []
    for geofence_id, distance_m in sign.ahead:
        geofence = find(geofence_id)
        if geofence is None:
            continue
        by_road = geofence.kind is Kind.SERVICE_AREA
        seen = Nearing(sign.at, distance_m, moved_m, sign.accuracy_m, Mode.VEHICLE if by_road else how)
        approaches[geofence_id], arrival = approach.step(
            was.approaches.get(geofence_id), seen, SERVICE_AREA_APPROACH if by_road else STORE_APPROACH
        )
        aim_m = 0.0
        if arrival is not None and not by_road:
            aim_m = _aim_m(was.drive, sign, geofence, distance_m)
            if aim_m < max(sign.accuracy_m, LEAST_AIM_M):
                approaches[geofence_id], arrival = approach.unsaid(approaches[geofence_id]), None
        if arrival is not None:
            evidence = {
                "eta_seconds": round(arrival.eta_seconds),
                "distance_m": round(arrival.distance_m),
                "speed_mps": round(arrival.speed_mps, 1),
                "aim_m": round(aim_m, 1),
                str(how): round(sure, 2),
            }
            happened.append(Happening(EventKind.APPROACH, geofence_id, sign.at, arrival.confidence, evidence))
    return approaches, happened


def _aim_m(drive: Drive | None, sign: Sign, geofence: Geofence, distance_m: float) -> float:
    """How deep the way of the last half minute or so leads into a place; negative where that way, or the newest
    stretch of it, leads past.
    """
    if drive is None:
        return -distance_m
    here = Point(sign.at, sign.lon, sign.lat, sign.accuracy_m)
    courses = [offset_m(each, here) for each in (drive.bases[0], drive.last)]
    if any(hypot(*each) < STANDING_M for each in courses):
        return -distance_m
    way_m, step_m = depth_m(geofence.shape, sign.lon, sign.lat, courses, distance_m)
    return way_m if step_m > 0 else min(way_m, step_m)


def _hear(was: Beliefs, sign: Sign, find: Find, policy: DetectionPolicy) -> tuple[Beliefs, list[Happening]]:
    ((geofence_id, said),) = sign.near
    geofence = find(geofence_id)
    if geofence is None:
        return msgspec.structs.replace(was, order=sign.order), []
    around, zoned = _zone(was.zones or SILENCE, sign, geofence_id, policy)
    before = was.presences.get(geofence_id) or stranger(_previous_at(was, sign), policy.presence)
    if sign.region:
        said = _by_region(before, sign, around, policy)
    if said > 0 and was.jam.log_odds > 0 and not before.inside:
        said = max(said - 2 * policy.jammed_log_odds, 0.0)
    now, transitions = presence.step(
        before, Evidence(sign.at, said, geofence.dwell_seconds, by_beacon=True), policy.presence
    )
    evidence = {"beacon_log_odds": round(said, 2), "log_odds": round(now.log_odds, 2)}
    happened = [Happening(EventKind(kind), geofence_id, at, sure, evidence) for kind, at, sure in transitions]
    presences = {**was.presences, geofence_id: now}
    heard = msgspec.structs.replace(was, order=sign.order, presences=presences, zones=around)
    return heard, happened + zoned


def _zone(was: Zones, sign: Sign, geofence_id: str, policy: DetectionPolicy) -> tuple[Zones, list[Happening]]:
    """Which part of the store the phone is in by what it hears."""
    radio = sign.radio
    if radio is None:
        begun = sign.region is RegionChange.ENTER
        return zones.begin(was, sign.beacon, geofence_id) if begun else zones.end(was, sign.beacon), []
    now, arrival = zones.hear(was, sign.at, sign.beacon, radio, geofence_id, policy.zones)
    if arrival is None:
        return now, []
    ranging = arrival.ranging
    evidence = {
        "distance_m": round(ranging.distance_m, 1),
        "rssi_dbm": round(ranging.rssi_dbm, 1),
        "hearings": float(ranging.hearings),
        str(ranging.zone): round(arrival.confidence, 2),
    }
    return now, [
        Happening(
            EventKind.ZONE, geofence_id, arrival.at, arrival.confidence, evidence, radio.beacon, radio.zone
        )
    ]


def _by_region(was: Presence, sign: Sign, around: Zones, policy: DetectionPolicy) -> float:
    """What the phone's own word of a beacon says of being in its store: one ceased is none while it hears another."""
    ((geofence_id, _),) = sign.near
    entered = sign.region is RegionChange.ENTER
    if not entered and geofence_id in around.regions.values():
        return 0.0
    return presence.region_log_odds(was, sign.at, policy.presence, entered=entered)


def _previous_at(was: Beliefs, sign: Sign) -> float:
    """The signal before this one; this one itself where that is forgotten, or there was none."""
    return was.at if sign.at - was.at <= FORGET_AFTER_SECONDS else sign.at


def _place(
    was: Beliefs, sign: Sign, find: Find, policy: DetectionPolicy
) -> tuple[dict[str, Presence], list[Happening]]:
    """Step the presence at every geofence within reach, and at those where the phone was believed to be."""
    presences: dict[str, Presence] = {}
    happened: list[Happening] = []
    if not (sign.near or was.presences):
        return presences, happened
    distances: dict[str, float | None] = dict(sign.near)
    for geofence_id in was.presences:
        distances.setdefault(geofence_id)
    for geofence_id, distance_m in distances.items():
        geofence = find(geofence_id)
        if geofence is None or geofence.kind is CATCHMENT:
            continue
        before = was.presences.get(geofence_id) or stranger(_previous_at(was, sign), policy.presence)
        if distance_m is None:
            said = -policy.presence.fix_limit_log_odds
        else:
            said = presence.fix_log_odds(distance_m, sign.accuracy_m, policy.presence, inside=before.inside)
            if not before.inside:
                said = _from_the_road(said, was, sign.speed_mps, policy)
        now, transitions = presence.step(
            before, Evidence(sign.at, said, geofence.dwell_seconds), policy.presence
        )
        if now.inside or distance_m is not None:
            presences[geofence_id] = now
        if transitions:
            evidence = {"accuracy_m": round(sign.accuracy_m, 1), "log_odds": round(now.log_odds, 2)}
            if distance_m is not None:
                evidence["distance_m"] = round(distance_m, 1)
            happened += [
                Happening(EventKind(kind), geofence_id, at, sure, evidence) for kind, at, sure in transitions
            ]
    return presences, happened


def _from_the_road(said: float, was: Beliefs, speed_mps: float | None, policy: DetectionPolicy) -> float:
    """What a fix says for entering, of someone who may be passing by in a car, or stuck in one outside."""
    less = policy.seated_log_odds if was.drive is not None and was.drive.seated else 0.0
    if was.jam.log_odds > 0:
        less += policy.jammed_log_odds
    if less:
        said = max(said - less, -policy.presence.fix_limit_log_odds)
    if speed_mps is not None and speed_mps > policy.driving_mps:
        said = min(said, policy.driving_limit_log_odds)
    return said


def _move(was: Drive | None, fix: Point, sign: Sign, presences: Mapping[str, Presence], find: Find) -> Drive:
    indoors = 0.0
    for geofence_id, each in presences.items():
        geofence = find(geofence_id)
        if geofence is not None and geofence.kind is Kind.STORE:
            indoors = max(indoors, probability(each.log_odds))
    return drive_on(was or met_on_the_road(fix), fix, sign.speed_mps, indoors)


def _judge(
    was: Jam, drive: Drive, sign: Sign, find: Find, policy: DetectionPolicy
) -> tuple[Jam, list[Happening]]:
    said = jam.fix_log_odds(drive, sign.surroundings, sign.road, sign.flow, policy.jam)
    now, transitions = jam.step(was, drive, said, _catchment(sign, drive, find), policy.jam)
    evidence: dict[str, float] = {}
    if transitions:
        evidence = {
            "log_odds": round(now.log_odds, 2),
            "slow_seconds": round(sign.at - drive.run.since, 1) if drive.slow else 0.0,
            "mean_speed_mps": round(drive.mean_60_mps, 2),
            "halts": float(drive.run.halts),
            "driven_m": round(drive.drove_m),
            "others_creeping": sign.surroundings[1],
            "others_passing": sign.surroundings[2],
            "usual_speed_mps": round(sign.road[0], 2),
            "usual_wait_seconds": round(sign.road[1], 1),
            "waited_lately_seconds": round(sign.road[2], 1),
        }
    return now, [
        Happening(EventKind(kind), place, at, sure, evidence) for kind, place, at, sure in transitions
    ]


def _catchment(sign: Sign, drive: Drive, find: Find) -> str:
    """The catchment that the phone is in, the one of the nearest store when in several; "" when in none, or in none that
    is about its direction of travel.
    """
    ahead = dict(sign.ahead)
    best, best_m = "", float("inf")
    for geofence_id, distance_m in sign.near:
        geofence = find(geofence_id)
        if distance_m > 0 or geofence is None or geofence.kind is not CATCHMENT:
            continue
        if geofence.heading is not None and not _heads(drive, geofence.heading):
            continue
        store_m = ahead.get(geofence.store or "", 1e6 + distance_m)
        if store_m < best_m:
            best, best_m = geofence_id, store_m
    return best


def _heads(drive: Drive, heading_deg: float) -> bool:
    """Whether a phone goes about this way (degrees from north), or came so before it was slow; who has no direction may
    go any way.
    """
    east, north = (drive.run.east, drive.run.north) if drive.slow else (drive.east, drive.north)
    return same_way(east, north, heading_deg)


def _impossible(start: Point, end: Point) -> bool:
    if abs(end.lon - start.lon) + abs(end.lat - start.lat) < NEXT_DOOR_DEGREES:
        return False
    moved_m = hypot(*offset_m(start, end)) - 2 * (start.accuracy_m + end.accuracy_m)
    return moved_m > IMPOSSIBLE_MPS * max(end.at - start.at, 1.0)
