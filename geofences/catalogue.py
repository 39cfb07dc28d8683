"""All geofences by slot: what matching needs of each, as columns; and the geofence itself when somebody asks for it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geofences.antimeridian import wrapped
from geofences.bounds import LEAST_RADIUS_M, MARGIN, MARGIN_M, Boxes, boxes_around
from geofences.geofence import Geofence, Kind, Shape
from geofences.packed import KINDS, Edit, Packed, Packing

Floats = NDArray[np.float64]
Slots = NDArray[np.int64]
Booleans = NDArray[np.bool_]

NOBODY = -1
"""The kind of an empty slot."""
HIGH_LATITUDE = 85.0
"""From here on meridians run together too fast for a frame in degrees."""
WIDEST_PAD_DEGREES = 0.1
"""Of latitude: 11 km. Frames are good for pads up to this."""
MADE_LIMIT = 200_000
"""Geofences that were made of their packed rows are kept up to so many."""


class Catalogue:
    """Geofences by slot. The rows of `packed`, if given, are its first slots; of two with one id the later counts."""

    def __init__(self, packed: Packed | None = None) -> None:
        self._packed = packed
        self.buried: dict[str, int] = {}
        """Ids of which the store remembers that they are gone, with the revision of that edit."""
        ids: Sequence[str] = packed.ids if packed else ()
        self._ids: list[str | None] = list(ids)
        self._slots = dict(zip(ids, range(len(ids)), strict=True))
        self._free: list[int] = []
        room = max(len(ids), 64)
        self._kinds, self._revisions = np.full(room, NOBODY, np.int8), np.zeros(room, np.int64)
        self._bounds, self._reach_m = np.zeros((room, 4)), np.zeros(room)
        self._frames = np.zeros((room, 5))
        self._put: dict[int, tuple[Packed, int]] = {}
        """By slot, the rows that were put: that of `packed`, if there is one, does not count any more."""
        self._made: dict[int, Geofence] = {}
        if packed:
            every = slice(0, len(ids))
            self._kinds[every], self._revisions[every] = packed.kinds, packed.revisions
            self._bounds[every], self._reach_m[every] = packed.bounds, packed.reach_m
            self._frames[every] = _frames(packed.bounds, packed.reach_m)
            self._drop_doubles(ids)

    def __len__(self) -> int:
        return len(self._slots)

    def __iter__(self) -> Iterator[Geofence]:
        return (self.geofence(slot) for slot in self.slots().tolist())

    @property
    def size(self) -> int:
        """More than the largest slot."""
        return len(self._ids)

    def slot(self, geofence_id: str) -> int | None:
        """The slot of an id, None when it has none."""
        return self._slots.get(geofence_id)

    def get(self, geofence_id: str) -> Geofence | None:
        """The geofence of an id, None when there is none."""
        slot = self._slots.get(geofence_id)
        return None if slot is None else self._made.get(slot) or self.geofence(slot)

    def slots_of(self, ids: Iterable[str]) -> Slots:
        """The slots of those of the ids that have one."""
        found = [slot for geofence_id in ids if (slot := self._slots.get(geofence_id)) is not None]
        return np.array(found, np.int64)

    def slots(self) -> Slots:
        """All that are not empty."""
        return np.flatnonzero(self._kinds[: self.size] != NOBODY)

    def of_kind(self, kind: Kind) -> Slots:
        """The slots of all geofences of a kind."""
        return np.flatnonzero(self._kinds[: self.size] == KINDS.index(kind))

    def are(self, kind: Kind, slots: Slots) -> Booleans:
        """Which of these slots hold a geofence of a kind."""
        return np.asarray(self._kinds[slots] == KINDS.index(kind))

    def is_empty(self, slots: Slots) -> Booleans:
        """Which of these slots are empty."""
        there = (slots >= 0) & (slots < self.size)
        return np.asarray(~there | (self._kinds[np.where(there, slots, 0)] == NOBODY))

    def geofence(self, slot: int) -> Geofence:
        """The geofence in a slot. Raises `KeyError` when the slot is empty."""
        found = self._made.get(slot)
        if found is None:
            if not 0 <= slot < self.size or self._kinds[slot] == NOBODY:
                raise KeyError(slot)
            if len(self._made) >= MADE_LIMIT:
                self._made.clear()
            rows, row = self._row(slot)
            found = self._made[slot] = rows.geofence(row)
        return found

    def shapes(self, slots: Sequence[int]) -> list[Shape]:
        """The shapes of the geofences in these slots, none of which is empty."""
        found = {slot: self._made[slot].shape for slot in slots if slot in self._made}
        if self._packed:
            plain = [slot for slot in slots if slot not in found and slot not in self._put]
            found.update(zip(plain, self._packed.shapes(plain), strict=True))
        for slot in slots:
            if slot not in found:
                rows, row = self._put[slot]
                [found[slot]] = rows.shapes([row])
        return [found[slot] for slot in slots]

    def boxes(self, slots: Slots, pad_m: float = 0.0) -> Boxes:
        """The boxes that hold all within `pad_m` of the geofences in these slots; the owner is a place in `slots`."""
        return boxes_around(self._bounds[slots], self._reach_m[slots] + pad_m)

    def may_hold(self, slots: Slots, lons: Floats, lats: Floats, pads_m: Floats) -> Booleans:
        """Whether each position may be within its pad, of up to `WIDEST_PAD_DEGREES`, of the shape in the slot beside it.
        Near a pole it may, whatever its longitude.
        """
        lon, lat, east, north, stretch = self._frames[slots].T
        up = _degrees(np.maximum(pads_m, 0.0))
        held = np.abs(wrapped(lons - lon)) <= east + up * stretch
        held &= np.abs(lats - lat) <= north + up
        return np.asarray(held)

    def tally(self) -> tuple[int, int]:
        """How many ids there are and were, and the sum of their revisions: what the store tells of itself."""
        revisions = int(self._revisions[self.slots()].sum()) + sum(self.buried.values())
        return len(self) + len(self.buried), revisions

    def agrees(self, edit: Edit) -> bool:
        """Whether this edit, as the store tells it, is the newest that the catalogue has of its geofence."""
        slot = self._slots.get(edit.id)
        if slot is None or edit.feature is None:
            return slot is None and edit.feature is None and self.buried.get(edit.id) == edit.revision
        packing = Packing()
        packing.add_stored(edit.id, edit.revision, edit.feature)
        return self.revision(slot) == edit.revision and self.geofence(slot) == packing.packed().geofence(0)

    def kind(self, slot: int) -> Kind:
        """The kind of the geofence in a slot that is not empty."""
        return KINDS[int(self._kinds[slot])]

    def revision(self, slot: int) -> int:
        """The revision of the newest edit of the geofence in a slot."""
        return int(self._revisions[slot])

    def put(self, rows: Packed) -> Slots:
        """Give each geofence its slot, in place of the one with its id if there is one. Answers the slots; of two with
        one id the later counts.
        """
        slots = np.empty(len(rows), np.int64)
        for row, geofence_id in enumerate(rows.ids):
            slot = self._slots.get(geofence_id)
            if slot is None:
                slot = self._free.pop() if self._free else self._new_slot()
            self._ids[slot], self._slots[geofence_id] = geofence_id, slot
            self._made.pop(slot, None)
            self._put[slot] = rows, row
            self.buried.pop(geofence_id, None)
            slots[row] = slot
        self._kinds[slots], self._revisions[slots] = rows.kinds, rows.revisions
        self._bounds[slots], self._reach_m[slots] = rows.bounds, rows.reach_m
        self._frames[slots] = _frames(rows.bounds, rows.reach_m)
        return slots

    def remove(self, geofence_id: str, revision: int = 0) -> None:
        """Empty the slot of an id, if it has one; with the revision of that edit."""
        self.buried[geofence_id] = revision
        slot = self._slots.pop(geofence_id, None)
        if slot is not None:
            self._vacate(slot)

    def repacking(self) -> Callable[[], Packed]:
        """What packs all geofences as they are now, in whatever thread it is called: rows that still count are taken
        over, what was put comes after them.
        """
        base = self._packed
        kept = self._kinds[: len(base) if base else 0] != NOBODY
        kept[[slot for slot in self._put if slot < len(kept)]] = False
        put: dict[int, tuple[Packed, list[int]]] = {}
        for rows, row in self._put.values():
            put.setdefault(id(rows), (rows, []))[1].append(row)

        def repacked() -> Packed:
            if base and not put and kept.all():
                return base
            parts = [base.only(np.flatnonzero(kept))] if base else []
            return Packed.together([*parts, *(rows.only(np.array(these)) for rows, these in put.values())])

        return repacked

    def _row(self, slot: int) -> tuple[Packed, int]:
        if slot in self._put:
            return self._put[slot]
        assert self._packed
        return self._packed, slot

    def _vacate(self, slot: int) -> None:
        self._ids[slot] = None
        self._kinds[slot] = NOBODY
        self._put.pop(slot, None)
        self._made.pop(slot, None)
        self._free.append(slot)

    def _new_slot(self) -> int:
        slot = len(self._ids)
        self._ids.append(None)
        if slot >= len(self._kinds):
            self._kinds = np.concatenate([self._kinds, np.full_like(self._kinds, NOBODY)])
            self._revisions = np.concatenate([self._revisions, np.zeros_like(self._revisions)])
            self._bounds, self._reach_m, self._frames = (
                np.concatenate([column, np.zeros_like(column)])
                for column in (self._bounds, self._reach_m, self._frames)
            )
        return slot

    def _drop_doubles(self, ids: Sequence[str]) -> None:
        if len(self._slots) < len(ids):
            for slot, geofence_id in enumerate(ids):
                if self._slots[geofence_id] != slot:
                    self._vacate(slot)


def _frames(bounds: Floats, reach_m: Floats) -> Floats:
    """For each shape its middle, by how many degrees it reaches from there, and how many degrees of longitude are at most
    as wide as one of latitude in its frame; no limit near a pole.
    """
    west, south, east, north = bounds.T
    up = _degrees(reach_m)
    highest = np.maximum(np.abs(south), np.abs(north)) + up + WIDEST_PAD_DEGREES
    stretch = np.where(
        highest > HIGH_LATITUDE, np.inf, 1 / np.cos(np.radians(np.minimum(highest, HIGH_LATITUDE)))
    )
    return np.column_stack(
        [
            (west + east) / 2,
            (south + north) / 2,
            (east - west) / 2 + up * stretch,
            (north - south) / 2 + up,
            stretch,
        ]
    )


def _degrees(metres: Any) -> Any:
    """Degrees of latitude, a little too many."""
    return np.degrees(MARGIN * (metres + MARGIN_M) / LEAST_RADIUS_M)
