import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofences.presence import (
    STORE_PRESENCE,
    Evidence,
    Presence,
    beacon_log_odds,
    dwell_by_clock,
    fix_log_odds,
    region_log_odds,
    step,
    stranger,
)

DWELL = 300.0


def walk(fixes: list[tuple[float, float, float]]) -> list[tuple[str, float]]:
    """Transitions of a phone whose fixes are (time, signed distance, accuracy)."""
    presence = stranger(fixes[0][0], STORE_PRESENCE)
    told = []
    for at, distance_m, accuracy_m in fixes:
        said = fix_log_odds(distance_m, accuracy_m, STORE_PRESENCE, inside=presence.inside)
        presence, transitions = step(presence, Evidence(at, said, DWELL), STORE_PRESENCE)
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


def test_a_region_says_less_than_fresh_fixes_and_all_where_there_are_none():
    was = stranger(0.0, STORE_PRESENCE)
    assert region_log_odds(was, 10.0, STORE_PRESENCE, entered=True) > 0
    for at in range(10, 100, 10):
        was, _ = step(was, Evidence(float(at), 2.0, DWELL), STORE_PRESENCE)
    assert was.inside
    soon, later = (region_log_odds(was, at, STORE_PRESENCE, entered=False) for at in (100.0, 200.0))
    assert later < soon == 0.0
    deaf = Presence(1.0, True, 0.0, 90.0, 90.0, 0.0, 50.0, False)
    assert region_log_odds(deaf, 200.0, STORE_PRESENCE, entered=False) < later


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


@given(st.floats(-500, 500), st.floats(0, 1000), st.booleans())
def test_a_fix_further_in_never_speaks_less_for_inside(distance_m: float, accuracy_m: float, inside):
    nearer = fix_log_odds(distance_m - 1, accuracy_m, STORE_PRESENCE, inside=inside)
    assert nearer >= fix_log_odds(distance_m, accuracy_m, STORE_PRESENCE, inside=inside)
    assert abs(nearer) <= STORE_PRESENCE.fix_limit_log_odds


@given(st.floats(-120, 0), st.floats(0, 30))
def test_a_beacon_heard_louder_never_speaks_less_and_never_against(rssi_dbm: float, more_db: float):
    fainter, louder = (
        beacon_log_odds(each, -59, 2.7, STORE_PRESENCE) for each in (rssi_dbm, rssi_dbm + more_db)
    )
    assert 0 <= fainter <= louder <= STORE_PRESENCE.beacon_limit_log_odds


def hear(seconds: range, rssi_dbm: float) -> list[str]:
    """What beacons alone bring about."""
    presence, told = stranger(0.0, STORE_PRESENCE), []
    for at in seconds:
        said = beacon_log_odds(rssi_dbm, -59, 2.7, STORE_PRESENCE)
        presence, transitions = step(presence, Evidence(at, said, DWELL, by_beacon=True), STORE_PRESENCE)
        told += [kind for kind, _, _ in transitions]
    return told


def test_a_beacon_that_is_heard_well_makes_a_visit_and_a_faint_one_does_not():
    assert hear(range(10, 200, 5), -70) == ["enter"]
    assert hear(range(10, 200, 5), -97) == []


def inside_until(last: float) -> Presence:
    presence = stranger(0.0, STORE_PRESENCE)
    for at in range(10, int(last) + 1, 10):
        presence, _ = step(presence, Evidence(at, 2.5, DWELL), STORE_PRESENCE)
    assert presence.inside
    return presence


def test_a_dwell_is_told_by_the_clock_when_it_is_due_and_the_phone_was_heard_lately():
    presence = inside_until(290)
    due_at = presence.since + DWELL
    assert dwell_by_clock(presence, due_at - 1, DWELL, STORE_PRESENCE) is None
    told = dwell_by_clock(presence, due_at, DWELL, STORE_PRESENCE)
    assert told is not None
    assert told[0] == due_at


def test_a_phone_silent_for_too_long_or_in_doubt_does_not_dwell_by_the_clock():
    stale = inside_until(300 - STORE_PRESENCE.stale_seconds - 20)
    assert dwell_by_clock(stale, 1000, DWELL, STORE_PRESENCE) is None
    doubtful, _ = step(inside_until(290), Evidence(300, -0.5, DWELL), STORE_PRESENCE)
    assert doubtful.inside
    assert dwell_by_clock(doubtful, 1000, DWELL, STORE_PRESENCE) is None


def test_a_state_survives_its_encoding():
    import msgspec

    presence = inside_until(100)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(presence), type=Presence) == presence
