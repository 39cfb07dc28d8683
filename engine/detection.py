"""From a batch of signals to place events: match all fixes in one pass, then take each phone's signals one by one.

Nothing here depends on how a stream was cut into batches: the same signals in the same order give the same events,
which is what makes a replay after a crash harmless.
"""

from collections.abc import Container, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine import track
from engine.batch import Batch
from engine.beliefs import ROUGH_ACCURACY_M, STANDARD, DetectionPolicy, Sign
from engine.earshot import Earshot
from engine.passers import Passers
from engine.signals import Fix, Heard, Signal
from engine.track import Telling, Track
from engine.traffic.crowd import Crowd, Surroundings
from engine.traffic.drive import ORDINARY_ROAD, SLOW_MPS, Point
from engine.traffic.flow import Flow
from engine.traffic.roads import Roads
from geofences.approach import course_deg, service_areas_ahead
from geofences.beacon import DEFAULT_TX_POWER_DBM, Beacon
from geofences.beacons import Beacons
from geofences.bounds import extent
from geofences.crossing import Ways, passed
from geofences.event import PlaceEvent, event_id
from geofences.geofence import Geofence, Kind
from geofences.index import GeofenceIndex, Matches
from geofences.presence import beacon_log_odds, reaches_m
from geofences.zones import Radio

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Distances = tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class ServiceAreas:
    """The service areas on motorways, as columns: they matter from far away."""

    ids: tuple[str, ...]
    lons: Floats
    lats: Floats
    headings: Floats

    @classmethod
    def of(cls, areas: Sequence[Geofence]) -> "ServiceAreas | None":
        """These; None when there are none."""
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
    """What detection knows besides the phones that it follows."""

    index: GeofenceIndex = field(default_factory=GeofenceIndex)
    beacons: Beacons = field(default_factory=Beacons)
    crowd: Crowd = field(default_factory=Crowd)
    roads: Roads = field(default_factory=Roads)
    flow: Flow = field(default_factory=Flow)
    passers: Passers = field(default_factory=Passers)

    areas: "ServiceAreas | None" = None
    earshot: Earshot = field(init=False)
    areas_edition: int = -1

    def __post_init__(self) -> None:
        self.earshot = Earshot(self.index)
        self.follow(self.index, self.beacons)

    def follow(self, index: GeofenceIndex, beacons: Beacons) -> None:
        """Take over what is there now, after an edit."""
        self.beacons = beacons
        if index is not self.index:
            self.index, self.earshot, self.areas_edition = index, Earshot(index), -1
        if (edition := index.edition(Kind.SERVICE_AREA)) != self.areas_edition:
            self.areas_edition = edition
            self.areas = ServiceAreas.of(index.of_kind(Kind.SERVICE_AREA))
            lons, lats = (self.areas.lons, self.areas.lats) if self.areas else (None, None)
            self.earshot.follow_areas(lons, lats)

    def forget(self, device: str) -> None:
        """Drop a phone at once, as when its consent has gone."""
        self.crowd.forget(device)
        self.passers.forget(device)


@dataclass(frozen=True, slots=True)
class Detection:
    """What a batch brought: the tracks that changed (None: no longer followed), the events, and of each signal that came
    too late or twice the device.
    """

    tracks: Mapping[str, Track | None]
    events: Sequence[PlaceEvent]
    late: Sequence[str] = ()


