"""A table of cells in front of the R-tree: which slots are near each cell, asked of the tree when a cell is first
touched and remembered after that. A tree builds its nodes anew at every visit; a table is read by the thousand.
"""

import numpy as np
from numpy.typing import NDArray
from rtree.index import Index

from geofences.bounds import Boxes, boxes_around

Floats = NDArray[np.float64]
Slots = NDArray[np.int64]

PER_DEGREE = 512
"""Cells are so many to a degree: about 217 m from south to north."""
REACH_M = 100.0
"""The table answers for pads up to this; wider ones ask the tree."""
CELLS_LIMIT = 2_000_000
"""From so many cells on the table begins anew; 40 bytes each, and the slots."""
_COLUMNS = 360 * PER_DEGREE + 1


class Cells:
    """The table. Not thread-safe."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget every cell."""
        self._keys = np.empty(0, np.int64)
        self._starts = np.empty(0, np.int64)
        self._counts = np.empty(0, np.int64)
        self._slots = np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._keys)

    def forget(self, boxes: Boxes) -> None:
        """Forget the cells that are near these boxes, after an edit there."""
        if not len(self._keys):
            return
        rows, columns = np.divmod(self._keys, _COLUMNS)
        stale = np.zeros(len(self._keys), np.bool_)
        reached = boxes_around(boxes.corners, np.full(len(boxes.owner), REACH_M))
        for (west, south), (east, north) in zip(reached.mins, reached.maxs, strict=True):
            rows_in = (rows >= _part(south + 90.0)) & (rows <= _part(north + 90.0))
            stale |= rows_in & (columns >= _part(west + 180.0)) & (columns <= _part(east + 180.0))
        kept = ~stale
        self._keys, self._starts, self._counts = self._keys[kept], self._starts[kept], self._counts[kept]

    def near(self, lons: Floats, lats: Floats, tree: Index) -> tuple[Slots, Slots]:
        """Pairs of a position and a slot that may be within `REACH_M` of it: positions in order, slots too."""
        keys = _keys_of(lons, lats)
        places = self._places(keys, tree)
        counts = self._counts[places]
        pings = np.repeat(np.arange(len(keys)), counts)
        firsts = np.repeat(self._starts[places] - np.cumsum(counts) + counts, counts)
        return pings, self._slots[firsts + np.arange(len(pings))]

    def _places(self, keys: Slots, tree: Index) -> Slots:
        """Where the cells stand in the table, after those that were missing have been asked for."""
        places, known = self._find(keys)
        if not known.all():
            if len(self._keys) > CELLS_LIMIT:
                self.clear()
                known[:] = False
            self._fill(np.unique(keys[~known]), tree)
            places, _ = self._find(keys)
        return places

    def _find(self, keys: Slots) -> tuple[Slots, NDArray[np.bool_]]:
        if not len(self._keys):
            return np.zeros(len(keys), np.int64), np.zeros(len(keys), np.bool_)
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return places, self._keys[places] == keys

    def _fill(self, keys: Slots, tree: Index) -> None:
        rows, columns = np.divmod(keys, _COLUMNS)
        west, south = columns / PER_DEGREE - 180.0, rows / PER_DEGREE - 90.0
        side = 1.0 / PER_DEGREE
        corners = np.column_stack([west, south, west + side, south + side])
        boxes = boxes_around(corners, np.full(len(keys), REACH_M))
        found, counts = tree.intersection_v(boxes.mins, boxes.maxs)  # type: ignore[no-untyped-call]  # rtree's
        cells = np.repeat(boxes.owner, counts.astype(np.int64))
        most = int(found.max()) + 1 if len(found) else 1
        cells, slots = np.divmod(np.unique(cells * most + found), most)
        counts = np.bincount(cells, minlength=len(keys))
        starts = len(self._slots) + np.cumsum(counts) - counts
        self._slots = np.concatenate([self._slots, slots])
        all_keys = np.concatenate([self._keys, keys])
        order = np.argsort(all_keys, kind="stable")
        self._keys = all_keys[order]
        self._starts = np.concatenate([self._starts, starts])[order]
        self._counts = np.concatenate([self._counts, counts])[order]


def _keys_of(lons: Floats, lats: Floats) -> Slots:
    rows = np.floor((lats + 90.0) * PER_DEGREE).astype(np.int64)
    return rows * _COLUMNS + np.floor((lons + 180.0) * PER_DEGREE).astype(np.int64)


def _part(degrees: float) -> int:
    return int(np.floor(degrees * PER_DEGREE))
