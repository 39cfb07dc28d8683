import random
from math import dist, exp, sqrt

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from geofences.approach import (
    SERVICE_AREA_APPROACH,
    STORE_APPROACH,
    Approach,
    Arrival,
    Nearing,
    course_deg,
    service_area_ahead,
    service_areas_ahead,
    step,
)
from geofences.motion import Mode

WGS84 = Geod(ellps="WGS84")
DIJON = (5.04, 47.32)


def go(fixes: list[Nearing], policy=STORE_APPROACH) -> list[tuple[float, Arrival]]:
    """What is said, and when, of a phone that these fixes come from."""
    was, said = None, []
    for each in fixes:
        was, arrival = step(was, each, policy)
        if arrival is not None:
            said.append((each.at, arrival))
    return said


def along(places, every=10.0, accuracy_m=10.0, mode=Mode.VEHICLE, start=0.0, seed=None) -> list[Nearing]:
    """Fixes of a phone at these places (metres east and north of the store); with a seed their errors wander."""
    rng, error, before, fixes = random.Random(seed), (0.0, 0.0), None, []
    kept = exp(-every / 60)
    noise = 0.0 if seed is None else accuracy_m * 0.66 * sqrt(1 - kept**2)
    for number, place in enumerate(places):
        error = tuple(kept * each + rng.gauss(0, noise) for each in error)
        fix = (place[0] + error[0], place[1] + error[1])
        moved_m = dist(before, fix) if before else 0.0
        fixes.append(Nearing(start + number * every, dist(fix, (0, 0)) - 20.0, moved_m, accuracy_m, mode))
        before = fix
    return fixes


def line(start, velocity, seconds, every=10.0):
    return [(start[0] + velocity[0] * t, start[1] + velocity[1] * t) for t in np.arange(0, seconds, every)]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("every", [5.0, 10.0, 30.0, 60.0])
def test_a_car_that_heads_for_the_store_is_announced_once_and_with_about_the_right_time(every, seed):
    places = line((0.0, 6000.0), (0.0, -12.0), 480, every)
    [(at, arrival)] = go(along(places, every, seed=seed))
    left = (6000 - 20 - 12 * at) / 12
    assert arrival.eta_seconds == pytest.approx(left, rel=0.25)
    assert 150 < arrival.eta_seconds <= 300
    assert arrival.speed_mps == pytest.approx(12, rel=0.25)
    assert 0.7 <= arrival.confidence <= 1


@pytest.mark.parametrize("seed", range(10))
def test_a_walker_is_announced_two_minutes_ahead_at_most(seed):
    places = line((400.0, 0.0), (-1.4, 0.0), 270)
    [(at, arrival)] = go(along(places, mode=Mode.WALKING, accuracy_m=8.0, seed=seed))
    assert 30 < (380 - 1.4 * at) / 1.4 < 170
    assert arrival.eta_seconds <= 120


@pytest.mark.parametrize(
    ("start", "velocity"),
    [((0.0, 600.0), (0.0, 12.0)), ((-3000.0, 2500.0), (12.0, 0.0)), ((1500.0, 1500.0), (0.0, 0.0))],
    ids=["away", "along a road far aside", "nowhere"],
)
@pytest.mark.parametrize("seed", range(10))
def test_who_does_not_come_is_not_announced(start, velocity, seed):
    assert go(along(line(start, velocity, 500), seed=seed, accuracy_m=20.0)) == []


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("mode", list(Mode))
def test_a_phone_that_lies_near_the_store_for_an_hour_is_not_announced(mode, seed):
    assert go(along([(120.0, 0.0)] * 360, mode=mode, accuracy_m=20.0, seed=seed)) == []


def test_two_fixes_are_not_enough_and_a_minute_is():
    fixes = along(line((0.0, 2500.0), (0.0, -14.0), 70))
    assert [at for at, _ in go(fixes[:2])] == []
    assert len(go(fixes)) == 1
    assert len(go(along(line((0.0, 3500.0), (0.0, -14.0), 130, 65.0), 65.0))) == 1


