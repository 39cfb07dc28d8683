from datetime import date, timedelta

import pytest

from campaigns.decision_store import record_decision
from campaigns.delivery import breach_store
from campaigns.delivery.breach import GRACE, OVERLAP, Kind, check_json
from campaigns.delivery.outbox import begin_attempt, refuse
from campaigns.gates import Reason
from campaigns.store import put_campaign
from consent.entry import Action, Channel, Purpose
from consent.ledger import record
from consent.store import put_subject
from consent.subject import Device, Subject
from tests.campaigns.cast import BREAD, decided
from tests.conftest import MONDAY_NINE
from tests.consent.cast import entry

NOON = MONDAY_NINE + timedelta(hours=3)
DAY = date(2026, 11, 23)
NEXT_MORNING = MONDAY_NINE + timedelta(days=1)


@pytest.fixture
def connection(records):
    with records.writes.begin() as opened:
        for subject in ("ana", "ben"):
            put_subject(opened, Subject(subject, devices=(Device(f"{subject}-phone"),)), MONDAY_NINE)
        put_campaign(opened, BREAD, MONDAY_NINE)
        yield opened


def message(connection, cause="fix-1", subject="ana"):
    decision, made = decided(cause, subject=subject)
    record_decision(connection, decision, made)
    return made


def say(connection, action, at, **more):
    return record(connection, entry(action, at, **more))


def check(connection, now=NEXT_MORNING, **more):
    return breach_store.check_day(connection, DAY, now, **more)


def kinds(found):
    return [each.kind for each in found.findings]


@pytest.mark.parametrize(
    ("purpose", "channel"),
    [(Purpose.MARKETING, Channel.SMS), (Purpose.MARKETING, None), (Purpose.LOCATION, None)],
)
def test_what_began_to_be_sent_after_a_withdrawal_is_a_breach(connection, purpose, channel):
    sent = message(connection)
    no = say(connection, Action.WITHDRAW, NOON, purpose=purpose, channel=channel)
    begin_attempt(connection, sent, NOON + OVERLAP + timedelta(seconds=1))
    found = check(connection)
    assert (found.withdrawals, found.messages, kinds(found)) == (1, 1, [Kind.SENT])
    [breach] = found.breaches
    assert (breach.message, breach.refused_by, breach.refused_at) == (sent.id, no.id, NOON)


def test_what_was_sent_before_is_none(connection):
    begin_attempt(connection, message(connection), NOON)
    say(connection, Action.WITHDRAW, NOON)
    assert kinds(check(connection)) == []


def test_what_began_while_the_withdrawal_was_written_down_is_told_but_is_none(connection):
    begin_attempt(connection, message(connection), NOON + OVERLAP)
    say(connection, Action.WITHDRAW, NOON)
    found = check(connection)
    assert kinds(found) == [Kind.OVERLAP]
    assert found.breaches == ()


def test_another_channel_purpose_or_subject_is_none(connection):
    begin_attempt(connection, message(connection), NOON + timedelta(hours=1))
    say(connection, Action.WITHDRAW, NOON, channel=Channel.PUSH)
    say(connection, Action.WITHDRAW, NOON, purpose=Purpose.PROFILING)
    say(connection, Action.WITHDRAW, NOON, subject="ben")
    found = check(connection)
    assert (found.withdrawals, kinds(found)) == (2, [])


def test_consent_that_was_given_again_counts_from_then_on(connection):
    say(connection, Action.WITHDRAW, NOON)
    say(connection, Action.GRANT, NOON + timedelta(hours=1))
    begin_attempt(connection, message(connection), NOON + timedelta(hours=2))
    assert kinds(check(connection)) == []
    begin_attempt(connection, message(connection, "fix-2"), NOON + timedelta(minutes=30))
    assert kinds(check(connection)) == [Kind.SENT]


