from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import combinations, permutations

import pytest

from campaigns.decision_store import forget_subject, record_decision
from campaigns.delivery.outbox import (
    BACKOFF_SECONDS,
    TAKEN_SECONDS,
    AttemptOutcome,
    ProviderReport,
    apply_report,
    begin_attempt,
    give_up,
    has_work,
    lock_due,
    record_failure,
    record_sent,
    refuse,
    take_due,
)
from campaigns.gates import Reason
from campaigns.message import MessageState
from campaigns.message_store import messages_of
from campaigns.tables import attempts
from tests.campaigns.cast import decided
from tests.conftest import MONDAY_NINE

NOW = MONDAY_NINE
SECOND = timedelta(seconds=1)


@pytest.fixture
def connection(records):
    with records.writes.begin() as connection:
        yield connection


@pytest.fixture
def message(connection):
    decision, message = decided("fix-1")
    record_decision(connection, decision, message)
    return message


def stored(connection):
    [message] = messages_of(connection, "ana")
    return message


def attempt(connection, message, now=NOW):
    return begin_attempt(connection, lock_due(connection, message.id), now)


def test_a_taken_message_is_left_alone_for_a_minute(connection, message):
    assert has_work(connection, NOW)
    assert [due.message for due in take_due(connection, NOW, 10)] == [message.id]
    assert not has_work(connection, NOW)
    assert take_due(connection, NOW + timedelta(seconds=TAKEN_SECONDS) - SECOND, 10) == []
    assert len(take_due(connection, NOW + timedelta(seconds=TAKEN_SECONDS), 10)) == 1


def test_no_two_senders_take_the_same(records):
    with records.writes.begin() as connection:
        for number in range(60):
            record_decision(connection, *decided(f"fix-{number}"))

    def take(_):
        with records.writes.begin() as connection:
            return [due.message for due in take_due(connection, NOW, 7)]

    with ThreadPoolExecutor(6) as pool:
        taken = [message for batch in pool.map(take, range(20)) for message in batch]
    assert len(taken) == len(set(taken)) == 60


def test_a_message_is_claimed_once(connection, message):
    assert attempt(connection, message) == 1
    assert lock_due(connection, message.id) is None
    assert lock_due(connection, "no such message") is None
    assert stored(connection).state is MessageState.SENDING


def test_what_was_sent_is_recorded_and_a_late_report_moves_it_on(connection, message):
    number = attempt(connection, message)
    assert record_sent(connection, message.id, number, "SM1", NOW) is MessageState.SENT
    sent = stored(connection)
    assert (sent.state, sent.sent_at, sent.provider_id) == (MessageState.SENT, NOW, "SM1")
    report = ProviderReport(MessageState.DELIVERED, None, "SM1", None)
    assert apply_report(connection, report, NOW + SECOND)
    assert stored(connection).state is MessageState.DELIVERED
    assert apply_report(connection, ProviderReport(MessageState.SENT, None, "SM1", None), NOW + SECOND)
    assert stored(connection).state is MessageState.DELIVERED


def test_a_report_that_overtakes_the_answer_finds_its_message(connection, message):
    number = attempt(connection, message)
    assert not apply_report(connection, ProviderReport(MessageState.DELIVERED, None, "SM1", None), NOW)
    assert apply_report(connection, ProviderReport(MessageState.DELIVERED, message.id, "SM1", None), NOW)
    assert record_sent(connection, message.id, number, "SM1", NOW + SECOND) is MessageState.DELIVERED


ANSWER = "the provider's answer to our call"
REPORTS = {
    MessageState.SENT: None,
    MessageState.FAILED: "30008",
    MessageState.UNDELIVERED: "30003",
    MessageState.DELIVERED: None,
}
"""With their error codes, the later the further; Twilio reports only some of them about one message."""


def hear(connection, message, number, what):
    if what is ANSWER:
        record_sent(connection, message.id, number, "SM1", NOW)
    else:
        apply_report(connection, ProviderReport(what, message.id, "SM1", REPORTS[what]), NOW)


