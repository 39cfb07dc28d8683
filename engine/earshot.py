"""Where phones are worth following although no border is within reach: around catchments, to know how they have come
when they get there, and on the motorway before a service area. Elsewhere a phone leaves no trace but its last fix.
"""

import numpy as np
from numpy.typing import NDArray

from geofences import tiles
from geofences.approach import MOTORWAY
from geofences.geofence import Kind
from geofences.index import GeofenceIndex
from geofences.tiles import UNKNOWN, Tiles, expanded, places_of, tiles_once

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

AROUND_CATCHMENT_M = 1500.0
"""Two minutes of a car in a town."""
SIDE = 8
"""Cells on a side of a tile: about 870 m from south to north."""
NOWHERE = 1
"""The number of every tile that is not near a catchment."""
METRES_PER_DEGREE = 110_500.0
"""Of latitude, at the least."""


class Earshot:
    """Which positions are near enough to a catchment or a service area. It follows the edits of the index; a tile is
    worked out when a phone is first there.
    """

    def __init__(
        self,
        index: GeofenceIndex,
        area_lons: Floats | None = None,
        area_lats: Floats | None = None,
    ) -> None:
        self._index = index
        self._tiles = Tiles(AROUND_CATCHMENT_M)
        self._begin()
        index.watch(self._tiles)
        self.follow_areas(area_lons, area_lats)

    def _begin(self) -> None:
        """Of each tile by its number which of its cells are near a catchment."""
        self._cells = np.zeros((64, SIDE, SIDE), np.bool_)
        self._known = NOWHERE + 1

    def follow_areas(self, lons: Floats | None, lats: Floats | None) -> None:
        """Take over where service areas are; degrees, None when there are none."""
        self._area_lons, self._area_lats = lons, lats

    def of_catchments(self, lons: Floats, lats: Floats) -> Booleans:
        """Which positions are near a catchment; degrees."""
        rows, columns, up, aside = places_of(lons, lats)
        numbers = self._tiles.numbers(rows, columns)
        if not numbers.all():
            unknown = numbers == UNKNOWN
            if self._tiles.is_worn(self._known):
                self._tiles.clear()
                self._begin()
                unknown[:] = True
            self._work_out(*tiles_once(rows[unknown], columns[unknown]))
            numbers = self._tiles.numbers(rows, columns)
        north, east = (np.minimum((each * SIDE).astype(np.int64), SIDE - 1) for each in (up, aside))
        return self._cells[numbers, north, east]

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

    def _work_out(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> None:
        """Mark the cells of these tiles that are near a catchment."""
        owner, boxes = self._index.near(Kind.CATCHMENT, self._tiles, rows, columns)
        (south, north), (west, east) = (
            [
                np.floor((corners[:, axis] + half) * tiles.PER_DEGREE * SIDE).astype(np.int64)
                - SIDE * first[owner]
                for corners in (boxes.mins, boxes.maxs)
            ]
            for axis, half, first in ((1, 90.0, rows), (0, 180.0, columns))
        )
        here = (north >= 0) & (south < SIDE) & (east >= 0) & (west < SIDE)
        edges = (np.clip(edge[here], 0, SIDE - 1) for edge in (south, north, west, east))
        which, row, column = expanded(*edges)
        busy, own = np.unique(owner[here], return_inverse=True)
        numbers = np.full(len(rows), NOWHERE, np.int32)
        if len(busy):
            numbers[busy] = self._known + np.arange(len(busy))
            self._known += len(busy)
            if self._known > len(self._cells):
                more = np.zeros((self._known, SIDE, SIDE), np.bool_)
                self._cells = np.concatenate([self._cells, more])
            self._cells[numbers[busy][own[which]], row, column] = True
        self._tiles.number(rows, columns, numbers)
