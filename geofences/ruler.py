"""How far points are from the borders of shapes: many points and many shapes in one pass, without a Python loop.

A circle is measured along the ellipsoid. An area or corridor of a town's size is measured on a flat map of its own
(metres; linear in longitude and latitude, so that inside stays inside). One that is wide, or near a pole, is asked
for its nearest point on a conformal map, and the way to that is measured along the ellipsoid.
"""

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, NamedTuple, cast

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import LineString, MultiPolygon
from shapely.geometry.base import BaseGeometry

from geofences.antimeridian import TURN, wrapped
from geofences.bounds import extent
from geofences.geofence import Area, Circle, Corridor, Shape
from geofences.plane import (
    Centre,
    from_stereographic,
    geodesic_m,
    metres_per_degree,
    to_local,
    to_stereographic,
)

Floats = NDArray[np.float64]
Slots = NDArray[np.int64]

WIDE_M = 20_000.0
"""From this extent on a flat map would be metres wrong at its rim."""
HIGH_LATITUDE = 80.0
"""From this latitude on meridians run together within one shape."""
STEP_DEGREES = 0.02
"""Edges are straight in longitude and latitude; on the conformal map they bend, so they go there in such steps
(about 2 km, off by less than 0.1 m in between at 45 degrees)."""
STEPS_LIMIT = 20_000
"""Positions of one border on the conformal map; a longer border goes in longer steps."""
PREPARED_FROM = 65
"""Positions from which on GEOS is quicker with an index over the edges, which takes four times the memory."""
MADE_EACH_TURN = 100_000
"""After so many more shapes were made ready, those that were not measured since the turn before are let go; one of a
dozen corners takes 1.7 kB."""
INRADIUS_TOLERANCE = 0.05
"""Of the half width that area and perimeter let expect."""


class Map(IntEnum):
    """How the shape in a slot is measured."""

    NONE = 0
    CIRCLE = 1
    LOCAL = 2
    STEREOGRAPHIC = 3


class _Row(NamedTuple):
    """What a slot holds. `area` is in local metres, or in degrees when wide; `border` is on the slot's map."""

    map: Map
    lon: float
    lat: float
    reach_m: float
    area: BaseGeometry | None = None
    border: BaseGeometry | None = None


_NOTHING = _Row(Map.NONE, 0.0, 0.0, 0.0)
_COLUMNS = np.dtype(
    [("map", "i1"), ("lon", "f8"), ("lat", "f8"), ("reach_m", "f8"), ("area", "O"), ("border", "O")]
)


class Ruler:
    """Shapes by slot (small whole numbers), and their distances. A shape is asked for when it is first measured, and
    let go when many others were measured since. Not thread-safe.
    """

    def __init__(self, shape_of: Callable[[int], Shape]) -> None:
        self._shape_of = shape_of
        self._rows = np.zeros(64, dtype=_COLUMNS)
        self._turns = np.zeros(64, dtype=np.int32)
        self._turn = 0
        self._made = 0

    def drop(self, slot: int) -> None:
        """Ask anew for the shape in this slot, which has changed or gone."""
        if slot < len(self._rows) and self._rows["map"][slot] != Map.NONE:
            self._rows[slot] = tuple(_NOTHING)

    def distances_m(self, lons: Floats, lats: Floats, slots: Slots) -> Floats:
        """For each point and the slot beside it, the signed distance to the border: metres, negative inside."""
        if not len(slots):
            return np.empty(0)
        self._hold(slots)
        rows = self._rows[slots]
        distances = np.full(len(rows), np.nan)
        for kind, measure in (
            (Map.CIRCLE, _circle),
            (Map.LOCAL, _local),
            (Map.STEREOGRAPHIC, _stereographic),
        ):
            these = np.flatnonzero(rows["map"] == kind)
            if these.size:
                distances[these] = measure(lons[these], lats[these], rows[these])
        return distances

    def inradius_m(self, slot: int, shape: Shape) -> float:
        """The largest distance to the border that a point inside `shape`, which is in `slot`, can have."""
        if isinstance(shape, Circle):
            return shape.radius_m
        if isinstance(shape, Corridor):
            return shape.width_m / 2
        lon, lat = _innermost(shape.polygons)
        return float(-self.distances_m(np.array([lon]), np.array([lat]), np.array([slot]))[0])

    def _hold(self, slots: Slots) -> None:
        """See to it that these shapes can be measured."""
        most = int(slots.max()) + 1
        if most > len(self._rows):
            room = max(most, 2 * len(self._rows))
            self._rows, self._turns = _grown(self._rows, room), _grown(self._turns, room)
        missing = slots[self._rows["map"][slots] == Map.NONE]
        if len(missing):
            missing = np.unique(missing)
            self._rows[missing] = _made([self._shape_of(slot) for slot in missing.tolist()])
            self._made += len(missing)
        self._turns[slots] = self._turn
        if self._made > MADE_EACH_TURN:
            idle = (self._turns != self._turn) & (self._rows["map"] != Map.NONE)
            self._rows[idle] = np.array([tuple(_NOTHING)], dtype=_COLUMNS)
            self._turn, self._made = self._turn + 1, 0


