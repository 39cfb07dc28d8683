"""Signed distances against truths found another way: geodesics, ray casting, and borders sampled point by point."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyproj import Geod

from geofences.geojson import geofence_from_feature
from geofences.index import GeofenceIndex
from tests.geofences.places import COURTYARD, ISLANDS, SOUTH, circle, feature, polygon, square

WGS84 = Geod(ellps="WGS84")
LATITUDES = [0.0, 45.0, -60.0, 79.0, 84.0, 89.9, -89.9, 90.0, -90.0]


def distance_m(geofence, lon, lat):
    index = GeofenceIndex.of([geofence])
    return index.distances(np.array([lon]), np.array([lat]), np.array([0]))[0]


def distances_m(geofence, lons, lats):
    index = GeofenceIndex.of([geofence])
    return index.distances(np.asarray(lons), np.asarray(lats), np.zeros(len(lons), dtype=np.int64))


def sampled_distances_m(lines, lons, lats, per_edge=400):
    """The distance to the nearest of many points along edges that are straight in longitude and latitude."""
    share = np.linspace(0, 1, per_edge)[:, np.newaxis]
    border = np.concatenate(
        [
            np.asarray(start) + share * (np.asarray(end) - start)
            for line in lines
            for start, end in itertools.pairwise(line)
        ]
    )
    return np.array(
        [
            WGS84.inv(np.full(len(border), lon), np.full(len(border), lat), border[:, 0], border[:, 1])[
                2
            ].min()
            for lon, lat in zip(lons, lats, strict=True)
        ]
    )


def ray_cast(rings, lon, lat):
    """Even-odd rule by hand."""
    crossings = 0
    for ring in rings:
        for (x1, y1), (x2, y2) in itertools.pairwise(ring):
            if (y1 > lat) != (y2 > lat) and lon < x1 + (lat - y1) * (x2 - x1) / (y2 - y1):
                crossings += 1
    return crossings % 2 == 1


@pytest.mark.parametrize("lat", LATITUDES)
@pytest.mark.parametrize("lon", [7.4, 180.0, -179.9999])
@pytest.mark.parametrize("radius_m", [5.0, 60.0, 30_000.0])
def test_a_circle_is_measured_along_the_ellipsoid(lon, lat, radius_m):
    azimuths = np.linspace(0, 350, 36)
    away = np.linspace(0, 2 * radius_m, 36)
    lons, lats, _ = WGS84.fwd(np.full(36, lon), np.full(36, lat), azimuths, away)
    assert distances_m(circle(lon, lat, radius_m), lons, lats) == pytest.approx(away - radius_m, abs=1e-3)


@given(
    west=st.floats(-180, 180),
    south=st.floats(-89, 88),
    side=st.floats(0.0005, 1.0),
    spots=st.lists(st.tuples(st.floats(-0.5, 1.5), st.floats(-0.5, 1.5)), min_size=1, max_size=20),
)
@example(west=0.0, south=6.0, side=0.5, spots=[(0.5, 1.0)])  # on a long edge, half way between two steps
def test_inside_is_what_the_even_odd_rule_says(west, south, side, spots):
    outer = square(west, south, side)
    hole = square(west + side / 4, south + side / 4, side / 2)
    area = polygon(outer, hole)
    xs = np.array([west + x * side for x, _ in spots])
    lats = np.clip([south + y * side for _, y in spots], -90, 90)
    signed = distances_m(area, (xs + 180) % 360 - 180, lats)
    for x, lat, away in zip(xs, lats, signed, strict=True):
        if (
            abs(away) > 0.1
        ):  # on the border either answer is right; a wide shape's is that far off, see STEP_DEGREES
            assert (away < 0) == ray_cast([outer, hole], x, lat)


@pytest.mark.parametrize("south", [0.0, 48.8, -67.0, 79.99, 84.0, 89.5])
@pytest.mark.parametrize("west", [2.3, 179.99])
@pytest.mark.parametrize(("side", "tolerance"), [(0.004, 2e-3), (0.1, 2e-3), (0.45, 2e-3)])
def test_an_area_is_measured_to_its_nearest_border(west, south, side, tolerance):
    outer = square(west, south, side)
    hole = square(west + side / 4, south + side / 4, side / 2)
    area = polygon(outer, hole)
    spots = np.random.default_rng(7).uniform(-0.2, 1.2, (40, 2))
    lons, lats = west + side * spots[:, 0], np.minimum(south + side * spots[:, 1], 90.0)
    truth = sampled_distances_m([outer, hole], lons, lats)
    sampling_m = side * 111_320 / 400
    assert np.abs(distances_m(area, lons, lats)) == pytest.approx(truth, rel=tolerance, abs=sampling_m)


def test_a_wide_area_is_measured_along_the_ellipsoid():
    """On a map that is true at 60 degrees only, a point at 41 would seem a third too near."""
    country = square(20.0, 41.0, 39.0)
    lons = np.array([60.2, 18.0, 21.0, 40.0, 58.9])
    lats = np.array([41.5, 79.5, 42.0, 60.0, 79.0])
    truth = sampled_distances_m([country], lons, lats, per_edge=200_000)
    signed = distances_m(polygon(country), lons, lats)
    assert np.abs(signed) == pytest.approx(truth, rel=2e-3)
    assert (signed < 0).tolist() == [False, False, True, True, True]


def test_a_courtyard_is_outside():
    museum = geofence_from_feature(COURTYARD)
    assert distance_m(museum, 7.4205, 43.7315) < 0
    assert distance_m(museum, 7.422, 43.7315) == pytest.approx(55.6, abs=0.5)


def test_islands_on_both_sides_of_the_antimeridian_are_one_place():
    fiji = geofence_from_feature(ISLANDS)
    lons, lats = (
        np.array([180.0, -180.0, 179.99, -179.99, 178.1]),
        np.array([-16.3, -16.3, -16.3, -16.3, -17.9]),
    )
    signed = distances_m(fiji, lons, lats)
    assert signed[0] == signed[1]
    assert (signed < -10_000).all(), "the cut at 180 degrees is no coast"
    assert distance_m(fiji, 0.0, 0.0) > 15_000_000


def test_an_area_round_the_pole_has_no_border_at_the_edge_of_the_map():
    south = geofence_from_feature(SOUTH)
    ring = SOUTH["geometry"]["coordinates"][0][2:7]
    lons, lats = np.array([0.0, 123.0, 180.0, -179.99, 20.0]), np.array([-90.0, -90.0, -86.0, -86.0, -60.0])
    truth = sampled_distances_m([ring], lons, lats, per_edge=20_000)
    assert distances_m(south, lons, lats) == pytest.approx(truth * [-1, -1, -1, -1, 1], rel=1e-3)


@pytest.mark.parametrize(
    "line",
    [
        [[2.30, 48.80], [2.31, 48.81], [2.33, 48.80]],
        [[179.99, -17.0], [-179.99, -17.01], [-179.98, -17.0]],
        [[2.3, 48.8], [2.6, 49.4], [3.1, 50.2]],
        [[25.0, 85.0], [26.0, 85.1]],
    ],
)
def test_a_corridor_is_measured_from_its_line(line):
    road = geofence_from_feature(feature("LineString", line, width=100))
    unrolled = np.array([[lon % 360, lat] for lon, lat in line])
    middle = unrolled.mean(axis=0)
    spots = middle + np.random.default_rng(7).normal(0, 0.01, (30, 2))
    lons, lats = (spots[:, 0] + 180) % 360 - 180, spots[:, 1]
    truth = sampled_distances_m([unrolled], lons, lats, per_edge=20_000)
    assert distances_m(road, lons, lats) == pytest.approx(truth - 50, rel=2e-3, abs=3)
    assert distance_m(road, line[1][0], line[1][1]) == pytest.approx(-50, abs=0.2)


def test_the_inradius_is_the_largest_distance_inside():
    metres = 111_195
    strip = [[2.0, 0.0], [2.1, 0.0], [2.1, 0.001], [2.0, 0.001], [2.0, 0.0]]
    index = GeofenceIndex.of(
        [
            circle(7.4, 43.7, 60, "circle"),
            polygon(strip, geofence_id="strip"),
            polygon(square(20, 0, 2), geofence_id="country"),
            geofence_from_feature(feature("LineString", [[0, 0], [1, 1]], "road", width=80)),
        ]
    )
    expected = [60, 0.0005 * metres, 1.0 * metres, 40]
    for name, inradius_m in zip(("circle", "strip", "country", "road"), expected, strict=True):
        assert index.inradius_m(index.slot(name)) == pytest.approx(inradius_m, rel=0.07)
