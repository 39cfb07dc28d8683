"""From a batch of signals to place events: match all fixes in one pass, then take each phone's signals one by one.

Nothing here depends on how a stream was cut into batches: the same signals in the same order give the same events,
which is what makes a replay after a crash harmless.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import hypot
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine import track
from engine.beliefs import ROUGH_ACCURACY_M, STANDARD, DetectionPolicy, Sign
from engine.signals import Fix, Heard
from engine.track import Taken, Telling, Track
from engine.traffic.crowd import Crowd
from engine.traffic.drive import SLOW_MPS, Point, offset_m
from engine.traffic.flow import Flow
from geofences.approach import course_deg, service_areas_ahead
from geofences.beacon import DEFAULT_TX_POWER_DBM, Beacon
from geofences.beacons import Beacons
from geofences.bounds import extent
from geofences.crossing import PASSING, crossings
from geofences.event import PlaceEvent, event_id
from geofences.geofence import Geofence, Kind
from geofences.index import GeofenceIndex
from geofences.presence import beacon_log_odds, reach_m

Floats = NDArray[np.float64]
Distances = tuple[tuple[str, float], ...]


class Signal(NamedTuple):
    """One signal as it arrived."""

    device: str
    received_at: float
    what: Fix | Heard


@dataclass(frozen=True, slots=True)
class ServiceAreas:
    """The service areas on motorways, as columns: they matter from far away."""

    ids: tuple[str, ...]
    lons: Floats
    lats: Floats
    headings: Floats

    @classmethod
    def of(cls, geofences: Iterable[Geofence]) -> "ServiceAreas | None":
        """Those among all geofences; None when there are none."""
        areas = [each for each in geofences if each.kind is Kind.SERVICE_AREA]
        if not areas:
            return None
        corners = np.array([extent(each.shape)[0] for each in areas])
        return cls(
            ids=tuple(each.id for each in areas),
            lons=(corners[:, 0] + corners[:, 2]) / 2,
            lats=(corners[:, 1] + corners[:, 3]) / 2,
            headings=np.array([np.nan if each.heading is None else each.heading for each in areas]),
        )

    def ahead(self, fix: Fix, course: float) -> tuple[tuple[str, float], ...]:
        """Those ahead of a fix, with the distance along the road in metres."""
        along = service_areas_ahead(
            fix.lon, fix.lat, course, fix.speed or 0.0, self.lons, self.lats, self.headings
        )
        return tuple((self.ids[place], float(along[place])) for place in np.flatnonzero(~np.isnan(along)))


@dataclass(slots=True)
class World:
    """What detection knows besides the phones themselves."""

    index: GeofenceIndex = field(default_factory=GeofenceIndex)
    beacons: Beacons = field(default_factory=Beacons)
    crowd: Crowd = field(default_factory=Crowd)
    flow: Flow = field(default_factory=Flow)

    areas: "ServiceAreas | None" = None

    def follow(self, index: GeofenceIndex, beacons: Beacons) -> None:
        """Take over what is there now, after an edit."""
        self.index, self.beacons = index, beacons
        self.areas = ServiceAreas.of(index)


@dataclass(frozen=True, slots=True)
class Detection:
    """What a batch brought: the tracks that changed, the events, and how many signals came too late or twice."""

    tracks: Mapping[str, Track]
    events: Sequence[PlaceEvent]
    late: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Track)


def encode_track(each: Track) -> bytes:
    """A phone's track as the live store keeps it."""
    bare = tuple(Taken(one.sign, None) for one in each.tail)
    return _encoder.encode(msgspec.structs.replace(each, tail=bare))


def decode_track(data: bytes) -> Track:
    """The track that `encode_track` wrote."""
    return _decoder.decode(data)


def only(signals: Sequence[Signal], devices: Container[str]) -> Sequence[Signal]:
    """The signals of these devices, in the same order."""
    return [signal for signal in signals if signal.device in devices]


