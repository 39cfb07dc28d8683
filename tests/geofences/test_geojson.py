import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofences.errors import LISTED_ERRORS_LIMIT, FieldError, InvalidGeofence, UnreadableFile
from geofences.geofence import VERTICES_LIMIT, Area, Circle, Corridor, Geofence, Kind
from geofences.geojson import (
    RejectedFeature,
    collection_from,
    feature_from_geofence,
    geofence_from_feature,
    load_file,
    read_collection,
)
from geofences.properties import plain_id
from tests.geofences.places import COURTYARD, ISLANDS, SOUTH, feature, square

BAKERY = feature("Point", [2.241, 48.8353], "bakery", radius=40)


def faults(given_feature, geofence_id=None):
    with pytest.raises(InvalidGeofence) as caught:
        geofence_from_feature(given_feature, geofence_id)
    return {error.field: error.detail for error in caught.value.errors}


def test_a_point_with_a_radius_is_a_circle_with_stated_defaults():
    bakery = geofence_from_feature(BAKERY)
    assert bakery == Geofence(
        id="bakery",
        name="bakery",
        kind=Kind.STORE,
        shape=Circle(2.241, 48.8353, 40.0),
        timezone="Europe/Paris",
        tags=(),
        dwell_seconds=300,
    )


def test_a_line_with_a_width_is_a_corridor():
    a10 = geofence_from_feature(feature("LineString", [[0.1, 47.0], [0.2, 47.1, 30.5]], "a10", width_m=60))
    assert isinstance(a10.shape, Corridor)
    assert (a10.shape.width_m, a10.kind) == (60.0, Kind.CORRIDOR)
    assert list(a10.shape.line.coords) == [(0.1, 47.0), (0.2, 47.1)]


def test_a_polygon_keeps_a_radius_as_any_other_property():
    near = feature(
        "Polygon", [square(7, 43, 0.01)], "shop:near", radius_m=450, kind="catchment", store="shop"
    )
    geofence = geofence_from_feature(near)
    assert isinstance(geofence.shape, Area)
    assert (geofence.kind, geofence.store, geofence.properties) == (Kind.CATCHMENT, "shop", {"radius_m": 450})


def test_further_properties_are_kept_and_echoed():
    extra = {"osm_poi": "node/1", "lat": 43.7, "nested": {"deep": [1, None, True]}, "id": "elsewhere"}
    geofence = geofence_from_feature(feature("Point", [7.4, 43.7], "shop", radius=50, **extra))
    assert geofence.properties == extra
    assert extra.items() <= feature_from_geofence(geofence)["properties"].items()


def test_every_field_at_fault_is_told_at_once():
    told = faults(
        feature(
            "Point",
            [200, 100],
            "no good!" + "x" * 128,
            radius=0,
            kind="shop",
            tags=["ok", 5],
            dwell_seconds=1.5,
            timezone="Europe",
            heading=400,
            name=["x"],
            opening_hours="Mo\x07",
        )
    )
    assert set(told) == {
        "id",
        "geometry.coordinates",
        *(
            f"properties.{name}"
            for name in (
                "radius",
                "kind",
                "tags[1]",
                "dwell_seconds",
                "timezone",
                "heading",
                "name",
                "opening_hours",
            )
        ),
    }
    assert told["properties.kind"] == "must be one of store, catchment, service_area, site, corridor, other"


@pytest.mark.parametrize(
    ("geometry", "field", "words"),
    [
        (None, "geometry", "has a place"),
        ({"type": "GeometryCollection", "geometries": []}, "geometry.type", "Point, LineString, Polygon"),
        ({"type": ["Point"], "coordinates": [1, 2]}, "geometry.type", "must be one of"),
        ({"type": "Polygon"}, "geometry.coordinates", "list of rings"),
        ({"type": "Polygon", "coordinates": []}, "geometry.coordinates", "list of rings"),
        ({"type": "MultiPolygon", "coordinates": []}, "geometry.coordinates", "at least one polygon"),
        (
            {"type": "MultiPolygon", "coordinates": [[square(0, 0, 1)], []]},
            "geometry.coordinates[1]",
            "list of rings",
        ),
        ({"type": "Polygon", "coordinates": [square(0, 0, 1)[:-1]]}, "geometry.coordinates[0]", "not closed"),
        (
            {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 0]]]},
            "geometry.coordinates[0]",
            "at least 4",
        ),
        (
            {"type": "Polygon", "coordinates": [[[0, 0], [2, 2], [2, 0], [0, 1], [0, 0]]]},
            "geometry.coordinates[0]",
            "Self-intersection",
        ),
        (
            {"type": "Polygon", "coordinates": [square(0, 0, 1), square(5, 5, 1)]},
            "geometry.coordinates",
            "Hole lies outside",
        ),
        (
            {"type": "Polygon", "coordinates": [square(0, 0, 1), square(0.5, 0.5, 1)]},
            "geometry.coordinates",
            "Self-intersection",
        ),
        (
            {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 91], [0, 0]]]},
            "geometry.coordinates[0][2]",
            "latitude",
        ),
        ({"type": "Polygon", "coordinates": [[[0, 0], [400, 0]]]}, "geometry.coordinates[0][1]", "longitude"),
        (
            {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [2, 2], [0, 0]]]},
            "geometry.coordinates",
            "no area",
        ),
        (
            {"type": "Polygon", "coordinates": [[[-170, 80], [-60, 80], [60, 80], [170, 80], [-170, 80]]]},
            "geometry.coordinates[0]",
            "goes round a pole",
        ),
        (
            {
                "type": "Polygon",
                "coordinates": [[[-180, -90], [180, -90], [180, 90], [-180, 90], [-180, -90]]],
            },
            "geometry.coordinates",
            "whole earth",
        ),
    ],
)
def test_a_geometry_that_encloses_nothing_definite_is_refused_with_its_path(geometry, field, words):
    told = faults({"type": "Feature", "id": "x", "properties": {}, "geometry": geometry})
    assert words in told[field]


