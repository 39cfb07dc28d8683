"""The running figures of beacons in the live store: a worker adds what its batches heard, health reads them.

Phones are counted by HyperLogLogs of hashes under a key that is drawn anew each day and kept no longer than its
counts, so that afterwards nobody can ask whether a certain phone was there. Where phones were is compared with where
the beacon should be in memory, and leaves it as counts and sums only.
"""

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import pairwise
from typing import Any, cast

import msgspec
import numpy as np

from engine.batch import Batch
from engine.live import FLEET_PREFIX, Live
from engine.passers import Passers
from engine.round_trip import raised
from geofences.beacon import Beacon, RegionChange
from geofences.beacons import Beacons
from geofences.fleet import Figures
from geofences.index import GeofenceIndex

FLUSH_SECONDS = 5.0
"""What a worker heard is added so often; what a crash loses of it are counts."""
FIGURES_KEPT_SECONDS = 35 * 86_400
"""Figures of a beacon, or of a place, of which nothing is heard any more are gone after this."""
DAY_KEPT_SECONDS = 2 * 86_400
"""Figures about phones, from the last hearing of their day."""
APART_SECONDS = 600
"""Hearings near and far within this time of each other cannot be of one beacon that was carried."""
REACH_M = 100.0
"""Farther than this no beacon is heard."""
FIX_AGE_SECONDS = 20.0
FASTEST_MPS = 20.0
"""A phone may have moved so fast since its fix."""
ROUGH_M = 100.0
"""A fix that is less accurate tells nothing of a beacon."""
METRES_PER_DEGREE = 111_320.0
NEAR, FAR = "near", "far"
_encoder = msgspec.msgpack.Encoder()


@dataclass(slots=True)
class _Heard:
    """What was heard of one beacon since the last flush."""

    place: str
    hearings: int = 0
    last_at: float = 0.0
    battery_mv: float | None = None
    sides: list[tuple[float, str]] = field(default_factory=list)
    far_m: float = 0.0
    far: int = 0
    phones: dict[str, set[str]] = field(default_factory=lambda: {"heard": set(), NEAR: set(), FAR: set()})


