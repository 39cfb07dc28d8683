"""Longitudes without a jump: shapes that cross the antimeridian are put together for reckoning and cut for export.

Inside the package a shape's longitudes run on (179, 181). Polygons cut at the antimeridian (RFC 7946 3.1.9), rings
that jump from 179 to -179 and rings written with 181 all come out the same.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

G = TypeVar("G", bound=BaseGeometry)
Floats = NDArray[np.float64]
TURN = 360.0
ROUNDING_DEGREES = 1e-9
MANY = 500
"""Of so many angles it is worth asking whether any must be turned, and mostly none: a remainder takes long."""


def wrapped(degrees: Floats) -> Floats:
    """The same angles in -180..180, 180 itself becoming -180."""
    turned = degrees + 180.0
    if turned.size < MANY or not (np.fmin.reduce(turned) >= 0 and np.fmax.reduce(turned) < TURN):
        turned %= TURN
    return turned - 180.0


def unwrapped(positions: Floats) -> Floats:
    """A path (n x 2, lon and lat) of which each step goes the shorter way round."""
    steps = np.diff(positions[:, 0])
    turns = np.concatenate([[0.0], np.cumsum(-np.round(steps / TURN))])
    return np.column_stack([positions[:, 0] + TURN * turns, positions[:, 1]])


def unwrapped_ring(ring: Floats) -> Floats | None:
    """A closed ring of which each step goes the shorter way round, but for the edge of a map (-180 to 180), which
    stays. None when it then does not close, because it goes round a pole.
    """
    steps = np.diff(ring[:, 0])
    if np.any(np.abs(steps) == TURN):
        return ring
    path = unwrapped(ring)
    return path if abs(path[0, 0] - path[-1, 0]) < TURN / 2 else None


def hole_within(hole: Floats, outer: Floats) -> Floats:
    """The hole, turned by whole turns to begin east of the west end of its outer ring."""
    turns = np.ceil((outer[:, 0].min() - hole[:, 0].min()) / TURN - ROUNDING_DEGREES)
    return np.column_stack([hole[:, 0] + TURN * turns, hole[:, 1]])


def centred(geometry: G) -> G:
    """The geometry, turned by whole turns to have its middle in -180..180."""
    west, _, east, _ = geometry.bounds
    return _turned(geometry, -np.floor(((west + east) / 2 + 180.0) / TURN))


def cut(polygons: MultiPolygon) -> MultiPolygon:
    """The same area in -180..180, cut at the antimeridian where it crosses it (RFC 7946 3.1.9).

    What was cut is brought into a normal order, so that putting it together and cutting it again changes nothing.
    """
    west, _, east, _ = polygons.bounds
    if west >= -180 and east <= 180:
        return polygons
    parts: list[Polygon] = []
    for turns in (0, -1, 1):
        world = box(-180.0 - TURN * turns, -90.0, 180.0 - TURN * turns, 90.0)
        inside = _turned(shapely.intersection(polygons, world), turns)
        parts += [each for each in shapely.get_parts(inside).tolist() if isinstance(each, Polygon)]
    return shapely.orient_polygons(shapely.normalize(MultiPolygon(parts)))


def together(parts: Sequence[Polygon]) -> MultiPolygon:
    """The parts, each turned so that the widest empty stretch of longitudes lies outside; they may then touch."""
    bounds = shapely.bounds(list(parts))
    wests, widths = bounds[:, 0], bounds[:, 2] - bounds[:, 0]
    if bounds[:, 2].max() - wests.min() <= TURN / 2 or widths.max() >= TURN:
        return MultiPolygon(parts)
    starts = wests % TURN
    order = np.argsort(starts)
    ends = np.maximum.accumulate((starts + widths)[order])
    gaps = starts[order] - np.concatenate([[ends[-1] - TURN], ends[:-1]])
    start = starts[order[np.argmax(gaps)]]
    turns = np.ceil((start - wests) / TURN - ROUNDING_DEGREES)
    turns -= turns.min()
    return MultiPolygon([_turned(part, turn) for part, turn in zip(parts, turns.tolist(), strict=True)])


def _turned(geometry: G, turns: float) -> G:
    if not turns:
        return geometry
    return shapely.transform(geometry, lambda positions: positions + np.array([TURN * turns, 0.0]))