@pytest.mark.parametrize("lon", [float("nan"), float("inf"), 10**400, True, "7.4", None, [7.4]])
def test_a_coordinate_is_a_finite_number(lon):
    assert set(faults(feature("Point", [lon, 43.7], radius=50))) == {"geometry.coordinates"}


def test_a_geofence_has_a_limited_number_of_positions():
    ring = square(0, 0, 1)
    comb = ring[:1] * VERTICES_LIMIT + ring
    assert "10005 positions" in faults(feature("Polygon", [comb]))["geometry.coordinates"]
    many = [[square(place, 0, 0.1)] for place in range(2001)]
    assert "10005 positions" in faults(feature("MultiPolygon", many))["geometry.coordinates"]


def test_a_scribble_of_ten_thousand_edges_is_refused_quickly():
    zigzag = [[place % 97 / 97, place * 7 % 101 / 101] for place in range(VERTICES_LIMIT - 1)]
    assert "not a valid ring" in faults(feature("Polygon", [[*zigzag, zigzag[0]]]))["geometry.coordinates[0]"]


def test_a_border_that_touches_itself_is_mended():
    two_squares = [[0, 0], [1, 0], [1, 1], [2, 1], [2, 2], [1, 2], [1, 1], [0, 1], [0, 0]]
    there_and_back = [[0, 0], [1, 0], [1, 1], [3, 1], [1, 1], [0, 1], [0, 0]]
    assert geofence_from_feature(feature("Polygon", [two_squares])).shape.polygons.area == 2
    assert geofence_from_feature(feature("Polygon", [there_and_back])).shape.polygons.area == 1


def test_polygons_that_overlap_count_as_their_union():
    overlapping = feature("MultiPolygon", [[square(0, 0, 2)], [square(1, 1, 2)]])
    assert geofence_from_feature(overlapping).shape.polygons.area == 7


def test_properties_have_limits():
    def many(**properties):
        return faults(feature("Point", [7.4, 43.7], radius=50, **properties))["properties"]

    assert "300 further members" in many(**{f"p{place}": place for place in range(300)})
    assert "bytes" in many(story="x" * 20_000)
    assert "NUL" in many(story={"a": ["\0"]})
    assert "finite" in many(story=float("nan"))


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("way/23715051", "way-23715051"),
        ("Côte d'Ivoire", "Cote-d-Ivoire"),
        ("mc-shop:near", "mc-shop:near"),
        ("日本", ""),
    ],
)
def test_ids_are_made_plain(text, made):
    assert plain_id(text) == made


def test_the_id_comes_from_the_path_the_feature_its_properties_or_its_name():
    def named(feature_id=None, path=None, **properties):
        return geofence_from_feature(
            feature("Point", [7.4, 43.7], feature_id, radius=50, **properties), path
        ).id

    assert named("a", None, id="b", name="c") == "a"
    assert named(None, None, id="b", name="c") == "b"
    assert named(None, None, name="Le Café") == "Le-Cafe"
    assert named(17) == "17"
    assert named(None, "given") == "given"
    assert named("way/7", "way-7") == "way-7"
    assert "differs" in faults(BAKERY, "butcher")["id"]
    assert "give the feature an id" in faults(feature("Point", [7.4, 43.7], None, radius=50))["id"]


def test_the_time_zone_is_looked_up_unless_given():
    assert geofence_from_feature(COURTYARD).timezone == "Europe/Monaco"
    assert geofence_from_feature(ISLANDS).timezone == "Pacific/Fiji"
    given_zone = feature("Point", [7.42, 43.73], radius=50, timezone="America/New_York")
    assert geofence_from_feature(given_zone).timezone == "America/New_York"