def detect(
    world: World,
    tracks: Mapping[str, Track | None],
    signals: Sequence[Signal],
    policy: DetectionPolicy = STANDARD,
) -> Detection:
    """Take every signal of the batch, in order of arrival. `tracks` is not changed; new ones are answered.

    A phone is followed from the first signal that is near something until it has been near nothing for a while;
    of all others only the last fix is kept, without looking at them one by one.
    """
    signals = Batch.of(signals)
    seen = _look(world, signals, policy)
    followed = {device for device, each in tracks.items() if each is not None}
    followed.update(signals.devices[row] for row in seen.concerned)
    rows, received_at = _in_turn(signals, followed)
    changed: dict[str, Track | None] = {}
    events: list[PlaceEvent] = []
    late: list[str] = []
    emitted = float(signals.columns[0, -1]) if len(signals) else 0.0
    find = world.index.catalogue.get
    for row, now_at, signal in zip(rows, received_at, signals.each(rows), strict=True):
        device = signal.device
        was = changed[device] if device in changed else tracks.get(device)
        if was is None:
            if row not in seen.concerned:
                continue
            was = _met(seen.before.get(row), world, policy)
        was, tellings = track.tick(was, now_at, find, policy)
        sign = _sign(world, device, was, signal, seen, row, now_at, policy)
        if sign is None:
            continue
        taken = track.take(was, sign, signal.received_at, find, policy)
        if taken is None:
            late.append(device)
            now = was
        else:
            now, more = taken
            tellings = [*tellings, *more]
            if sign.by_road:
                _remember(world, device, (was, now), sign.at, now_at, policy)
        events += [_event(device, now, each, emitted) for each in tellings]
        changed[device] = None if row not in seen.concerned and track.is_over(now, policy) else now
    return Detection(tracks=changed, events=events, late=late)


def _remember(
    world: World,
    device: str,
    tracks: tuple[Track, Track],
    at: float,
    received_at: float,
    policy: DetectionPolicy,
) -> None:
    """What a fix tells about the road, for the phones after this one, by the tracks before and after it."""
    before, drive = (each.tip.drive for each in tracks)
    if drive is None or drive.last.at != at:
        return
    if policy.crowd:
        world.crowd.see(device, drive, received_at)
    if policy.roads and before is not None and before.last.at < at:
        world.roads.see(before, drive, received_at)


def tick(
    world: World, tracks: Mapping[str, Track], now: float, policy: DetectionPolicy = STANDARD
) -> Detection:
    """What is due by the clock at `now` for phones that are silent."""
    changed: dict[str, Track | None] = {}
    events: list[PlaceEvent] = []
    for device, was in tracks.items():
        later, tellings = track.tick(was, now, world.index.get, policy)
        if tellings:
            changed[device] = later
            events += [_event(device, later, each, now) for each in tellings]
    return Detection(tracks=changed, events=events)


def _in_turn(signals: Batch, devices: Container[str]) -> tuple[list[int], list[float]]:
    """The rows of these devices in the order to take them, and when the turn of each was: arrival, but each phone's own
    by its clock, as a phone that was offline may send what it kept in any order.
    """
    places = [row for row, device in enumerate(signals.devices) if device in devices]
    received_at, at = signals.columns[:2, places].tolist()
    own: dict[str, list[int]] = {}
    for number, row in enumerate(places):
        own.setdefault(signals.devices[row], []).append(number)
    if len(own) == len(places):
        return places, received_at
    turn = list(places)
    for numbers in own.values():
        if len(numbers) > 1:
            for number, chosen in zip(numbers, sorted(numbers, key=at.__getitem__), strict=True):
                turn[number] = places[chosen]
    return turn, received_at


class _Seen(NamedTuple):
    """What the batch looks like all at once, by row: which signals are near something, which are near a catchment;
    what is within reach (with signed distances), the fix of the same phone before, and what lay between the two.
    """

    concerned: AbstractSet[int]
    by_road: AbstractSet[int]
    near: Mapping[int, tuple[Distances, Distances]]
    before: Mapping[int, Point]
    crossed: Mapping[int, list[tuple[str, float, float, float, int]]]


