import json
from math import cos, radians

import pytest

from engine.clock import wall_clock
from engine.transfer import import_file
from geofences.errors import InvalidImport
from geofences.geojson import geofence_from_feature, read_collection
from geofences.plane import WGS84
from geofences.sensitive import OVERRIDE, SensitivePlaces, gap_m, load_places, terms

FEET_2000_M = 609.6
SEATTLE = (-122.33, 47.61)
PARIS = (2.35, 48.86)
WHO = {"by": "the pharmacist of the shop", "reason": "it is our own pharmacy"}


def feature(lon, lat, *, radius=30, tags=(), **properties):
    known = {"name": "Shop", "radius": radius, "tags": list(tags), **properties}
    return {
        "type": "Feature",
        "id": "shop",
        "properties": known,
        "geometry": {"type": "Point", "coordinates": [lon, lat]},
    }


def shop(*place, **more):
    return geofence_from_feature(feature(*place, **more))


def fields(places, geofence):
    return [fault.field for fault in places.faults(geofence)]


def east(place, metres):
    """So many metres along the ellipsoid, due east; measured by the library of geodesics."""
    lon, lat, _ = WGS84.fwd(*place, 90.0, metres)
    return lon, lat


@pytest.fixture
def listed(tmp_path):
    """A hospital of 200 m by 200 m in Seattle and in Paris, its middle in the middle of town; and a chapel, a point."""
    features = []
    for number, (lon, lat) in enumerate((SEATTLE, PARIS)):
        tall, wide = 100 / 111_200, 100 / (111_320 * cos(radians(lat)))
        ring = [(-wide, -tall), (wide, -tall), (wide, tall), (-wide, tall), (-wide, -tall)]
        outline = [[lon + x, lat + y] for x, y in ring]
        features.append(
            {
                "type": "Feature",
                "properties": {"name": f"Hospital {number}", "amenity": "hospital"},
                "geometry": {"type": "Polygon", "coordinates": [outline]},
            }
        )
    chapel = {"type": "Point", "coordinates": [PARIS[0] + 0.1, PARIS[1]]}
    features.append({"type": "Feature", "properties": {"category": "worship"}, "geometry": chapel})
    file = tmp_path / "sensitive.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return load_places(file)


@pytest.mark.parametrize(
    ("tag", "category"),
    [
        ("hospital", "health"), ("Hôpital", "health"), ("pharmacies", "health"), ("Pharmacy", "health"),
        ("place of worship", "worship"), ("churches", "worship"), ("church", "worship"), ("Schools", "school"),
        ("homeless shelter", "shelter"), ("prison", "prison"), ("courthouse", "court"), ("Political Party", "politics"),
        ("trade_union", "union"), ("driving-school", None), ("food-court", None), ("bakery", None),
    ],
)  # fmt: skip
def test_tags_of_sensitive_places_are_named(tag, category):
    faults = SensitivePlaces().faults(shop(*PARIS, tags=["food", tag]))
    assert [fault.field for fault in faults] == (["properties.tags[1]"] if category else [])
    assert all(f"({category})" in fault.detail for fault in faults)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (
            {"amenity": "place_of_worship", "religion": "muslim"},
            ["properties.amenity", "properties.religion"],
        ),
        ({"healthcare": "physiotherapist"}, ["properties.healthcare"]),
        ({"healthcare": "no", "religion": None}, []),
        ({"office": "political_party"}, ["properties.office"]),
        ({"office": "union"}, ["properties.office"]),
        ({"amenity": "shelter"}, []),
        ({"social_facility": "shelter"}, ["properties.social_facility"]),
        ({"amenity": "cafe", "shop": "bakery"}, []),
    ],
)
def test_properties_of_openstreetmap_are_named(given, names):
    assert fields(SensitivePlaces(), shop(*PARIS, **given)) == names


def test_two_thousand_feet_from_the_perimeter_in_the_united_states(listed):
    """The border of the shop, 30 m, and that of the hospital, 100 m from its middle, count; not their middles."""
    near = shop(*east(SEATTLE, 100 + FEET_2000_M + 30 - 1))
    far = shop(*east(SEATTLE, 100 + FEET_2000_M + 30 + 1))
    assert near.timezone == "America/Los_Angeles"
    assert fields(listed, near) == ["geometry"]
    assert fields(listed, far) == []
    [fault] = listed.faults(near)
    assert "m from a listed sensitive place (health)" in fault.detail
    assert OVERRIDE in fault.detail


