"""How well distances to beacons are told: the filter against a single hearing's path loss, on measured positions.

Readings are CSV, one hearing a line: ``ts`` (unix seconds), ``sensor``, ``rssi`` (dBm), and where the phone was: ``x``,
``y``, ``z`` (metres). Sensors are CSV as well: ``mac``, ``x``, ``y``, ``z``. Both may end in ``.gz``.
"""

import csv
import gzip
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from engine.recorded import Unreadable
from geofences.ranging import SHOP_RANGING, Ranging, calibrate, distance_m, nearest, step

PATH_LOSS_LIMITS = (1.0, 6.0)
"""A fit outside of these is no radio's; the fit over all sensors takes its place."""


class Reading(NamedTuple):
    """One hearing, with the true distance to each sensor in metres."""

    at: float
    sensor: str
    rssi_dbm: float
    distances_m: Mapping[str, float]


class Errors(NamedTuple):
    """Of distances, in metres and as factors (of the natural logarithm), and how often the wrong sensor was nearest."""

    median_m: float
    p90_m: float
    log_ratio: float
    wrong_sensor: float


def read_readings(sensors: Path, readings: Path) -> list[Reading]:
    """The hearings of a file, oldest first. Raises `Unreadable`."""
    places = {row["mac"]: _place(row) for _, row in _rows(sensors, ("mac", "x", "y", "z"))}
    found = []
    for number, row in _rows(readings, ("ts", "sensor", "rssi", "x", "y", "z")):
        try:
            here = _place(row)
            away = {name: float(np.linalg.norm(place - here)) for name, place in places.items()}
            if row["sensor"] in places:
                found.append(Reading(float(row["ts"]), row["sensor"], float(row["rssi"]), away))
        except ValueError as error:
            raise Unreadable(f"{readings}, line {number}: {error}") from None
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


def compare(readings: Iterable[Reading], radios: Mapping[str, tuple[float, float]]) -> tuple[Errors, Errors]:
    """Errors of single hearings, and of the filter; each told as the hearing comes, never looking ahead."""
    beliefs: dict[str, Ranging] = {}
    raw: dict[str, tuple[float, float]] = {}
    by: str | None = None
    plain, filtered = [], []
    for at, sensor, rssi, distances in readings:
        power, path_loss = radios[sensor]
        now = beliefs[sensor] = step(beliefs.get(sensor), at, rssi, power, path_loss)
        raw[sensor] = (at, rssi)
        truth, true_nearest = distances[sensor], min(distances, key=lambda name: distances[name])
        fresh = {name: each[1] for name, each in raw.items() if at - each[0] <= SHOP_RANGING.stale_seconds}
        loudest = max(fresh, key=lambda name: fresh[name])
        by = nearest(beliefs, at, by)
        plain.append((distance_m(rssi, power, path_loss), truth, loudest != true_nearest))
        filtered.append((distance_m(now.rssi_dbm, power, path_loss), truth, by != true_nearest))
    return _errors(plain), _errors(filtered)


def table(plain: Errors, filtered: Errors) -> str:
    """Both, and by which factor the filter is better."""
    lines = [f"{'':<18}{'single hearing':>16}{'filter':>10}{'factor':>9}"]
    for name, one, other in zip(Errors._fields, plain, filtered, strict=True):
        lines.append(f"{name:<18}{one:>16.3f}{other:>10.3f}{one / other if other else float('inf'):>9.2f}")
    return "\n".join(lines)


def _fit(readings: Sequence[Reading]) -> tuple[float, float]:
    rssi = np.array([each.rssi_dbm for each in readings])
    return calibrate(rssi, np.array([each.distances_m[each.sensor] for each in readings]))


def _errors(rows: Sequence[tuple[float, float, bool]]) -> Errors:
    told, truth, wrong = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    off = np.abs(told - truth)
    ratio = np.abs(np.log(told / np.maximum(truth, SHOP_RANGING.least_m)))
    return Errors(
        float(np.median(off)), float(np.quantile(off, 0.9)), float(np.median(ratio)), float(wrong.mean())
    )


def _place(row: Mapping[str, str]) -> Any:
    return np.array([float(row[axis]) for axis in "xyz"])


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    opener: Any = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
            raise Unreadable(f"{path}: no column {missing[0]}; needed are {', '.join(columns)}")
        yield from enumerate(reader, start=2)
