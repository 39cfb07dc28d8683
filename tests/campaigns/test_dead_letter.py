from dataclasses import replace
from datetime import timedelta

import pytest

from campaigns.decision_store import record_decision
from campaigns.delivery.dead_letter import count_dead, redrive
from campaigns.delivery.outbox import (
    AttemptOutcome,
    begin_attempt,
    lock_due,
    oldest_due,
    record_failure,
    record_sent,
    take_due,
)
from campaigns.errors import BudgetSpent, MessageNotFound, NotToRedrive
from campaigns.gates import Reason
from campaigns.limits.budget import Budget, Key, owner_of
from campaigns.limits.budget_store import lock_counters, read_counters, settle
from campaigns.message import MessageState
from campaigns.message_store import messages_of, sent_before
from campaigns.store import put_campaign
from consent.store import put_subject
from consent.subject import Subject
from tests.campaigns.cast import BREAD, decided
from tests.conftest import MONDAY_NINE

NOW = MONDAY_NINE
LATER = NOW + timedelta(minutes=5)


@pytest.fixture
def connection(records):
    with records.writes.begin() as connection:
        put_subject(connection, Subject("ana", phone="+33639980001"), NOW)
        yield connection


@pytest.fixture
def message(connection):
    decision, message = decided("fix-1")
    record_decision(connection, decision, message)
    return message


def fail(connection, message, outcome, reason=Reason.PROVIDER_REFUSED):
    number = begin_attempt(connection, lock_due(connection, message.id), NOW)
    record_failure(connection, message, number, outcome, "20003", NOW, reason=reason)


def test_a_message_that_failed_for_our_configuration_may_go_again(connection, message):
    fail(connection, message, AttemptOutcome.FAILED, Reason.CONFIGURATION)
    assert count_dead(connection, LATER) == 1
    assert redrive(connection, message.id, LATER).state is MessageState.DUE
    [stored] = messages_of(connection, "ana")
    assert (stored.state, stored.reason, stored.error_code) == (MessageState.DUE, None, None)
    assert [due.message for due in take_due(connection, LATER, 10)] == [message.id]
    assert count_dead(connection, LATER) == 0


def test_what_was_sent_meanwhile_counts_for_the_one_that_goes_again(connection, message):
    fail(connection, message, AttemptOutcome.FAILED, Reason.CONFIGURATION)
    record_decision(connection, *decided("fix-2", at=NOW + timedelta(seconds=1)))
    other = next(each for each in messages_of(connection, "ana") if each.id != message.id)
    again = redrive(connection, message.id, LATER)
    assert sent_before(connection, again, NOW) == [], "one that is due gives way itself"
    record_sent(connection, other.id, begin_attempt(connection, other, LATER), "SM1", LATER)
    assert [sent.at for sent in sent_before(connection, again, NOW)] == [LATER]


def test_it_goes_again_only_if_its_budget_still_has_room(connection):
    campaign = replace(BREAD, budget=Budget(messages=1))
    put_campaign(connection, campaign, NOW)

    def reserved(cause, at):
        counters = lock_counters(connection, [Key(owner_of("bread"))], ["bread"], at.date())
        record_decision(connection, *(made := decided(cause, at=at)), counted=True)
        counters.reserve(made[1])
        counters.write(connection)
        return made[1]

    first = reserved("fix-1", NOW)
    fail(connection, first, AttemptOutcome.FAILED, Reason.CONFIGURATION)
    settle(connection)
    second = reserved("fix-2", NOW + timedelta(seconds=1))
    with pytest.raises(BudgetSpent, match="campaign bread may use 1 of messages, and 1 are used"):
        redrive(connection, first.id, LATER)
    fail(connection, second, AttemptOutcome.FAILED)
    settle(connection)
    redrive(connection, first.id, LATER)
    assert settle(connection) == 0
    assert read_counters(connection, ["bread"], NOW.date())[Key(owner_of("bread"))].messages == 1
    with pytest.raises(NotToRedrive, match="is due"):
        redrive(connection, first.id, LATER)


def test_one_whose_count_was_not_given_back_yet_keeps_it(connection):
    put_campaign(connection, replace(BREAD, budget=Budget(messages=1)), NOW)
    record_decision(connection, *(made := decided("fix-1")))
    lock_counters(connection, [Key(owner_of("bread"))], ["bread"], NOW.date())
    fail(connection, made[1], AttemptOutcome.FAILED, Reason.CONFIGURATION)
    redrive(connection, made[1].id, LATER)
    assert settle(connection) == 0
    assert read_counters(connection, ["bread"], NOW.date())[Key(owner_of("bread"))].messages == 1


def test_what_may_have_reached_somebody_stays_as_it_is(connection, message):
    fail(connection, message, AttemptOutcome.UNKNOWN)
    with pytest.raises(NotToRedrive, match="is unknown"):
        redrive(connection, message.id, LATER)
    assert count_dead(connection, LATER) == 0


@pytest.mark.parametrize("reason", [Reason.PROVIDER_REFUSED, Reason.NO_TRACE])
def test_a_failure_of_another_kind_is_no_dead_letter(connection, message, reason):
    fail(connection, message, AttemptOutcome.FAILED, reason)
    with pytest.raises(NotToRedrive, match=reason):
        redrive(connection, message.id, LATER)


def test_neither_are_those_that_are_due_or_sent(connection, message):
    with pytest.raises(NotToRedrive, match="is due"):
        redrive(connection, message.id, LATER)
    record_sent(connection, message.id, begin_attempt(connection, message, NOW), "SM1", NOW)
    with pytest.raises(NotToRedrive, match="is sent"):
        redrive(connection, message.id, LATER)


def test_an_offer_that_is_over_is_not_sent_any_more(connection, message):
    fail(connection, message, AttemptOutcome.FAILED, Reason.CONFIGURATION)
    with pytest.raises(NotToRedrive, match="was worth sending until"):
        redrive(connection, message.id, message.valid_until)
    assert count_dead(connection, message.valid_until) == 0


def test_there_must_be_such_a_message(connection):
    with pytest.raises(MessageNotFound):
        redrive(connection, "0" * 32, NOW)


def test_the_oldest_that_is_due_tells_how_far_sending_is_behind(connection, message):
    assert oldest_due(connection, LATER) == NOW
    assert oldest_due(connection, message.valid_until) is None
    fail(connection, message, AttemptOutcome.UNKNOWN)
    assert oldest_due(connection, LATER) is None
