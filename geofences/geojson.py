"""Geofences as GeoJSON: reading features of any origin, listing all that is wrong with them, and writing them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from re import fullmatch
from typing import Any

from geofences.errors import FieldError, InvalidGeofence
from geofences.files import load_json
from geofences.geofence import (
    RADIUS_LIMITS_M,
    WIDTH_LIMITS_M,
    Circle,
    Corridor,
    Geofence,
    Kind,
    Shape,
)
from geofences.geometry import GEOMETRY_TYPES, area_of, geometry_from, line_of, middle_of, point_of
from geofences.properties import ID_PATTERN, ID_RULE, SIZE_NAMES, Properties, plain_id
from geofences.timezone import timezone_at

Check = Callable[[Geofence], Sequence[FieldError]]
"""What else may be wrong with a geofence that is well formed."""

FEATURES_LIMIT = 100_000
"""Features of one collection."""


@dataclass(frozen=True, slots=True)
class RejectedFeature:
    """A feature that is no geofence: its place in the collection, its id if it has one, and everything wrong."""

    index: int
    id: str | None
    errors: tuple[FieldError, ...]


def geofence_from_feature(feature: object, geofence_id: str | None = None) -> Geofence:
    """The geofence that a GeoJSON Feature describes. Raises `InvalidGeofence` with every field at fault.

    Its id is `geofence_id`, else the feature's ``id``, else ``properties.id``, else made of its name. An id in the
    feature is made plain first (``way/7`` gives ``way-7``). A Point with ``radius`` (metres) is a circle, a
    LineString with ``width`` a corridor. Further properties are kept.
    """
    if not isinstance(feature, Mapping):
        raise InvalidGeofence("a geofence must be a GeoJSON Feature", (FieldError("", "must be an object"),))
    errors: list[FieldError] = []
    if feature.get("type") != "Feature":
        errors.append(FieldError("type", "must be 'Feature'"))
    given = feature.get("properties")
    if given is not None and not isinstance(given, Mapping):
        errors.append(FieldError("properties", "must be an object or null"))
        given = None
    properties = Properties(given or {}, errors)
    identity = _identity(feature, geofence_id, errors)
    shape = _shape(feature.get("geometry"), properties, errors)
    zone = properties.timezone()
    properties.check_jurisdiction()
    geofence = Geofence(
        id=identity,
        name=properties.name(default=identity),
        kind=properties.kind(default=Kind.CORRIDOR if isinstance(shape, Corridor) else Kind.STORE),
        tags=properties.tags(),
        shape=shape,
        dwell_seconds=properties.dwell_seconds(),
        timezone=zone or timezone_at(*middle_of(shape)),
        store=properties.store(),
        opening_hours=properties.opening_hours(),
        heading=properties.heading(),
        properties=properties.others(),
    )
    if errors:
        named = f"feature {identity!r}" if identity else "this feature"
        listed = "; ".join(f"{error.field}: {error.detail}" for error in errors[:3])
        raise InvalidGeofence(f"{named} is no geofence: {listed}{' ...' * (len(errors) > 3)}", errors)
    return geofence


def feature_from_geofence(geofence: Geofence) -> dict[str, Any]:
    """The GeoJSON Feature of a geofence; `geofence_from_feature` reads it back."""
    known = {
        "name": geofence.name,
        "kind": str(geofence.kind),
        "tags": list(geofence.tags),
        "dwell_seconds": geofence.dwell_seconds,
        "timezone": geofence.timezone,
        "store": geofence.store,
        "opening_hours": geofence.opening_hours,
        "heading": geofence.heading,
    } | _size(geofence.shape)
    properties = dict(geofence.properties) | {
        name: value for name, value in known.items() if value is not None
    }
    return {
        "type": "Feature",
        "id": geofence.id,
        "properties": properties,
        "geometry": geometry_from(geofence.shape),
    }


def collection_from(geofences: Iterable[Geofence]) -> dict[str, Any]:
    """The GeoJSON FeatureCollection of some geofences."""
    return {"type": "FeatureCollection", "features": [feature_from_geofence(each) for each in geofences]}


def features_of(collection: object) -> Sequence[object]:
    """The features of a FeatureCollection (or of one Feature). Raises `InvalidGeofence` when it is neither."""
    if isinstance(collection, Mapping) and collection.get("type") == "Feature":
        return [collection]
    if not isinstance(collection, Mapping) or collection.get("type") != "FeatureCollection":
        raise InvalidGeofence(
            "this is no GeoJSON FeatureCollection", (FieldError("type", "must be 'FeatureCollection'"),)
        )
    features = collection.get("features")
    if not isinstance(features, list | tuple):
        raise InvalidGeofence("the collection has no features", (FieldError("features", "must be a list"),))
    if len(features) > FEATURES_LIMIT:
        said = f"holds {len(features)} features, {FEATURES_LIMIT} are allowed; import it in parts"
        raise InvalidGeofence(f"the collection {said}", (FieldError("features", said),))
    return features


def read_features(
    features: Iterable[object], check: Check | None = None
) -> Iterator[Geofence | RejectedFeature]:
    """Read features one by one, in order, so that a caller can show how far it is. An id that stands twice in the
    collection is refused the second time, and what `check` finds fault with.
    """
    places: dict[str, int] = {}
    for index, feature in enumerate(features):
        try:
            geofence = geofence_from_feature(feature)
        except InvalidGeofence as error:
            yield RejectedFeature(index, _told_id(feature), error.errors)
            continue
        first = places.setdefault(geofence.id, index)
        faults = tuple(check(geofence)) if check else ()
        if faults:
            yield RejectedFeature(index, geofence.id, faults)
        elif first == index:
            yield geofence
        else:
            said = f"feature {first} has this id too; give each feature an id of its own"
            yield RejectedFeature(index, geofence.id, (FieldError("id", said),))


def read_collection(
    collection: object, check: Check | None = None
) -> tuple[list[Geofence], list[RejectedFeature]]:
    """All geofences of a FeatureCollection, and what was wrong with the others. Raises as `features_of` does."""
    geofences: list[Geofence] = []
    rejected: list[RejectedFeature] = []
    for each in read_features(features_of(collection), check):
        if isinstance(each, Geofence):
            geofences.append(each)
        else:
            rejected.append(each)
    return geofences, rejected


def load_file(path: Path) -> Sequence[object]:
    """The features of a GeoJSON file. Raises `InvalidGeofence` that names the file, and as `load_json` does."""
    try:
        return features_of(load_json(path))
    except InvalidGeofence as error:
        raise InvalidGeofence(f"{path}: {error.detail}", error.errors) from None


def _identity(feature: Mapping[str, Any], geofence_id: str | None, errors: list[FieldError]) -> str:
    own = _own_id(feature)
    if geofence_id is None:
        found = _told_id(feature) or ""
        if not fullmatch(ID_PATTERN, found):
            errors.append(FieldError("id", f"{ID_RULE}; give the feature an id, or a name to make one of"))
        return found
    if not fullmatch(ID_PATTERN, geofence_id):
        errors.append(FieldError("id", ID_RULE))
    elif own is not None and plain_id(own) != geofence_id:
        errors.append(FieldError("id", "differs from the id in the path; leave it out or make it the same"))
    return geofence_id


def _told_id(feature: object) -> str | None:
    """What `_identity` would call a feature; None when it tells no id and no name."""
    if not isinstance(feature, Mapping):
        return None
    given = feature.get("properties")
    properties = given if isinstance(given, Mapping) else {}
    for each in (_own_id(feature), _own_id(properties), properties.get("name")):
        if isinstance(each, str) and plain_id(each):
            return plain_id(each)
    return None


def _own_id(member: Mapping[str, Any]) -> str | None:
    """The ``id`` of a feature or of its properties: GeoJSON allows a text or a number."""
    value = member.get("id")
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None


def _shape(geometry: object, properties: Properties, errors: list[FieldError]) -> Shape:
    """The shape, or any shape after telling `errors` why there is none."""
    found: Shape | None = None
    geometry_type = geometry.get("type") if isinstance(geometry, Mapping) else None
    if not isinstance(geometry, Mapping):
        errors.append(FieldError("geometry", "must be a GeoJSON geometry; a geofence has a place"))
    elif geometry_type not in GEOMETRY_TYPES:
        errors.append(FieldError("geometry.type", f"must be one of {', '.join(GEOMETRY_TYPES)}"))
    elif geometry_type == "Point":
        radius_m = properties.size_m("Point", RADIUS_LIMITS_M)
        point = point_of(geometry.get("coordinates"), errors)
        found = Circle(*point, radius_m) if point and radius_m else None
    elif geometry_type == "LineString":
        width_m = properties.size_m("LineString", WIDTH_LIMITS_M)
        line = line_of(geometry.get("coordinates"), errors)
        found = Corridor(line, width_m) if line and width_m else None
    else:
        found = area_of(geometry_type, geometry.get("coordinates"), errors)
    return found or Circle(0.0, 0.0, 1.0)


def _size(shape: Shape) -> dict[str, Any]:
    if isinstance(shape, Circle):
        return {SIZE_NAMES["Point"][0]: shape.radius_m}
    if isinstance(shape, Corridor):
        return {SIZE_NAMES["LineString"][0]: shape.width_m}
    return {}