class FleetFigures:
    """One worker's, or one reader's, door to the figures. One thread uses it."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._add = live.batched("fleet")
        self._heard: dict[str, _Heard] = {}
        self._salts: dict[int, bytes] = {}
        self._flushed_at = time.monotonic()

    def take(self, index: GeofenceIndex, beacons: Beacons, signals: Batch, passers: Passers) -> None:
        """Hear a batch of phones that may be heard; `passers` know where they were last, the batch included."""
        placed: list[tuple[Beacon, str, float, float, float, float, float]] = []
        for row, what in signals.heard.items():
            beacon = beacons.get(what.beacon)
            if beacon is None or what.region is RegionChange.EXIT:
                continue
            device, received_at = signals.devices[row], float(signals.columns[0, row])
            each = self._heard.get(beacon.id)
            if each is None or each.place != beacon.geofence:
                each = self._heard[beacon.id] = _Heard(beacon.geofence)
            each.hearings += 1
            each.last_at = max(each.last_at, received_at)
            each.battery_mv = what.battery_mv or each.battery_mv
            each.phones["heard"].add(self._hash(device, received_at))
            fix = passers.last(device)
            if fix is None:
                continue
            fix_at, lon, lat, accuracy_m, _ = fix
            if abs(fix_at - what.at) <= FIX_AGE_SECONDS and accuracy_m <= ROUGH_M:
                slack_m = 2 * accuracy_m + FASTEST_MPS * abs(fix_at - what.at)
                placed.append((beacon, device, received_at, what.at, lon, lat, slack_m))
        if placed:
            self._place(index, placed)

    def _place(
        self, index: GeofenceIndex, placed: Sequence[tuple[Beacon, str, float, float, float, float, float]]
    ) -> None:
        """Compare where phones were with where the beacon should be; what is neither near nor far says nothing."""
        beacons = [each[0] for each in placed]
        lons, lats, slacks = (np.array([each[column] for each in placed]) for column in (4, 5, 6))
        away = _distances_m(index, beacons, lons, lats)
        for (beacon, device, received_at, at, *_), away_m, slack_m in zip(
            placed, away.tolist(), slacks.tolist(), strict=True
        ):
            side = FAR if away_m - slack_m > REACH_M else NEAR if away_m <= REACH_M else None
            if side is None:
                continue
            each = self._heard[beacon.id]
            each.sides.append((at, side))
            each.phones[side].add(self._hash(device, received_at))
            if side == FAR:
                each.far_m += away_m
                each.far += 1

    def _hash(self, device: str, received_at: float) -> str:
        day = int(received_at // 86_400)
        if day not in self._salts:
            key = f"{FLEET_PREFIX}salt:{day}"
            self._live.client.set(key, secrets.token_bytes(16), nx=True, ex=DAY_KEPT_SECONDS)
            self._salts = {day: cast("bytes", self._live.client.get(key))}
        return blake2b(device.encode(), key=self._salts[day], digest_size=8).hexdigest()

    def flush(self, now: float, *, at_once: bool = False) -> None:
        """Add what was heard to the live store, in one call; not more often than every `FLUSH_SECONDS`, unless told.
        `now` in unix seconds.
        """
        if not self._heard or not (at_once or time.monotonic() - self._flushed_at >= FLUSH_SECONDS):
            return
        self._flushed_at = time.monotonic()
        rows = [_row(name, each) for name, each in self._heard.items()]
        self._heard = {}
        args = [int(now // 3600), int(now // 86_400), FIGURES_KEPT_SECONDS, DAY_KEPT_SECONDS, APART_SECONDS]
        raised(self._add([((FLEET_PREFIX,), [*args, _encoder.encode(rows)])]))

    def read(self, beacons: Iterable[Beacon], now: float) -> dict[str, Figures]:
        """The figures of these beacons, by id; those of one never heard are empty. `now` in unix seconds."""
        beacons = list(beacons)
        today = int(now // 86_400)
        with self._live.pipeline() as pipeline:
            for beacon in beacons:
                pipeline.hgetall(f"{FLEET_PREFIX}b:{beacon.id}")
                pipeline.hget(f"{FLEET_PREFIX}p:{beacon.geofence}", "hours")
                days = [f"{FLEET_PREFIX}d:{day}:{beacon.id}" for day in (today, today - 1)]
                for day in days:
                    pipeline.hmget(day, "changes", "far_sum", "far_n")
                for side in ("heard", NEAR, FAR):
                    pipeline.pfcount(*(f"{day}:{side}" for day in days))
            answers = pipeline.execute()
        return {
            beacon.id: _figures(beacon, *answers[7 * number : 7 * number + 7])
            for number, beacon in enumerate(beacons)
        }


def _distances_m(index: GeofenceIndex, beacons: Sequence[Beacon], lons: Any, lats: Any) -> Any:
    """How far each position is from its beacon, or from the border of its place where that is all that is known."""
    own = np.array(
        [(np.nan, np.nan) if b.lon is None or b.lat is None else (b.lon, b.lat) for b in beacons], dtype=float
    )
    east = ((lons - own[:, 0] + 180) % 360 - 180) * np.cos(np.radians(lats))
    away = np.hypot(east, lats - own[:, 1]) * METRES_PER_DEGREE
    rows = [
        row for row, b in enumerate(beacons) if np.isnan(away[row]) and index.slot(b.geofence) is not None
    ]
    if rows:
        slots = np.array([index.slot(beacons[row].geofence) for row in rows], np.int64)
        away[rows] = np.maximum(index.distances(lons[rows], lats[rows], slots), 0.0)
    return away


def _row(beacon_id: str, each: _Heard) -> list[Any]:
    """As the script takes it."""
    sides = sorted(each.sides)
    changes = sum(one[1] != other[1] and other[0] - one[0] <= APART_SECONDS for one, other in pairwise(sides))
    ends = [sides[0][1], f"{sides[0][0]:.3f}", sides[-1][1], f"{sides[-1][0]:.3f}"] if sides else []
    battery = "" if each.battery_mv is None else f"{each.battery_mv:.1f}"
    counts = [list(each.phones[name]) for name in ("heard", NEAR, FAR)]
    return [
        beacon_id,
        each.place,
        each.hearings,
        f"{each.last_at:.3f}",
        battery,
        ends,
        changes,
        round(each.far_m),
        each.far,
        *counts,
    ]


def _figures(
    beacon: Beacon,
    told: Mapping[bytes, bytes],
    place_hours: bytes | None,
    today: Sequence[bytes | None],
    yesterday: Sequence[bytes | None],
    phones: int,
    near: int,
    far: int,
) -> Figures:
    if told.get(b"place") != beacon.geofence.encode():
        return Figures()
    changes, far_sum, far_n = (
        int(one or 0) + int(other or 0) for one, other in zip(today, yesterday, strict=True)
    )
    last = int(told[b"place_last"])
    return Figures(
        hearings=int(told[b"hearings"]),
        first_at=float(told[b"first"]),
        last_at=float(told[b"last"]),
        hours=int(told[b"hours"]),
        place_hours=last - int(told[b"place_first"]) + 1,
        quiet_hours=max(int(place_hours or 0) - last, 0),
        battery_mv=float(told[b"battery"]) if b"battery" in told else None,
        phones=phones,
        near_phones=near,
        far_phones=far,
        far_m=far_sum / far_n if far_n else None,
        changes=changes,
    )
