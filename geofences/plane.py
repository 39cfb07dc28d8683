"""Flat maps of a piece of the WGS84 ellipsoid, on which GEOS can measure. All angles are degrees, all arrays 1-d.

Two maps: a local one in metres, linear in longitude and latitude, true within a few kilometres; and a stereographic
one, which keeps angles all over the earth, so that the point of a border that is nearest on it is nearest on earth.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyproj import Geod

from geofences.antimeridian import wrapped

Floats = NDArray[np.float64]

WGS84 = Geod(ellps="WGS84")
SEMI_MAJOR_M = WGS84.a
ECCENTRICITY = float(np.sqrt(WGS84.es))
ANTIPODE = 1e-12
"""Keeps the point opposite the centre, which a stereographic map cannot show, on the sheet."""


class Centre(NamedTuple):
    """Where a map is true: one point, or as many as there are points to be mapped."""

    lon: Floats
    lat: Floats


def geodesic_m(lon: Floats, lat: Floats, to_lon: Floats, to_lat: Floats) -> Floats:
    """The length of the shortest way over the ellipsoid, in metres (Karney, 2013)."""
    return np.asarray(WGS84.inv(lon, lat, to_lon, to_lat)[2], dtype=np.float64)


def short_way_m(lon: Floats, lat: Floats, to_lon: Floats, to_lat: Floats) -> Floats:
    """The same for a tenth of the work, on the local map of the middle of each way: true to a millionth for ways of a
    few kilometres within 80 degrees of the equator.
    """
    across, along = metres_per_degree((lat + to_lat) / 2)
    return np.hypot(wrapped(to_lon - lon) * across, (to_lat - lat) * along)


def metres_per_degree(lat: Floats) -> tuple[Floats, Floats]:
    """Metres per degree of longitude and of latitude at `lat`, from the radii of curvature N(φ) cos φ and M(φ)."""
    phi = np.radians(lat)
    w2 = 1.0 - WGS84.es * np.sin(phi) ** 2
    across = SEMI_MAJOR_M / np.sqrt(w2) * np.cos(phi)
    along = SEMI_MAJOR_M * (1.0 - WGS84.es) / w2**1.5
    return np.radians(across), np.radians(along)


def to_local(lon: Floats, lat: Floats, centre: Centre) -> tuple[Floats, Floats]:
    """Metres east and north of the centre, on a map that is linear in longitude and latitude."""
    across, along = metres_per_degree(centre.lat)
    return wrapped(lon - centre.lon) * across, (lat - centre.lat) * along


def to_stereographic(lon: Floats, lat: Floats, centre: Centre) -> tuple[Floats, Floats]:
    """The conformal map of the ellipsoid, by way of the conformal sphere (Snyder, 1987, p. 160); unit: its diameter."""
    chi, chi_centre = _conformal(lat), _conformal(centre.lat)
    turn = np.radians(lon - centre.lon)
    east = np.cos(chi) * np.sin(turn)
    north = np.cos(chi_centre) * np.sin(chi) - np.sin(chi_centre) * np.cos(chi) * np.cos(turn)
    up = np.sin(chi_centre) * np.sin(chi) + np.cos(chi_centre) * np.cos(chi) * np.cos(turn)
    scale = np.maximum(1.0 + up, ANTIPODE)
    return east / scale, north / scale


def from_stereographic(x: Floats, y: Floats, centre: Centre) -> tuple[Floats, Floats]:
    """Longitude and latitude of points on the map of `to_stereographic`."""
    chi_centre = _conformal(centre.lat)
    square = x**2 + y**2
    east, north, up = 2 * x / (1 + square), 2 * y / (1 + square), (1 - square) / (1 + square)
    sine = np.cos(chi_centre) * north + np.sin(chi_centre) * up
    cosine = np.cos(chi_centre) * up - np.sin(chi_centre) * north
    lat = _geodetic(np.arctan2(sine, np.hypot(east, cosine)))
    return wrapped(centre.lon + np.degrees(np.arctan2(east, cosine))), lat


def _conformal(lat: Floats) -> Floats:
    """Conformal latitude in radians (Snyder 3-1a, written with the isometric latitude)."""
    phi = np.radians(lat)
    isometric = np.arcsinh(np.tan(phi)) - ECCENTRICITY * np.arctanh(ECCENTRICITY * np.sin(phi))
    return np.arctan(np.sinh(isometric))


def _geodetic(chi: Floats) -> Floats:
    """The latitude in degrees of a conformal latitude, by iteration (Snyder 3-4): six steps reach rounding error."""
    isometric = np.arcsinh(np.tan(chi))
    phi = chi
    for _ in range(6):
        phi = np.arctan(np.sinh(isometric + ECCENTRICITY * np.arctanh(ECCENTRICITY * np.sin(phi))))
    return np.degrees(phi)
