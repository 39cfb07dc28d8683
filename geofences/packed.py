"""Geofences as columns of numbers and bytes, a million of them in half a gigabyte: what an index is loaded from, and
what a snapshot holds. A geofence is made of its row when somebody asks for it.
"""

import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import LineString, MultiPolygon, Polygon

from geofences.antimeridian import TURN
from geofences.bounds import extent
from geofences.geofence import Area, Circle, Corridor, Geofence, Kind, Shape
from geofences.geojson import geofence_from_feature
from geofences.properties import SIZE_NAMES

Floats = NDArray[np.float64]
Slots = NDArray[np.int64]
Position = tuple[float, float]
Rings = Sequence[Sequence[int]]
"""For each polygon of an area, how many positions each of its rings has."""

KINDS = tuple(Kind)
KNOWN = ("name", "kind", "tags", "dwell_seconds", "timezone", "store", "opening_hours", "heading")


class Edit(NamedTuple):
    """An edit as the store tells it: the text of the Feature that it keeps, None for a geofence that is gone."""

    id: str
    revision: int
    feature: str | None


class _Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is known of a geofence besides id, kind and place. `others` is JSON, for its numbers have no bounds."""

    name: str
    timezone: str
    tags: tuple[str, ...]
    dwell_seconds: int
    store: str | None
    opening_hours: str | None
    heading: float | None
    others: bytes
    rings: list[list[int]]
    """Empty for circles and corridors."""


class _Geometry(msgspec.Struct, frozen=True, gc=False):
    type: str
    coordinates: msgspec.Raw


class _Feature(msgspec.Struct, frozen=True, gc=False):
    properties: msgspec.Raw
    geometry: _Geometry


@dataclass(frozen=True, slots=True)
class Packed:
    """Rows of geofences. `bounds` (west, south, east, north in degrees) are those of the coordinates, and `reach_m` the
    metres by which the shape reaches beyond them. Row r has the positions (longitude, latitude) from `firsts[r]` to
    `firsts[r + 1]`, none for a circle, and the bytes of its record from `record_firsts[r]` to `record_firsts[r + 1]`.
    """

    ids: Sequence[str]
    revisions: Slots
    kinds: NDArray[np.int8]
    bounds: Floats
    reach_m: Floats
    firsts: Slots
    positions: Floats
    record_firsts: Slots
    records: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, geofences: Iterable[Geofence]) -> "Packed":
        """These geofences as columns."""
        packing = Packing()
        for geofence in geofences:
            packing.add(geofence)
        return packing.packed()

    def geofence(self, row: int) -> Geofence:
        """The geofence in a row."""
        record = self._record(row)
        return Geofence(
            id=self.ids[row],
            name=record.name,
            kind=KINDS[self.kinds[row]],
            shape=self._shape(row, record.rings),
            timezone=record.timezone,
            tags=record.tags,
            dwell_seconds=record.dwell_seconds,
            store=record.store,
            opening_hours=record.opening_hours,
            heading=record.heading,
            properties=json.loads(record.others) if record.others else {},
        )

    def shapes(self, rows: Sequence[int]) -> list[Shape]:
        """The shapes of the geofences in these rows: areas of one ring all at once, which is ten times as quick."""
        rings = [self._record(row).rings for row in rows]
        one_ring = [place for place, polygons in enumerate(rings) if [len(each) for each in polygons] == [1]]
        shapes: list[Shape | None] = [None] * len(rows)
        if one_ring:
            chosen = np.array([rows[place] for place in one_ring])
            counts = self.firsts[chosen + 1] - self.firsts[chosen]
            positions = self.positions[_stretches(self.firsts[chosen], counts)]
            owner = np.arange(len(chosen))
            areas: Any = shapely.linearrings(positions, indices=np.repeat(owner, counts))
            areas = shapely.multipolygons(shapely.polygons(areas), indices=owner)
            for place, area in zip(one_ring, areas, strict=True):
                shapes[place] = Area(area)
        return [
            self._shape(row, polygons) if shape is None else shape
            for row, polygons, shape in zip(rows, rings, shapes, strict=True)
        ]

    def only(self, rows: Slots) -> "Packed":
        """These rows, in order."""
        counts = self.firsts[rows + 1] - self.firsts[rows]
        sizes = self.record_firsts[rows + 1] - self.record_firsts[rows]
        return Packed(
            ids=[self.ids[row] for row in rows.tolist()],
            revisions=self.revisions[rows],
            kinds=self.kinds[rows],
            bounds=self.bounds[rows],
            reach_m=self.reach_m[rows],
            firsts=_ends(counts),
            positions=self.positions[_stretches(self.firsts[rows], counts)],
            record_firsts=_ends(sizes),
            records=self.records[_stretches(self.record_firsts[rows], sizes)],
        )

    @classmethod
    def together(cls, parts: Sequence["Packed"]) -> "Packed":
        """The rows of all parts, one after the other."""
        parts = parts or [Packing().packed()]
        return cls(
            ids=list(chain.from_iterable(part.ids for part in parts)),
            revisions=np.concatenate([part.revisions for part in parts]),
            kinds=np.concatenate([part.kinds for part in parts]),
            bounds=np.concatenate([part.bounds for part in parts]),
            reach_m=np.concatenate([part.reach_m for part in parts]),
            firsts=_ends(np.concatenate([np.diff(part.firsts) for part in parts])),
            positions=np.concatenate([part.positions for part in parts]),
            record_firsts=_ends(np.concatenate([np.diff(part.record_firsts) for part in parts])),
            records=np.concatenate([part.records for part in parts]),
        )

    def _record(self, row: int) -> _Record:
        return _reader.decode(self.records[self.record_firsts[row] : self.record_firsts[row + 1]].data)

    def _shape(self, row: int, rings: Rings) -> Shape:
        positions, reach_m = self.positions[self.firsts[row] : self.firsts[row + 1]], float(self.reach_m[row])
        if not len(positions):
            return Circle(float(self.bounds[row, 0]), float(self.bounds[row, 1]), reach_m)
        if not rings:
            return Corridor(LineString(positions), 2 * reach_m)
        ends = np.cumsum([count for polygon in rings for count in polygon])[:-1]
        parts = iter(np.split(positions, ends))
        whole = [[next(parts) for _ in polygon] for polygon in rings]
        return Area(MultiPolygon([Polygon(outer, holes) for outer, *holes in whole]))


class Packing:
    """Packs geofences one by one; `packed` then has them all."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._revisions = array("q")
        self._kinds = array("b")
        self._bounds = array("d")
        self._reach_m = array("d")
        self._counts = array("q")
        self._positions = array("d")
        self._sizes = array("q")
        self._records = bytearray()

    def add(self, geofence: Geofence, revision: int = 0) -> None:
        """Pack a geofence, which has this revision in the store."""
        bounds, reach_m = extent(geofence.shape)
        rings, positions = _rings_and_positions(geofence.shape)
        others = json.dumps(dict(geofence.properties)).encode() if geofence.properties else b""
        record = _Record(
            geofence.name,
            geofence.timezone,
            geofence.tags,
            geofence.dwell_seconds,
            geofence.store,
            geofence.opening_hours,
            geofence.heading,
            others,
            rings,
        )
        flat = array("d", chain.from_iterable(positions))
        self._add(geofence.id, revision, geofence.kind, bounds, reach_m, flat, record)

    def add_stored(self, geofence_id: str, revision: int, feature: str) -> None:
        """Pack a geofence as the store holds it: the text of a Feature that `feature_from_geofence` has written, so
        that nothing is checked again. Whatever is not plain is read as any feature is.
        """
        read = _feature_reader.decode(feature)
        properties = json.loads(bytes(read.properties))
        place = _place_of(read.geometry, properties)
        if place is None:
            self.add(geofence_from_feature(json.loads(feature), geofence_id), revision)
            return
        positions, rings, bounds, reach_m = place
        names = (*KNOWN, *SIZE_NAMES.get(read.geometry.type, ()))
        others = {name: value for name, value in properties.items() if name not in names}
        heading = properties.get("heading")
        record = _Record(
            properties["name"],
            properties["timezone"],
            tuple(properties["tags"]),
            properties["dwell_seconds"],
            properties.get("store"),
            properties.get("opening_hours"),
            None if heading is None else float(heading),
            json.dumps(others).encode() if others else b"",
            rings,
        )
        self._add(geofence_id, revision, Kind(properties["kind"]), bounds, reach_m, positions, record)

    def packed(self) -> Packed:
        """All of them, in the order in which they came."""
        return Packed(
            ids=self._ids,
            revisions=np.array(self._revisions, np.int64),
            kinds=np.array(self._kinds, np.int8),
            bounds=np.array(self._bounds, np.float64).reshape(-1, 4),
            reach_m=np.array(self._reach_m, np.float64),
            firsts=_ends(np.array(self._counts, np.int64)),
            positions=np.frombuffer(self._positions, np.float64).reshape(-1, 2),
            record_firsts=_ends(np.array(self._sizes, np.int64)),
            records=np.frombuffer(self._records, np.uint8),
        )

    def _add(
        self,
        geofence_id: str,
        revision: int,
        kind: Kind,
        bounds: Sequence[float],
        reach_m: float,
        positions: "array[float]",
        record: _Record,
    ) -> None:
        packed = _writer.encode(record)
        self._ids.append(geofence_id)
        self._revisions.append(revision)
        self._kinds.append(_KIND_NUMBERS[kind])
        self._bounds.extend(bounds)
        self._reach_m.append(reach_m)
        self._counts.append(len(positions) // 2)
        self._positions.extend(positions)
        self._sizes.append(len(packed))
        self._records += packed


_KIND_NUMBERS = {kind: number for number, kind in enumerate(KINDS)}
_writer = msgspec.msgpack.Encoder()
_reader = msgspec.msgpack.Decoder(_Record)
_feature_reader = msgspec.json.Decoder(_Feature)
_point_reader = msgspec.json.Decoder(Position)
_line_reader = msgspec.json.Decoder(list[Position])
_polygon_reader = msgspec.json.Decoder(list[list[Position]])


def _place_of(
    geometry: _Geometry, properties: Mapping[str, Any]
) -> tuple["array[float]", list[list[int]], Sequence[float], float] | None:
    """Positions, rings, bounds and reach of a stored geometry; None for one that is not plain: of several polygons, or
    wide enough for its longitudes to run on over the antimeridian.
    """
    if geometry.type == "Point":
        lon, lat = _point_reader.decode(geometry.coordinates)
        return array("d"), [], (lon, lat, lon, lat), float(properties["radius"])
    if geometry.type == "LineString":
        rings, reach_m = [_line_reader.decode(geometry.coordinates)], properties["width"] / 2
    elif geometry.type == "Polygon":
        rings, reach_m = _polygon_reader.decode(geometry.coordinates), 0.0
    else:
        return None
    positions = array("d", chain.from_iterable(chain.from_iterable(rings)))
    lons, lats = positions[::2], positions[1::2]
    west, east = min(lons), max(lons)
    if east - west >= TURN / 2 or west < -TURN / 2 or east > TURN / 2:
        return None
    sizes = [[len(ring) for ring in rings]] if geometry.type == "Polygon" else []
    return positions, sizes, (west, min(lats), east, max(lats)), reach_m


def _rings_and_positions(shape: Shape) -> tuple[list[list[int]], Iterator[Position]]:
    if isinstance(shape, Circle):
        return [], iter(())
    if isinstance(shape, Corridor):
        return [], cast("Iterator[Position]", iter(shape.line.coords))
    rings = [[each.exterior, *each.interiors] for each in shape.polygons.geoms]
    sizes = [[len(ring.coords) for ring in polygon] for polygon in rings]
    positions = (position for polygon in rings for ring in polygon for position in ring.coords)
    return sizes, cast("Iterator[Position]", positions)


def _ends(counts: Slots) -> Slots:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _stretches(firsts: Slots, counts: Slots) -> Slots:
    """All places from each first on, so many each."""
    return np.repeat(firsts - np.cumsum(counts) + counts, counts) + np.arange(np.sum(counts))