def detect(
    world: World, tracks: Mapping[str, Track], signals: Sequence[Signal], policy: DetectionPolicy = STANDARD
) -> Detection:
    """Take every signal of the batch, in order of arrival. `tracks` is not changed; new ones are answered."""
    near = _near(world, signals, policy)
    order = _in_turn(signals)
    crossed = _crossings(world.index, tracks, [signals[row] for row in order])
    changed: dict[str, Track] = {}
    events: list[PlaceEvent] = []
    late = 0
    for place, row in enumerate(order):
        device, _, what = signals[row]
        received_at = signals[place].received_at
        was = changed.get(device) or tracks.get(device) or Track()
        was, tellings = track.tick(was, received_at, world.index.get, policy)
        sign = (
            _heard(world.beacons, what, policy)
            if isinstance(what, Heard)
            else _fixed(world, was, what, near[row])
        )
        if sign is None:
            continue
        if isinstance(what, Fix):
            sign = _on_the_road(world, device, was, sign, received_at, policy)
        if place in crossed and sign.order > was.tip.order:
            sign = msgspec.structs.replace(sign, crossed=tuple(crossed[place]))
        taken = track.take(was, sign, signals[row].received_at, world.index.get, policy)
        if taken is None:
            late += 1
            now = was
        else:
            now, more = taken
            tellings = [*tellings, *more]
            if policy.crowd and now.tip.drive and now.tip.drive.last.at == sign.at:
                world.crowd.see(device, now.tip.drive, received_at)
        changed[device] = now
        events += [_event(device, now, each, signals[-1].received_at) for each in tellings]
    return Detection(tracks=changed, events=events, late=late)


def tick(
    world: World, tracks: Mapping[str, Track], now: float, policy: DetectionPolicy = STANDARD
) -> Detection:
    """What is due by the clock at `now` for phones that are silent."""
    changed: dict[str, Track] = {}
    events: list[PlaceEvent] = []
    for device, was in tracks.items():
        later, tellings = track.tick(was, now, world.index.get, policy)
        if tellings:
            changed[device] = later
            events += [_event(device, later, each, now) for each in tellings]
    return Detection(tracks=changed, events=events, late=0)


def _in_turn(signals: Sequence[Signal]) -> list[int]:
    """The rows in the order to take them: arrival, but each phone's own by its clock, as a phone that was offline
    may send what it kept in any order.
    """
    rows: dict[str, list[int]] = {}
    for row, signal in enumerate(signals):
        rows.setdefault(signal.device, []).append(row)
    turn = list(range(len(signals)))
    for places in rows.values():
        if len(places) > 1:
            for place, row in zip(places, sorted(places, key=lambda row: signals[row].what.at), strict=True):
                turn[place] = row
    return turn


def _near(
    world: World, signals: Sequence[Signal], policy: DetectionPolicy
) -> Mapping[int, tuple[Distances, Distances]]:
    """For the row of each fix, every geofence within its reach, and every store whose catchment it is in, with the
    signed distance.
    """
    fixes = [(row, signal.what) for row, signal in enumerate(signals) if isinstance(signal.what, Fix)]
    near: dict[int, list[tuple[str, float]]] = {row: [] for row, _ in fixes}
    stores: dict[int, list[tuple[str, float]]] = {row: [] for row, _ in fixes}
    if not fixes:
        return {}
    lons, lats = np.array([fix.lon for _, fix in fixes]), np.array([fix.lat for _, fix in fixes])
    index = world.index
    matches = index.match(lons, lats, np.array([reach_m(fix.accuracy, policy.presence) for _, fix in fixes]))
    around: list[tuple[int, int]] = []
    for ping, slot, distance_m in zip(
        matches.ping.tolist(), matches.slot.tolist(), matches.distance_m.tolist(), strict=True
    ):
        geofence = index.geofence(slot)
        near[fixes[ping][0]].append((geofence.id, distance_m))
        if distance_m <= 0 and geofence.store and (store := index.slot(geofence.store)) is not None:
            around.append((ping, store))
    if around:
        pings, slots = np.array(around).T
        distances = index.distances(lons[pings], lats[pings], slots)
        for (ping, slot), distance_m in zip(around, distances.tolist(), strict=True):
            stores[fixes[ping][0]].append((index.geofence(slot).id, distance_m))
    return {row: (tuple(near[row]), tuple(stores[row])) for row, _ in fixes}


