"""Features that the geofence tests share, small ones shaped like what is found in the wild."""

from collections.abc import Sequence
from typing import Any

from geofences.geofence import Geofence
from geofences.geojson import geofence_from_feature


def feature(
    geometry_type: str, coordinates: Any, feature_id: str | None = "place", **properties: Any
) -> dict[str, Any]:
    made = {
        "type": "Feature",
        "properties": properties,
        "geometry": {"type": geometry_type, "coordinates": coordinates},
    }
    return made if feature_id is None else made | {"id": feature_id}


def circle(lon: float, lat: float, radius_m: float, geofence_id: str = "circle") -> Geofence:
    return geofence_from_feature(feature("Point", [lon, lat], geofence_id, radius=radius_m))


def polygon(*rings: Sequence[Sequence[float]], geofence_id: str = "area") -> Geofence:
    return geofence_from_feature(feature("Polygon", [list(ring) for ring in rings], geofence_id))


def square(west: float, south: float, side: float) -> list[list[float]]:
    """A closed ring, anticlockwise; longitudes may run over the antimeridian."""
    east, north = west + side, south + side
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


COURTYARD = feature(
    "Polygon",
    [
        [[7.42, 43.73], [7.424, 43.73], [7.424, 43.733], [7.42, 43.733], [7.42, 43.73]],
        [[7.421, 43.731], [7.421, 43.732], [7.423, 43.732], [7.423, 43.731], [7.421, 43.731]],
    ],
    "way/23715051",
    building="yes",
    name="Musée Océanographique",
)
ISLANDS = feature(
    "MultiPolygon",
    [
        [
            [
                [180.0, -16.07],
                [180.0, -16.56],
                [179.36, -16.8],
                [178.73, -17.01],
                [178.6, -16.64],
                [180.0, -16.07],
            ]
        ],
        [
            [
                [178.13, -17.5],
                [178.37, -17.34],
                [178.72, -17.63],
                [178.55, -18.15],
                [177.38, -18.16],
                [178.13, -17.5],
            ]
        ],
        [[[-179.79, -16.02], [-179.92, -16.5], [-180.0, -16.56], [-180.0, -16.07], [-179.79, -16.02]]],
    ],
    None,
    continent="Oceania",
    name="Fiji",
)
"""Cut at the antimeridian, as RFC 7946 asks; no id, but a name."""
SOUTH = feature(
    "Polygon",
    [[[-180, -90], [180, -90], [180, -84.7], [90, -66], [0, -70], [-90, -74], [-180, -84.7], [-180, -90]]],
    "antarctica",
)
"""All round, over the pole, with the map's edge as part of its ring."""
