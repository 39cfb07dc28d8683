"""A geofence: a place with a shape, and what an offer needs to know of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from shapely import LineString, MultiPolygon

JSON = None | bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"]
"""A value as JSON knows it."""

ID_LIMIT_CHARS = 128
NAME_LIMIT_CHARS = 255
TAGS_LIMIT = 32
TAG_LIMIT_CHARS = 64
OPENING_HOURS_LIMIT_CHARS = 1000
PROPERTIES_LIMIT = 256
"""Further GeoJSON properties of one geofence: they are kept and echoed, not read."""
PROPERTIES_LIMIT_BYTES = 16_384
VERTICES_LIMIT = 10_000
"""Positions of one geofence, over all its rings."""
RADIUS_LIMITS_M = (1.0, 100_000.0)
WIDTH_LIMITS_M = (1.0, 10_000.0)
DWELL_LIMITS_SECONDS = (1, 86_400)
DEFAULT_DWELL_SECONDS = 300
"""Five minutes tell a visit from a walk past the tills."""


class Kind(StrEnum):
    """What a place is to the shop; a catchment lies around its store and gives stuck, nearby and approach."""

    STORE = "store"
    CATCHMENT = "catchment"
    SERVICE_AREA = "service_area"
    SITE = "site"
    CORRIDOR = "corridor"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Circle:
    """All points within `radius_m` of (lon, lat), along the WGS84 ellipsoid."""

    lon: float
    lat: float
    radius_m: float


@dataclass(frozen=True, slots=True)
class Area:
    """Polygons, planar in longitude and latitude (RFC 7946 3.1.1), joined where they touch. Longitudes run on over
    the antimeridian (179, 181), the middle of the whole lying in -180..180.
    """

    polygons: MultiPolygon


@dataclass(frozen=True, slots=True)
class Corridor:
    """All points within half of `width_m` of a line; longitudes run on over the antimeridian as in `Area`."""

    line: LineString
    width_m: float


Shape = Circle | Area | Corridor


@dataclass(frozen=True, slots=True)
class Geofence:
    """A place. `timezone` is an IANA name; `heading` (degrees, clockwise from north) is the direction of travel
    that counts; `store` is the id of the store that a catchment lies around; `properties` are kept as given.
    """

    id: str
    name: str
    kind: Kind
    shape: Shape
    timezone: str
    tags: tuple[str, ...] = ()
    dwell_seconds: int = DEFAULT_DWELL_SECONDS
    store: str | None = None
    opening_hours: str | None = None
    heading: float | None = None
    properties: Mapping[str, JSON] = field(default_factory=dict, hash=False)