def test_a_grant_that_is_dated_back_excuses_nothing(connection):
    """It was written down after the message went: nobody knew of it then."""
    say(connection, Action.WITHDRAW, NOON)
    begin_attempt(connection, message(connection), NOON + timedelta(hours=1))
    say(connection, Action.GRANT, NOON + timedelta(minutes=1), recorded_at=NOON + timedelta(hours=2))
    assert kinds(check(connection)) == [Kind.SENT]


def test_what_still_waits_long_after_a_withdrawal_is_a_breach(connection):
    waiting = message(connection)
    say(connection, Action.WITHDRAW, NOON)
    assert kinds(check(connection, NOON + GRACE)) == []
    assert kinds(check(connection, NOON + GRACE + timedelta(seconds=1))) == [Kind.WAITING]
    refuse(connection, waiting, Reason.CONSENT_WITHDRAWN)
    assert kinds(check(connection)) == []


def test_other_refusals_such_as_suppressed_numbers_are_checked_too(connection):
    from campaigns.delivery.breach import Refusal

    begin_attempt(connection, message(connection), NOON + timedelta(hours=1))
    asked = []

    def suppressed(_connection, since, until):
        asked.append((since, until))
        return [Refusal("ana", NOON, "suppression-7")]

    found = check(connection, others=[suppressed])
    assert [each.refused_by for each in found.breaches] == ["suppression-7"]
    assert asked == [(MONDAY_NINE.replace(hour=0), MONDAY_NINE.replace(hour=0) + timedelta(days=1))]


def test_a_day_ends_before_the_next_begins(connection):
    midnight = MONDAY_NINE.replace(hour=0) + timedelta(days=1)
    say(connection, Action.WITHDRAW, midnight)
    assert check(connection).withdrawals == 0
    say(connection, Action.WITHDRAW, midnight - timedelta(microseconds=1))
    assert check(connection).withdrawals == 1


def test_a_check_is_remembered_and_a_repeated_one_takes_its_place(connection):
    begin_attempt(connection, message(connection), NOON + timedelta(hours=1))
    say(connection, Action.WITHDRAW, NOON)
    first = check(connection)
    assert breach_store.checks(connection, 10) == [first]
    again = check(connection, NEXT_MORNING + timedelta(hours=1))
    assert breach_store.checks(connection, 10) == [again]
    assert check_json(again)["breaches"] == 1
    assert "ana" not in str(check_json(again)), "the message names the subject; the check need not"


def test_days_that_were_missed_are_made_up_for(engine, client):
    today = engine.now().date()
    made = engine.rounds.check_refusals()
    assert [each.day for each in made] == [today - timedelta(days=ago) for ago in range(7, 0, -1)]
    assert engine.rounds.check_refusals() == []
    listed = client.get("/v1/breach-checks", params={"limit": 2}).json()["items"]
    assert [each["day"] for each in listed] == [str(today - timedelta(days=ago)) for ago in (1, 2)]
    assert {"refusals heeded"} <= {job.name for job in engine.jobs()}


def test_a_breach_is_counted_shown_and_asks_for_attention(engine, client, clock):
    yesterday = clock() - timedelta(days=1)
    with engine.records.writes.begin() as connection:
        put_subject(connection, Subject("ana", devices=(Device("ana-phone"),)), yesterday)
        begin_attempt(connection, message(connection), yesterday + timedelta(hours=1))
        say(connection, Action.WITHDRAW, yesterday)
    engine.rounds.check_refusals()
    assert "chaland_breaches 1.0" in client.get("/metrics/").text
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["attention"] == ["1 messages went against a refusal; see GET /v1/breach-checks"]


def test_a_rule_past_its_review_asks_for_attention(engine, client, clock):
    clock.set(clock() + timedelta(days=400))
    told = client.get("/readyz").json()["attention"]
    assert any(each.startswith("rule fr.hours@2024-09-01 was to be reviewed by 2027-05-23") for each in told)
    assert not any("fr.hours@2018" in each for each in told)
    assert "chaland_rules_overdue 0.0" not in client.get("/metrics/").text
