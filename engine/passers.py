"""The last fix of each phone, as columns, so that one that drives through a geofence between two fixes is noticed
without looking at phones one by one. Held in memory and for minutes; after a restart it is filled again from the end
of the signal log.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geofences.crossing import PASSING

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

KEPT_SECONDS = PASSING.most_seconds
"""Between two fixes that are further apart, nobody knows the way."""
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
        rows = self._young.seat(devices, self._old)
        order = np.lexsort((fixes[0], rows))
        sorted_rows = rows[order]
        first = np.append(True, sorted_rows[1:] != sorted_rows[:-1])
        last = np.append(first[1:], True)
        before = np.empty_like(fixes)
        before[:, order[first]] = self._young.columns[:, sorted_rows[first]]
        before[:, order[~first]] = fixes[:, order[np.flatnonzero(~first) - 1]]
        ends = order[last]
        newer = ~(fixes[0, ends] <= self._young.columns[0, rows[ends]])
        self._young.columns[:, rows[ends[newer]]] = fixes[:, ends[newer]]
        unknown = ~((before[0] < fixes[0]) & (fixes[4] - before[4] <= KEPT_SECONDS))
        before[:, unknown] = np.nan
        return before

    def last(self, device: str) -> list[float] | None:
        """The newest fix of a phone (`COLUMNS`); None where none is known."""
        for each in (self._young, self._old):
            row = each.rows.get(device)
            if row is not None and not np.isnan(each.columns[0, row]):
                fix: list[float] = each.columns[:, row].tolist()
                return fix
        return None

    def forget(self, device: str) -> None:
        """Drop a phone at once, as when its consent has gone."""
        self._young.drop(device)
        self._old.drop(device)


class _Generation:
    def __init__(self) -> None:
        self.columns = np.full((len(COLUMNS), 1024), np.nan)
        self.rows: dict[str, int] = {}

    def seat(self, devices: Sequence[str], before: "_Generation") -> Rows:
        """The row of each phone; a new one starts with what the generation before knows of it."""
        known, old = self.rows, before.rows
        rows = np.fromiter((known.get(device, -1) for device in devices), np.int64, len(devices))
        copied: list[tuple[int, int]] = []
        for place in np.flatnonzero(rows < 0).tolist():
            device = devices[place]
            rows[place] = known.setdefault(device, len(known))
            if device in old:
                copied.append((known[device], old[device]))
        if len(known) > self.columns.shape[1]:
            grown = np.full((len(COLUMNS), 2 * len(known)), np.nan)
            grown[:, : self.columns.shape[1]] = self.columns
            self.columns = grown
        if copied:
            to, from_ = np.array(copied).T
            self.columns[:, to] = before.columns[:, from_]
        return rows

    def drop(self, device: str) -> None:
        if (row := self.rows.get(device)) is not None:
            self.columns[:, row] = np.nan
