import math
import random

import pytest

from geofences import zones
from geofences.zones import REGIONS_LIMIT, SHOP_ZONES, SILENCE, Arrival, Radio, Zones

POWER, LOSS = -59.0, 2.2
TILL, DOOR, SHELF = "f7826da6:1:1", "f7826da6:1:2", "f7826da6:1:3"
NAMED = {TILL: "till", SHELF: "till", DOOR: ""}
Hearing = tuple[float, str, float]
"""When, which beacon, and from how far (metres)."""


def listen(
    hearings: list[Hearing], noise_db: float = 0.0, seed: int = 1
) -> tuple[Zones, list[tuple[float, str, Arrival]]]:
    rng, now, told = random.Random(seed), SILENCE, []
    for at, key, metres in hearings:
        rssi = POWER - 10 * LOSS * math.log10(metres) + rng.gauss(0, noise_db)
        now, arrival = zones.hear(
            now, at, key, Radio(rssi, POWER, LOSS, f"beacon {key[-1]}", NAMED[key]), "bakery", SHOP_ZONES
        )
        if arrival:
            told.append((at, key, arrival))
    return now, told


def test_coming_near_is_told_once_when_it_is_heard_again():
    stay: list[Hearing] = [(at, TILL, 1.0) for at in range(100, 400, 4)]
    now, [(at, key, arrival)] = listen([(90.0, TILL, 12.0), (95.0, TILL, 12.0), *stay])
    assert key == TILL
    assert at - arrival.at >= SHOP_ZONES.confirm_seconds
    assert 100 <= arrival.at < at < 125
    assert arrival.ranging.distance_m == pytest.approx(2.0, abs=1.8)
    assert arrival.confidence > 0.6
    assert now.here == "bakery/till"


@pytest.mark.parametrize("metres", [4.5, 10.0])
def test_whoever_stays_away_is_in_no_zone(metres: float):
    now, told = listen([(float(at), TILL, metres) for at in range(0, 300, 4)], noise_db=1.0)
    assert (now.here, told) == ("", [])


def test_one_loud_hearing_is_no_zone():
    far: list[Hearing] = [(float(at), TILL, 10.0) for at in range(0, 60, 3)]
    assert listen([*far[:10], (29.0, TILL, 0.3), *far[10:]])[1] == []
    assert listen([(0.0, TILL, 0.5), (0.5, TILL, 0.5), (20.0, TILL, 0.5)])[1] == []


def test_standing_between_two_beacons_does_not_bounce():
    hearings: list[Hearing] = [(number * 1.5, (TILL, DOOR)[number % 2], 1.6) for number in range(800)]
    for seed in range(5):
        told = listen(hearings, noise_db=6.0, seed=seed)[1]
        assert 1 <= len(told) <= 8, "twenty minutes, two zones"


def test_a_step_to_the_next_zone_is_told_and_so_is_the_way_back():
    def stay(start: float, near: str, far: str) -> list[Hearing]:
        return [
            each for at in range(0, 120, 3) for each in ((start + at, near, 0.8), (start + at + 1, far, 9.0))
        ]

    hearings = [*stay(0, TILL, DOOR), *stay(120, DOOR, TILL), *stay(240, TILL, DOOR)]
    assert [key for _, key, _ in listen(hearings, noise_db=2.0)[1]] == [TILL, DOOR, TILL]


def test_two_beacons_of_one_zone_are_one_zone():
    hearings: list[Hearing] = [(float(at), (TILL, SHELF)[at // 60 % 2], 0.8) for at in range(0, 600, 3)]
    assert len(listen(hearings)[1]) == 1


def test_back_after_a_while_is_a_new_stay():
    def stay(start: float) -> list[Hearing]:
        return [(start + at, TILL, 0.8) for at in range(0, 30, 3)]

    assert len(listen([*stay(0), *stay(60)])[1]) == 1
    assert len(listen([*stay(0), *stay(100)])[1]) == 2


def test_what_is_kept_is_bounded():
    now = SILENCE
    for number in range(100):
        radio = Radio(-60.0, POWER, LOSS, str(number))
        now, _ = zones.hear(now, number * 0.1, f"key:{number}", radio, "bakery", SHOP_ZONES)
        now = zones.begin(now, f"key:{number}", "bakery")
    assert len(now.heard) == SHOP_ZONES.beacons_limit
    assert list(now.regions) == [f"key:{number}" for number in range(100 - REGIONS_LIMIT, 100)]
    later, _ = zones.hear(now, 1000.0, TILL, Radio(-60.0, POWER, LOSS, "till"), "bakery", SHOP_ZONES)
    assert list(later.heard) == [TILL]


def test_who_hears_nothing_for_a_while_leaves_nothing_behind():
    now, _ = listen([(float(at), TILL, 0.8) for at in range(0, 30, 3)])
    assert zones.still(now, 80.0, SHOP_ZONES) is now
    assert zones.still(now, 90.0, SHOP_ZONES) is None
    assert zones.still(zones.begin(now, DOOR, "bakery"), 9000.0, SHOP_ZONES) is not None
    assert zones.still(SILENCE, 0.0, SHOP_ZONES) is None


def test_a_beacon_that_the_phone_hears_no_more_is_forgotten():
    now, _ = listen([(float(at), TILL, 0.8) for at in range(0, 30, 3)])
    now = zones.end(zones.begin(zones.begin(now, TILL, "bakery"), DOOR, "bakery"), TILL)
    assert (now.here, now.by, dict(now.heard)) == ("", "", {})
    assert now.regions == {DOOR: "bakery"}
    near, _ = listen([(float(at), TILL, 0.8) for at in range(0, 30, 3)])
    wider, none = (zones.end(near, key) for key in ("f7826da6:1", "f7826da6:1:11"))
    assert (wider.by, dict(wider.heard)) == ("", {})
    assert none == near
