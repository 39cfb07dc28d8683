"""How well distances to beacons are told: the filter against a single hearing's path loss, on measured positions.

Readings are CSV. Either one hearing a line: ``ts`` (unix time), ``sensor``, ``rssi`` (dBm); or all that was heard at a
time: ``ts``, and ``rssi_NAME`` for each sensor, empty where it heard nothing. Both say where the radio was: ``x``, ``y``
and perhaps ``z`` (metres), in the axes of the sensors. These are CSV as well: ``mac`` or ``id``, ``x``, ``y``, ``z``. Any
may end in ``.gz``.
"""

import csv
import gzip
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from engine.recordings.recorded import Unreadable
from geofences.ranging import SHOP_RANGING, Ranging, calibrate, distance_m, nearest, step

WIDE_PREFIX = "rssi_"
NANOSECONDS_FROM = 1e14
"""A time so large counts nanoseconds."""
PATH_LOSS_LIMITS = (1.0, 6.0)
"""A fit outside of these is no radio's; the fit over all sensors takes its place."""


class Reading(NamedTuple):
    """One hearing, with the true distance to each sensor in metres."""

    at: float
    sensor: str
    rssi_dbm: float
    distances_m: Mapping[str, float]


class Errors(NamedTuple):
    """Of distances, in metres and as factors (of the natural logarithm); how often the wrong sensor was taken for the
    nearest, how much farther the one taken was on average, and how often another was taken, per minute.
    """

    median_m: float
    p90_m: float
    log_ratio: float
    wrong_sensor: float
    farther_m: float
    changes: float


class _Told(NamedTuple):
    """What was said at one hearing: how far its sensor, and which is the nearest."""

    at: float
    metres: float
    nearest: str


def read_readings(sensors: Path, readings: Path, height_m: float = 0.0) -> list[Reading]:
    """The hearings of a file, oldest first; `height_m` is the radio's where a line does not say ``z``. Raises
    `Unreadable`.
    """
    places = {
        row.get("mac") or row.get("id") or "": _place(row, height_m)
        for _, row in _rows(sensors, ("x", "y", "z"))
    }
    found = []
    for number, row in _rows(readings, ("ts", "x", "y")):
        try:
            here = _place(row, height_m)
            away = {name: float(np.linalg.norm(place - here)) for name, place in places.items()}
            at = float(row["ts"])
            at = at / 1e9 if at > NANOSECONDS_FROM else at
            found += [Reading(at, name, rssi, away) for name, rssi in _heard(row) if name in places]
        except ValueError as error:
            raise Unreadable(f"{readings}, line {number}: {error}") from None
    if not found:
        raise Unreadable(f"{readings}: nothing that a sensor of {sensors} heard")
    return sorted(found, key=lambda each: each.at)


def calibrated(readings: Sequence[Reading]) -> Mapping[str, tuple[float, float]]:
    """Power at one metre and path-loss exponent of each sensor."""
    together = _fit(readings)
    fits = {}
    for sensor in readings[0].distances_m:
        own = [each for each in readings if each.sensor == sensor]
        try:
            fits[sensor] = _fit(own)
        except ValueError:
            fits[sensor] = together
        if not PATH_LOSS_LIMITS[0] <= fits[sensor][1] <= PATH_LOSS_LIMITS[1]:
            fits[sensor] = together
    return fits


def compare(readings: Sequence[Reading], radios: Mapping[str, tuple[float, float]]) -> tuple[Errors, Errors]:
    """Errors of single hearings, and of the filter; each told as the hearing comes, never looking ahead."""
    beliefs: dict[str, Ranging] = {}
    raw: dict[str, tuple[float, float]] = {}
    by: str | None = None
    plain, filtered = [], []
    for at, sensor, rssi, _ in readings:
        power, path_loss = radios[sensor]
        now = beliefs[sensor] = step(beliefs.get(sensor), at, rssi, power, path_loss)
        raw[sensor] = (at, rssi)
        fresh = {name: each[1] for name, each in raw.items() if at - each[0] <= SHOP_RANGING.stale_seconds}
        loudest = max(fresh, key=lambda name: fresh[name])
        by = nearest(beliefs, at, by) or sensor
        plain.append(_Told(at, distance_m(rssi, power, path_loss), loudest))
        filtered.append(_Told(at, now.distance_m, by))
    return _errors(readings, plain), _errors(readings, filtered)


def table(plain: Errors, filtered: Errors) -> str:
    """Both, and by which factor the filter is better."""
    lines = [f"{'':<18}{'single hearing':>16}{'filter':>10}{'factor':>9}"]
    for name, one, other in zip(Errors._fields, plain, filtered, strict=True):
        lines.append(f"{name:<18}{one:>16.3f}{other:>10.3f}{one / other if other else float('inf'):>9.2f}")
    return "\n".join(lines)


def _fit(readings: Sequence[Reading]) -> tuple[float, float]:
    rssi = np.array([each.rssi_dbm for each in readings])
    return calibrate(rssi, np.array([each.distances_m[each.sensor] for each in readings]))


def _errors(readings: Sequence[Reading], told: Sequence[_Told]) -> Errors:
    truth = np.array([each.distances_m[each.sensor] for each in readings])
    metres = np.array([each.metres for each in told])
    off = np.abs(metres - truth)
    ratio = np.abs(np.log(metres / np.maximum(truth, SHOP_RANGING.least_m)))
    farther = np.array(
        [
            each.distances_m[one.nearest] - min(each.distances_m.values())
            for each, one in zip(readings, told, strict=True)
        ]
    )
    changes = sum(one.nearest != other.nearest for one, other in pairwise(told))
    minutes = max(told[-1].at - told[0].at, 1.0) / 60
    return Errors(
        float(np.median(off)),
        float(np.quantile(off, 0.9)),
        float(np.median(ratio)),
        float((farther > 0).mean()),
        float(farther.mean()),
        changes / minutes,
    )


def _place(row: Mapping[str, str], height_m: float) -> Any:
    return np.array([float(row["x"]), float(row["y"]), float(row.get("z") or height_m)])


def _heard(row: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    """Which sensors heard the radio, and how loud."""
    if row.get("sensor"):
        yield row["sensor"], float(row.get("rssi") or "")
        return
    for name, value in row.items():
        if name.startswith(WIDE_PREFIX) and value:
            yield name.removeprefix(WIDE_PREFIX), float(value)


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    opener: Any = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
            raise Unreadable(f"{path}: no column {missing[0]}; needed are {', '.join(columns)}")
        yield from enumerate(reader, start=2)
