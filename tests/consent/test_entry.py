from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.entry import Action, Channel, Entry, Purpose, Reason, occurred, questions, standing
from consent.errors import InvalidConsent
from tests.consent.cast import entry, grant, minute, withdraw

SMS, PUSH = Channel.SMS, Channel.PUSH
MARKETING, LOCATION = Purpose.MARKETING, Purpose.LOCATION

acts = st.builds(
    lambda action, minutes, question, recorded_late, all_channels: entry(
        action,
        minute(minutes),
        purpose=question[0],
        channel=None if all_channels and action is Action.WITHDRAW else question[1],
        recorded_at=minute(minutes + recorded_late),
    ),
    action=st.sampled_from(Action),
    minutes=st.integers(0, 6),
    question=st.sampled_from(list(questions())),
    recorded_late=st.integers(0, 3),
    all_channels=st.booleans(),
)
said = st.lists(acts, max_size=8)
asked = st.sampled_from(list(questions()))


def test_nobody_asked_means_no():
    stands = standing([], LOCATION, None, minute(0))
    assert (stands.allowed, stands.because, stands.reason) == (False, None, Reason.NEVER_ASKED)


def test_the_standing_names_the_entry_that_decided():
    given_, taken = grant(minute(0)), withdraw(minute(5))
    assert standing([given_, taken], MARKETING, SMS, minute(4)).because == given_
    after = standing([given_, taken], MARKETING, SMS, minute(5))
    assert (after.allowed, after.because, after.reason) == (False, taken, Reason.WITHDRAWN)


def test_a_grant_counts_for_its_own_channel_only():
    entries = [grant(minute(0), channel=SMS)]
    assert standing(entries, MARKETING, SMS, minute(1)).allowed
    assert standing(entries, MARKETING, PUSH, minute(1)).reason is Reason.NEVER_ASKED
    assert standing(entries, Purpose.PROFILING, None, minute(1)).reason is Reason.NEVER_ASKED


def test_a_withdrawal_of_one_channel_leaves_the_other():
    entries = [
        grant(minute(0), channel=SMS),
        grant(minute(0), channel=PUSH),
        withdraw(minute(1), channel=SMS),
    ]
    assert not standing(entries, MARKETING, SMS, minute(2)).allowed
    assert standing(entries, MARKETING, PUSH, minute(2)).allowed


def test_a_withdrawal_without_a_channel_takes_every_channel():
    entries = [
        grant(minute(0), channel=SMS),
        grant(minute(0), channel=PUSH),
        withdraw(minute(1), channel=None),
    ]
    assert not any(standing(entries, MARKETING, channel, minute(2)).allowed for channel in Channel)


def test_a_late_older_grant_does_not_override_a_newer_withdrawal():
    late = grant(minute(1), recorded_at=minute(9))
    assert not standing([withdraw(minute(2)), late], MARKETING, SMS, minute(10)).allowed


@given(said, asked, st.integers(-1, 9), st.data())
def test_the_order_of_arrival_plays_no_part(entries, question, minutes, data):
    arrived = data.draw(st.permutations(entries))
    at = minute(minutes)
    assert standing(arrived, *question, at) == standing(entries, *question, at)


@given(said, asked)
def test_whatever_was_said_before_a_withdrawal_at_the_same_instant_wins(entries, question):
    last = minute(6)
    purpose, channel = question
    assert not standing([*entries, withdraw(last, purpose=purpose, channel=channel)], *question, last).allowed


@given(said, asked)
def test_a_later_grant_stands_whatever_was_said_before(entries, question):
    purpose, channel = question
    last = grant(minute(7), purpose=purpose, channel=channel)
    assert standing([*entries, last], *question, minute(7)).because == last


@given(said, asked, st.integers(-1, 7))
def test_nothing_is_allowed_without_a_grant_of_exactly_this_before(entries, question, minutes):
    at = minute(minutes)
    granted = [
        one for one in entries
        if (one.purpose, one.channel) == question and one.action is Action.GRANT and one.at <= at
    ]  # fmt: skip
    stands = standing(entries, *question, at)
    assert stands.allowed is (stands.because in granted)


@given(said, asked, st.integers(-1, 7))
def test_what_occurs_after_the_instant_does_not_count(entries, question, minutes):
    at = minute(minutes)
    known = [one for one in entries if one.at <= at]
    assert standing(entries, *question, at) == standing(known, *question, at)


def test_every_question_can_be_asked():
    assert len(list(questions())) == 5
    assert (MARKETING, None) not in questions()