@pytest.mark.parametrize("twice", [False, True])
def test_whatever_is_heard_ends_the_same_in_every_order(connection, twice):
    """Any of it may be missing; with `twice`, every report comes again at the end, in the same order."""
    everything = (ANSWER, *REPORTS)
    heard = [
        order for n in range(1, 6) for some in combinations(everything, n) for order in permutations(some)
    ]
    assert len(heard) == 325
    messages = []
    for place, order in enumerate(heard):
        decision, message = decided(f"fix-{place}")
        record_decision(connection, decision, message)
        number = attempt(connection, message)
        again = [what for what in order if what is not ANSWER] if twice else []
        for what in (*order, *again):
            hear(connection, message, number, what)
        messages.append(message.id)
    ended = {message.id: message for message in messages_of(connection, "ana")}
    for message_id, order in zip(messages, heard, strict=True):
        furthest = max(order, key=everything.index)
        state = MessageState.SENT if furthest is ANSWER else furthest
        end = ended[message_id]
        assert (end.state, end.error_code, end.provider_id) == (state, REPORTS[state], "SM1"), order


def test_a_message_that_went_out_after_a_retry_keeps_no_error_code(connection, message):
    number = attempt(connection, message)
    record_failure(connection, message, number, AttemptOutcome.RETRY, "20429", NOW)
    record_sent(connection, message.id, attempt(connection, message), "SM1", NOW + SECOND)
    assert stored(connection).error_code is None


def test_an_answer_that_comes_after_its_report_changes_neither_name_nor_instant(connection, message):
    number = attempt(connection, message)
    apply_report(connection, ProviderReport(MessageState.DELIVERED, message.id, "SM1", None), NOW)
    record_sent(connection, message.id, number, None, NOW + SECOND)
    found = stored(connection)
    assert (found.state, found.provider_id, found.sent_at) == (MessageState.DELIVERED, "SM1", NOW)


def test_a_report_settles_what_was_unknown(connection, message):
    number = attempt(connection, message)
    assert (
        record_failure(connection, message, number, AttemptOutcome.UNKNOWN, None, NOW) is MessageState.UNKNOWN
    )
    assert apply_report(connection, ProviderReport(MessageState.UNDELIVERED, message.id, "SM1", "30003"), NOW)
    found = stored(connection)
    assert (found.state, found.provider_id, found.error_code) == (MessageState.UNDELIVERED, "SM1", "30003")


def test_a_retry_waits_longer_each_time_and_then_fails(connection, message):
    now = NOW
    for number, pause_seconds in enumerate(BACKOFF_SECONDS, 1):
        assert attempt(connection, message, now) == number
        state = record_failure(connection, message, number, AttemptOutcome.RETRY, "20429", now)
        assert state is MessageState.DUE
        assert take_due(connection, now + timedelta(seconds=pause_seconds) - SECOND, 1) == []
        now += timedelta(seconds=pause_seconds * 1.5)
        assert len(take_due(connection, now, 1)) == 1
    last = attempt(connection, message, now)
    assert (
        record_failure(connection, message, last, AttemptOutcome.RETRY, "20429", now) is MessageState.FAILED
    )
    outcomes = [row.outcome for row in connection.execute(attempts.select().order_by(attempts.c.number))]
    assert outcomes == ["retry"] * 5


def test_no_retry_outlives_the_offer(connection, message):
    late = message.valid_until - 5 * SECOND
    number = attempt(connection, message, late)
    assert (
        record_failure(connection, message, number, AttemptOutcome.RETRY, None, late) is MessageState.FAILED
    )


def test_a_refused_claim_ends_with_its_reason(connection, message):
    assert refuse(connection, message, Reason.CONSENT_WITHDRAWN) is MessageState.CANCELLED
    assert stored(connection).reason == "consent_withdrawn"
    assert refuse(connection, message, Reason.TOO_LATE) is MessageState.EXPIRED


def test_what_a_dead_process_left_becomes_unknown_and_is_not_sent_again(connection, message):
    number = attempt(connection, message)
    assert give_up(connection, NOW, NOW) == []
    later = NOW + 61 * SECOND
    assert give_up(connection, later - 60 * SECOND, later) == [message.id]
    assert stored(connection).state is MessageState.UNKNOWN
    assert not has_work(connection, later)
    assert lock_due(connection, message.id) is None
    # The process was only asleep, and its provider refused: too late to try again.
    assert (
        record_failure(connection, message, number, AttemptOutcome.RETRY, None, later) is MessageState.UNKNOWN
    )
    assert record_sent(connection, message.id, number, "SM1", later) is MessageState.SENT


def test_a_subject_erased_in_mid_flight_leaves_no_trace(connection, message):
    number = attempt(connection, message)
    forget_subject(connection, "ana")
    assert record_sent(connection, message.id, number, "SM1", NOW) is None
    assert record_failure(connection, message, number, AttemptOutcome.FAILED, None, NOW) is None
    assert messages_of(connection, "ana") == []
