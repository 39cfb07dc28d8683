"""Whether a geofence is at, or too near, a place where being seen tells too much: a hospital, a place of worship, a
school, a shelter, a prison, a court, the office of a party or of a union.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely import STRtree
from shapely.geometry.base import BaseGeometry

from geofences.errors import FieldError, InvalidGeofence, InvalidImport
from geofences.geofence import Circle, Corridor, Geofence, Shape
from geofences.geojson import geofence_from_feature, load_file
from geofences.geometry import middle_of
from geofences.plane import Centre, metres_per_degree, to_local
from geofences.properties import plain_id
from geofences.timezone import country_of

OVERRIDE = "sensitive_override"
OVERRIDE_MEMBERS = ("by", "reason")
OVERRIDE_LIMIT_CHARS = 500
OTHER = "other"
POINT_RADIUS_M = 1.0
"""A listed place that is only a point has no perimeter of its own."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What `sensitive.toml` says: categories by tag and by OpenStreetMap property, and distances by country."""

    tags: Mapping[str, str]
    osm: Mapping[str, str]
    distance_m: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Listed:
    """A sensitive place that an operator listed, and what kind it is."""

    category: str
    shape: Shape


class SensitivePlaces:
    """The listed places, by where they are. Immutable; any number of threads may ask."""

    def __init__(self, listed: Sequence[Listed] = ()) -> None:
        self._listed = tuple(listed)
        self._middles = [middle_of(each.shape) for each in self._listed]
        self._tree = STRtree([_degrees(each.shape) for each in self._listed])

    def faults(self, geofence: Geofence) -> list[FieldError]:
        """The fields for which it is not to be saved; none if its owner has said who answers for it, and why."""
        given = geofence.properties.get(OVERRIDE)
        if given is not None:
            fault = _override_fault(given)
            return [FieldError(f"properties.{OVERRIDE}", fault)] if fault else []
        return [*_tag_faults(geofence), *_osm_faults(geofence), *self._near(geofence)]

    def _near(self, geofence: Geofence) -> Iterator[FieldError]:
        """At most one: the nearest listed place that is too near."""
        limits = terms().distance_m
        limit_m = limits.get(country_of(geofence.timezone) or OTHER, limits[OTHER])
        shape = _degrees(geofence.shape)
        west, south, east, north = shape.bounds
        across, along = metres_per_degree(np.array([min(89.0, max(abs(south), abs(north)))]))
        pad_lon, pad_lat = limit_m / float(across[0]), limit_m / float(along[0])
        box = shapely.box(west - pad_lon, south - pad_lat, east + pad_lon, north + pad_lat)
        near = [
            (
                gap_m(geofence.shape, self._listed[place].shape, self._middles[place]),
                self._listed[place].category,
            )
            for place in self._tree.query(box)
        ]
        distance_m, category = min(near, default=(np.inf, ""))
        if distance_m <= limit_m:
            where = "overlaps" if distance_m == 0 else f"is {distance_m:.0f} m from"
            least = f"; at least {limit_m:.0f} m are asked for" if limit_m else ""
            said = f"{where} a listed sensitive place ({category}){least}"
            yield FieldError("geometry", f"{said}; {_way_out('move it away')}")


def is_sensitive(geofence: Geofence) -> bool:
    """Whether the place was saved although it is at a sensitive one; visits there choose nobody."""
    return OVERRIDE in geofence.properties


def load_places(path: Path) -> SensitivePlaces:
    """The places of a GeoJSON file. Each has a ``category``, or the tags or OpenStreetMap properties that tell it; one
    that tells none is of the category `other`. Raises `GeofenceError` that names every feature and field at fault.
    """
    listed: list[Listed] = []
    errors: list[FieldError] = []
    for index, feature in enumerate(load_file(path)):
        try:
            geofence = geofence_from_feature(_with_radius(feature), f"place-{index}")
        except InvalidGeofence as error:
            errors += [FieldError(f"features[{index}].{each.field}", each.detail) for each in error.errors]
            continue
        listed.append(Listed(_category(geofence), geofence.shape))
    if errors:
        raise InvalidImport(f"{path}: not every sensitive place can be read:", errors)
    return SensitivePlaces(listed)


