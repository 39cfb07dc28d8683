"""The earth in tiles, by direct address: what has been worked out for a tile is found without a search, however many
tiles there are, and forgotten when something changes there.
"""

import numpy as np
from numpy.typing import NDArray

from geofences.bounds import Boxes, boxes_around

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

PER_DEGREE = 16
"""Tiles are so many to a degree: about 7 km from south to north."""
ROWS, COLUMNS = 180 * PER_DEGREE, 360 * PER_DEGREE
UNKNOWN = 0
"""The number of a tile of which nothing has been worked out: of all numbers the only one that is false."""
FORGOTTEN_LEAST = 4096
"""Fewer tiles that were forgotten are not worth beginning anew."""


class Tiles:
    """A whole number for each tile. Memory is taken for stretches of the earth that were touched. Not thread-safe."""

    def __init__(self, reach_m: float) -> None:
        self.reach_m = reach_m
        """What is known of a tile depends on all that is so near to it."""
        self.clear()

    def clear(self) -> None:
        """Forget all tiles."""
        self._numbers = np.zeros((ROWS, COLUMNS), np.int32)
        self._forgotten = 0

    def is_worn(self, known: int) -> bool:
        """Whether so much was forgotten, of so many tiles that were ever worked out, that beginning anew saves room."""
        return self._forgotten > max(FORGOTTEN_LEAST, known // 2)

    def numbers(self, rows: Whole, columns: Whole) -> NDArray[np.int32]:
        """The numbers of tiles."""
        return self._numbers[rows, columns]

    def number_of(self, row: int, column: int) -> int:
        """The number of one tile."""
        return int(self._numbers[row, column])

    def number(self, rows: Whole, columns: Whole, numbers: NDArray[np.int32]) -> None:
        """Give tiles their numbers."""
        self._numbers[rows, columns] = numbers

    def forget(self, boxes: Boxes) -> None:
        """Forget the tiles within reach of these boxes, after an edit there."""
        reached = boxes_around(boxes.corners, np.full(len(boxes.owner), self.reach_m))
        south, west = (each.tolist() for each in places_of(*reached.mins.T)[:2])
        north, east = (each.tolist() for each in places_of(*reached.maxs.T)[:2])
        for first, last, left, right in zip(south, north, west, east, strict=True):
            these = self._numbers[first : last + 1, left : right + 1]
            self._forgotten += int(np.count_nonzero(these))
            these[:] = UNKNOWN

    def boxes(self, rows: Whole, columns: Whole) -> Boxes:
        """The boxes that hold all that is within reach of these tiles."""
        west, south = columns / PER_DEGREE - 180.0, rows / PER_DEGREE - 90.0
        side = 1.0 / PER_DEGREE
        corners = np.column_stack([west, south, west + side, south + side])
        return boxes_around(corners, np.full(len(rows), self.reach_m))


def places_of(lons: Floats, lats: Floats) -> tuple[Whole, Whole, Floats, Floats]:
    """The row and column of the tile of each position (degrees), and where in it the position lies (0..1 northwards
    and eastwards).
    """
    up, aside = (lats + 90.0) * PER_DEGREE, (lons + 180.0) * PER_DEGREE
    rows = np.minimum(up.astype(np.int64), ROWS - 1)
    columns = np.minimum(aside.astype(np.int64), COLUMNS - 1)
    return rows, columns, up - rows, aside - columns


def expanded(first_row: Whole, last_row: Whole, first_column: Whole, last_column: Whole) -> tuple[Whole, ...]:
    """Every (row, column) in rectangles of cells, with the number of the rectangle first."""
    wide = last_column - first_column + 1
    counts = (last_row - first_row + 1) * wide
    which = np.repeat(np.arange(len(counts)), counts)
    rows, columns = np.divmod(
        np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts), wide[which]
    )
    return which, first_row[which] + rows, first_column[which] + columns


def tiles_once(rows: Whole, columns: Whole) -> tuple[Whole, Whole]:
    """Each of these tiles once, in order."""
    rows, columns = np.divmod(each_once(rows * COLUMNS + columns), COLUMNS)
    return rows, columns


def each_once(numbers: Whole) -> Whole:
    """The different numbers, sorted. For many different ones NumPy's own way, by a hash, takes ten times as long."""
    ordered = np.sort(numbers)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered
