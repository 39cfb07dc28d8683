"""From a batch of signals to place events: match all fixes in one pass, then take each phone's signals one by one.

Nothing here depends on how a stream was cut into batches: the same signals in the same order give the same events,
which is what makes a replay after a crash harmless.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
import numpy as np

from engine import track
from engine.beliefs import STANDARD, DetectionPolicy, Sign
from engine.signals import Fix, Heard
from engine.track import Taken, Telling, Track
from engine.traffic.crowd import Crowd
from engine.traffic.drive import Point
from geofences.beacon import DEFAULT_TX_POWER_DBM, Beacon
from geofences.beacons import Beacons
from geofences.event import PlaceEvent, event_id
from geofences.geofence import Geofence
from geofences.index import GeofenceIndex
from geofences.presence import beacon_log_odds, reach_m


class Signal(NamedTuple):
    """One signal as it arrived."""

    device: str
    received_at: float
    what: Fix | Heard


@dataclass(slots=True)
class World:
    """What detection knows besides the phones themselves."""

    index: GeofenceIndex
    beacons: Beacons = field(default_factory=Beacons)
    crowd: Crowd = field(default_factory=Crowd)

    def find(self, geofence_id: str) -> Geofence | None:
        """The geofence of an id, if there is one now."""
        slot = self.index.slot(geofence_id)
        return None if slot is None else self.index.geofence(slot)


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
    changed: dict[str, Track] = {}
    events: list[PlaceEvent] = []
    late = 0
    for place, row in enumerate(order):
        device, _, what = signals[row]
        received_at = signals[place].received_at
        was = changed.get(device) or tracks.get(device) or Track()
        was, tellings = track.tick(was, received_at, world.find, policy)
        sign = _heard(world.beacons, what, policy) if isinstance(what, Heard) else _fixed(what, near[row])
        if sign is None:
            continue
        if isinstance(what, Fix) and was.tip.drive and policy.crowd:
            sign = _in_the_crowd(world.crowd, device, was, sign, received_at)
        taken = track.take(was, sign, signals[row].received_at, world.find, policy)
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
        later, tellings = track.tick(was, now, world.find, policy)
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
) -> Mapping[int, tuple[tuple[str, float], ...]]:
    """For the row of each fix, every geofence within its reach with the signed distance."""
    rows = [row for row, signal in enumerate(signals) if isinstance(signal.what, Fix)]
    near: dict[int, list[tuple[str, float]]] = {row: [] for row in rows}
    if rows:
        places = np.array(
            [(what.lon, what.lat) for row in rows if isinstance(what := signals[row].what, Fix)]
        )
        reaches = np.array(
            [
                reach_m(what.accuracy, policy.presence)
                for row in rows
                if isinstance(what := signals[row].what, Fix)
            ]
        )
        matches = world.index.match(places[:, 0], places[:, 1], reaches)
        for ping, slot, distance_m in zip(
            matches.ping.tolist(), matches.slot.tolist(), matches.distance_m.tolist(), strict=True
        ):
            near[rows[ping]].append((world.index.geofence(slot).id, distance_m))
    return {row: tuple(each) for row, each in near.items()}


def _fixed(fix: Fix, near: tuple[tuple[str, float], ...]) -> Sign:
    return Sign(fix.at, "", near, fix.lon, fix.lat, fix.accuracy, fix.speed)


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


def _in_the_crowd(crowd: Crowd, device: str, was: Track, sign: Sign, received_at: float) -> Sign:
    drive = was.tip.drive
    if drive is None or not sign.near:
        return sign
    place = Point(sign.at, sign.lon, sign.lat, sign.accuracy_m)
    around = crowd.around(device, place, drive.east, drive.north, received_at)
    return msgspec.structs.replace(sign, surroundings=around.as_tuple())


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
