"""The work that is measured, with a fixed seed: a country of geofences on a grid, and phones among them.

Each phone reports every ten seconds. At any moment one in twenty is inside a geofence: visitors walk up, stay for ten
minutes, walk away and come again, each at a time of its own, so that there are events all along. All others walk or
drive up and down a stretch of street; streets lie anywhere between the geofences, some close by. Bodies mix phones in
random order.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from geofences.geofence import Geofence
from geofences.geojson import geofence_from_feature

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

SEED = 4
INSIDE_SHARE = 0.05
VISIT_SECONDS = 600.0
CORE_M = 30.0
"""So far from the middle a visitor stays."""
AWAY_M = 300.0
"""So far from the middle a visitor turns round."""
WALKING_MPS = 1.3
DRIVING_MPS = 12.0
DRIVING_SHARE = 0.3
GRID_DEGREES = 0.01
RADIUS_M = 100.0
STRETCH_M = 1500.0
"""So far a phone in the street goes before it turns round."""
SPREAD = 0.2
"""A corner is nearer or farther than `RADIUS_M` by up to this share."""
STREET_FROM_M = 130.0
"""No street is nearer to the middle of a geofence: it would lead through it."""
CORNERS = 12
ORIGIN = (2.0, 44.0)
EVERY_SECONDS = 10.0
ACCURACY_M = 12.0
METRES_PER_DEGREE = 111_320.0
WAY_SECONDS = (AWAY_M - CORE_M) / WALKING_MPS
PERIOD_SECONDS = VISIT_SECONDS + 2 * WAY_SECONDS
VISITING_SHARE = INSIDE_SHARE * PERIOD_SECONDS / (VISIT_SECONDS + 2 * (RADIUS_M - CORE_M) / WALKING_MPS)
"""Of the phones; so many that `INSIDE_SHARE` of the pings are inside."""


@dataclass(frozen=True, slots=True)
class Work:
    """Pings as columns, in the order to send them: the number of the phone, degrees, seconds from the first, and
    whether the phone is truly within `RADIUS_M` of a middle.
    """

    device: Whole
    lat: Floats
    lon: Floats
    at: Floats
    inside: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.device)

    def bodies(self, size: int, start: int, count: int, began_at: float) -> Iterator[bytes]:
        """Request bodies of `size` pings each, of `count` pings from `start` on; `began_at` is when the first ping
        was measured.
        """
        encode = msgspec.json.Encoder().encode
        for first in range(start, start + count, size):
            rows = slice(first, min(first + size, start + count))
            columns = (self.device[rows], self.at[rows] + began_at, self.lat[rows], self.lon[rows])
            pings = [
                {
                    "device": name_of(device),
                    "at": round(at, 3),
                    "lat": lat,
                    "lon": lon,
                    "accuracy": ACCURACY_M,
                }
                for device, at, lat, lon in zip(*(each.tolist() for each in columns), strict=True)
            ]
            yield encode({"pings": pings})


class Feed:
    """Hands the pings of a work out, each once, in order; the last of them is measured at `until` (unix seconds)."""

    def __init__(self, work: Work, until: float) -> None:
        self._work = work
        self._next = 0
        self.began_at = until - float(work.at.max())

    def __len__(self) -> int:
        return len(self._work) - self._next

    def take(self, count: int, size: int) -> tuple[range, list[bytes]]:
        """The next `count` pings, or as many as are left: which rows of the work they are, and their bodies."""
        start = self._next
        count = min(count, len(self))
        self._next += count
        return range(start, self._next), list(self._work.bodies(size, start, count, self.began_at))


def name_of(device: int) -> str:
    """The id of a phone."""
    return f"device-{device}"


def side_of(geofences: int) -> int:
    """How many geofences stand side by side."""
    return int(np.ceil(geofences**0.5))


def make_work(devices: int, rounds: int, geofences: int) -> Work:
    """Every phone's pings over `rounds` times ten seconds."""
    random = np.random.default_rng(SEED)
    side = side_of(geofences)
    visiting = random.random(devices) < VISITING_SHARE
    cell = random.integers(0, geofences, devices)
    lon0, lat0 = ORIGIN[0] + (cell % side) * GRID_DEGREES, ORIGIN[1] + (cell // side) * GRID_DEGREES
    bearing = random.uniform(0, 2 * np.pi, devices)
    phase = random.uniform(0, PERIOD_SECONDS, devices)
    pitch_m = GRID_DEGREES * METRES_PER_DEGREE
    street = lat0 + random.uniform(STREET_FROM_M, pitch_m - STREET_FROM_M, devices) / METRES_PER_DEGREE
    speed = np.where(random.random(devices) < DRIVING_SHARE, DRIVING_MPS, WALKING_MPS)
    start = random.uniform(0, side * GRID_DEGREES, devices)
    per_degree_east = METRES_PER_DEGREE * np.cos(np.radians(lat0))
    columns = []
    for number in range(rounds):
        order = random.permutation(devices)
        seconds = number * EVERY_SECONDS + random.uniform(0, EVERY_SECONDS / 2, devices)
        away_m = _away_m((phase + seconds) % PERIOD_SECONDS)
        gone = start + _up_and_down(speed * seconds) / per_degree_east
        error = random.normal(0, ACCURACY_M / 1.5 / METRES_PER_DEGREE, (2, devices))
        lon = np.where(visiting, lon0 + away_m * np.sin(bearing) / per_degree_east, ORIGIN[0] + gone)
        lat = np.where(visiting, lat0 + away_m * np.cos(bearing) / METRES_PER_DEGREE, street)
        inside = visiting & (away_m < RADIUS_M)
        lon, lat = np.round(lon + error[0], 6), np.round(lat + error[1], 6)
        columns.append((order, lat[order], lon[order], seconds[order], inside[order]))
    device, lat, lon, at, within = (np.concatenate(column) for column in zip(*columns, strict=True))
    return Work(device, lat, lon, at, within)


def _up_and_down(metres: Floats) -> Floats:
    """Where on its stretch a phone is that has gone so far."""
    return STRETCH_M - np.abs(STRETCH_M - metres % (2 * STRETCH_M))


def _away_m(seconds: Floats) -> Floats:
    """How far a visitor is from the middle, so long after its stay began."""
    leaving = CORE_M + WALKING_MPS * (seconds - VISIT_SECONDS)
    coming = CORE_M + WALKING_MPS * (PERIOD_SECONDS - seconds)
    return np.where(seconds < VISIT_SECONDS, CORE_M, np.minimum(leaving, coming))


def make_geofences(
    count: int, *, only: Iterable[int] | None = None, shift_degrees: float = 0.0
) -> Sequence[Geofence]:
    """`count` stores on the grid, each an irregular polygon; or `only` some of them, moved to the north-east."""
    side = side_of(count)
    angles = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    reaches = np.random.default_rng(SEED).uniform(1 - SPREAD, 1 + SPREAD, (count, CORNERS))
    made = []
    for number in range(count) if only is None else only:
        lon, lat = ORIGIN[0] + number % side * GRID_DEGREES, ORIGIN[1] + number // side * GRID_DEGREES
        reach = RADIUS_M * reaches[number] / METRES_PER_DEGREE
        ring = np.column_stack(
            [lon + reach * np.cos(angles) / np.cos(np.radians(lat)), lat + reach * np.sin(angles)]
        )
        ring = np.round(np.vstack([ring, ring[:1]]) + shift_degrees, 7)
        made.append(
            geofence_from_feature(
                {
                    "type": "Feature",
                    "id": f"place-{number}",
                    "properties": {"name": f"Place {number}", "timezone": "Europe/Paris"},
                    "geometry": {"type": "Polygon", "coordinates": [ring.tolist()]},
                }
            )
        )
    return made
