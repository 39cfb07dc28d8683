from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.delivery.breaker import (
    NEW,
    BreakerPolicy,
    BreakerState,
    from_text,
    grant,
    healthiest,
    heard,
    to_text,
    unused,
)
from tests.conftest import MONDAY_NINE

NOW = MONDAY_NINE
POLICY = BreakerPolicy()


def after(*results, breaker=NEW, at=NOW):
    for well in results:
        breaker = heard(breaker, at, POLICY, well=well)
    return breaker


def later(seconds):
    return NOW + timedelta(seconds=seconds)


def test_failures_in_a_row_open_it():
    assert after(False, False, False, False).state is BreakerState.CLOSED
    opened = after(False, False, False, False, False)
    assert opened.state is BreakerState.OPEN
    assert grant(opened, 10, later(29), POLICY) == (opened, 0)


def test_half_of_many_open_it_though_none_are_in_a_row():
    assert after(*[True, False] * 9).state is BreakerState.CLOSED
    assert after(*[True, False] * 10).state is BreakerState.OPEN


def test_failures_of_long_ago_do_not_count():
    few = after(*[True, False] * 9)
    assert after(*[True, False] * 9, breaker=few, at=later(60)).state is BreakerState.CLOSED


def test_a_single_probe_closes_it_again():
    opened = after(*[False] * 5)
    probing, granted = grant(opened, 50, later(30), POLICY)
    assert (probing.state, granted) == (BreakerState.HALF_OPEN, 1)
    assert grant(probing, 50, later(31), POLICY) == (probing, 0)
    closed = heard(probing, later(31), POLICY, well=True)
    assert grant(closed, 50, later(31), POLICY) == (closed, 50)


def test_a_failed_probe_opens_it_for_twice_as_long_up_to_a_limit():
    breaker, at, pauses = after(*[False] * 5), NOW, []
    for _ in range(6):
        pauses.append((breaker.until - at).total_seconds())
        at = breaker.until
        probing, _ = grant(breaker, 1, at, POLICY)
        breaker = heard(probing, at, POLICY, well=False)
    assert pauses == [30, 60, 120, 240, 300, 300]


def test_a_probe_that_dies_makes_way_for_another_and_one_not_used_at_once():
    probing, _ = grant(after(*[False] * 5), 1, later(30), POLICY)
    assert grant(probing, 1, later(59), POLICY)[1] == 0
    assert grant(probing, 1, later(60), POLICY)[1] == 1
    assert grant(unused(probing, later(31)), 9, later(31), POLICY)[1] == 1


def test_calls_from_before_it_opened_change_nothing():
    opened = after(*[False] * 5)
    assert after(True, False, breaker=opened) == opened


@given(
    st.lists(st.tuples(st.sampled_from(["ask", "well", "ill", "unused"]), st.integers(0, 400)), max_size=60)
)
def test_while_it_is_not_closed_no_two_probes_are_under_way(steps):
    breaker, at, probe_until = NEW, NOW, None
    for what, seconds in steps:
        at += timedelta(seconds=seconds)
        if what == "ask":
            was = breaker
            breaker, granted = grant(breaker, 7, at, POLICY)
            if was.state is BreakerState.CLOSED:
                assert granted == 7
            else:
                assert granted in (0, 1)
                if granted:
                    assert probe_until is None or at >= probe_until
                    probe_until = at + timedelta(seconds=POLICY.probe_seconds)
        elif what == "unused":
            breaker, probe_until = unused(breaker, at), None
        else:
            breaker = heard(breaker, at, POLICY, well=what == "well")
            if breaker.state is not BreakerState.HALF_OPEN:
                probe_until = None
        assert from_text(to_text(breaker)) == breaker


@pytest.mark.parametrize("breaker", [NEW, after(*[False] * 5), after(True, False)])
def test_it_is_kept_as_a_text(breaker):
    assert from_text(to_text(breaker)) == breaker


def test_of_several_lines_the_one_that_lets_calls_through_soonest_counts():
    down = after(*[False] * 5)
    sooner = replace(down, until=NOW)
    probing, _ = grant(down, 1, NOW + timedelta(seconds=60), POLICY)
    assert healthiest([down, NEW, probing]) == NEW
    assert healthiest([down, probing]) == probing
    assert healthiest([down, sooner]) == sooner
