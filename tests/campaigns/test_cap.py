from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.cap import ONCE_A_DAY, Cap, counted_since, full_cap
from tests.conftest import MONDAY_NINE

SECOND = timedelta(seconds=1)


def test_the_first_message_fits_and_the_second_waits_a_full_day():
    assert full_cap([ONCE_A_DAY], [], MONDAY_NINE) is None
    sent = [MONDAY_NINE]
    assert full_cap([ONCE_A_DAY], sent, MONDAY_NINE + timedelta(days=1) - SECOND) == ONCE_A_DAY
    assert full_cap([ONCE_A_DAY], sent, MONDAY_NINE + timedelta(days=1)) is None


def test_a_clock_that_is_set_back_makes_no_room():
    assert full_cap([ONCE_A_DAY], [MONDAY_NINE], MONDAY_NINE - timedelta(days=3)) == ONCE_A_DAY


def test_the_full_one_of_several_is_named():
    weekly = Cap(2, 7 * 86_400)
    sent = [MONDAY_NINE - timedelta(days=2), MONDAY_NINE - timedelta(days=3)]
    assert full_cap([ONCE_A_DAY, weekly], sent, MONDAY_NINE) == weekly


@pytest.mark.parametrize(("most", "seconds"), [(0, 60), (1, 0), (1, 367 * 86_400)])
def test_a_cap_that_says_nothing_is_refused(most, seconds):
    with pytest.raises(ValueError, match="cap"):
        Cap(most, seconds)


caps = st.lists(st.builds(Cap, st.integers(1, 4), st.integers(1, 500)), min_size=1, max_size=3)


@given(caps, st.lists(st.integers(0, 2000), max_size=60))
def test_whoever_asks_before_each_message_never_breaks_a_cap(policy, offsets):
    sent = []
    for offset in sorted(offsets):
        now = MONDAY_NINE + timedelta(seconds=offset)
        if full_cap(policy, sent, now) is None:
            sent.append(now)
    for cap in policy:
        for start in sent:
            end = start + timedelta(seconds=cap.per_seconds)
            assert sum(1 for at in sent if start <= at < end) <= cap.max
    if offsets:
        assert sent


@given(caps, st.lists(st.integers(-2000, 0), max_size=30))
def test_what_lies_before_counted_since_makes_no_difference(policy, offsets):
    sent = [MONDAY_NINE + timedelta(seconds=offset) for offset in offsets]
    since = counted_since(policy, MONDAY_NINE)
    assert full_cap(policy, sent, MONDAY_NINE) == full_cap(
        policy, [at for at in sent if at > since], MONDAY_NINE
    )