def test_a_halt_at_a_light_neither_announces_nor_ends_an_approach():
    there = line((0.0, 3900.0), (0.0, -10.0), 40)
    halt = [there[-1]] * 9
    on = line(there[-1], (0.0, -10.0), 250)[1:]
    assert go(along(there + halt)) == []
    assert len(go(along(there + halt + on))) == 1


def test_an_approach_is_said_again_only_after_going_away():
    come = line((0.0, 3000.0), (0.0, -10.0), 270)
    back_a_bit = [(0.0, 300.0 + 10 * number) for number in range(1, 20)]
    away = line((0.0, 300.0), (0.0, 10.0), 300)
    assert len(go(along(come + back_a_bit + back_a_bit[::-1]))) == 1
    assert len(go(along(come + away + come))) == 2


def test_who_comes_out_of_the_store_is_not_announced_until_gone_away():
    inside = [(0.0, 5.0)] * 5
    round_the_block = line((0.0, 30.0), (0.0, 1.4), 100) + line((0.0, 170.0), (0.0, -1.4), 100)
    assert go(along(inside + round_the_block, mode=Mode.WALKING)) == []


def test_a_day_at_home_does_not_hide_the_way_to_the_store():
    home = along([(0.0, 4000.0)] * 700, mode=Mode.STILL, accuracy_m=20.0, seed=4)
    drive = along(line((0.0, 4000.0), (0.0, -12.0), 300), start=7000.0)
    assert len(go(home + drive)) == 1


def test_who_parks_and_walks_is_measured_as_a_walker():
    drive = along(line((0.0, 6000.0), (0.0, -14.0), 60), every=10.0)
    walk = along(line((0.0, 150.0), (0.0, -1.3), 90), mode=Mode.WALKING, start=60.0)
    [(_, arrival)] = go(drive + walk)
    assert arrival.speed_mps == pytest.approx(1.3, rel=0.5)


def test_a_long_silence_forgets_what_was_said_and_a_shorter_one_does_not():
    come = line((0.0, 3000.0), (0.0, -10.0), 200)
    for pause, times in ((600.0, 1), (4000.0, 2)):
        assert len(go(along(come) + along(come[8:], start=200 + pause))) == times


def test_a_fix_no_newer_changes_nothing():
    approach, _ = step(None, Nearing(10.0, 500.0, 0.0, 10.0, Mode.VEHICLE))
    assert step(approach, Nearing(10.0, 100.0, 0.0, 10.0, Mode.VEHICLE)) == (approach, None)


@given(
    st.lists(
        st.tuples(
            st.floats(0.01, 5000),
            st.floats(-500, 50_000),
            st.floats(0, 50_000),
            st.floats(0, 5000),
            st.sampled_from(list(Mode)),
        ),
        max_size=40,
    )
)
def test_whatever_comes_an_arrival_keeps_the_bounds(steps):
    at, fixes = 0.0, []
    for elapsed, *rest in steps:
        at += elapsed
        fixes.append(Nearing(at, *rest))
    modes = {each.at: each.mode for each in fixes}
    for said_at, arrival in go(fixes):
        assert 0 < arrival.eta_seconds <= STORE_APPROACH.limit_seconds(modes[said_at])
        assert STORE_APPROACH.least_confidence <= arrival.confidence <= 1
        assert arrival.distance_m > 0
        assert modes[said_at] is not Mode.STILL


def test_a_state_survives_its_encoding():
    approach, _ = step(None, Nearing(10.0, 500.0, 0.0, 10.0, Mode.VEHICLE))
    for state in (approach, msgspec.structs.replace(approach, said_m=80.0)):
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=Approach) == state