def _look(world: World, signals: Batch, policy: DetectionPolicy) -> _Seen:
    heard = {
        row
        for row, what in signals.heard.items()
        if policy.beacons and world.beacons.place(what.beacon) is not None
    }
    rows = _fixes(signals)
    if not len(rows):
        return _Seen(heard, frozenset(), {}, {}, {})
    _, _, lats, lons, accuracies, speeds, _ = signals.columns[:, rows]
    ends, before, now = _ways(world.passers, signals, rows, accuracies)
    known = np.flatnonzero(~np.isnan(before[0]))
    (at0, lon0, lat0), (at1, lon1, lat1) = before[:3, known], now[:3, known]
    ways = Ways.between(lon0, lat0, at0, lon1, lat1, at1)
    fixes = (lons, lats, reaches_m(accuracies, policy.presence))
    # Fixes and middles of ways at once: for few of either the number of passes counts, and not their length.
    matches = world.index.match(*map(np.concatenate, zip(fixes, ways.middles(), strict=True)))
    around_fixes, around_ways = matches.parted(len(rows))
    near = _near(world.index, rows, lons, lats, around_fixes)
    crossed = _crossings(world.index, ways, around_ways, ends[known])
    by_road = set(rows[world.earshot.of_catchments(lons, lats)].tolist())
    on_motorway = rows[world.earshot.of_service_areas(lons, lats, speeds)].tolist()
    concerned = heard | near.keys() | crossed.keys() | by_road | set(on_motorway)
    return _Seen(concerned, by_road, near, _points(before, ends, concerned, len(signals)), crossed)


def _points(before: Floats, ends: Rows, concerned: AbstractSet[int], count: int) -> Mapping[int, Point]:
    """The fix of the same phone before each of these rows, where it is known."""
    asked = np.zeros(count, bool)
    asked[list(concerned)] = True
    places = np.flatnonzero(asked[ends] & ~np.isnan(before[0]))
    rows, fixes = ends[places].tolist(), before[:4, places].T.tolist()
    return {row: Point(*fix) for row, fix in zip(rows, fixes, strict=True)}


def recall(world: World, signals: Batch) -> None:
    """Learn where phones were from signals that were taken before."""
    rows = _fixes(signals)
    _ways(world.passers, signals, rows, signals.columns[4, rows])


def _fixes(signals: Batch) -> Rows:
    rows = np.arange(len(signals))
    return np.delete(rows, list(signals.heard)) if signals.heard else rows


def _ways(passers: Passers, signals: Batch, rows: Rows, accuracies: Floats) -> tuple[Rows, Floats, Floats]:
    """The rows of fixes that are good enough, the fix of the same phone before each, and they themselves."""
    good = rows[(accuracies > 0) & (accuracies <= ROUGH_ACCURACY_M)]
    devices, now = signals.devices, signals.columns[[1, 3, 2, 4, 0]]
    if len(good) < len(signals):
        devices, now = [devices[row] for row in good.tolist()], now[:, good]
    return good, passers.take(devices, now) if len(good) else now, now


def _near(
    index: GeofenceIndex, rows: Rows, lons: Floats, lats: Floats, matches: Matches
) -> Mapping[int, tuple[Distances, Distances]]:
    """For the row of each fix that has any, every geofence within its reach, and every store whose catchment it is
    in, with the signed distance.
    """
    near: dict[int, list[tuple[str, float]]] = {}
    around: list[tuple[int, int]] = []
    for ping, slot, distance_m in zip(
        matches.ping.tolist(), matches.slot.tolist(), matches.distance_m.tolist(), strict=True
    ):
        geofence = index.geofence(slot)
        near.setdefault(ping, []).append((geofence.id, distance_m))
        if distance_m <= 0 and geofence.store and (store := index.slot(geofence.store)) is not None:
            around.append((ping, store))
    stores: dict[int, list[tuple[str, float]]] = {}
    if around:
        pings, slots = np.array(around).T
        distances = index.distances(lons[pings], lats[pings], slots)
        for (ping, slot), distance_m in zip(around, distances.tolist(), strict=True):
            stores.setdefault(ping, []).append((index.geofence(slot).id, distance_m))
    pings = list(near)
    return {
        row: (tuple(near[ping]), tuple(stores.get(ping, ())))
        for row, ping in zip(rows[pings].tolist(), pings, strict=True)
    }