def test_elsewhere_only_what_overlaps(listed):
    assert fields(listed, shop(*east(PARIS, 100 + 30 - 1))) == ["geometry"]
    assert fields(listed, shop(*east(PARIS, 100 + 30 + 1))) == []
    at_the_chapel = shop(PARIS[0] + 0.1, PARIS[1])
    assert "(worship)" in listed.faults(at_the_chapel)[0].detail


def test_a_wide_geofence_around_a_listed_place_overlaps_it(listed):
    assert fields(listed, shop(*east(PARIS, 3000), radius=5000)) == ["geometry"]


@pytest.mark.parametrize("metres", [5, 50, 500, 2000])
def test_the_gap_between_circles_is_that_of_geodesics(metres):
    for place in (SEATTLE, PARIS, (-147.7, 64.8)):
        other = east(place, metres + 20 + 30)
        measured = gap_m(shop(*place, radius=20).shape, shop(*other, radius=30).shape, place)
        assert measured == pytest.approx(metres, abs=0.5)


def test_whoever_answers_for_it_is_recorded_and_lets_it_be(listed):
    tagged = shop(*SEATTLE, tags=["pharmacy"], **{OVERRIDE: WHO})
    assert fields(listed, tagged) == []
    assert tagged.properties[OVERRIDE] == WHO


@pytest.mark.parametrize(
    "given", [True, {}, {"by": "me"}, {"by": " ", "reason": "x"}, {**WHO, "more": 1}, "yes"]
)
def test_half_an_override_is_none(given):
    faults = SensitivePlaces().faults(shop(*PARIS, **{OVERRIDE: given}))
    assert [fault.field for fault in faults] == [f"properties.{OVERRIDE}"]


def test_a_collection_names_the_feature_and_the_field():
    collection = {
        "type": "FeatureCollection",
        "features": [feature(*PARIS), feature(*PARIS, tags=["mosque"])],
    }
    kept, [rejected] = read_collection(collection, SensitivePlaces().faults)
    assert len(kept) == 1
    assert (rejected.index, rejected.errors[0].field) == (1, "properties.tags[0]")


def test_a_list_that_cannot_be_read_names_its_features(tmp_path):
    file = tmp_path / "wrong.geojson"
    wrong = {"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": [200, 0]}}
    file.write_text(json.dumps({"type": "FeatureCollection", "features": [wrong]}))
    with pytest.raises(InvalidImport) as refused:
        load_places(file)
    assert refused.value.errors[0].field == "features[0].geometry.coordinates"


def test_an_import_by_file_is_held_to_it_too(records, tmp_path):
    file = tmp_path / "shops.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": [feature(*PARIS, tags=["school"])]}))
    with pytest.raises(InvalidImport) as refused:
        import_file(records, file, wall_clock(), SensitivePlaces().faults)
    assert refused.value.errors[0].field == "features[0] (shop).properties.tags[0]"


def test_a_jurisdiction_is_a_code(listed):
    assert shop(*PARIS, jurisdiction="FR-75").properties["jurisdiction"] == "FR-75"
    kept, [rejected] = read_collection(
        {"type": "FeatureCollection", "features": [feature(*PARIS, jurisdiction="Paris")]}
    )
    assert (kept, rejected.errors[0].field) == ([], "properties.jurisdiction")


def test_the_door_says_which_field(client):
    answer = client.put("/v1/geofences/shop", json=feature(*PARIS, tags=["hospital"]))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_geofence")
    assert answer.json()["errors"][0]["field"] == "properties.tags[0]"
    answer = client.put("/v1/geofences/shop", json=feature(*PARIS, tags=["hospital"], **{OVERRIDE: WHO}))
    assert answer.status_code == 201
    assert client.get("/v1/geofences/shop").json()["properties"][OVERRIDE] == WHO


def test_the_terms_are_reviewed_in_time():
    import tomllib
    from importlib import resources

    raw = tomllib.loads(resources.files("geofences").joinpath("sensitive.toml").read_text(encoding="utf-8"))
    assert raw["review_by"] >= wall_clock().date(), "look the sources up again"
    assert set(terms().tags.values()) >= {
        "health",
        "worship",
        "school",
        "shelter",
        "prison",
        "court",
        "politics",
        "union",
    }
