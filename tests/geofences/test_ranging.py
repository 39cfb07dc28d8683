import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofences.ranging import (
    SHOP_RANGING,
    Ranging,
    Zone,
    calibrate,
    distance_m,
    nearest,
    probability_within,
    step,
    zone_at,
)

POWER, LOSS = -59.0, 2.2


def heard(metres: float) -> float:
    return POWER - 10 * LOSS * float(np.log10(metres))


def listen(values: list[float], every: float = 1.0) -> list[Ranging]:
    now, all_ = None, []
    for number, rssi in enumerate(values):
        now = step(now, number * every, rssi, POWER, LOSS)
        all_.append(now)
    return all_


@pytest.mark.parametrize("metres", [1.0, 4.0, 12.0])
def test_the_filter_is_nearer_the_truth_than_single_hearings(metres: float):
    rng = random.Random(3)
    values = [heard(metres) + rng.gauss(0, 6) for _ in range(400)]
    off = [abs(np.log(distance_m(each.rssi_dbm, POWER, LOSS) / metres)) for each in listen(values)]
    single = [abs(np.log(distance_m(value, POWER, LOSS) / metres)) for value in values]
    assert np.median(off) < np.median(single) / 1.5


def test_one_hearing_that_is_far_off_moves_little():
    quiet = listen([heard(8.0)] * 20)[-1]
    loud = step(quiet, 20.0, heard(8.0) + 40, POWER, LOSS)
    assert loud.rssi_dbm - quiet.rssi_dbm < 5


def test_zones_do_not_flicker_at_their_bound():
    rng = random.Random(5)
    zones = [each.zone for each in listen([heard(3.0) + rng.gauss(0, 3) for _ in range(300)])]
    single = [distance_m(heard(3.0) + rng.gauss(0, 3), POWER, LOSS) < 3 for _ in range(300)]
    changes = sum(one is not other for one, other in itertools.pairwise(zones))
    flickers = sum(one != other for one, other in itertools.pairwise(single))
    assert changes < flickers / 10
    assert listen([heard(0.3)] * 9)[-1].zone is Zone.IMMEDIATE
    assert listen([heard(1.5)] * 9)[-1].zone is Zone.NEAR
    assert listen([heard(9.0)] * 9)[-1].zone is Zone.FAR


def test_what_is_not_heard_any_more_is_unknown():
    now = listen([heard(1.0)] * 3)[-1]
    assert zone_at(now, now.at + SHOP_RANGING.stale_seconds) is Zone.NEAR
    assert zone_at(now, now.at + SHOP_RANGING.stale_seconds + 1) is Zone.UNKNOWN


def steady(rssi: float, power: float = POWER, loss: float = LOSS, variance: float = 4.0) -> Ranging:
    return Ranging(0.0, rssi, variance, power, loss)


def test_the_beacon_to_go_by_changes_only_for_one_that_is_clearly_nearer():
    one, other = steady(-60.0), steady(-61.0)
    assert nearest({"door": one, "till": other}, 1.0, None) == "door"
    assert nearest({"door": one, "till": other}, 1.0, "till") == "till"
    assert nearest({"door": one, "till": steady(-66.0)}, 1.0, "till") == "door"
    assert nearest({"door": one}, 1000.0, "door") is None


def test_a_strong_radio_far_away_is_not_taken_for_the_nearest():
    strong, weak = steady(-60.0, power=-49.0), steady(-64.0, power=-65.0)
    assert nearest({"strong": strong, "weak": weak}, 0.0, None) == "weak"


def test_of_two_alike_the_surer_one_is_nearest():
    sure, unsure = steady(-66.0, variance=3.0), steady(-65.0, variance=36.0)
    assert nearest({"sure": sure, "unsure": unsure}, 0.0, None) == "sure"
    assert probability_within(3.0, sure, 0.0) > probability_within(3.0, unsure, 0.0) > 0.5
    assert probability_within(3.0, sure, 60.0) < probability_within(3.0, sure, 0.0)


def test_power_and_exponent_are_found_again():
    metres = np.geomspace(0.5, 20, 200)
    readings = POWER - 10 * LOSS * np.log10(metres) + np.random.default_rng(1).normal(0, 3, 200)
    power, loss = calibrate(readings, metres)
    assert power == pytest.approx(POWER, abs=1)
    assert loss == pytest.approx(LOSS, abs=0.15)


@pytest.mark.parametrize("metres", [[1.0] * 9, [2.0] * 30])
def test_too_few_or_too_alike_readings_are_refused(metres: list[float]):
    with pytest.raises(ValueError, match=r"at least 10|too alike"):
        calibrate(np.full(len(metres), -60.0), np.array(metres))


@given(st.lists(st.tuples(st.floats(0, 60), st.floats(-127, 20)), min_size=1, max_size=50))
def test_beliefs_stay_sound_whatever_is_heard(rows: list[tuple[float, float]]):
    at, now = 0.0, None
    for elapsed, rssi in rows:
        at += elapsed
        now = step(now, at, rssi, POWER, LOSS)
        assert -127 <= now.rssi_dbm <= 20
        assert 0 < now.variance <= SHOP_RANGING.noise_db**2
        assert SHOP_RANGING.least_m <= distance_m(now.rssi_dbm, POWER, LOSS) <= SHOP_RANGING.most_m