def _crossings(
    index: GeofenceIndex, ways: Ways, matches: Matches, ends: Rows
) -> Mapping[int, list[tuple[str, float, float, float, int]]]:
    """What each way passed through, by the row of the fix at its end."""
    found: dict[int, list[tuple[str, float, float, float, int]]] = {}
    what = passed(index, ways, matches)
    columns = (ends[what.segment], what.slot, what.enter_at, what.exit_at, what.depth_m, what.direction)
    for row, slot, *rest in zip(*(column.tolist() for column in columns), strict=True):
        geofence = index.geofence(slot)
        if geofence.kind is not Kind.CATCHMENT:
            found.setdefault(row, []).append((geofence.id, *rest))
    return found


def _met(before: Point | None, world: World, policy: DetectionPolicy) -> Track:
    """A phone that comes near something, with the fix before that if there was one."""
    if before is None:
        return Track()
    sign = Sign(before.at, "", (), before.lon, before.lat, before.accuracy_m)
    taken = track.take(Track(), sign, before.at, world.index.get, policy)
    return msgspec.structs.replace(taken[0], lag_seconds=float("inf"), signals=0) if taken else Track()


def _sign(
    world: World,
    device: str,
    was: Track,
    signal: Signal,
    seen: _Seen,
    row: int,
    received_at: float,
    policy: DetectionPolicy,
) -> Sign | None:
    """The signal with what the world says of it. None for a beacon that is not ours."""
    what = signal.what
    if isinstance(what, Heard):
        return _heard(world.beacons, what, policy)
    sign = _fixed(world, was, what, seen.near.get(row, ((), ())), by_road=row in seen.by_road)
    if sign.by_road:
        sign = _on_the_road(world, device, was, sign, received_at, policy)
    if row in seen.crossed and sign.order > was.tip.order:
        sign = msgspec.structs.replace(sign, crossed=tuple(seen.crossed[row]))
    return sign


def _fixed(world: World, was: Track, fix: Fix, near: tuple[Distances, Distances], *, by_road: bool) -> Sign:
    within_reach, ahead = near
    if world.areas and fix.speed and (course := _course(was, fix)) is not None:
        ahead += world.areas.ahead(fix, course)
    return Sign(fix.at, "", within_reach, fix.lon, fix.lat, fix.accuracy, fix.speed, ahead, by_road=by_road)


def _course(was: Track, fix: Fix) -> float | None:
    """Degrees from north: as the phone says, else from its last fix."""
    if fix.heading is not None or was.tip.drive is None:
        return fix.heading
    last = was.tip.drive.last
    return course_deg(last.lon, last.lat, fix.lon, fix.lat)


def _heard(beacons: Beacons, heard: Heard, policy: DetectionPolicy) -> Sign | None:
    place = beacons.place(heard.beacon) if policy.beacons else None
    if place is None:
        return None
    if heard.rssi is None:
        return Sign(heard.at, heard.beacon, ((place, 0.0),), region=heard.region)
    beacon = beacons.get(heard.beacon)
    if beacon is None:
        return None
    power_dbm = _power_dbm(beacon, heard)
    said = beacon_log_odds(heard.rssi, power_dbm, beacon.path_loss, policy.presence)
    radio = Radio(heard.rssi, power_dbm, beacon.path_loss, beacon.id, beacon.zone or "")
    return Sign(heard.at, heard.beacon, ((beacon.geofence, said),), radio=radio)


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
    others = Surroundings()
    if policy.crowd:
        others = world.crowd.around(device, place, drive.east, drive.north, received_at)
    return msgspec.structs.replace(
        sign,
        surroundings=others.as_tuple(),
        road=world.roads.around(place, drive, received_at) if policy.roads else ORDINARY_ROAD,
        flow=world.flow.log_odds(place, drive.east, drive.north, received_at),
    )


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
        beacon=happening.beacon or None,
        zone=happening.zone or None,
    )


def _instant(unix_seconds: float) -> datetime:
    return datetime.fromtimestamp(unix_seconds, UTC)