def test_one_bad_feature_does_not_hide_the_others():
    bad = feature("Point", [7.4, 43.7], "bad")
    geofences, rejected = read_collection(
        {"type": "FeatureCollection", "features": [BAKERY, bad, None, COURTYARD, BAKERY]}
    )
    assert [geofence.id for geofence in geofences] == ["bakery", "way-23715051"]
    assert [(each.index, each.id) for each in rejected] == [(1, "bad"), (2, None), (4, "bakery")]
    assert rejected[2] == RejectedFeature(
        4, "bakery", (FieldError("id", "feature 0 has this id too; give each feature an id of its own"),)
    )


def test_a_list_of_errors_ends_somewhere():
    error = InvalidGeofence("bad", [FieldError(str(place), "bad") for place in range(5000)])
    assert len(error.errors) == LISTED_ERRORS_LIMIT
    assert "and 4001 more" in error.errors[-1].detail


@pytest.mark.parametrize(
    "collection", [[], {}, {"type": "FeatureCollection"}, {"type": "Topology", "features": []}]
)
def test_what_is_no_collection_is_refused(collection):
    with pytest.raises(InvalidGeofence):
        read_collection(collection)


@pytest.mark.parametrize("given_feature", [BAKERY, COURTYARD, SOUTH])
def test_what_is_exported_reads_back_the_same(given_feature):
    geofence = geofence_from_feature(given_feature)
    exported = json.loads(json.dumps(feature_from_geofence(geofence)))
    assert geofence_from_feature(exported) == geofence
    assert feature_from_geofence(geofence_from_feature(exported)) == exported


@pytest.mark.parametrize(
    "ring",
    [
        [[179, 0], [-179, 0], [-179, 1], [179, 1], [179, 0]],
        [[179, 0], [181, 0], [181, 1], [179, 1], [179, 0]],
        [[-181, 0], [-179, 0], [-179, 1], [-181, 1], [-181, 0]],
    ],
)
def test_a_ring_over_the_antimeridian_is_the_same_however_written(ring):
    area = geofence_from_feature(feature("Polygon", [ring])).shape.polygons
    assert area.area == 2
    exported = feature_from_geofence(geofence_from_feature(feature("Polygon", [ring])))["geometry"]
    assert exported["type"] == "MultiPolygon"
    longitudes = sorted({lon for part in exported["coordinates"] for lon, _ in part[0]})
    assert longitudes == [-180, -179, 179, 180]
    again = geofence_from_feature(feature("MultiPolygon", exported["coordinates"])).shape.polygons
    assert again.equals(area)


def test_parts_cut_at_the_antimeridian_are_joined():
    fiji = geofence_from_feature(ISLANDS)
    west, _, east, _ = fiji.shape.polygons.bounds
    assert (fiji.id, len(fiji.shape.polygons.geoms)) == ("Fiji", 2)
    assert (west, east) == pytest.approx((177.38, 180.21))


@given(
    lon=st.floats(-180, 180),
    lat=st.floats(-90, 90),
    radius=st.floats(1, 100_000),
    name=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=40),
    tags=st.lists(st.sampled_from(["food", "city-centre", "été"]), max_size=5),
    dwell=st.integers(1, 86_400),
    heading=st.none() | st.floats(0, 360),
)
def test_any_circle_survives_the_round_trip(lon, lat, radius, name, tags, dwell, heading):
    given_feature = feature(
        "Point", [lon, lat], radius=radius, name=name, tags=tags, dwell_seconds=dwell, heading=heading
    )
    geofence = geofence_from_feature(given_feature)
    collection = json.loads(json.dumps(collection_from([geofence])))
    assert read_collection(collection) == ([geofence], [])


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=8)
)
def test_no_geometry_breaks_the_reader(coordinates):
    for geometry_type in ("Point", "LineString", "Polygon", "MultiPolygon"):
        assert faults(feature(geometry_type, coordinates))


@pytest.mark.parametrize("packed", [False, True])
def test_files_are_read_packed_or_not(tmp_path: Path, packed):
    text = json.dumps({"type": "FeatureCollection", "features": [BAKERY]}).encode()
    path = tmp_path / ("shops.geojson.gz" if packed else "shops.geojson")
    path.write_bytes(gzip.compress(text) if packed else text)
    assert load_file(path) == [BAKERY]


@pytest.mark.parametrize("name", ["broken.geojson", "broken.geojson.gz"])
def test_a_broken_file_is_named(tmp_path: Path, name):
    (tmp_path / name).write_bytes(b"{")
    with pytest.raises(UnreadableFile, match="broken"):
        load_file(tmp_path / name)
