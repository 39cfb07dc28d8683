import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofences.presence import STORE_PRESENCE, Evidence, Presence, fix_log_odds, step, stranger

DWELL = 300.0


def walk(fixes: list[tuple[float, float, float]]) -> list[tuple[str, float]]:
    """Transitions of a phone whose fixes are (time, signed distance, accuracy)."""
    presence = stranger(fixes[0][0], STORE_PRESENCE)
    told = []
    for at, distance_m, accuracy_m in fixes:
        presence, transitions = step(presence, Evidence(at, distance_m, accuracy_m, DWELL), STORE_PRESENCE)
        told += [(kind, at) for kind, at, _ in transitions]
    return told


def visit(until: float) -> list[tuple[float, float, float]]:
    outside = [(at, 60.0, 10.0) for at in range(0, 100, 15)]
    inside = [(at, -20.0, 10.0) for at in range(100, int(until), 15)]
    return outside + inside + [(until + at, 60.0, 10.0) for at in range(0, 100, 15)]


def test_a_visit_is_entered_dwelt_in_and_left_once_and_at_about_the_right_time():
    [(enter, entered), (dwell, dwelt), (exited, left)] = walk(visit(600))
    assert (enter, dwell, exited) == ("enter", "dwell", "exit")
    assert entered == pytest.approx(100, abs=15)
    assert dwelt == entered + DWELL
    assert left == pytest.approx(600, abs=15)


def test_a_short_visit_is_no_dwell():
    assert [kind for kind, _ in walk(visit(250))] == ["enter", "exit"]


def jitter(seed: int, distance_m: float) -> list[tuple[float, float, float]]:
    """An hour of fixes of a phone that lies still; their error is correlated and as large as they say."""
    rng, error = random.Random(seed), 0.0
    fixes = []
    for number in range(400):
        error = 0.8 * error + rng.gauss(0, 6)
        fixes.append((number * 10.0, distance_m + error, 12.0))
    return fixes


@pytest.mark.parametrize("seed", range(20))
def test_a_phone_that_lies_exactly_on_the_border_hardly_flaps(seed: int):
    fixes = jitter(seed, 0.0)
    naive = sum((one < 0) != (other < 0) for (_, one, _), (_, other, _) in pairwise(fixes))
    crossings = [kind for kind, _ in walk(fixes) if kind != "dwell"]
    assert len(crossings) <= naive / 4


@pytest.mark.parametrize("seed", range(20))
def test_a_phone_that_lies_inside_enters_once_and_stays(seed: int):
    assert [kind for kind, _ in walk(jitter(seed, -20.0))] == ["enter", "dwell"]


def test_one_fix_however_sure_of_itself_makes_no_visit():
    outside = [(at, 80.0, 8.0) for at in range(0, 300, 20)]
    assert walk([*outside, (300, -30.0, 5.0), *[(at, 80.0, 8.0) for at in range(320, 600, 20)]]) == []


def test_a_fix_that_does_not_know_where_it_is_decides_nothing():
    assert walk([(at, -20.0, 900.0) for at in range(0, 300, 20)]) == []


@given(
    st.lists(
        st.tuples(st.floats(1, 400), st.floats(-200, 200), st.floats(0, 500)),
        min_size=1,
        max_size=60,
    )
)
def test_enter_and_exit_take_turns_and_time_never_runs_back(steps):
    at, fixes = 0.0, []
    for elapsed, distance_m, accuracy_m in steps:
        at += elapsed
        fixes.append((at, distance_m, accuracy_m))
    told = walk(fixes)
    crossings = [kind for kind, _ in told if kind != "dwell"]
    assert all(kind == ("enter", "exit")[place % 2] for place, kind in enumerate(crossings))
    assert all(one <= other for (_, one), (_, other) in pairwise(told))


@given(st.floats(-500, 500), st.floats(0, 1000))
def test_a_fix_further_in_never_speaks_less_for_inside(distance_m: float, accuracy_m: float):
    nearer = fix_log_odds(distance_m - 1, accuracy_m, STORE_PRESENCE)
    assert nearer >= fix_log_odds(distance_m, accuracy_m, STORE_PRESENCE)
    assert abs(nearer) <= STORE_PRESENCE.fix_limit_log_odds


def test_a_state_survives_its_encoding():
    import msgspec

    presence = Presence(1.5, inside=True, seen_at=10.0, held_at=9.0, doubted_at=0.0, since=5.0, dwelled=False)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(presence), type=Presence) == presence