def _circle(lons: Floats, lats: Floats, rows: NDArray[Any]) -> Floats:
    away = geodesic_m(lons, lats, rows["lon"], rows["lat"])
    return _signed(away, np.zeros(len(rows), dtype=np.bool_), rows["reach_m"])


def _local(lons: Floats, lats: Floats, rows: NDArray[Any]) -> Floats:
    x, y = to_local(lons, lats, Centre(rows["lon"], rows["lat"]))
    away = shapely.distance(rows["border"], shapely.points(x, y))
    return _signed(away, shapely.intersects_xy(rows["area"], x, y), rows["reach_m"])


def _stereographic(lons: Floats, lats: Floats, rows: NDArray[Any]) -> Floats:
    centre = Centre(rows["lon"], rows["lat"])
    points = shapely.points(*to_stereographic(lons, lats, centre))
    ways = shapely.get_coordinates(shapely.shortest_line(rows["border"], points))
    near_lon, near_lat = from_stereographic(ways[0::2, 0], ways[0::2, 1], centre)
    away = geodesic_m(lons, lats, near_lon, near_lat)
    inside = shapely.intersects_xy(rows["area"], centre.lon + wrapped(lons - centre.lon), lats)
    return _signed(away, inside, rows["reach_m"])


def _signed(away: Floats, inside: NDArray[np.bool_], reach_m: Floats) -> Floats:
    return np.where(inside, -away, away) - reach_m


def _made(shapes: Sequence[Shape]) -> NDArray[Any]:
    """The rows of these shapes; all that are measured on a local map at once."""
    rows = np.zeros(len(shapes), dtype=_COLUMNS)
    flat: list[int] = []
    for place, shape in enumerate(shapes):
        if isinstance(shape, Circle):
            rows[place] = tuple(_Row(Map.CIRCLE, shape.lon, shape.lat, shape.radius_m))
        elif _is_wide(*extent(shape)[0]):
            rows[place] = tuple(_wide(shape))
        else:
            flat.append(place)
    if flat:
        rows[flat] = _flat([cast("Area | Corridor", shapes[place]) for place in flat])
    return rows


def _flat(shapes: Sequence[Area | Corridor]) -> NDArray[Any]:
    rows = np.zeros(len(shapes), dtype=_COLUMNS)
    borders = np.empty(len(shapes), dtype=object)
    borders[:] = [each.polygons if isinstance(each, Area) else each.line for each in shapes]
    west, south, east, north = shapely.bounds(borders).T
    rows["map"], rows["lon"], rows["lat"] = Map.LOCAL, (west + east) / 2, (south + north) / 2
    rows["reach_m"] = [0.0 if isinstance(each, Area) else each.width_m / 2 for each in shapes]
    single = shapely.get_num_geometries(borders) == 1
    borders[single] = shapely.get_geometry(borders[single], 0)
    positions, owners = shapely.get_coordinates(borders, return_index=True)
    centre = Centre(rows["lon"][owners], rows["lat"][owners])
    borders = shapely.set_coordinates(
        borders, np.column_stack(to_local(positions[:, 0], positions[:, 1], centre))
    )
    areas = np.array([isinstance(each, Area) for each in shapes])
    rows["area"] = None
    rows["area"][areas] = borders[areas]
    borders[areas] = shapely.boundary(borders[areas])
    rows["border"] = borders
    shapely.prepare(rows["area"][shapely.get_num_coordinates(rows["area"]) >= PREPARED_FROM])
    return rows


