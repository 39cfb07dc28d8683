from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.decision_store import record_decision
from campaigns.delivery.channels.twilio_codes import Effect, meaning_of, table
from campaigns.delivery.failure import heed_code, heed_report
from campaigns.delivery.outbox import ProviderReport, begin_attempt, lock_due
from campaigns.message import MessageState
from campaigns.message_store import messages_of
from campaigns.store import put_campaign
from consent.address import is_dead
from consent.entry import Action, Channel, Purpose
from consent.ledger import entries_of, standing_of
from tests.campaigns.cast import BREAD, decided
from tests.conftest import MONDAY_NINE
from tests.engine.test_sender import welcome

NOW, SMS = MONDAY_NINE, Channel.SMS
KNOWN = set(table().codes)


@pytest.fixture
def sent(records):
    """Ana has one message on its way and one that is due."""
    with records.writes.begin() as connection:
        welcome(connection)
        put_campaign(connection, BREAD, NOW)
        for cause in ("fix-1", "fix-2"):
            record_decision(connection, *decided(cause))
        first = min(messages_of(connection, "ana"), key=lambda message: message.id)
        begin_attempt(connection, lock_due(connection, first.id), NOW)
    return first


def heed(records, code, message="m1"):
    with records.writes.begin() as connection:
        return heed_code(connection, "ana", SMS, message, code, NOW)


def allowed(records):
    with records.reads.connect() as connection:
        return standing_of(connection, "ana", Purpose.MARKETING, SMS, NOW).allowed


def dead(records):
    with records.reads.connect() as connection:
        return is_dead(connection, "ana", SMS)


def states(records):
    with records.reads.connect() as connection:
        return sorted(message.state for message in messages_of(connection, "ana"))


@pytest.mark.parametrize("code", ["21610", "30640", "63014"])
def test_a_refusal_told_by_the_provider_withdraws_and_cancels_what_is_due(records, sent, code):
    assert heed(records, code) is Effect.OPTED_OUT
    assert heed(records, code) is Effect.OPTED_OUT
    assert not allowed(records)
    assert not dead(records)
    assert states(records) == [MessageState.CANCELLED, MessageState.SENDING]
    with records.reads.connect() as connection:
        entries = entries_of(connection, "ana")
    assert [entry.source for entry in entries if entry.action is Action.WITHDRAW] == [
        f"provider, code {code}"
    ]


@pytest.mark.parametrize("code", ["21211", "21614", "21635", "30006"])
def test_a_dead_number_says_nothing_about_consent(records, sent, code):
    assert heed(records, code) is Effect.ADDRESS_DEAD
    assert dead(records)
    assert allowed(records)


def test_a_phone_that_is_off_is_dead_after_three_messages(records, sent):
    for number, expected in enumerate([False, False, True]):
        heed(records, "30003", f"m{number}")
        assert dead(records) is expected
    assert allowed(records)


@pytest.mark.parametrize(
    "code", ["30007", "30034", "21612", "30004", "20429", None, "", "abc", "021610", "21610 "]
)
def test_all_others_touch_neither(records, sent, code):
    heed(records, code)
    assert allowed(records)
    assert not dead(records)
    assert states(records) == [MessageState.DUE, MessageState.SENDING]


@given(st.integers(10_000, 99_999).map(str).filter(lambda code: code not in KNOWN))
def test_an_unknown_code_means_nothing(code):
    assert meaning_of(code).effect is Effect.UNKNOWN


def test_unknown_codes_change_neither_consent_nor_address(records, sent):
    with records.writes.begin() as connection:
        for code in range(10_000, 100_000, 7):
            if str(code) not in KNOWN:
                heed_code(connection, "ana", SMS, f"m{code}", str(code), NOW)
    assert allowed(records)
    assert not dead(records)


def test_somebody_answers_for_the_table():
    codes = table()
    assert codes.reviewed < codes.review_by
    assert date.today() <= codes.review_by, "read the sources of twilio_codes.toml again, then move its dates"  # noqa: DTZ011
    assert all(line.meaning and line.source for line in codes.codes.values())
    assert all(
        line.strikes > 1 and line.within_days for line in codes.codes.values() if line.effect is Effect.STRIKE
    )


def test_a_report_that_comes_later_counts_the_same_however_often(records, sent):
    report = ProviderReport(MessageState.UNDELIVERED, sent.id, "SM1", "21610")
    for _ in range(3):
        with records.writes.begin() as connection:
            assert heed_report(connection, report, NOW)
    assert not allowed(records)
    assert states(records) == [MessageState.CANCELLED, MessageState.UNDELIVERED]


def test_a_report_about_no_message_of_ours_changes_nothing(records, sent):
    with records.writes.begin() as connection:
        assert not heed_report(connection, ProviderReport(MessageState.FAILED, "0" * 32, "SM1", "21610"), NOW)
        assert not heed_report(connection, ProviderReport(MessageState.FAILED, None, "SM1", "21610"), NOW)
    assert allowed(records)
