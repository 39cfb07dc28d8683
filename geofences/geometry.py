"""GeoJSON geometries become shapes; whatever is wrong with one is told with the path of the member at fault."""

import math
from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray
from shapely import LineString, Polygon
from shapely.validation import explain_validity

from geofences.antimeridian import TURN, centred, cut, hole_within, together, unwrapped, unwrapped_ring
from geofences.border import mended, united
from geofences.errors import FieldError
from geofences.geofence import VERTICES_LIMIT, Area, Circle, Corridor, Shape
from geofences.plane import metres_per_degree

GEOMETRY_TYPES = ("Point", "LineString", "Polygon", "MultiPolygon")
POSITION_ERRORS_LIMIT = 20
"""Of one ring or line so many bad positions are told."""
WHOLE_EARTH_SQUARE_DEGREES = 360.0 * 180.0 * (1 - 1e-9)
NUMBERS = (int, float)
PATH = "geometry.coordinates"

Floats = NDArray[np.float64]
Errors = list[FieldError]


def point_of(coordinates: object, errors: Errors) -> tuple[float, float] | None:
    """The longitude and latitude of a Point, or None after telling `errors` why not."""
    position = _position(coordinates, 180.0)
    if isinstance(position, str):
        errors.append(FieldError(PATH, position))
        return None
    return position


def line_of(coordinates: object, errors: Errors) -> LineString | None:
    """The line of a LineString with its longitudes running on, or None after telling `errors` why not."""
    positions = _positions(coordinates, PATH, errors)
    if positions is None:
        return None
    if len(np.unique(positions, axis=0)) < 2:
        errors.append(FieldError(PATH, "a line needs at least 2 different positions"))
        return None
    line = LineString(unwrapped(positions))
    if line.bounds[2] - line.bounds[0] >= TURN:
        errors.append(
            FieldError(PATH, "a line that goes all round the earth is not supported; cut it in two")
        )
        return None
    return centred(line)


def area_of(geometry_type: str, coordinates: object, errors: Errors) -> Area | None:
    """The area of a Polygon or MultiPolygon, or None after telling `errors` everything that is wrong with it.

    Polygons of a MultiPolygon may touch or overlap: the area is their union.
    """
    several = geometry_type == "MultiPolygon"
    given = coordinates if several else [coordinates]
    if not _is_list(given) or not given:
        errors.append(FieldError(PATH, "a MultiPolygon needs at least one polygon"))
        return None
    if (count := _count(given)) > VERTICES_LIMIT:
        errors.append(FieldError(PATH, _too_many(count)))
        return None
    told = len(errors)
    paths = [f"{PATH}[{place}]" if several else PATH for place in range(len(given))]
    parts = [part for each, path in zip(given, paths, strict=True) for part in _polygons(each, path, errors)]
    if len(errors) > told:
        return None
    if not parts:
        errors.append(FieldError(PATH, "encloses no area"))
        return None
    whole = united(together(parts))
    if whole is None:
        errors.append(FieldError(PATH, "the polygons cross each other too often; unite them first"))
        return None
    area = Area(centred(whole))
    if area.polygons.area >= WHOLE_EARTH_SQUARE_DEGREES:
        errors.append(
            FieldError(PATH, "covers the whole earth, so that nobody could enter it; draw a border")
        )
        return None
    return area


def geometry_from(shape: Shape) -> dict[str, Any]:
    """The GeoJSON geometry of a shape (RFC 7946: in -180..180, cut at the antimeridian, right-hand rule)."""
    if isinstance(shape, Circle):
        return {"type": "Point", "coordinates": [shape.lon, shape.lat]}
    if isinstance(shape, Corridor):
        positions = [[_in_range(lon), lat] for lon, lat in shape.line.coords]
        return {"type": "LineString", "coordinates": positions}
    polygons = [
        [[list(position) for position in ring.coords] for ring in (each.exterior, *each.interiors)]
        for each in cut(shape.polygons).geoms
    ]
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}


def middle_of(shape: Shape) -> tuple[float, float]:
    """A longitude (-180..180) and latitude that surely lie in the shape."""
    if isinstance(shape, Circle):
        return shape.lon, shape.lat
    if isinstance(shape, Corridor):
        point = shape.line.interpolate(0.5, normalized=True)
    else:
        point = max(shape.polygons.geoms, key=lambda polygon: polygon.area).representative_point()
    return _in_range(point.x), point.y


