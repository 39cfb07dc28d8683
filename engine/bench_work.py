"""The work that benchmarks do, with a fixed seed: a country of geofences on a grid, and phones among them.

Each phone reports every ten seconds. One in twenty is inside a geofence and stays there, with the error that its
fixes have; the others walk or drive between the geofences. Bodies mix phones in random order.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from geofences.geofence import Geofence
from geofences.geojson import geofence_from_feature

Floats = NDArray[np.float64]
Slots = NDArray[np.int64]

SEED = 4
INSIDE_SHARE = 0.05
DRIVING_SHARE = 0.3
GRID_DEGREES = 0.01
RADIUS_M = 100.0
CORNERS = 12
"""Of each geofence, an irregular polygon of about `RADIUS_M`."""
ORIGIN = (2.0, 44.0)
EVERY_SECONDS = 10.0
ACCURACY_M = 12.0
METRES_PER_DEGREE = 111_320.0


@dataclass(frozen=True, slots=True)
class Work:
    """Pings as columns, in the order to send them: the number of the phone, degrees, seconds from the first."""

    device: Slots
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
            rows = range(first, min(first + size, start + count))
            yield encode(
                {
                    "pings": [
                        {
                            "device": f"device-{self.device[row]}",
                            "at": round(float(began_at + self.at[row]), 3),
                            "lat": float(self.lat[row]),
                            "lon": float(self.lon[row]),
                            "accuracy": ACCURACY_M,
                        }
                        for row in rows
                    ]
                }
            )


def side_of(geofences: int) -> int:
    """How many geofences stand side by side."""
    return int(np.ceil(geofences**0.5))


def make_work(devices: int, rounds: int, geofences: int) -> Work:
    """Every phone's pings over `rounds` times ten seconds."""
    random = np.random.default_rng(SEED)
    side = side_of(geofences)
    inside = random.random(devices) < INSIDE_SHARE
    cell = random.integers(0, geofences, devices)
    lon0, lat0 = ORIGIN[0] + (cell % side) * GRID_DEGREES, ORIGIN[1] + (cell // side) * GRID_DEGREES
    speed = np.where(random.random(devices) < DRIVING_SHARE, 12.0, 1.3) * ~inside
    # Outside, a phone goes along a street midway between two rows of geofences; inside, it stays near the middle.
    lat0 = lat0 + np.where(inside, 0.0, GRID_DEGREES / 2)
    start = np.where(inside, 0.0, random.uniform(0, side * GRID_DEGREES, devices))
    columns = []
    for number in range(rounds):
        order = random.permutation(devices)
        seconds = number * EVERY_SECONDS + random.uniform(0, EVERY_SECONDS / 2, devices)
        gone = start + speed * seconds / (METRES_PER_DEGREE * np.cos(np.radians(lat0)))
        error = random.normal(0, ACCURACY_M / 1.5 / METRES_PER_DEGREE, (2, devices))
        lon = np.where(inside, lon0, ORIGIN[0] + gone % (side * GRID_DEGREES)) + error[0]
        columns.append((order, (lat0 + error[1])[order], lon[order], seconds[order], inside[order]))
    device, lat, lon, at, within = (np.concatenate(column) for column in zip(*columns, strict=True))
    return Work(device, np.round(lat, 6), np.round(lon, 6), at, within)


def make_geofences(count: int) -> Sequence[Geofence]:
    """`count` stores on the grid, each an irregular polygon."""
    random = np.random.default_rng(SEED)
    side = side_of(count)
    angles = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    made = []
    for number in range(count):
        lon, lat = ORIGIN[0] + number % side * GRID_DEGREES, ORIGIN[1] + number // side * GRID_DEGREES
        reach = RADIUS_M * random.uniform(0.8, 1.2, CORNERS) / METRES_PER_DEGREE
        ring = np.column_stack(
            [lon + reach * np.cos(angles) / np.cos(np.radians(lat)), lat + reach * np.sin(angles)]
        )
        ring = np.round(np.vstack([ring, ring[:1]]), 7)
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
