"""The index against asking every geofence about every position."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from geofences.bounds import boxes_around
from geofences.geofence import Circle, Geofence, Kind
from geofences.geojson import geofence_from_feature
from geofences.index import LOAD_FROM_EDITS, GeofenceIndex
from tests.geofences.places import ISLANDS, SOUTH, circle, feature, polygon, square

WGS84 = Geod(ellps="WGS84")
corners = st.sampled_from(
    [(0.0, 0.0), (2.3, 48.8), (179.995, -17.0), (-180.0, 60.0), (30.0, 89.99), (0.0, -90.0)]
)
nudges = st.tuples(st.floats(-0.02, 0.02), st.floats(-0.02, 0.02))
spots = st.builds(
    lambda corner, nudge: (
        (corner[0] + nudge[0] + 180) % 360 - 180,
        float(np.clip(corner[1] + nudge[1], -90, 90)),
    ),
    corners,
    nudges,
)


def _geofence(spot, shape, size, geofence_id):
    lon, lat = spot
    if shape == "circle":
        return circle(lon, lat, 20 + size * 3000, geofence_id)
    if shape == "corridor":
        line = [[lon, lat], [lon + 0.01, max(lat - 0.01, -90)]]
        return geofence_from_feature(feature("LineString", line, geofence_id, width=10 + size * 500))
    if shape == "area":
        return polygon(square(lon, min(lat, 89.9), 0.001 + size * 0.02), geofence_id=geofence_id)
    return geofence_from_feature((SOUTH if lat < 0 else ISLANDS) | {"id": geofence_id})


geofences = st.builds(
    _geofence,
    spots,
    st.sampled_from(["circle", "corridor", "area", "country"]),
    st.floats(0, 1),
    st.sampled_from([f"place-{number}" for number in range(12)]),
)
pings = st.lists(st.tuples(spots, st.floats(-100, 3000)), min_size=1, max_size=12)


def asked_one_by_one(held, asked):
    """The ids matched per ping, by measuring each geofence alone."""
    return sorted(
        (number, each.id)
        for each in held
        for number, ((lon, lat), pad) in enumerate(asked)
        if GeofenceIndex.of([each]).distances(np.array([lon]), np.array([lat]), np.array([0]))[0] <= pad
    )


def matched(index, asked):
    lons, lats = (np.array([spot[axis] for spot, _ in asked]) for axis in (0, 1))
    found = index.match(lons, lats, np.array([pad for _, pad in asked]))
    assert found.distance_m == pytest.approx(index.distances(lons[found.ping], lats[found.ping], found.slot))
    keys = list(zip(found.ping.tolist(), found.slot.tolist(), strict=True))
    assert keys == sorted(set(keys)), "each pair once, by ping then slot"
    return sorted((number, index.geofence(slot).id) for number, slot in keys)


@given(st.lists(geofences, max_size=8, unique_by=lambda each: each.id), pings)
def test_match_finds_exactly_what_asking_everyone_finds(held, asked):
    assert matched(GeofenceIndex.of(held), asked) == asked_one_by_one(held, asked)


@given(st.lists(st.tuples(geofences, st.booleans()), max_size=20), st.booleans(), pings)
def test_edits_leave_what_a_fresh_index_would_hold(edits, at_once, asked):
    index, held = GeofenceIndex(), {}
    changes = [(each.id, each if stays else None) for each, stays in edits]
    if at_once:
        strangers = [(f"stranger-{number}", None) for number in range(LOAD_FROM_EDITS)]
        index.change(changes + strangers)
    slots = {}
    for geofence_id, each in changes:
        if each is None:
            index.remove(geofence_id)
            held.pop(geofence_id, None)
            slots.pop(geofence_id, None)
        else:
            index.put(each)
            held[geofence_id] = each
            assert index.slot(geofence_id) == slots.setdefault(geofence_id, index.slot(geofence_id))
    assert len(index) == len(held)
    assert {each.id: each for each in index} == held
    assert len({index.slot(name) for name in held}) == len(held)
    assert matched(index, asked) == asked_one_by_one(held.values(), asked)


def test_of_two_with_one_id_the_later_counts():
    index = GeofenceIndex.of([circle(0, 0, 50, "shop"), circle(9, 9, 50, "shop")])
    assert len(index) == 1
    assert matched(index, [((0.0, 0.0), 0.0)]) == []
    assert matched(index, [((9.0, 9.0), 0.0)]) == [(0, "shop")]


def test_an_empty_index_and_an_empty_batch_match_nothing():
    nothing = np.empty(0)
    assert len(GeofenceIndex().match(np.array([1.0]), np.array([1.0]), np.array([100.0])).ping) == 0
    assert len(GeofenceIndex.of([]).match(nothing, nothing, nothing).slot) == 0
    assert len(GeofenceIndex.of([circle(0, 0, 50)]).match(nothing, nothing, nothing).distance_m) == 0
    assert len(GeofenceIndex().distances(nothing, nothing, np.empty(0, np.int64))) == 0


def test_an_empty_slot_is_told_apart():
    index = GeofenceIndex.of([circle(0, 0, 50, "a"), circle(1, 1, 50, "b")])
    slot = index.slot("a")
    index.remove("a")
    index.remove("never there")
    assert index.slot("a") is None
    for ask in (lambda: index.geofence(slot), lambda: index.geofence(-1), lambda: index.inradius_m(slot)):
        with pytest.raises(KeyError):
            ask()
    with pytest.raises(KeyError):
        index.distances(np.array([0.0]), np.array([0.0]), np.array([slot]))


def test_an_inradius_follows_its_geofence():
    index = GeofenceIndex.of([circle(0, 0, 50, "a")])
    assert index.inradius_m(0) == 50
    index.put(circle(0, 0, 70, "a"))
    assert index.inradius_m(0) == 70


@given(
    st.floats(-180, 180),
    st.floats(-90, 90),
    st.floats(0, 200_000),
    st.floats(0, 360),
    st.floats(0, 1),
)
def test_a_padded_box_holds_every_point_within_its_pad(lon, lat, pad_m, azimuth, share):
    to_lon, to_lat, _ = WGS84.fwd(lon, lat, azimuth, pad_m * share)
    boxes = boxes_around(np.array([[lon, lat, lon, lat]]), np.array([pad_m]))
    assert ((boxes.mins <= [to_lon, to_lat]) & ([to_lon, to_lat] <= boxes.maxs)).all(axis=1).any()
    assert (boxes.mins <= boxes.maxs).all()
    assert np.abs(boxes.corners[:, [0, 2]]).max() <= 180
    assert np.abs(boxes.corners[:, [1, 3]]).max() <= 90


def test_many_geofences_load_and_match_in_one_go():
    random = np.random.default_rng(1)
    spots_of = np.column_stack([random.uniform(2, 8, 30_000), random.uniform(43, 49, 30_000)]).tolist()
    held = [
        Geofence(f"g{number}", "", Kind.STORE, Circle(lon, lat, 60.0), "Europe/Paris")
        for number, (lon, lat) in enumerate(spots_of)
    ]
    index = GeofenceIndex.of(held)
    lons, lats = np.array(spots_of[:10_000]).T
    found = index.match(lons, lats, np.full(10_000, 100.0))
    assert len(index) == 30_000
    assert set(range(10_000)) <= set(found.ping.tolist())
