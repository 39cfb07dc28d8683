"""Packed geofences against the geofences that they were packed from."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofences.catalogue import Catalogue
from geofences.geojson import feature_from_geofence, geofence_from_feature
from geofences.packed import Packed, Packing
from tests.geofences.places import COURTYARD, ISLANDS, SOUTH, feature, square
from tests.geofences.test_index import geofences

MUCH = {
    "name": "Épicerie",
    "kind": "catchment",
    "store": "shop",
    "tags": ["été", 'q"o_t%e'],
    "dwell_seconds": 77,
    "opening_hours": "Mo-Sa 08:30-20:00",
    "heading": 270,
    "timezone": "Indian/Reunion",
    "big": 10**40,
    "deep": {"a": [1, 2.5, None, True, {"b": "ü"}]},
    "id": "kept",
    "width_m": 7,
}
LINE = [[2.24, 48.83], [2.25, 48.84], [2.26, 48.835, 31.0]]
FEATURES = [
    feature("Point", [2.24, 48.83], "round", radius_m=40, **MUCH | {"width": 3}),
    feature("Point", [-180, -90], "end-of-the-world", radius=100_000),
    feature("LineString", LINE, "road", width=12.3),
    feature("LineString", [[179.9, -17], [-179.9, -17.1]], "over", width=30),
    feature("Polygon", [square(2, 48, 1), square(2.2, 48.2, 0.5)], "hole", **MUCH),
    feature("Polygon", [square(179.99, -17, 0.02)], "fiji"),
    feature("Polygon", [[[-170, 0], [170, 0], [170, 10], [-170, 10], [-170, 0]]], "narrow-or-wide"),
    feature("MultiPolygon", [[square(2, 48, 1)], [square(4, 48, 1)]], "two", tags=["a"]),
    COURTYARD,
    ISLANDS | {"id": "islands"},
    SOUTH,
]


@pytest.mark.parametrize("given_feature", FEATURES, ids=lambda each: each["id"])
def test_a_row_holds_the_whole_geofence(given_feature):
    geofence = geofence_from_feature(given_feature)
    assert Packed.of([geofence]).geofence(0) == geofence


@pytest.mark.parametrize("given_feature", FEATURES, ids=lambda each: each["id"])
def test_what_the_store_keeps_is_packed_as_it_would_be_read(given_feature):
    kept = json.dumps(feature_from_geofence(geofence_from_feature(given_feature)))
    expected = geofence_from_feature(json.loads(kept))
    packing = Packing()
    packing.add_stored(expected.id, 7, kept)
    packed = packing.packed()
    assert packed.geofence(0) == expected
    assert packed.revisions.tolist() == [7]
    again = Packed.of([expected])
    assert np.array_equal(packed.bounds, again.bounds)
    assert np.array_equal(packed.reach_m, again.reach_m)


@given(st.lists(geofences, max_size=12), st.randoms(use_true_random=False))
def test_rows_may_be_chosen_and_put_together(several, random):
    packed = Packed.of(several)
    rows = random.sample(range(len(several)), random.randint(0, len(several)))
    chosen = Packed.together([packed.only(np.array(rows, np.int64)), packed])
    expected = [several[row] for row in rows] + several
    assert [chosen.geofence(row) for row in range(len(chosen))] == expected
    assert chosen.shapes(range(len(chosen))) == [each.shape for each in expected]


@given(st.lists(st.tuples(geofences, st.booleans()), max_size=20), st.integers(0, 20))
def test_a_catalogue_packs_what_it_holds(edits, at_first):
    first, then = [each for each, _ in edits[:at_first]], edits[at_first:]
    catalogue = Catalogue(Packed.of(first))
    held = {each.id: each for each in first}
    for each, stays in then:
        if stays:
            catalogue.put(Packed.of([each]))
            held[each.id] = each
        else:
            catalogue.remove(each.id)
            held.pop(each.id, None)
    repacking = catalogue.repacking()
    catalogue.put(Packed.of([geofence_from_feature(COURTYARD)]))  # later edits are not in it
    assert {each.id: each for each in Catalogue(repacking())} == held
