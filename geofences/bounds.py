"""Boxes of longitude and latitude that surely hold what they stand for: padded by metres, cut at the antimeridian."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geofences.antimeridian import TURN, wrapped
from geofences.geofence import Area, Circle, Shape

Floats = NDArray[np.float64]

LEAST_RADIUS_M = 6_335_439.0
"""The smallest radius of curvature of WGS84, a (1 - e^2), of the meridian at the equator: no metre spans more degrees
than there."""
MARGIN = 1.01
"""Boxes are a little too large, never too small."""
MARGIN_M = 0.01


@dataclass(frozen=True, slots=True)
class Boxes:
    """Boxes in degrees, longitudes in -180..180: `mins` and `maxs` are n x 2 (lon, lat), `owner` tells what each box
    belongs to. An owner has two boxes when it crosses the antimeridian.
    """

    owner: NDArray[np.int64]
    mins: Floats
    maxs: Floats

    @property
    def corners(self) -> Floats:
        """Boxes as n x 4: west, south, east, north."""
        return np.hstack([self.mins, self.maxs])


def boxes_around(bounds: Floats, pads_m: Floats) -> Boxes:
    """The boxes that hold every point within `pads_m` (metres, one each) of `bounds` (n x 4: west, south, east, north
    in degrees, longitudes may run on over the antimeridian). A pole within reach takes all longitudes.
    """
    west, south, east, north = bounds.T
    reach = MARGIN * (np.maximum(pads_m, 0.0) + MARGIN_M) / LEAST_RADIUS_M
    highest = np.radians(np.maximum(np.abs(south), np.abs(north)))
    at_pole = highest + reach >= np.pi / 2
    safe = np.where(at_pole, 0.0, np.cos(highest))
    aside = np.degrees(np.arcsin(np.divide(np.sin(reach), safe, out=np.ones_like(safe), where=~at_pole)))
    up = np.degrees(reach)
    width = east - west + 2 * aside
    everywhere = at_pole | (width >= TURN)
    west = np.where(everywhere, -180.0, wrapped(west - aside))
    east = np.where(everywhere, 180.0, west + width)
    south, north = np.maximum(south - up, -90.0), np.minimum(north + up, 90.0)
    over = np.flatnonzero(east > 180.0)
    return Boxes(
        owner=np.concatenate([np.arange(len(bounds)), over]),
        mins=np.column_stack([np.concatenate([west, np.full(len(over), -180.0)]), _and(south, over)]),
        maxs=np.column_stack(
            [np.concatenate([np.minimum(east, 180.0), east[over] - TURN]), _and(north, over)],
        ),
    )


def extent(shape: Shape) -> tuple[tuple[float, float, float, float], float]:
    """The bounds of a shape's coordinates and the metres by which it reaches beyond them."""
    if isinstance(shape, Circle):
        return (shape.lon, shape.lat, shape.lon, shape.lat), shape.radius_m
    if isinstance(shape, Area):
        return shape.polygons.bounds, 0.0
    return shape.line.bounds, shape.width_m / 2


def _and(values: Floats, again: NDArray[np.int64]) -> Floats:
    return np.concatenate([values, values[again]])
