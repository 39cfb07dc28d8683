"""How far points are from the borders of shapes: many points and many shapes in one pass, without a Python loop.

A circle is measured along the ellipsoid. An area or corridor of a town's size is measured on a flat map of its own
(metres; linear in longitude and latitude, so that inside stays inside). One that is wide, or near a pole, is asked
for its nearest point on a conformal map, and the way to that is measured along the ellipsoid.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, cast

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import LineString, MultiPolygon
from shapely.geometry.base import BaseGeometry

from geofences.antimeridian import TURN, wrapped
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
Geometries = NDArray[Any]
Booleans = NDArray[np.bool_]

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


@dataclass(slots=True)
class _Rows:
    """Shapes as columns. `area` is in local metres, or in degrees when wide; `border` is on the shape's map. `across` and
    `along` are the metres per degree of longitude and latitude on a local map.
    """

    map: NDArray[np.int8]
    lon: Floats
    lat: Floats
    across: Floats
    along: Floats
    reach_m: Floats
    area: Geometries
    border: Geometries

    @classmethod
    def empty(cls, room: int) -> "_Rows":
        """Rows that hold nothing."""
        lon, lat, across, along, reach_m = np.zeros((5, room))
        return cls(
            np.full(room, Map.NONE, np.int8),
            lon,
            lat,
            across,
            along,
            reach_m,
            np.empty(room, object),
            np.empty(room, object),
        )

    def at(self, places: Slots) -> "_Rows":
        """The rows in these places."""
        return _Rows(
            self.map[places],
            self.lon[places],
            self.lat[places],
            self.across[places],
            self.along[places],
            self.reach_m[places],
            self.area[places],
            self.border[places],
        )

    def put(self, places: Any, rows: "_Rows") -> None:
        """Put rows in these places."""
        for name in self.__slots__:
            getattr(self, name)[places] = getattr(rows, name)

    def __len__(self) -> int:
        return len(self.map)


class Ruler:
    """Shapes by slot (small whole numbers), and their distances. A shape is asked for when it is first measured, and
    let go when many others were measured since. Not thread-safe.
    """

    def __init__(self, shapes_of: Callable[[Sequence[int]], Sequence[Shape]]) -> None:
        self._shapes_of = shapes_of
        self._rows = _Rows.empty(64)
        self._turns = np.zeros(64, dtype=np.int32)
        self._turn = 0
        self._made = 0

    def drop(self, slots: Slots) -> None:
        """Ask anew for the shapes in these slots, which have changed or gone."""
        slots = slots[slots < len(self._rows)]
        self._rows.put(slots, _Rows.empty(len(slots)))

    def distances_m(self, lons: Floats, lats: Floats, slots: Slots) -> Floats:
        """For each point and the slot beside it, the signed distance to the border: metres, negative inside."""
        if not len(slots):
            return np.empty(0)
        maps = self._hold(slots)
        if (maps == maps[0]).all():
            return MEASURES[maps[0]](lons, lats, self._rows.at(slots))
        distances = np.empty(len(slots))
        for kind, measure in MEASURES.items():
            these = np.flatnonzero(maps == kind)
            if these.size:
                distances[these] = measure(lons[these], lats[these], self._rows.at(slots[these]))
        return distances

    def inradius_m(self, slot: int, shape: Shape) -> float:
        """The largest distance to the border that a point inside `shape`, which is in `slot`, can have."""
        if isinstance(shape, Circle):
            return shape.radius_m
        if isinstance(shape, Corridor):
            return shape.width_m / 2
        lon, lat = _innermost(shape.polygons)
        return float(-self.distances_m(np.array([lon]), np.array([lat]), np.array([slot]))[0])

    def _hold(self, slots: Slots) -> NDArray[np.int8]:
        """See to it that these shapes can be measured, and tell how."""
        most = int(slots.max()) + 1
        if most > len(self._rows):
            grown = _Rows.empty(max(most, 2 * len(self._rows)))
            grown.put(slice(0, len(self._rows)), self._rows)
            self._turns = np.concatenate([self._turns, np.zeros(len(grown) - len(self._rows), np.int32)])
            self._rows = grown
        maps = self._rows.map[slots]
        if not maps.all():  # of all maps only `NONE` is false
            missing = np.unique(slots[maps == Map.NONE])
            self._rows.put(missing, _made(self._shapes_of(missing.tolist())))
            self._made += len(missing)
            maps = self._rows.map[slots]
        self._turns[slots] = self._turn
        if self._made > MADE_EACH_TURN:
            idle = np.flatnonzero((self._turns != self._turn) & (self._rows.map != Map.NONE))
            self._rows.put(idle, _Rows.empty(len(idle)))
            self._turn, self._made = self._turn + 1, 0
        return maps


def _circle(lons: Floats, lats: Floats, rows: _Rows) -> Floats:
    away = geodesic_m(lons, lats, rows.lon, rows.lat)
    return _signed(away, np.zeros(len(rows), dtype=np.bool_), rows.reach_m)


def _local(lons: Floats, lats: Floats, rows: _Rows) -> Floats:
    x, y = wrapped(lons - rows.lon) * rows.across, (lats - rows.lat) * rows.along
    away = shapely.distance(rows.border, shapely.points(np.column_stack([x, y])))
    return _signed(away, shapely.intersects_xy(rows.area, x, y), rows.reach_m)


def _stereographic(lons: Floats, lats: Floats, rows: _Rows) -> Floats:
    centre = Centre(rows.lon, rows.lat)
    points = shapely.points(*to_stereographic(lons, lats, centre))
    ways = shapely.get_coordinates(shapely.shortest_line(rows.border, points))
    near_lon, near_lat = from_stereographic(ways[0::2, 0], ways[0::2, 1], centre)
    away = geodesic_m(lons, lats, near_lon, near_lat)
    inside = shapely.intersects_xy(rows.area, centre.lon + wrapped(lons - centre.lon), lats)
    return _signed(away, inside, rows.reach_m)


MEASURES: Mapping[int, Callable[[Floats, Floats, _Rows], Floats]] = {
    Map.CIRCLE: _circle,
    Map.LOCAL: _local,
    Map.STEREOGRAPHIC: _stereographic,
}


def _signed(away: Floats, inside: NDArray[np.bool_], reach_m: Floats) -> Floats:
    return np.where(inside, -away, away) - reach_m


def _made(shapes: Sequence[Shape]) -> _Rows:
    """The rows of these shapes; all that are measured on a local map at once."""
    rows = _Rows.empty(len(shapes))
    others: list[int] = []
    for place, shape in enumerate(shapes):
        if isinstance(shape, Circle):
            rows.map[place], rows.reach_m[place] = Map.CIRCLE, shape.radius_m
            rows.lon[place], rows.lat[place] = shape.lon, shape.lat
        else:
            others.append(place)
    if others:
        borders = np.empty(len(others), object)
        borders[:] = [_coordinates(shapes[place]) for place in others]
        bounds = shapely.bounds(borders)
        wide = _is_wide(*bounds.T)
        for number in np.flatnonzero(wide).tolist():
            rows.put([others[number]], _wide(cast("Area | Corridor", shapes[others[number]])))
        flat = np.array(others)[~wide]
        rows.put(
            flat,
            _flat([cast("Area | Corridor", shapes[place]) for place in flat], borders[~wide], bounds[~wide]),
        )
    return rows


def _coordinates(shape: Shape) -> BaseGeometry:
    assert not isinstance(shape, Circle)
    return shape.polygons if isinstance(shape, Area) else shape.line


def _flat(shapes: Sequence[Area | Corridor], borders: Geometries, bounds: Floats) -> _Rows:
    rows = _Rows.empty(len(shapes))
    if not shapes:
        return rows
    west, south, east, north = bounds.T
    rows.map[:], rows.lon, rows.lat = Map.LOCAL, (west + east) / 2, (south + north) / 2
    rows.reach_m[:] = [0.0 if isinstance(each, Area) else each.width_m / 2 for each in shapes]
    single = shapely.get_num_geometries(borders) == 1
    borders[single] = shapely.get_geometry(borders[single], 0)
    rows.across, rows.along = metres_per_degree(rows.lat)
    positions, owners = shapely.get_coordinates(borders, return_index=True)
    here = to_local(positions[:, 0], positions[:, 1], Centre(rows.lon[owners], rows.lat[owners]))
    shapely.set_coordinates(borders, np.column_stack(here))
    areas = np.array([isinstance(each, Area) for each in shapes])
    rows.area[areas] = borders[areas]
    borders[areas] = shapely.boundary(borders[areas])
    rows.border = borders
    shapely.prepare(rows.area[shapely.get_num_coordinates(rows.area) >= PREPARED_FROM])
    return rows


def _wide(shape: Area | Corridor) -> _Rows:
    row = _Rows.empty(1)
    area = _simplest(shape.polygons) if isinstance(shape, Area) else None
    line = area.boundary if area is not None else cast("Corridor", shape).line
    west, south, east, north = line.bounds
    lon, lat = (west + east) / 2, (south + north) / 2
    row.map[0], row.lon[0], row.lat[0] = Map.STEREOGRAPHIC, lon, lat
    row.reach_m[0] = 0.0 if isinstance(shape, Area) else shape.width_m / 2
    row.area[0], row.border[0] = area, _on_stereographic(line if area is None else _coast(line), lon, lat)
    shapely.prepare([row.border[0], row.area[0]])
    return row


def _is_wide(west: Floats, south: Floats, east: Floats, north: Floats) -> Booleans:
    """Which shapes of these bounds a local map would not show rightly."""
    furthest = np.maximum(np.abs(south), np.abs(north))
    nearest = np.where((south <= 0) & (north >= 0), 0.0, np.minimum(np.abs(south), np.abs(north)))
    across, along = metres_per_degree(nearest)
    extent_m = np.maximum((east - west) * across, (north - south) * along)
    return np.asarray((extent_m > WIDE_M) | (furthest > HIGH_LATITUDE))


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