def area(course: float, along_m: float, right_m: float = 0.0) -> tuple[float, float]:
    """A place so far along a course from Dijon and so far to the right of it."""
    lon, lat, _ = WGS84.fwd(*DIJON, course, along_m)
    return WGS84.fwd(lon, lat, course + 90, right_m)[:2]


@pytest.mark.parametrize("course", [0.0, 100.0, 185.0, 359.0])
@pytest.mark.parametrize(
    ("along_m", "right_m", "heading", "found"),
    [
        (5000, 100, 0.0, True),
        (5000, 100, 40.0, True),
        (5000, -1200, -40.0, True),
        (5000, 100, None, True),
        (5000, -60, 180.0, False),
        (5000, 100, 50.0, False),
        (-3000, 100, 0.0, False),
        (-3000, 100, None, False),
        (700, 80, 0.0, False),
        (25_000, 0, 0.0, False),
        (5000, 2500, 0.0, False),
        (1500, 700, None, True),
        (1500, 900, None, False),
    ],
)
def test_a_service_area_ahead_is_one_on_this_carriageway_that_can_be_reached(
    course, along_m, right_m, heading, found
):
    lon, lat = area(course, along_m, right_m)
    towards = None if heading is None else (course + heading) % 360
    along_course_m = service_area_ahead(*DIJON, course, 33.0, lon, lat, towards)
    if found:
        assert along_course_m == pytest.approx(along_m, rel=0.01)
    else:
        assert along_course_m is None


def test_off_the_motorway_no_service_area_is_ahead():
    assert service_area_ahead(*DIJON, 0.0, 14.0, *area(0.0, 3000.0), 0.0) is None
    assert service_area_ahead(*DIJON, 0.0, 16.0, *area(0.0, 3000.0), 0.0) is not None


def test_many_areas_are_asked_at_once_and_over_the_antimeridian():
    lons, lats = np.array([-179.95, 179.9, -179.95]), np.array([-17.0, -17.0, -17.0])
    along_m = service_areas_ahead(179.99, -17.0, 90.0, 30.0, lons, lats, np.array([90.0, 90.0, np.nan]))
    assert along_m[[0, 2]] == pytest.approx(WGS84.inv(179.99, -17.0, -179.95, -17.0)[2], rel=1e-3)
    assert np.isnan(along_m[1])
    assert len(service_areas_ahead(0.0, 0.0, 0.0, 30.0, *[np.empty(0)] * 3)) == 0


@pytest.mark.parametrize("every", [20.0, 60.0])
def test_a_service_area_is_announced_once_on_the_way_there(every):
    was, said = None, []
    for number in range(int(600 / every)):
        lon, lat = area(150.0, 33.0 * every * number)
        along_m = service_area_ahead(lon, lat, 150.0, 33.0, *area(150.0, 16_000.0, 90.0), 160.0)
        if along_m is not None:
            seen = Nearing(every * number, along_m, 33.0 * every if number else 0.0, 15.0, Mode.VEHICLE)
            was, arrival = step(was, seen, SERVICE_AREA_APPROACH)
            said += [(every * number, arrival)] if arrival else []
    [(at, arrival)] = said
    assert arrival.eta_seconds == pytest.approx((16_000 - 33 * at) / 33, rel=0.15)
    assert arrival.eta_seconds >= 30


@given(st.floats(-180, 180), st.floats(-80, 80), st.floats(0, 359.9), st.floats(5, 5000))
def test_a_course_is_the_azimuth_to_within_half_a_degree(lon, lat, azimuth, metres):
    to_lon, to_lat, _ = WGS84.fwd(lon, lat, azimuth, metres)
    course = course_deg(lon, lat, to_lon, to_lat)
    assert 0 <= course < 360
    assert abs((course - azimuth + 180) % 360 - 180) < 0.5


def test_two_fixes_of_one_place_give_no_course():
    assert course_deg(5.0, 47.0, 5.0, 47.0) is None
    assert course_deg(180.0, 47.0, -180.0, 47.0) is None
