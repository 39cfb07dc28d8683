"""The index: which geofences are near which of a batch of positions, and how far their borders are."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rtree.index import Index, Property

from geofences.bounds import Boxes, boxes_around
from geofences.catalogue import Catalogue
from geofences.cells import Cells
from geofences.geofence import Geofence, Kind
from geofences.packed import Edit, Packed, Packing
from geofences.ruler import Ruler
from geofences.tiles import Tiles, each_once

Floats = NDArray[np.float64]
Slots = NDArray[np.int64]

LOAD_FROM_EDITS = 100
LOAD_FROM_SHARE = 0.01
"""From so many edits on, and such a share of all, the tree is loaded anew: 0.6 s for a million, where one edit takes
70 us."""
REACHES_M = (100.0, 400.0)
"""Pads up to these are answered by tables of cells; wider ones ask the tree."""
NODE_CAPACITY = 20
"""Entries of a node of the tree. A removal goes through whole nodes, so they are small."""
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

    def parted(self, place: int) -> tuple["Matches", "Matches"]:
        """The pairs of positions before a place in the batch, and those from there on, whose places count from it."""
        cut = int(np.searchsorted(self.ping, place))
        before = Matches(self.ping[:cut], self.slot[:cut], self.distance_m[:cut])
        return before, Matches(self.ping[cut:] - place, self.slot[cut:], self.distance_m[cut:])


class GeofenceIndex:
    """Geofences by place. A slot is a small whole number that stays with an id as long as that is in the index;
    afterwards another id may get it. Not thread-safe: each thread has an index of its own, or takes turns.
    """

    def __init__(self, packed: Packed | None = None) -> None:
        self.catalogue = Catalogue(packed)
        self._inradii_m: dict[int, float] = {}
        self._ruler = Ruler(self.catalogue.shapes)
        self._cells = tuple(Cells(reach_m) for reach_m in REACHES_M)
        self._watching = [each.tiles for each in self._cells]
        self._editions = dict.fromkeys(Kind, 0)
        self._load_tree()

    @classmethod
    def of(cls, geofences: Iterable[Geofence]) -> "GeofenceIndex":
        """An index of all these, loaded at once; of two with the same id the later counts."""
        return cls(Packed.of(geofences))

    def __len__(self) -> int:
        return len(self.catalogue)

    def put(self, geofence: Geofence) -> None:
        """Add a geofence, or replace the one with its id."""
        self._change(Packed.of([geofence]), {})

    def remove(self, geofence_id: str) -> None:
        """Take a geofence out; one that is not there may be removed too."""
        self._change(Packed.of([]), {geofence_id: 0})

    def change(self, edits: Sequence[tuple[str, Geofence | None]]) -> None:
        """Take over many edits: each an id with its geofence, or with None when it is to go; the last of an id counts.
        Slots stay.
        """
        ends = dict(edits)
        gone = {geofence_id: 0 for geofence_id, geofence in ends.items() if geofence is None}
        self._change(Packed.of(each for each in ends.values() if each is not None), gone)

    def follow(self, edits: Sequence[Edit]) -> None:
        """Take over edits that the store told, each geofence once."""
        packing = Packing()
        for geofence_id, revision, feature in edits:
            if feature is not None:
                packing.add_stored(geofence_id, revision, feature)
        self._change(packing.packed(), {each.id: each.revision for each in edits if each.feature is None})

    def _change(self, rows: Packed, gone: Mapping[str, int]) -> None:
        """Put all rows, each of another id, and remove what is gone, with the revision of that edit."""
        leaving = self.catalogue.slots_of((*rows.ids, *gone))
        was = self.catalogue.boxes(leaving)
        self._changed(leaving)
        for geofence_id, revision in gone.items():
            self.catalogue.remove(geofence_id, revision)
        slots = self.catalogue.put(rows)
        self._changed(slots)
        if len(rows) + len(gone) >= max(LOAD_FROM_EDITS, LOAD_FROM_SHARE * len(self)):
            self._load_tree()
            return
        boxes = self.catalogue.boxes(slots)
        for tiles in self._watching:
            tiles.forget(was)
            tiles.forget(boxes)
        before, after = _placed(leaving, was), _placed(slots, boxes)
        for slot, box in before - after:
            self._tree.delete(slot, box)
        for slot, box in after - before:
            self._tree.insert(slot, box)

    def get(self, geofence_id: str) -> Geofence | None:
        """The geofence of an id, None when it is not in the index."""
        return self.catalogue.get(geofence_id)

    def of_kind(self, kind: Kind) -> Sequence[Geofence]:
        """All geofences of a kind."""
        return [self.catalogue.geofence(slot) for slot in self.catalogue.of_kind(kind).tolist()]

    def edition(self, kind: Kind) -> int:
        """A number that changes whenever a geofence of a kind has been edited."""
        return self._editions[kind]

    def slot(self, geofence_id: str) -> int | None:
        """The slot of an id, None when it is not in the index."""
        return self.catalogue.slot(geofence_id)

    def geofence(self, slot: int) -> Geofence:
        """The geofence in a slot. Raises `KeyError` when the slot is empty."""
        return self.catalogue.geofence(slot)

    def match(self, lons: Floats, lats: Floats, pads_m: Floats) -> Matches:
        """All pairs of a position and a geofence whose border is at most the position's pad away, or around it.

        Longitudes and latitudes in degrees and pads in metres, one each, finite. A negative pad asks for positions
        that are so far inside.
        """
        pings, slots = self._candidates(lons, lats, pads_m)
        if not len(pings):
            return Matches(ping=pings, slot=slots, distance_m=np.empty(0))
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
        if (empty := self.catalogue.is_empty(slots)).any():
            raise KeyError(int(slots[empty][0]))
        return self._ruler.distances_m(lons, lats, slots)

    def inradius_m(self, slot: int) -> float:
        """The largest distance to the border that a point inside can have; for an area to within a few per cent."""
        if slot not in self._inradii_m:
            self._inradii_m[slot] = self._ruler.inradius_m(slot, self.geofence(slot).shape)
        return self._inradii_m[slot]

    def __iter__(self) -> Iterator[Geofence]:
        return iter(self.catalogue)

    def near(self, kind: Kind, tiles: Tiles, rows: Slots, columns: Slots) -> tuple[Slots, Boxes]:
        """The boxes of all that is of a kind and within reach of these tiles, with the tile (its place among these) of
        each; they reach as far beyond the geofences as the tiles do. Tiles that are watched are forgotten when an edit
        touches them.
        """
        asked = tiles.boxes(rows, columns)
        found, counts = self._tree.intersection_v(asked.mins, asked.maxs)  # type: ignore[no-untyped-call]  # rtree's
        these = np.repeat(asked.owner, counts.astype(np.int64))
        right = self.catalogue.are(kind, found)
        boxes = self.catalogue.boxes(found[right], tiles.reach_m)
        return these[right][boxes.owner], boxes

    def watch(self, tiles: Tiles) -> None:
        """Forget tiles when an edit touches them."""
        self._watching.append(tiles)

    def _candidates(self, lons: Floats, lats: Floats, pads_m: Floats) -> tuple[Slots, Slots]:
        """Each (ping, slot) that may be near enough, once, sorted."""
        nothing = np.empty(0, np.int64), np.empty(0, np.int64)
        if not len(self) or not len(lons):
            return nothing
        if pads_m.max() <= REACHES_M[0]:
            return self._by_cells(self._cells[0], slice(None), lons, lats, pads_m)
        which = np.searchsorted(REACHES_M, pads_m)
        parts = [nothing]
        for number, cells in enumerate(self._cells):
            if len(these := np.flatnonzero(which == number)):
                parts.append(self._by_cells(cells, these, lons, lats, pads_m))
        if len(wide := np.flatnonzero(which == len(REACHES_M))):
            parts.append(self._by_tree(wide, lons, lats, pads_m))
        size = self.catalogue.size
        pairs = np.concatenate([pings * size + slots for pings, slots in parts])
        return np.divmod(each_once(pairs), size)

    def _by_cells(
        self, cells: Cells, these: Slots | slice, lons: Floats, lats: Floats, pads_m: Floats
    ) -> tuple[Slots, Slots]:
        """The candidates of these positions, whose pads are within the reach of the table."""
        pings, slots = cells.near(lons[these], lats[these], self._tree, self.catalogue)
        if not isinstance(these, slice):
            pings = these[pings]
        if not len(pings):
            return pings, slots
        held = self.catalogue.may_hold(slots, lons[pings], lats[pings], pads_m[pings])
        return pings[held], slots[held]

    def _by_tree(self, these: Slots, lons: Floats, lats: Floats, pads_m: Floats) -> tuple[Slots, Slots]:
        boxes = boxes_around(
            np.column_stack([lons[these], lats[these], lons[these], lats[these]]), pads_m[these]
        )
        found, counts = self._tree.intersection_v(boxes.mins, boxes.maxs)  # type: ignore[no-untyped-call]  # rtree's
        return these[np.repeat(boxes.owner, counts.astype(np.int64))], found

    def _changed(self, slots: Slots) -> None:
        """Forget what was found out about the geofences in these slots, before and after they are edited."""
        for slot in slots.tolist():
            self._editions[self.catalogue.kind(slot)] += 1
            self._inradii_m.pop(slot, None)
        self._ruler.drop(slots)

    def _load_tree(self) -> None:
        """Make the tree anew from all that have a seat: much quicker than one by one."""
        for cells in self._cells:
            cells.clear()
        for tiles in self._watching:
            tiles.clear()
        properties = Property(
            leaf_capacity=NODE_CAPACITY,
            index_capacity=NODE_CAPACITY,
            near_minimum_overlap_factor=NODE_CAPACITY // 2,
        )
        slots = self.catalogue.slots()
        if not len(slots):
            self._tree = Index(properties=properties)
            return
        boxes = self.catalogue.boxes(slots)
        self._tree = Index((slots[boxes.owner], boxes.mins, boxes.maxs), properties=properties)


def _placed(slots: Slots, boxes: Boxes) -> set[tuple[int, tuple[float, ...]]]:
    """Each box with its slot."""
    return set(zip(slots[boxes.owner].tolist(), map(tuple, boxes.corners.tolist()), strict=True))
