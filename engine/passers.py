"""The last fix of each phone, as columns, so that one that drives through a geofence between two fixes is noticed
without looking at phones one by one. Held in memory and for minutes; after a restart it is filled again from the end
of the signal log.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geofences.crossing import PASSING
from geofences.tiles import each_once

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

KEPT_SECONDS = PASSING.most_seconds
"""Between two fixes that are further apart, nobody knows the way."""
NOBODY, NOWHERE = 0, -1
COLUMNS = ("at", "lon", "lat", "accuracy_m", "received_at")


class Passers:
    """Last fixes by phone, in two generations of which the older is dropped. One thread uses it."""

    def __init__(self) -> None:
        self._young = _Generation()
        self._old = _Generation()
        self._turned_at = float("-inf")

    def take(self, devices: Sequence[str], fixes: Floats) -> Floats:
        """Take over a batch (`COLUMNS` by n) and answer, of the same shape, the fix of the same phone before each:
        the one before it by the phone's clock, nan where none was received lately enough.
        """
        newest = float(fixes[4].max())
        if newest - self._turned_at > KEPT_SECONDS:
            self._old, self._young, self._turned_at = self._young, _Generation(), newest
        young = self._young
        rows = young.seat(_numbers_of(devices), self._old)
        before = young.fixes[rows].T
        newer = ~(fixes[0] <= before[0])
        earlier, later = _in_turn(rows, fixes[0])
        if len(earlier):
            before[:, later] = fixes[:, earlier]
            newer[earlier] = False
        if newer.all():
            young.fixes[rows] = fixes.T
        else:
            young.fixes[rows[newer]] = fixes[:, newer].T
        unknown = ~((before[0] < fixes[0]) & (fixes[4] - before[4] <= KEPT_SECONDS))
        before[:, unknown] = np.nan
        return before

    def last(self, device: str) -> list[float] | None:
        """The newest fix of a phone (`COLUMNS`); None where none is known."""
        for each in (self._young, self._old):
            [row] = each.find(_numbers_of([device]))
            if row >= 0 and not np.isnan(each.fixes[row, 0]):
                fix: list[float] = each.fixes[row].tolist()
                return fix
        return None

    def forget(self, device: str) -> None:
        """Drop a phone at once, as when its consent has gone."""
        for each in (self._young, self._old):
            each.drop(_numbers_of([device]))


class _Generation:
    """Fixes by phone. A phone is known by a number made of its name, whose place in the table is found by trying one
    after the other from where the number points to (open addressing); its fix stands there, all columns side by side,
    so that a phone among millions costs two looks at memory. Two phones share a number once in 10^19 pairs.
    """

    def __init__(self, room: int = 1024) -> None:
        self.fixes = np.full((room, len(COLUMNS)), np.nan)
        self._numbers = np.zeros(room, np.int64)
        self._used = 0

    def __len__(self) -> int:
        return self._used

    def seat(self, numbers: Rows, before: "_Generation") -> Rows:
        """The row of each phone; a new one starts with what the generation before knows of it."""
        rows = self.find(numbers)
        if (new := rows < 0).any():
            strangers = each_once(numbers[new])
            if 2 * (self._used + len(strangers)) > len(self._numbers):
                self._grow(self._used + len(strangers))
            own, old = self._add(strangers), before.find(strangers)
            self.fixes[own[old >= 0]] = before.fixes[old[old >= 0]]
            rows = self.find(numbers)
        return rows

    def find(self, numbers: Rows) -> Rows:
        """The row of each phone, -1 for one that has none."""
        last = len(self._numbers) - 1
        rows = numbers & last
        left = np.flatnonzero(self._numbers[rows] != numbers)
        while len(left):
            free = self._numbers[rows[left]] == NOBODY
            rows[left[free]] = NOWHERE
            left = left[~free]
            rows[left] = (rows[left] + 1) & last
            left = left[self._numbers[rows[left]] != numbers[left]]
        return rows

    def drop(self, number: Rows) -> None:
        """Forget the fix of a phone, if it has one."""
        rows = self.find(number)
        self.fixes[rows[rows >= 0]] = np.nan

    def _add(self, numbers: Rows) -> Rows:
        """Give different phones, none of which is known, their rows."""
        last = len(self._numbers) - 1
        rows, left = numbers & last, np.arange(len(numbers))
        while len(left):
            free = left[self._numbers[rows[left]] == NOBODY]
            self._numbers[rows[free]] = numbers[free]
            left = left[
                self._numbers[rows[left]] != numbers[left]
            ]  # of several at one place the last has got it
            rows[left] = (rows[left] + 1) & last
        self._used += len(numbers)
        return rows

    def _grow(self, wanted: int) -> None:
        """Take a table in which so many fill a quarter at most."""
        rows = np.flatnonzero(self._numbers != NOBODY)
        numbers, fixes = self._numbers[rows], self.fixes[rows]
        _Generation.__init__(self, 2 ** int(4 * wanted - 1).bit_length())
        self.fixes[self._add(numbers)] = fixes


def _in_turn(rows: Rows, at: Floats) -> tuple[Rows, Rows]:
    """The places of fixes that are followed by another of their phone, and beside each the place of that, by the phone's
    clock. Most arrive in that order, and numbers alone are sorted twenty times as quickly.
    """
    count = len(rows)
    ordered = np.sort(rows * count + np.arange(count))
    phones = ordered // count
    same = np.flatnonzero(phones[1:] == phones[:-1])
    if not len(same):
        return same, same
    order = ordered % count
    if (at[order[same + 1]] < at[order[same]]).any():
        order = np.lexsort((at, rows))
    return order[same], order[same + 1]


def _numbers_of(devices: Sequence[str]) -> Rows:
    numbers = np.fromiter(map(hash, devices), np.int64, len(devices))
    numbers[numbers == NOBODY] = 1
    return numbers