def _crossings(
    index: GeofenceIndex, tracks: Mapping[str, Track], signals: Sequence[Signal]
) -> Mapping[int, list[tuple[str, float, float, float, int]]]:
    """What each fix, by its place in the batch, passed through since its phone's fix before."""
    last = {
        device: each.tip.drive.last
        for device in {signal.device for signal in signals}
        if (each := tracks.get(device)) and each.tip.drive
    }
    ways: list[tuple[float, ...]] = []
    places: list[int] = []
    for place, (device, _, what) in enumerate(signals):
        if not isinstance(what, Fix) or not 0 < what.accuracy <= ROUGH_ACCURACY_M:
            continue
        now = Point(what.at, what.lon, what.lat, what.accuracy)
        before = last.get(device)
        if before is None or now.at > before.at:
            last[device] = now
            if before is not None and hypot(*offset_m(before, now)) > PASSING.least_mps * (
                now.at - before.at
            ):
                ways.append((before.lon, before.lat, before.at, now.lon, now.lat, now.at))
                places.append(place)
    found: dict[int, list[tuple[str, float, float, float, int]]] = {}
    if not ways:
        return found
    passed = crossings(index, *np.array(ways).T)
    columns = (passed.segment, passed.slot, passed.enter_at, passed.exit_at, passed.depth_m, passed.direction)
    for way, slot, *rest in zip(*(column.tolist() for column in columns), strict=True):
        geofence = index.geofence(slot)
        if geofence.kind is not Kind.CATCHMENT:
            found.setdefault(places[way], []).append((geofence.id, *rest))
    return found


def _fixed(world: World, was: Track, fix: Fix, near: tuple[Distances, Distances]) -> Sign:
    within_reach, ahead = near
    if world.areas and fix.speed and (course := _course(was, fix)) is not None:
        ahead += world.areas.ahead(fix, course)
    return Sign(fix.at, "", within_reach, fix.lon, fix.lat, fix.accuracy, fix.speed, ahead)


def _course(was: Track, fix: Fix) -> float | None:
    """Degrees from north: as the phone says, else from its last fix."""
    if fix.heading is not None or was.tip.drive is None:
        return fix.heading
    last = was.tip.drive.last
    return course_deg(last.lon, last.lat, fix.lon, fix.lat)


def _heard(beacons: Beacons, heard: Heard, policy: DetectionPolicy) -> Sign | None:
    beacon = beacons.get(heard.beacon) if policy.beacons else None
    if beacon is None:
        return None
    said = beacon_log_odds(heard.rssi, _power_dbm(beacon, heard), beacon.path_loss, policy.presence)
    return Sign(heard.at, heard.beacon, ((beacon.geofence, said),))


def _power_dbm(beacon: Beacon, heard: Heard) -> float:
    """The calibrated power: ours before the beacon's own word."""
    if beacon.tx_power_dbm is not None:
        return beacon.tx_power_dbm
    return DEFAULT_TX_POWER_DBM if heard.tx_power is None else heard.tx_power


def _on_the_road(
    world: World, device: str, was: Track, sign: Sign, received_at: float, policy: DetectionPolicy
) -> Sign:
    """The sign with what other phones, and feeds of traffic flow, say of the stretch that its phone is slow on."""
    drive = was.tip.drive
    fast = sign.speed_mps is not None and sign.speed_mps > SLOW_MPS
    if drive is None or fast or not sign.near:
        return sign
    place = Point(sign.at, sign.lon, sign.lat, sign.accuracy_m)
    roads = world.flow.log_odds(place, drive.east, drive.north, received_at)
    if not policy.crowd:
        return msgspec.structs.replace(sign, roads=roads)
    around = world.crowd.around(device, place, drive.east, drive.north, received_at)
    return msgspec.structs.replace(sign, surroundings=around.as_tuple(), roads=roads)


def _event(device: str, now: Track, told: Telling, emitted: float) -> PlaceEvent:
    happening, skew = told.happening, now.skew_seconds
    return PlaceEvent(
        id=event_id(device, happening.geofence, happening.kind, f"{told.cause_at:.3f}"),
        device=device,
        kind=happening.kind,
        geofence=happening.geofence,
        at=_instant(happening.at + skew),
        emitted=_instant(emitted),
        confidence=round(happening.confidence, 4),
        evidence=happening.evidence,
        revision=told.revision,
    )


def _instant(unix_seconds: float) -> datetime:
    return datetime.fromtimestamp(unix_seconds, UTC)
