"""Where phones are worth following although no border is within reach: around catchments, to know how they have come
when they get there, and on the motorway before a service area. Elsewhere a phone leaves no trace but its last fix.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geofences.approach import MOTORWAY
from geofences.bounds import boxes_around, extent
from geofences.geofence import Geofence

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

AROUND_CATCHMENT_M = 1500.0
"""Two minutes of a car in a town."""
PER_DEGREE = 128
"""Cells are so many to a degree: about 870 m from south to north."""
_COLUMNS = 360 * PER_DEGREE + 1
METRES_PER_DEGREE = 110_500.0
"""Of latitude, at the least."""


class Earshot:
    """Which positions are near enough to a catchment or a service area."""

    def __init__(
        self,
        catchments: Sequence[Geofence] = (),
        area_lons: Floats | None = None,
        area_lats: Floats | None = None,
    ) -> None:
        self._cells = _cells_around(catchments)
        self._area_lons, self._area_lats = area_lons, area_lats

    def of_catchments(self, lons: Floats, lats: Floats) -> Booleans:
        """Which positions are near a catchment; degrees."""
        if not len(self._cells):
            return np.zeros(len(lons), np.bool_)
        keys = _part(lats + 90.0) * _COLUMNS + _part(lons + 180.0)
        places = np.minimum(np.searchsorted(self._cells, keys), len(self._cells) - 1)
        return np.asarray(self._cells[places] == keys)

    def of_service_areas(self, lons: Floats, lats: Floats, speeds_mps: Floats) -> Booleans:
        """Which are on the way to a service area, perhaps; degrees, and metres per second (nan where unknown)."""
        held = np.zeros(len(lons), np.bool_)
        if self._area_lons is not None and self._area_lats is not None:
            for row in np.flatnonzero(speeds_mps >= MOTORWAY.least_mps).tolist():
                reach = MOTORWAY.most_seconds * speeds_mps[row] / METRES_PER_DEGREE
                near = np.abs(self._area_lats - lats[row]) <= reach
                across = np.abs((self._area_lons - lons[row] + 180.0) % 360.0 - 180.0)
                near &= across * np.cos(np.radians(lats[row])) <= 1.02 * reach
                held[row] |= bool(near.any())
        return held


def _cells_around(catchments: Sequence[Geofence]) -> NDArray[np.int64]:
    """The keys of all cells near a catchment, sorted."""
    if not catchments:
        return np.empty(0, np.int64)
    extents = [extent(each.shape) for each in catchments]
    pads = np.array([each[1] for each in extents]) + AROUND_CATCHMENT_M
    boxes = boxes_around(np.array([each[0] for each in extents]), pads)
    west, east = _part(boxes.mins[:, 0] + 180.0), _part(boxes.maxs[:, 0] + 180.0)
    south, north = _part(boxes.mins[:, 1] + 90.0), _part(boxes.maxs[:, 1] + 90.0)
    wide, counts = east - west + 1, (east - west + 1) * (north - south + 1)
    box = np.repeat(np.arange(len(counts)), counts)
    rows, columns = np.divmod(np.arange(len(box)) - np.repeat(np.cumsum(counts) - counts, counts), wide[box])
    return np.unique((south[box] + rows) * _COLUMNS + west[box] + columns)


def _part(degrees: Floats) -> NDArray[np.int64]:
    return np.floor(degrees * PER_DEGREE).astype(np.int64)