@cache
def terms() -> Terms:
    """The terms that come with the product."""
    text = resources.files("geofences").joinpath("sensitive.toml").read_text(encoding="utf-8")
    raw = tomllib.loads(text)
    tags = {word: category for category, words in raw["tags"].items() for word in words}
    return Terms(tags, raw["osm"], raw["distance_m"])


def gap_m(one: Shape, other: Shape, middle: tuple[float, float]) -> float:
    """Metres between the borders of two shapes, 0 where they overlap; right for a few kilometres around `middle`
    (longitude, latitude), which lies at one of them.
    """
    centre = Centre(np.array([middle[0]]), np.array([middle[1]]))
    apart = _metres(one, centre).distance(_metres(other, centre))
    return max(0.0, float(apart) - _reach_m(one) - _reach_m(other))


def _metres(shape: Shape, centre: Centre) -> BaseGeometry:
    def local(degrees: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.column_stack(to_local(degrees[:, 0], degrees[:, 1], centre))

    return shapely.transform(_bare(shape), local)


def _bare(shape: Shape) -> BaseGeometry:
    if isinstance(shape, Circle):
        return shapely.Point(shape.lon, shape.lat)
    return shape.line if isinstance(shape, Corridor) else shape.polygons


def _reach_m(shape: Shape) -> float:
    """How far the shape reaches beyond its bare geometry."""
    if isinstance(shape, Circle):
        return shape.radius_m
    return shape.width_m / 2 if isinstance(shape, Corridor) else 0.0


def _degrees(shape: Shape) -> BaseGeometry:
    """A box around the shape, in degrees."""
    west, south, east, north = _bare(shape).bounds
    across, along = metres_per_degree(np.array([min(89.0, max(abs(south), abs(north)))]))
    pad_lon, pad_lat = _reach_m(shape) / float(across[0]), _reach_m(shape) / float(along[0])
    return shapely.box(west - pad_lon, south - pad_lat, east + pad_lon, north + pad_lat)


def _tag_faults(geofence: Geofence) -> Iterator[FieldError]:
    for place, tag in enumerate(geofence.tags):
        if category := _by_tag(tag):
            yield FieldError(
                f"properties.tags[{place}]", f"names a sensitive place ({category}); {_way_out()}"
            )


def _osm_faults(geofence: Geofence) -> Iterator[FieldError]:
    for name, category in _by_osm(geofence.properties):
        yield FieldError(f"properties.{name}", f"tells of a sensitive place ({category}); {_way_out()}")


def _by_tag(tag: str) -> str | None:
    word = plain_id(tag).casefold().replace("_", "-")
    forms = (word, word.removesuffix("s"), word.removesuffix("es"))
    return next((category for form in forms if (category := terms().tags.get(form))), None)


def _by_osm(properties: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    osm = terms().osm
    for name, value in properties.items():
        category = osm.get(f"{name}={value}") or (osm.get(f"{name}=*") if value not in (None, "no") else None)
        if category:
            yield name, category


def _category(geofence: Geofence) -> str:
    said = geofence.properties.get("category")
    if isinstance(said, str):
        return said
    told: Iterable[str | None] = (
        *map(_by_tag, geofence.tags),
        *(each for _, each in _by_osm(geofence.properties)),
    )
    return next((each for each in told if each), OTHER)


def _with_radius(feature: object) -> object:
    """The feature, a bare Point with a small radius."""
    if not isinstance(feature, Mapping):
        return feature
    geometry, given = feature.get("geometry"), feature.get("properties") or {}
    is_point = isinstance(geometry, Mapping) and geometry.get("type") == "Point"
    if not is_point or not isinstance(given, Mapping) or "radius" in given or "radius_m" in given:
        return feature
    return {**feature, "properties": {**given, "radius": POINT_RADIUS_M}}


def _override_fault(given: object) -> str | None:
    if isinstance(given, Mapping) and set(given) == set(OVERRIDE_MEMBERS):
        values = [given[name] for name in OVERRIDE_MEMBERS]
        if all(isinstance(each, str) and 1 <= len(each.strip()) <= OVERRIDE_LIMIT_CHARS for each in values):
            return None
    return (
        f"must hold `by` (who answers for it) and `reason`, texts of 1 to {OVERRIDE_LIMIT_CHARS} characters"
    )


def _way_out(first: str = "leave it out") -> str:
    return f"{first}, or say who answers for it and why in properties.{OVERRIDE}"
