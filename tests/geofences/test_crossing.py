"""Crossings against looking at every half metre of the way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from geofences.crossing import PASSING, Crossings, Ways, passed
from geofences.geofence import Circle, Geofence, Kind
from geofences.geojson import geofence_from_feature
from geofences.index import GeofenceIndex
from tests.geofences.places import circle, feature, polygon, square

WGS84 = Geod(ellps="WGS84")
SUVA = (180.0, -17.0)
PARIS = (2.35, 48.85)


def ways(*each) -> list[np.ndarray]:
    """Columns of segments that are given as ((lon, lat, at), (lon, lat, at))."""
    return [
        np.array(column, dtype=float) for column in zip(*(one + other for one, other in each), strict=True)
    ]


def crossings(index: GeofenceIndex, *columns: np.ndarray) -> Crossings:
    """What segments pass through, as detection asks: longitude, latitude and time of their starts, then of their ends."""
    segments = Ways.between(*columns)
    return passed(index, segments, index.match(*segments.middles()))


def away(place, azimuth: float, metres: float) -> tuple[float, float]:
    lon, lat, _ = WGS84.fwd(*place, azimuth, metres)
    return lon, lat


def past(place, azimuth: float, metres: float, seconds: float, aside_m: float = 0.0):
    """A way of so many metres in this direction, its middle `aside_m` to the right of a place."""
    middle = away(place, azimuth + 90, aside_m)
    start, end = away(middle, azimuth + 180, metres / 2), away(middle, azimuth, metres / 2)
    return (*start, 1000.0), (*end, 1000.0 + seconds)


def corridor(place, azimuth: float, metres: float, width_m: float, geofence_id: str = "road") -> Geofence:
    line = [away(place, azimuth + 180, metres / 2), place, away(place, azimuth, metres / 2)]
    line = [[lon + 360 * round((place[0] - lon) / 360), lat] for lon, lat in line]
    return geofence_from_feature(feature("LineString", line, geofence_id, width=width_m))


def ring(place, geofence_id: str = "ring") -> Geofence:
    """A square of about a kilometre with a hole in its middle."""
    lon, lat = place
    hole = square(lon - 0.003, lat - 0.003, 0.006)[::-1]
    return polygon(square(lon - 0.005, lat - 0.005, 0.01), hole, geofence_id=geofence_id)


def one(index: GeofenceIndex, *each) -> Crossings:
    found = crossings(index, *ways(*each))
    assert len(found) == 1
    return found


@pytest.mark.parametrize("place", [PARIS, SUVA, (-180.0, 65.0)])
@pytest.mark.parametrize("azimuth", [0, 37, 90, 200])
def test_a_car_drives_through_a_store_between_two_pings(place, azimuth):
    index = GeofenceIndex.of([circle(*place, 100.0)])
    found = one(index, past(place, azimuth, 1500.0, 60.0))
    assert found.enter_at[0] == pytest.approx(1000 + 60 * 650 / 1500, abs=0.1)
    assert found.exit_at[0] == pytest.approx(1000 + 60 * 850 / 1500, abs=0.1)
    assert 95 < found.depth_m[0] <= 100.1
    assert found.direction[0] == 0


@pytest.mark.parametrize(("aside_m", "hit"), [(98.0, True), (102.0, False), (-98.0, True), (-102.0, False)])
def test_a_graze_is_told_from_a_near_miss(aside_m, hit):
    index = GeofenceIndex.of([circle(*PARIS, 100.0)])
    assert len(crossings(index, *ways(past(PARIS, 20.0, 3000.0, 100.0, aside_m)))) == hit


@pytest.mark.parametrize("shift_m", [0.0, 750.0, -750.0, 20.0])
def test_who_has_a_fix_inside_is_no_passer(shift_m):
    index = GeofenceIndex.of([circle(*away(PARIS, 90.0, shift_m), 100.0)])
    found = crossings(index, *ways(past(PARIS, 90.0, 1500.0, 60.0)))
    assert len(found) == (abs(shift_m) < 650)


@pytest.mark.parametrize(
    ("metres", "seconds"),
    [(1500.0, 0.0), (1500.0, -60.0), (150.0, 60.0), (1500.0, 20.0), (5500.0, 170.0), (1500.0, 181.0)],
)
def test_ways_that_nobody_drove_are_not_considered(metres, seconds):
    index = GeofenceIndex.of([circle(*PARIS, 30.0)])
    assert len(crossings(index, *ways(past(PARIS, 10.0, metres, seconds)))) == 0
    assert len(crossings(index, *ways(past(PARIS, 10.0, 1500.0, 60.0)))) == 1


@pytest.mark.parametrize("place", [PARIS, SUVA])
def test_a_line_is_crossed_from_left_to_right_or_back(place):
    index = GeofenceIndex.of([corridor(place, 0.0, 800.0, 20.0)])
    there, back = past(place, 70.0, 900.0, 60.0), past(place, 250.0, 900.0, 60.0)
    assert crossings(index, *ways(there, back)).direction.tolist() == [1, -1]


def test_a_corridor_whose_line_is_not_crossed_has_no_direction():
    index = GeofenceIndex.of([corridor(PARIS, 0.0, 800.0, 100.0)])
    found = one(index, past(away(PARIS, 0.0, 430.0), 90.0, 900.0, 60.0))
    assert found.direction[0] == 0


def test_a_line_crossed_to_and_fro_has_no_direction_and_one_crossed_thrice_has():
    lon, lat = PARIS
    bends = [
        [lon - 0.002, lat - 0.001],
        [lon - 0.001, lat + 0.001],
        [lon, lat - 0.001],
        [lon + 0.001, lat + 0.001],
    ]
    for positions, direction in ((bends[:3], 0), (bends, 1)):
        road = geofence_from_feature(feature("LineString", positions, "zigzag", width=10))
        found = one(GeofenceIndex.of([road]), past(PARIS, 90.0, 900.0, 60.0))
        assert found.direction[0] == direction


def test_a_way_over_a_ring_enters_first_and_leaves_last_and_in_its_hole_is_outside():
    lon, lat = PARIS
    index = GeofenceIndex.of([ring(PARIS)])
    found = one(index, past(PARIS, 0.0, 3000.0, 100.0))
    inside_m = (found.exit_at - found.enter_at)[0] * 30
    assert inside_m == pytest.approx(WGS84.inv(lon, lat - 0.005, lon, lat + 0.005)[2], abs=1)
    hole_to_outside = ((lon, lat, 0.0), (lon, lat + 0.01, 60.0))
    assert len(crossings(index, *ways(hole_to_outside))) == 1
    assert len(crossings(index, *ways(((lon, lat - 0.002, 0.0), (lon, lat + 0.002, 60.0))))) == 0


spots = st.tuples(st.floats(-1500, 1500), st.floats(-1500, 1500))


def _spot(place, offset) -> tuple[float, float]:
    return away(away(place, 90.0, offset[0]), 0.0, offset[1])


shapes = st.builds(
    lambda kind, offset, size: (kind, offset, size),
    st.sampled_from(["circle", "road", "ring"]),
    spots,
    st.floats(0, 1),
)


def _made(place, number: int, kind: str, offset, size: float) -> Geofence:
    where = _spot(place, offset)
    if kind == "circle":
        return circle(*where, 5 + 300 * size, f"g{number}")
    if kind == "road":
        return corridor(where, 360 * size, 200 + 800 * size, 3 + 60 * size, f"g{number}")
    return ring(where, f"g{number}")


@given(
    st.sampled_from([PARIS, SUVA, (20.0, 0.0)]),
    st.lists(shapes, max_size=6),
    st.lists(st.tuples(spots, spots), min_size=1, max_size=4),
)
def test_crossings_are_what_a_look_at_every_half_metre_finds(place, made, asked):
    index = GeofenceIndex.of(_made(place, number, *each) for number, each in enumerate(made))
    each = [((*_spot(place, one), 0.0), (*_spot(place, other), 120.0)) for one, other in asked]
    columns = ways(*each)
    found = crossings(index, *columns)
    pairs = list(zip(found.segment.tolist(), found.slot.tolist(), strict=True))
    assert pairs == sorted(set(pairs))
    told = {pair: number for number, pair in enumerate(pairs)}
    for number, (one, other) in enumerate(each):
        metres = WGS84.inv(*one[:2], *other[:2])[2]
        if not PASSING.least_mps * 120 <= metres <= PASSING.most_m:
            assert not any(segment == number for segment, _ in told)
            continue
        share = np.linspace(0, 1, int(2 * metres) + 2)
        turn = (other[0] - one[0] + 180) % 360 - 180
        lon = (one[0] + share * turn + 180) % 360 - 180
        lat = one[1] + share * (other[1] - one[1])
        for slot in range(len(made)):
            distances = index.distances(lon, lat, np.full(len(share), slot))
            inside = np.flatnonzero(distances <= 0)
            row = told.get((number, slot))
            if distances[0] <= 0 or distances[-1] <= 0 or not inside.size:
                assert row is None or found.depth_m[row] < 0.1
            elif row is None:
                assert inside.size * 0.5 <= PASSING.resolution_m + 1
            elif inside.size * 0.5 > PASSING.resolution_m + 1:
                assert found.enter_at[row] == pytest.approx(120 * share[inside[0]], abs=0.3 + 400 / metres)
                assert found.exit_at[row] == pytest.approx(120 * share[inside[-1]], abs=0.3 + 400 / metres)


def test_nothing_asked_and_nothing_there_cross_nothing():
    nothing = [np.empty(0)] * 6
    assert len(crossings(GeofenceIndex(), *nothing)) == 0
    assert len(crossings(GeofenceIndex.of([circle(*PARIS, 50.0)]), *nothing)) == 0
    assert len(crossings(GeofenceIndex(), *ways(past(PARIS, 0.0, 1500.0, 60.0)))) == 0


def test_a_batch_is_searched_in_one_go():
    rng = np.random.default_rng(3)
    places = np.column_stack([rng.uniform(2, 3, 5000), rng.uniform(48, 49, 5000)]).tolist()
    index = GeofenceIndex.of(
        Geofence(f"g{number}", "", Kind.STORE, Circle(lon, lat, 80.0), "Europe/Paris")
        for number, (lon, lat) in enumerate(places)
    )
    lon0, lat0 = rng.uniform(2, 3, 10_000), rng.uniform(48, 49, 10_000)
    lon1, lat1 = lon0 + rng.uniform(-0.02, 0.02, 10_000), lat0 + rng.uniform(-0.013, 0.013, 10_000)
    at = np.zeros(10_000)
    found = crossings(index, lon0, lat0, at, lon1, lat1, at + 60)
    assert len(found) > 100
