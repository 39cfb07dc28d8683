"""A table of cells in front of the R-tree: which slots are near each cell. A tree builds its nodes anew at every visit;
a table is read by the thousand. It is filled a tile at a time when the tile is first touched, with cells as small as
the geofences there are many, so that it grows with the geofences around phones and not with the phones.
"""

from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from rtree.index import Index

from geofences.bounds import Boxes
from geofences.tiles import (
    COLUMNS,
    PER_DEGREE,
    ROWS,
    UNKNOWN,
    Tiles,
    each_once,
    expanded,
    places_of,
    tiles_once,
)

Floats = NDArray[np.float64]
Slots = NDArray[np.int64]
Whole = TypeVar("Whole", np.int32, np.int64)

SIDE_LIMIT = 64
"""A tile is cut into so many cells each way at the most: about 110 m."""
ENTRIES_LIMIT = 64_000_000
"""From so many entries on the table begins anew; 4 bytes each."""
EMPTY = 1
"""The number of every tile that nothing is near."""


class Places(Protocol):
    """Where the geofences are."""

    def boxes(self, slots: Slots, pad_m: float) -> Boxes:
        """The boxes that hold all within `pad_m` of the geofences in these slots; the owner is a place in `slots`."""


class Cells:
    """The table. Not thread-safe."""

    def __init__(self, reach_m: float) -> None:
        self.reach_m = reach_m
        """The table answers for pads up to this."""
        self.tiles = Tiles(reach_m)
        self._begin()

    def clear(self) -> None:
        """Forget every cell."""
        self.tiles.clear()
        self._begin()

    def _begin(self) -> None:
        """Tiles by number, each with its cells on a side and the place of its first; for each cell the place of its
        first slot, which ends those of the cell before.
        """
        self._sides, self._firsts = np.ones(64, np.int64), np.zeros(64, np.int64)
        self._starts, self._slots = np.zeros(1024, np.int32), np.zeros(1024, np.int32)
        self._known = EMPTY + 1
        self._starts_used, self._slots_used = 2, 0

    def __len__(self) -> int:
        """Entries held: one for each cell, and one for each slot of each cell."""
        return self._starts_used + self._slots_used

    def near(self, lons: Floats, lats: Floats, tree: Index, places: Places) -> tuple[Slots, Slots]:
        """Pairs of a position and a slot that may be within reach of it: positions in order, slots too."""
        if len(lons) == 1 and (slots := self._near_one(float(lons[0]), float(lats[0]))) is not None:
            return np.zeros(len(slots), np.int64), slots
        rows, columns, up, aside = places_of(lons, lats)
        numbers = self.tiles.numbers(rows, columns)
        if not numbers.all():
            unknown = numbers == UNKNOWN
            if len(self) > ENTRIES_LIMIT or self.tiles.is_worn(self._known):
                self.clear()
                unknown[:] = True
            self._fill(*tiles_once(rows[unknown], columns[unknown]), tree, places)
            numbers = self.tiles.numbers(rows, columns)
        sides = self._sides[numbers]
        cells = np.minimum((up * sides).astype(np.int64), sides - 1) * sides
        cells += np.minimum((aside * sides).astype(np.int64), sides - 1) + self._firsts[numbers]
        ends = self._starts[cells + 1]
        counts = ends - self._starts[cells]
        pings = np.repeat(np.arange(len(cells)), counts)
        if not len(pings):
            return pings, np.empty(0, np.int64)
        held = (ends - np.cumsum(counts))[pings] + np.arange(len(pings))
        return pings, self._slots[held].astype(np.int64)

    def _near_one(self, lon: float, lat: float) -> Slots | None:
        """The slots near one position, as signals that come singly ask for them; None where its tile is unknown."""
        up, aside = (lat + 90.0) * PER_DEGREE, (lon + 180.0) * PER_DEGREE
        row, column = min(int(up), ROWS - 1), min(int(aside), COLUMNS - 1)
        number = self.tiles.number_of(row, column)
        if number == UNKNOWN:
            return None
        side = int(self._sides[number])
        cell = min(int((up - row) * side), side - 1) * side + min(int((aside - column) * side), side - 1)
        cell += int(self._firsts[number])
        return self._slots[int(self._starts[cell]) : int(self._starts[cell + 1])].astype(np.int64)

    def _fill(self, rows: Slots, columns: Slots, tree: Index, places: Places) -> None:
        """Ask the tree about these tiles, and cut each into cells."""
        boxes = self.tiles.boxes(rows, columns)
        found, counts = tree.intersection_v(boxes.mins, boxes.maxs)  # type: ignore[no-untyped-call]  # rtree's
        tiles = np.repeat(boxes.owner, counts.astype(np.int64))
        numbers = np.full(len(rows), EMPTY, np.int32)
        if len(found):
            most = int(found.max()) + 1
            tiles, slots = np.divmod(each_once(tiles * most + found), most)
            busy, tiles, held = np.unique(tiles, return_inverse=True, return_counts=True)
            numbers[busy] = self._known + np.arange(len(busy))
            self._cut(rows[busy], columns[busy], _sides_for(held), tiles, slots, places)
        self.tiles.number(rows, columns, numbers)

    def _cut(
        self, rows: Slots, columns: Slots, sides: Slots, tiles: Slots, slots: Slots, places: Places
    ) -> None:
        """Give each tile its cells, with those of the slots beside it that are near them."""
        boxes = places.boxes(slots, self.reach_m)
        own = tiles[boxes.owner]
        (south, north), (west, east) = (
            [(corners[:, axis] + half) * PER_DEGREE - first[own] for corners in (boxes.mins, boxes.maxs)]
            for axis, half, first in ((1, 90.0, rows), (0, 180.0, columns))
        )
        here = np.flatnonzero((north >= 0) & (south <= 1) & (east >= 0) & (west <= 1))
        own, side = own[here], sides[own[here]]
        which, row, column = expanded(
            *(_cell(edge[here], side) for edge in (south, north, west, east)),
        )
        firsts = self._starts_used + np.cumsum(sides**2) - sides**2
        cells = firsts[own[which]] - self._starts_used + row * side[which] + column
        most = int(slots.max()) + 1
        cells, listed = np.divmod(each_once(cells * most + slots[boxes.owner[here[which]]]), most)
        size = int(np.sum(sides**2))
        ends = self._slots_used + np.cumsum(np.bincount(cells, minlength=size))
        self._sides = _put(self._sides, self._known, sides)
        self._firsts = _put(self._firsts, self._known, firsts)
        self._starts = _put(self._starts, self._starts_used, np.append(self._slots_used, ends))
        self._slots = _put(self._slots, self._slots_used, listed)
        self._known += len(sides)
        self._starts_used += size + 1
        self._slots_used += len(listed)


def _sides_for(held: Slots) -> Slots:
    """Cells on a side of a tile with so many geofences: about one cell for each."""
    sides = 2 ** np.ceil(np.log2(held) / 2).astype(np.int64)
    return np.minimum(sides, SIDE_LIMIT)


def _cell(edge: Floats, sides: Slots) -> Slots:
    return np.clip(np.floor(edge * sides).astype(np.int64), 0, sides - 1)


def _put(column: NDArray[Whole], at: int, values: Slots) -> NDArray[Whole]:
    """The column with these values from `at` on, in twice the room where there is too little."""
    if at + len(values) > len(column):
        grown = np.zeros(max(at + len(values), 2 * len(column)), column.dtype)
        grown[:at] = column[:at]
        column = grown
    column[at : at + len(values)] = values
    return column
