from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.limits.account import Account, caps_from_text, caps_in_force
from campaigns.limits.cap import (
    ONCE_A_DAY,
    Cap,
    CapCount,
    CapScope,
    SetBy,
    cap_counts,
    cap_from_json,
    cap_json,
    count,
    counted_since,
)
from consent.entry import Channel
from tests.campaigns.cast import BREAD, sent
from tests.conftest import MONDAY_NINE

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


def counted(cap, messages, *, campaign="bread", geofence="bakery"):
    [count] = cap_counts([(cap, SetBy.CAMPAIGN)], messages, campaign, geofence, MONDAY_NINE)
    return count.counted


def is_full(cap, sent_at, now):
    return CapCount(cap, SetBy.CAMPAIGN, count(cap.per_seconds, sent_at, now)).is_full


def test_the_first_message_fits_and_the_second_waits_a_full_day():
    assert not is_full(ONCE_A_DAY, [], MONDAY_NINE)
    assert is_full(ONCE_A_DAY, [MONDAY_NINE], MONDAY_NINE + timedelta(days=1) - SECOND)
    assert not is_full(ONCE_A_DAY, [MONDAY_NINE], MONDAY_NINE + timedelta(days=1))


def test_a_clock_that_is_set_back_makes_no_room():
    assert is_full(ONCE_A_DAY, [MONDAY_NINE], MONDAY_NINE - timedelta(days=3))


@pytest.mark.parametrize(
    ("cap", "count"),
    [
        (Cap(9, 86_400), 2),
        (Cap(9, 86_400, channel=Channel.SMS), 1),
        (Cap(9, 86_400, CapScope.GEOFENCE), 3),
        (Cap(9, 86_400, CapScope.GEOFENCE, Channel.PUSH), 2),
        (Cap(9, 86_400, CapScope.ALL), 4),
        (Cap(9, 86_400, CapScope.ALL, Channel.SMS), 2),
        (Cap(9, 7200, CapScope.ALL), 1),
    ],
)
def test_a_cap_counts_what_its_scope_and_channel_say(cap, count):
    messages = [
        sent(MONDAY_NINE - HOUR),
        sent(MONDAY_NINE - 2 * HOUR, channel=Channel.PUSH),
        sent(MONDAY_NINE - 3 * HOUR, campaign="cake", channel=Channel.PUSH),
        sent(MONDAY_NINE - 4 * HOUR, campaign="cake", geofence="square"),
    ]
    assert counted(cap, messages) == count


def test_every_cap_in_force_is_told_with_where_it_comes_from():
    account = Account(caps=(Cap(3, 86_400, CapScope.ALL),), min_gap_seconds=60)
    assert caps_in_force(BREAD, account) == [
        (ONCE_A_DAY, SetBy.CAMPAIGN),
        (Cap(3, 86_400, CapScope.ALL), SetBy.ACCOUNT),
        (Cap(1, 60, CapScope.ALL), SetBy.ACCOUNT_GAP),
    ]


def test_the_caps_of_the_account_are_read_from_a_line():
    assert caps_from_text("3/86400, 1/3600 geofence, 2/86400 sms, 1/60 geofence push") == (
        Cap(3, 86_400, CapScope.ALL),
        Cap(1, 3600, CapScope.GEOFENCE),
        Cap(2, 86_400, CapScope.ALL, Channel.SMS),
        Cap(1, 60, CapScope.GEOFENCE, Channel.PUSH),
    )
    assert caps_from_text("") == ()


@pytest.mark.parametrize("text", ["3", "3/x", "0/60", "1/60 fax", "1/60 sms push", "1/2/3", "-1/60"])
def test_a_cap_that_cannot_be_read_is_named(text):
    with pytest.raises(ValueError, match="MAX/SECONDS"):
        caps_from_text(text)


@pytest.mark.parametrize(("most", "seconds"), [(0, 60), (1, 0), (1, 367 * 86_400)])
def test_a_cap_that_says_nothing_is_refused(most, seconds):
    with pytest.raises(ValueError, match="cap"):
        Cap(most, seconds)


@pytest.mark.parametrize("scope", CapScope)
@pytest.mark.parametrize("channel", [None, *Channel])
def test_a_cap_survives_its_json(scope, channel):
    assert cap_from_json(cap_json(Cap(2, 60, scope, channel))) == Cap(2, 60, scope, channel)


def test_a_cap_without_scope_is_written_as_it_always_was():
    assert cap_json(ONCE_A_DAY) == {"max": 1, "per_seconds": 86_400}


caps = st.lists(st.builds(Cap, st.integers(1, 4), st.integers(1, 500)), min_size=1, max_size=3)


@given(caps, st.lists(st.integers(0, 2000), max_size=60))
def test_whoever_asks_before_each_message_never_breaks_a_cap(policy, offsets):
    went = []
    for offset in sorted(offsets):
        now = MONDAY_NINE + timedelta(seconds=offset)
        if not any(is_full(cap, went, now) for cap in policy):
            went.append(now)
    for cap in policy:
        for start in went:
            end = start + timedelta(seconds=cap.per_seconds)
            assert sum(1 for at in went if start <= at < end) <= cap.max
    if offsets:
        assert went


@given(caps, st.lists(st.integers(-2000, 0), max_size=30))
def test_what_lies_before_counted_since_makes_no_difference(policy, offsets):
    went = [MONDAY_NINE + timedelta(seconds=offset) for offset in offsets]
    since = counted_since(policy, MONDAY_NINE)
    for cap in policy:
        assert is_full(cap, went, MONDAY_NINE) == is_full(cap, [at for at in went if at > since], MONDAY_NINE)