def extent_m2(shape: Shape) -> float:
    """How large a place is, in square metres, on the local map of its middle: enough to tell the smaller of two."""
    if isinstance(shape, Circle):
        return math.pi * shape.radius_m**2
    _, lat = middle_of(shape)
    [across], [along] = metres_per_degree(np.array([lat]))
    if isinstance(shape, Area):
        return float(shape.polygons.area * across * along)
    steps = np.diff(np.asarray(shape.line.coords), axis=0) * (across, along)
    return float(np.hypot(*steps.T).sum() * shape.width_m)


def _polygons(coordinates: object, path: str, errors: Errors) -> list[Polygon]:
    """The polygon of some rings: one, several when its border touches itself, none when it encloses no area."""
    if not _is_list(coordinates) or not coordinates:
        errors.append(FieldError(path, "must be a list of rings: one outer ring, then its holes"))
        return []
    rings = [_ring(each, f"{path}[{place}]", errors) for place, each in enumerate(coordinates)]
    whole = [ring for ring in rings if ring is not None]
    if len(whole) < len(rings):
        return []
    polygon = Polygon(whole[0], [hole_within(hole, whole[0]) for hole in whole[1:]])
    parts = mended(polygon)
    if parts is None:
        errors.append(FieldError(path, f"is not a valid polygon: {explain_validity(polygon)}"))
    return parts or []


def _ring(coordinates: object, path: str, errors: Errors) -> Floats | None:
    positions = _positions(coordinates, path, errors)
    if positions is None:
        return None
    fault, ring = None, None
    if len(positions) < 4:
        fault = "a ring needs at least 4 positions, the last one equal to the first"
    elif np.any(positions[0] != positions[-1]):
        fault = "the ring is not closed; end it with its first position"
    elif (ring := unwrapped_ring(positions)) is None:
        fault = (
            "the ring goes round a pole; lead it along the map's edge, over (180, 90) and (-180, 90), or -90"
        )
    elif ring[:, 0].max() - ring[:, 0].min() > TURN:
        fault = "the ring is wider than 360 degrees"
    elif mended(Polygon(ring)) is None:
        fault = f"is not a valid ring: {explain_validity(Polygon(ring))}"
    if fault:
        errors.append(FieldError(path, fault))
        return None
    return ring


def _positions(coordinates: object, path: str, errors: Errors) -> Floats | None:
    """An n x 2 array of longitude and latitude; an altitude is dropped."""
    if not _is_list(coordinates):
        errors.append(FieldError(path, "must be a list of positions [longitude, latitude]"))
        return None
    if len(coordinates) > VERTICES_LIMIT:
        errors.append(FieldError(path, _too_many(len(coordinates))))
        return None
    positions: list[tuple[float, float]] = []
    faults: Errors = []
    for place, each in enumerate(coordinates):
        position = _position(each, TURN)
        if not isinstance(position, str):
            positions.append(position)
        elif len(faults) < POSITION_ERRORS_LIMIT:
            faults.append(FieldError(f"{path}[{place}]", position))
    errors += faults
    return None if faults else np.array(positions, dtype=np.float64).reshape(-1, 2)


def _position(value: object, lon_limit: float) -> tuple[float, float] | str:
    """The longitude and latitude, or what is wrong with them."""
    if not _is_list(value) or len(value) < 2:
        return "must be a position [longitude, latitude]"
    lon, lat = value[:2]
    if type(lon) not in NUMBERS or type(lat) not in NUMBERS:
        return "longitude and latitude must be numbers"
    if not -lon_limit <= lon <= lon_limit:
        return f"longitude must be -{lon_limit:g} to {lon_limit:g} degrees (WGS 84)"
    if not -90 <= lat <= 90:
        return "latitude must be -90 to 90 degrees (WGS 84), after longitude"
    return float(lon), float(lat)


def _count(polygons: Sequence[Any]) -> int:
    """Positions of all rings; an empty ring counts as one, for it costs a look too."""
    rings = [ring for polygon in polygons if _is_list(polygon) for ring in polygon]
    return sum(max(1, len(ring)) for ring in rings if _is_list(ring))


def _too_many(count: int) -> str:
    return f"has {count} positions, {VERTICES_LIMIT} are allowed; simplify it, a phone is metres off anyway"


def _in_range(lon: float) -> float:
    return (lon + 180.0) % TURN - 180.0 if abs(lon) > 180 else lon


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, list | tuple)
