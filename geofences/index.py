"""The index: which geofences are near which of a batch of positions, and how far their borders are."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import cos, radians
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rtree.index import Index

from geofences.antimeridian import wrapped
from geofences.bounds import LEAST_RADIUS_M, MARGIN, MARGIN_M, Boxes, boxes_around, extent
from geofences.cells import REACH_M, Cells
from geofences.geofence import Geofence, Kind
from geofences.ruler import Ruler

Floats = NDArray[np.float64]
Slots = NDArray[np.int64]

LOAD_FROM_EDITS = 100
"""From so many edits on, the tree is loaded anew: 0.1 s for 100,000 geofences, where one removal takes 1 ms."""
HIGH_LATITUDE = 85.0
"""From here on meridians run together too fast for a frame in degrees."""
PAIRS_AT_A_TIME = 262_144
"""So many pairs are measured at once, which bounds the memory of a batch in a crowded place."""


@dataclass(frozen=True, slots=True)
class Matches:
    """Pairs of a position (its place in the batch) and a geofence (its slot), each pair once, by ping then slot.
    `distance_m` is signed: negative inside.
    """

    ping: Slots
    slot: Slots
    distance_m: Floats


class GeofenceIndex:
    """Geofences by place. A slot is a small whole number that stays with an id as long as that is in the index;
    afterwards another id may get it. Not thread-safe: each thread has an index of its own, or takes turns.
    """

    def __init__(self) -> None:
        self._geofences: list[Geofence | None] = []
        self._slots: dict[str, int] = {}
        self._by_id: dict[str, Geofence] = {}
        self._by_kind: dict[Kind, dict[str, Geofence]] = {kind: {} for kind in Kind}
        self._free: list[int] = []
        self._boxes: dict[int, Floats] = {}
        self._inradii_m: dict[int, float] = {}
        self._ruler = Ruler()
        self._tree = Index()
        self._cells = Cells()
        self._frames = _Frames()

    @classmethod
    def of(cls, geofences: Iterable[Geofence]) -> "GeofenceIndex":
        """An index of all these, loaded at once; of two with the same id the later counts."""
        index = cls()
        for geofence in geofences:
            index._seat(geofence)
        index._load_tree()
        return index

    def __len__(self) -> int:
        return len(self._slots)

    def put(self, geofence: Geofence) -> None:
        """Add a geofence, or replace the one with its id."""
        known = self._slots.get(geofence.id)
        slot = self._seat(geofence)
        boxes = _boxes_of([geofence])
        if known is not None:
            if np.array_equal(self._boxes[slot], boxes.corners):
                return
            self._leave_tree(slot)
        self._boxes[slot] = boxes.corners
        self._cells.forget(boxes)
        for box in boxes.corners.tolist():
            self._tree.insert(slot, box)

    def remove(self, geofence_id: str) -> None:
        """Take a geofence out; one that is not there may be removed too."""
        slot = self._unseat(geofence_id)
        if slot is not None:
            self._leave_tree(slot)

    def change(self, edits: Sequence[tuple[str, Geofence | None]]) -> None:
        """Take over many edits: each an id with its geofence, or with None when it is to go. Slots stay."""
        if len(edits) < LOAD_FROM_EDITS:
            for geofence_id, geofence in edits:
                self.remove(geofence_id) if geofence is None else self.put(geofence)
            return
        for geofence_id, geofence in edits:
            self._unseat(geofence_id) if geofence is None else self._seat(geofence)
        self._load_tree()

    def get(self, geofence_id: str) -> Geofence | None:
        """The geofence of an id, None when it is not in the index."""
        return self._by_id.get(geofence_id)

    def of_kind(self, kind: Kind) -> Sequence[Geofence]:
        """All geofences of a kind."""
        return list(self._by_kind[kind].values())

    def slot(self, geofence_id: str) -> int | None:
        """The slot of an id, None when it is not in the index."""
        return self._slots.get(geofence_id)

    def geofence(self, slot: int) -> Geofence:
        """The geofence in a slot. Raises `KeyError` when the slot is empty."""
        geofence = self._geofences[slot] if 0 <= slot < len(self._geofences) else None
        if geofence is None:
            raise KeyError(slot)
        return geofence

    def match(self, lons: Floats, lats: Floats, pads_m: Floats) -> Matches:
        """All pairs of a position and a geofence whose border is at most the position's pad away, or around it.

        Longitudes and latitudes in degrees and pads in metres, one each, finite. A negative pad asks for positions
        that are so far inside.
        """
        pings, slots = self._candidates(lons, lats, pads_m)
        parts = [np.empty(0)]
        for start in range(0, len(pings), PAIRS_AT_A_TIME):
            some = slice(start, start + PAIRS_AT_A_TIME)
            parts.append(self._ruler.distances_m(lons[pings[some]], lats[pings[some]], slots[some]))
        distances = np.concatenate(parts)
        near = distances <= pads_m[pings]
        return Matches(ping=pings[near], slot=slots[near], distance_m=distances[near])

    def distances(self, lons: Floats, lats: Floats, slots: Slots) -> Floats:
        """The signed distance in metres from each position to the border of the geofence in the slot beside it,
        negative inside. Raises `KeyError` when a slot is empty.
        """
        for slot in np.unique(slots).tolist():
            self.geofence(slot)
        return self._ruler.distances_m(lons, lats, slots)

    def inradius_m(self, slot: int) -> float:
        """The largest distance to the border that a point inside can have; for an area to within a few per cent."""
        if slot not in self._inradii_m:
            self._inradii_m[slot] = self._ruler.inradius_m(slot, self.geofence(slot).shape)
        return self._inradii_m[slot]

    def __iter__(self) -> Iterator[Geofence]:
        return (each for each in self._geofences if each is not None)

    def _candidates(self, lons: Floats, lats: Floats, pads_m: Floats) -> tuple[Slots, Slots]:
        """Each (ping, slot) that may be near enough, once, sorted."""
        if not len(self) or not len(lons):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        wide = np.flatnonzero(pads_m > REACH_M)
        if not len(wide):
            return self._by_cells(np.arange(len(lons)), lons, lats, pads_m)
        close = np.flatnonzero(pads_m <= REACH_M)
        pings, slots = self._by_cells(close, lons, lats, pads_m)
        boxes = boxes_around(np.column_stack([lons[wide], lats[wide], lons[wide], lats[wide]]), pads_m[wide])
        found, counts = self._tree.intersection_v(boxes.mins, boxes.maxs)  # type: ignore[no-untyped-call]  # rtree's
        wide_pings = wide[np.repeat(boxes.owner, counts.astype(np.int64))]
        size = len(self._geofences)
        pairs = np.concatenate([pings * size + slots, wide_pings * size + found])
        return np.divmod(np.unique(pairs), size)

    def _by_cells(self, these: Slots, lons: Floats, lats: Floats, pads_m: Floats) -> tuple[Slots, Slots]:
        """The candidates of these positions, whose pads are within the reach of the table."""
        places, slots = self._cells.near(lons[these], lats[these], self._tree)
        pings = these[places]
        framed = self._frames.hold(slots, lons[pings], lats[pings], pads_m[pings])
        return pings[framed], slots[framed]

    def _seat(self, geofence: Geofence) -> int:
        """Give the geofence its slot, and the ruler its shape."""
        slot = self._slots.get(geofence.id)
        if slot is None and self._free:
            slot = self._free.pop()
        if slot is None:
            slot = len(self._geofences)
            self._geofences.append(None)
        self._slots[geofence.id] = slot
        self._geofences[slot] = geofence
        self._by_id[geofence.id] = geofence
        for kind, each in self._by_kind.items():
            if kind is not geofence.kind:
                each.pop(geofence.id, None)
        self._by_kind[geofence.kind][geofence.id] = geofence
        self._inradii_m.pop(slot, None)
        self._ruler.put(slot, geofence.shape)
        self._frames.put(slot, *extent(geofence.shape))
        return slot

    def _unseat(self, geofence_id: str) -> int | None:
        slot = self._slots.pop(geofence_id, None)
        if slot is not None:
            self._geofences[slot] = None
            del self._by_kind[self._by_id.pop(geofence_id).kind][geofence_id]
            self._inradii_m.pop(slot, None)
            self._ruler.drop(slot)
            self._free.append(slot)
        return slot

    def _leave_tree(self, slot: int) -> None:
        corners = self._boxes.pop(slot)
        self._cells.forget(Boxes(np.zeros(len(corners), np.int64), corners[:, :2], corners[:, 2:]))
        for box in corners.tolist():
            self._tree.delete(slot, box)

    def _load_tree(self) -> None:
        """Make the tree anew from all that have a seat: much quicker than one by one."""
        self._boxes, self._tree = {}, Index()
        self._cells.clear()
        if not self._slots:
            return
        boxes = _boxes_of(self)
        seats = np.array([slot for slot, each in enumerate(self._geofences) if each is not None])
        owners, corners = seats[boxes.owner], boxes.corners
        self._tree = Index((owners, boxes.mins, boxes.maxs))
        for slot, box in zip(owners.tolist(), corners, strict=True):
            known = self._boxes.get(slot)
            self._boxes[slot] = box[np.newaxis] if known is None else np.vstack([known, box])


class _Frames:
    """For each slot, by how many degrees its shape reaches from its middle."""

    def __init__(self) -> None:
        self._rows = np.zeros((64, 4))

    def put(self, slot: int, bounds: tuple[float, float, float, float], reach_m: float) -> None:
        if slot >= len(self._rows):
            self._rows = np.vstack([self._rows, np.zeros_like(self._rows)])
        west, south, east, north = bounds
        up = _degrees(reach_m)
        highest = min(max(abs(south), abs(north)) + up, 90.0)
        aside = up / max(cos(radians(highest)), 1e-6)
        self._rows[slot] = (
            (west + east) / 2,
            (south + north) / 2,
            (east - west) / 2 + aside,
            (north - south) / 2 + up,
        )

    def hold(self, slots: Slots, lons: Floats, lats: Floats, pads_m: Floats) -> NDArray[np.bool_]:
        """Whether each position may be within its pad of the shape in the slot beside it. Near a pole it always may."""
        rows = self._rows[slots]
        up = _degrees(np.maximum(pads_m, 0.0))
        highest = np.minimum(np.abs(lats) + up, HIGH_LATITUDE)
        aside = up / np.cos(np.radians(highest))
        beside = np.abs(wrapped(lons - rows[:, 0])) <= rows[:, 2] + aside
        beside |= np.abs(lats) > HIGH_LATITUDE - 1
        return np.asarray(beside & (np.abs(lats - rows[:, 1]) <= rows[:, 3] + up))


def _degrees(metres: Any) -> Any:
    """Degrees of latitude, a little too many."""
    return np.degrees(MARGIN * (metres + MARGIN_M) / LEAST_RADIUS_M)


def _boxes_of(geofences: Iterable[Geofence]) -> Boxes:
    extents = [extent(each.shape) for each in geofences]
    return boxes_around(np.array([each[0] for each in extents]), np.array([each[1] for each in extents]))
