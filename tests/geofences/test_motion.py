import random
from math import cos, dist, exp, sin, sqrt

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofences.motion import Mode, Motion, MotionPolicy, met, mode, step

POLICY = MotionPolicy()
LIGHTS = [11.0, 9.0, 4.0, 0.0, 0.0, 0.0, 3.0, 10.0, 13.0, 12.0]
JAM = [3.0, 0.0, 1.0, 4.5, 2.0, 0.0, 0.0, 5.0, 1.5, 0.0]


def ride(motion: Motion, speeds: list[float], every: float = 10.0, *, told: bool = True) -> list[Motion]:
    """What is believed after each fix of a phone that keeps each speed from one fix to the next."""
    steps = []
    for speed in speeds:
        motion = step(motion, every, speed if told else None, speed * every, 10.0, POLICY)
        steps.append(motion)
    return steps


def modes(steps: list[Motion]) -> set[Mode]:
    return {mode(each)[0] for each in steps}


def driven() -> Motion:
    return ride(met(), [12.0] * 20)[-1]


@pytest.mark.parametrize("told", [True, False], ids=["with speed", "without speed"])
@pytest.mark.parametrize(
    ("speed", "expected"),
    [(0.0, Mode.STILL), (1.0, Mode.WALKING), (1.4, Mode.WALKING), (5.5, Mode.VEHICLE), (36.0, Mode.VEHICLE)],
)
def test_a_steady_phone_is_known_for_what_it_does_within_two_minutes(speed, expected, told):
    known, confidence = mode(ride(met(), [speed] * 12, told=told)[-1])
    assert known is expected
    assert confidence > 0.5


@pytest.mark.parametrize("told", [True, False], ids=["with speed", "without speed"])
def test_two_minutes_of_halt_leave_a_vehicle_a_vehicle_and_ten_do_not(told):
    assert modes(ride(driven(), [0.0] * 12, told=told)) == {Mode.VEHICLE}
    assert mode(ride(driven(), [0.0] * 60, told=told)[-1])[0] is Mode.STILL


def test_doubt_grows_while_a_vehicle_halts():
    believed = [each.vehicle for each in ride(driven(), [0.0] * 30)]
    assert believed == sorted(believed, reverse=True)


@pytest.mark.parametrize("speeds", [LIGHTS * 4, JAM * 6], ids=["lights", "jam"])
def test_lights_and_jams_stay_a_ride(speeds):
    assert modes(ride(driven(), speeds)) == {Mode.VEHICLE}


@pytest.mark.parametrize("told", [True, False], ids=["with speed", "without speed"])
@pytest.mark.parametrize("parked_seconds", [0, 40])
def test_who_parks_and_walks_off_walks_within_a_minute_or_so(parked_seconds, told):
    parked = ride(driven(), [0.0] * (parked_seconds // 10), told=told)
    walk = ride(parked[-1] if parked else driven(), [1.4] * 9, told=told)
    walking_from = next(number for number, each in enumerate(walk) if mode(each)[0] is Mode.WALKING)
    assert walking_from <= (5 if told else 7)
    assert modes(walk[walking_from:]) == {Mode.WALKING}


def test_a_ping_a_minute_is_enough_to_tell_a_ride_from_the_walk_after_it():
    assert modes(ride(ride(met(), [14.0] * 4, 60.0)[-1], [14.0] * 10, 60.0)) == {Mode.VEHICLE}
    assert mode(ride(ride(met(), [14.0] * 4, 60.0)[-1], [1.3] * 2, 60.0)[-1])[0] is Mode.WALKING


def test_a_light_does_not_hide_what_was_driven_since_the_fix_before():
    motion = met()
    for _ in range(3):
        motion = step(motion, 60.0, 0.0, 700.0, 10.0, POLICY)
    assert mode(motion)[0] is Mode.VEHICLE


def test_one_fix_far_off_moves_no_phone_that_lies_still():
    still = ride(met(), [0.0] * 30)[-1]
    out = step(still, 10.0, None, 400.0, 10.0, POLICY)
    back = step(out, 10.0, None, 400.0, 10.0, POLICY)
    assert mode(out)[0] is Mode.STILL
    assert mode(ride(back, [0.0] * 3)[-1])[0] is Mode.STILL


def test_the_same_displacement_says_less_where_fixes_are_rough():
    sharp = step(step(met(), 10.0, None, 0.0, 5.0, POLICY), 10.0, None, 30.0, 5.0, POLICY)
    rough = step(step(met(), 10.0, None, 0.0, 60.0, POLICY), 10.0, None, 30.0, 60.0, POLICY)
    assert sharp.still < rough.still


def wander(seed: int, speed: float, accuracy_m: float) -> list[Motion]:
    """Ten minutes of a phone with errors that last a minute and no speed of its own; the last eight of them."""
    rng, place, error, motion, steps = random.Random(seed), (0.0, 0.0), (0.0, 0.0), met(), []
    kept, course, seen = exp(-10 / POLICY.error_seconds), 0.0, None
    for _ in range(60):
        course += rng.gauss(0, 0.2)
        place = (place[0] + 10 * speed * cos(course), place[1] + 10 * speed * sin(course))
        noise = accuracy_m * POLICY.accuracy_share * sqrt(1 - kept**2)
        error = tuple(kept * each + rng.gauss(0, noise) for each in error)
        fix = (place[0] + error[0], place[1] + error[1])
        if seen is not None:
            motion = step(motion, 10.0, None, dist(seen, fix), accuracy_m, POLICY)
            steps.append(motion)
        seen = fix
    return steps[12:]


@pytest.mark.parametrize(
    ("speed", "expected", "share"),
    [(0.0, Mode.STILL, 0.9), (1.4, Mode.WALKING, 0.85), (9.0, Mode.VEHICLE, 0.95)],
)
def test_jittering_fixes_without_a_speed_are_mostly_read_right(speed, expected, share):
    believed = [mode(each)[0] for seed in range(20) for each in wander(seed, speed, 12.0)]
    assert believed.count(expected) / len(believed) >= share


@given(
    st.lists(
        st.tuples(
            st.floats(-5, 1e5),
            st.none() | st.floats(0, 400),
            st.floats(0, 1e7),
            st.floats(0, 1e5),
        ),
        max_size=50,
    )
)
def test_probabilities_stay_probabilities_whatever_comes(fixes):
    motion = met()
    for elapsed, speed, moved_m, accuracy_m in fixes:
        motion = step(motion, elapsed, speed, moved_m, accuracy_m, POLICY)
        shares = (motion.still, motion.walking, motion.driving, motion.halted)
        assert sum(shares) == pytest.approx(1)
        assert min(shares) >= 0
        assert 1 / 3 <= mode(motion)[1] <= 1 + 1e-9


def test_a_long_silence_is_forgetful_and_a_fix_no_newer_says_nothing():
    driving = driven()
    assert step(driving, 0.0, 0.0, 0.0, 10.0, POLICY) == driving
    assert step(driving, -3.0, 0.0, 0.0, 10.0, POLICY) == driving
    assert step(driving, 7200.0, None, 0.0, 10.0, POLICY).vehicle < 0.7 < driving.vehicle


def test_a_state_survives_its_encoding():
    motion = driven()
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(motion), type=Motion) == motion