@pytest.mark.parametrize(
    ("differing", "field"),
    [
        ({"channel": None}, "channel"),
        ({"text_version": None}, "text_version"),
        ({"text_version": ""}, "text_version"),
        ({"source": ""}, "source"),
        ({"source": " "}, "source"),
        ({"source": "two\nlines"}, "source"),
        ({"source": "nul\x00"}, "source"),
        ({"source": "\ud800"}, "source"),
        ({"source": "x" * 201}, "source"),
        ({"subject": "ana maria"}, "subject"),
        ({"id": "x" * 129}, "id"),
    ],
)
def test_a_grant_of_the_wrong_shape_is_refused_by_its_field(differing, field):
    with pytest.raises(InvalidConsent) as refused:
        grant(minute(0), **differing)
    assert [flaw.field for flaw in refused.value.errors] == [field]
    assert refused.value.status == 422


@pytest.mark.parametrize("purpose", [LOCATION, Purpose.PROFILING, Purpose.CART])
@pytest.mark.parametrize("action", Action)
def test_only_marketing_takes_a_channel(purpose, action):
    fields = {
        "subject": "ana",
        "source": "app",
        "text_version": "1",
        "recorded_at": minute(0),
        "actor": "app",
    }
    with pytest.raises(InvalidConsent, match="channel"):
        Entry(id="e", purpose=purpose, channel=SMS, action=action, at=minute(0), **fields)


def test_withdrawing_needs_no_text_version_and_no_channel():
    assert withdraw(minute(0), text_version=None, channel=None).action is Action.WITHDRAW


def test_every_flaw_is_named_at_once():
    with pytest.raises(InvalidConsent) as refused:
        grant(minute(0), channel=None, text_version=None, source="")
    assert {flaw.field for flaw in refused.value.errors} == {"channel", "text_version", "source"}


def test_times_are_kept_in_utc_and_naive_ones_are_refused():
    paris = datetime(2026, 11, 23, 9, tzinfo=timezone(timedelta(hours=1)))
    kept = grant(paris)
    assert (kept.at, kept.at.tzinfo) == (minute(0), UTC)
    with pytest.raises(ValueError, match="naive"):
        grant(datetime(2026, 11, 23, 9))  # noqa: DTZ001


def test_an_entry_occurs_now_unless_it_says_when():
    assert occurred(None, minute(0)) == minute(0)
    assert occurred(minute(-60), minute(0)) == minute(-60)


def test_a_clock_two_minutes_ahead_is_forgiven_and_cannot_outlive_a_withdrawal():
    assert occurred(minute(2), minute(0)) == minute(0)
    with pytest.raises(InvalidConsent) as refused:
        occurred(minute(2) + timedelta(seconds=1), minute(0))
    assert refused.value.errors[0].field == "at"


def test_an_entry_older_than_ten_years_is_refused():
    assert occurred(minute(0) - timedelta(days=3650), minute(0)).year == 2016
    with pytest.raises(InvalidConsent):
        occurred(minute(0) - timedelta(days=3654), minute(0))


def test_what_a_partner_cannot_prove_allows_nothing():
    brought = replace(grant(minute(0), recorded_at=minute(9)), partner="Data SA", evidence="form 12")
    assert standing([brought], MARKETING, SMS, minute(10)).allowed
    for short in (replace(brought, evidence=None), replace(brought, recorded_at=minute(0))):
        stands = standing([short], MARKETING, SMS, minute(10))
        assert (stands.allowed, stands.because, stands.reason) == (False, short, Reason.UNPROVEN)
    assert standing([replace(brought, evidence=None), grant(minute(1))], MARKETING, SMS, minute(10)).allowed


def test_a_grant_carries_until_its_text_is_renewed():
    old = replace(grant(minute(0)), renewal_due=minute(5))
    assert standing([old], MARKETING, SMS, minute(4)).allowed
    assert standing([old], MARKETING, SMS, minute(5)).reason is Reason.NEEDS_RENEWAL
    assert standing([old, grant(minute(6))], MARKETING, SMS, minute(7)).allowed
    assert standing([old, withdraw(minute(6))], MARKETING, SMS, minute(7)).reason is Reason.WITHDRAWN


@pytest.mark.parametrize(
    ("field", "value"),
    [("evidence", ""), ("evidence", "x" * 201), ("partner", "a\nb"), ("jurisdiction", "fr")],
)
def test_what_proves_a_grant_has_a_shape(field, value):
    with pytest.raises(InvalidConsent) as caught:
        replace(grant(minute(0)), **{field: value})
    assert [error.field for error in caught.value.errors] == [field]
