"""How far points are from the borders of shapes: many points and many shapes in one pass, without a Python loop.

A circle is measured along the ellipsoid. An area or corridor of a town's size is measured on a flat map of its own
(metres; linear in longitude and latitude, so that inside stays inside). One that is wide, or near a pole, is asked
for its nearest point on a conformal map, and the way to that is measured along the ellipsoid.
"""

from enum import IntEnum
from typing import Any, NamedTuple, cast

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

WIDE_M = 20_000.0
"""From this extent on a flat map would be metres wrong at its rim."""
HIGH_LATITUDE = 80.0
"""From this latitude on meridians run together within one shape."""
STEP_DEGREES = 0.02
"""Edges are straight in longitude and latitude; on the conformal map they bend, so they go there in such steps
(about 2 km, off by less than 0.1 m in between at 45 degrees)."""
STEPS_LIMIT = 20_000
"""Positions of one border on the conformal map; a longer border goes in longer steps."""
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


_COLUMNS = np.dtype(
    [("map", "i1"), ("lon", "f8"), ("lat", "f8"), ("reach_m", "f8"), ("area", "O"), ("border", "O")]
)


class Ruler:
    """Shapes by slot (small whole numbers), and their distances. Not thread-safe."""

    def __init__(self) -> None:
        self._rows = np.zeros(64, dtype=_COLUMNS)

    def put(self, slot: int, shape: Shape) -> None:
        """Measure this shape under `slot` from now on."""
        if slot >= len(self._rows):
            grown = np.zeros(max(slot + 1, 2 * len(self._rows)), dtype=_COLUMNS)
            grown[: len(self._rows)] = self._rows
            self._rows = grown
        self._rows[slot] = tuple(_row(shape))

    def drop(self, slot: int) -> None:
        """Forget the shape."""
        self._rows[slot] = tuple(_Row(Map.NONE, 0.0, 0.0, 0.0))

    def distances_m(self, lons: Floats, lats: Floats, slots: Slots) -> Floats:
        """For each point and the slot beside it, the signed distance to the border: metres, negative inside."""
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


def _row(shape: Shape) -> _Row:
    if isinstance(shape, Circle):
        return _Row(Map.CIRCLE, shape.lon, shape.lat, shape.radius_m)
    area = _simplest(shape.polygons) if isinstance(shape, Area) else None
    line = area.boundary if area is not None else cast("Corridor", shape).line
    reach_m = 0.0 if isinstance(shape, Area) else shape.width_m / 2
    west, south, east, north = line.bounds
    lon, lat = (west + east) / 2, (south + north) / 2
    if _is_wide(west, south, east, north):
        border = _on_stereographic(line if area is None else _coast(line), lon, lat)
        row = _Row(Map.STEREOGRAPHIC, lon, lat, reach_m, area, border)
        shapely.prepare(border)
    else:
        local_area = _on_local(area, lon, lat) if area is not None else None
        row = _Row(Map.LOCAL, lon, lat, reach_m, local_area, _on_local(line, lon, lat))
    if row.area is not None:
        shapely.prepare(row.area)
    return row


def _is_wide(west: float, south: float, east: float, north: float) -> bool:
    furthest = max(abs(south), abs(north))
    nearest = 0.0 if south <= 0 <= north else min(abs(south), abs(north))
    across, along = metres_per_degree(np.array([nearest]))
    extent_m = max((east - west) * across[0], (north - south) * along[0])
    return bool(extent_m > WIDE_M or furthest > HIGH_LATITUDE)


def _on_local(geometry: BaseGeometry, lon: float, lat: float) -> BaseGeometry:
    centre = Centre(np.array([lon]), np.array([lat]))
    return shapely.transform(
        geometry, lambda positions: np.column_stack(to_local(positions[:, 0], positions[:, 1], centre))
    )


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
