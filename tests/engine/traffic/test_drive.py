import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.traffic.drive import (
    FEATURES,
    ORDINARY_ROAD,
    SLOW_MPS,
    Drive,
    Point,
    features,
    met,
    offset_m,
    step,
)
from engine.traffic.weights import WEIGHTS

METRE = 1 / 111_320


def go(speeds: list[float], every: float = 10.0, *, reported: bool = True, error_m: float = 0.0) -> Drive:
    """A phone that goes north along the equator's meridian with these speeds, one fix at a time."""
    rng = random.Random(7)
    at, north_m = 1000.0, 0.0
    drive = met(Point(at, 0.0, 0.0, 10.0))
    for speed in speeds:
        at, north_m = at + every, north_m + speed * every
        fix = Point(at, 0.0, (north_m + rng.gauss(0, error_m)) * METRE, 10.0)
        drive = step(drive, fix, speed if reported else None, 0.0)
    return drive


def test_the_weights_are_those_of_the_features():
    assert tuple(WEIGHTS) == FEATURES
    assert len(features(go([1.0]), (0.0, 0.0, 0.0), ORDINARY_ROAD)) == len(FEATURES)


def test_a_slow_run_counts_from_where_the_phone_became_slow():
    drive = go([12.0] * 10 + [0.2] * 12)
    assert drive.slow
    assert drive.last.at - drive.run.since == pytest.approx(115, abs=10)
    assert drive.seated
    assert drive.creeping


def test_a_short_fast_gap_over_a_short_way_is_bridged_and_a_long_one_parts_the_run():
    bridged = go([12.0] * 10 + [0.2] * 8 + [3.2] + [0.2] * 8)
    assert bridged.last.at - bridged.run.since > 150
    parted = go([12.0] * 10 + [0.2] * 8 + [12.0] * 3 + [0.2] * 3)
    assert parted.last.at - parted.run.since < 50


def test_a_walker_is_not_taken_to_sit_in_a_car():
    assert not go([12.0] * 10 + [1.3] * 10).seated
    assert not go([1.3] * 30).creeping


@pytest.mark.parametrize(("speed", "least", "most"), [(0.0, 0.0, 0.8), (12.0, 9.0, 15.0)])
def test_speed_is_told_from_the_way_where_the_phone_does_not_report_it(
    speed: float, least: float, most: float
):
    drive = go([speed] * 30, reported=False, error_m=3.0)
    assert least <= drive.mean_60_mps <= most


def test_the_way_over_the_antimeridian_is_short():
    east_m, north_m = offset_m(Point(0, 179.9999, 0, 5), Point(1, -179.9999, 0, 5))
    assert (east_m, north_m) == (pytest.approx(22.3, abs=0.1), 0.0)


@given(st.lists(st.tuples(st.floats(0.1, 600), st.floats(0, 60), st.floats(0, 1)), min_size=1, max_size=40))
def test_figures_stay_within_their_bounds_whatever_comes(rows: list[tuple[float, float, float]]):
    at, north_m = 0.0, 0.0
    drive = met(Point(at, 0.0, 0.0, 10.0))
    for elapsed, speed, indoors in rows:
        at, north_m = at + elapsed, north_m + speed * elapsed
        drive = step(drive, Point(at, 0.0, north_m * METRE % 80, 10.0), speed, indoors)
        assert all(-5 <= value <= 8 for value in features(drive, (0.0, 0.0, 0.0), ORDINARY_ROAD))
        assert not (drive.slow and drive.speed_mps > SLOW_MPS)