def _wide(shape: Area | Corridor) -> _Row:
    area = _simplest(shape.polygons) if isinstance(shape, Area) else None
    line = area.boundary if area is not None else cast("Corridor", shape).line
    reach_m = 0.0 if isinstance(shape, Area) else shape.width_m / 2
    west, south, east, north = line.bounds
    lon, lat = (west + east) / 2, (south + north) / 2
    border = _on_stereographic(line if area is None else _coast(line), lon, lat)
    for each in (border, *(() if area is None else (area,))):
        shapely.prepare(each)
    return _Row(Map.STEREOGRAPHIC, lon, lat, reach_m, area, border)


def _grown(column: NDArray[Any], room: int) -> NDArray[Any]:
    grown = np.zeros(room, dtype=column.dtype)
    grown[: len(column)] = column
    return grown


def _is_wide(west: float, south: float, east: float, north: float) -> bool:
    furthest = max(abs(south), abs(north))
    nearest = 0.0 if south <= 0 <= north else min(abs(south), abs(north))
    across, along = metres_per_degree(np.array([nearest]))
    extent_m = max((east - west) * across[0], (north - south) * along[0])
    return bool(extent_m > WIDE_M or furthest > HIGH_LATITUDE)


def _on_stereographic(line: BaseGeometry, lon: float, lat: float) -> BaseGeometry:
    centre = Centre(np.array([lon]), np.array([lat]))
    steps = shapely.segmentize(line, max(STEP_DEGREES, line.length / STEPS_LIMIT))
    return shapely.transform(
        steps, lambda positions: np.column_stack(to_stereographic(positions[:, 0], positions[:, 1], centre))
    )


def _coast(border: BaseGeometry) -> BaseGeometry:
    """The border without what only the map needs: the seam of a shape that goes all round, and the poles."""
    west, south, east, north = border.bounds
    seams: list[BaseGeometry] = [
        LineString([(west, lat), (east, lat)]) for lat in (south, north) if abs(lat) == 90.0
    ]
    if east - west == TURN:
        west_side, east_side = (border & LineString([(lon, south), (lon, north)]) for lon in (west, east))
        seam = west_side & _moved(east_side, -TURN)
        seams += [seam, _moved(seam, TURN)]
    coast = border - shapely.union_all(seams)
    return border if coast.is_empty else coast


def _moved(geometry: BaseGeometry, degrees: float) -> BaseGeometry:
    return shapely.transform(geometry, lambda positions: positions + np.array([degrees, 0.0]))


def _innermost(polygons: MultiPolygon) -> tuple[float, float]:
    """Longitude and latitude of (about) the point inside that is furthest from the border."""
    west, south, east, north = polygons.bounds
    lon, lat = (west + east) / 2, (south + north) / 2
    across, along = (float(each[0]) for each in metres_per_degree(np.array([lat])))
    sheet = shapely.transform(polygons, lambda positions: (positions - (lon, lat)) * (across, along))
    tolerance = INRADIUS_TOLERANCE * sheet.area / sheet.length
    x, y = shapely.get_coordinates(shapely.maximum_inscribed_circle(sheet, tolerance))[0].tolist()
    return lon + x / across, lat + y / along


def _simplest(polygons: MultiPolygon) -> BaseGeometry:
    return polygons.geoms[0] if len(polygons.geoms) == 1 else polygons
