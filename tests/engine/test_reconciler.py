"""Messages of unknown outcome are settled by asking the provider, and never sent again."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from campaigns.decision_store import record_decision
from campaigns.delivery.channels.channel import Sought, Trace
from campaigns.delivery.channels.sms_twilio import TwilioSms
from campaigns.delivery.outbox import begin_attempt, record_sent
from campaigns.delivery.unsettled import LONGEST_PAUSE, NO_TRACE_AFTER, Unsettled, own_trace, pause_after
from campaigns.message import MessageState
from campaigns.message_store import messages_of, sent_to
from campaigns.store import put_campaign
from campaigns.tables import messages
from consent.entry import Channel
from consent.store import put_subject
from consent.subject import Subject
from engine.reconciler import Reconciler
from tests.campaigns.cast import BREAD, decided
from tests.conftest import MONDAY_NINE
from tests.engine.test_sender import PHONE, sender_to, welcome
from tests.support.twilio_api import ACCOUNT_SID, AUTH_TOKEN, Fault, TwilioApi

NOW = MONDAY_NINE


@pytest.fixture
def twilio(clock):
    with TwilioApi(now=clock) as api:
        yield api


@pytest.fixture
def sms(twilio):
    return TwilioSms(ACCOUNT_SID, AUTH_TOKEN, from_="+33939000001", api_url=twilio.url, timeout_seconds=0.5)


@pytest.fixture
def unknown(records, clock, twilio, sms):
    """`unknown(fault)` has one message to Ana sent into that fault."""

    def send(fault):
        decision, message = decided("fix-1")
        with records.writes.begin() as connection:
            welcome(connection)
            put_campaign(connection, BREAD, NOW)
            record_decision(connection, decision, message)
        twilio.fail_next(fault)
        sender_to(records, clock, sms).run_once()
        assert stored(records).state is MessageState.UNKNOWN
        return message

    return send


@pytest.fixture
def reconciler(records, clock, sms):
    return Reconciler(records, {Channel.SMS: sms}, clock)


def stored(records):
    with records.reads.connect() as connection:
        [message] = messages_of(connection, "ana")
    return message


LOST = Fault(drop=True, accept=True)
REFUSED = Fault(500, 20500)


@pytest.mark.parametrize(
    ("code", "delivers", "state"),
    [(None, False, "sent"), (None, True, "delivered"), (30003, True, "undelivered")],
)
def test_what_the_provider_has_settles_it(records, clock, twilio, unknown, reconciler, code, delivers, state):
    unknown(LOST)
    twilio.twilio.dead = {PHONE: code}
    if delivers:
        twilio.twilio.deliver()
    assert reconciler.run_once() == 0, "not at once: the provider may report by itself"
    clock.advance(seconds=30)
    assert reconciler.run_once() == 1
    message = stored(records)
    assert (message.state, message.provider_id) == (state, *twilio.messages)
    assert message.error_code == (str(code) if code else None)
    assert message.sent_at == NOW
    clock.advance(hours=2)
    assert reconciler.run_once() == 0
    assert len(twilio.requests) == 1


def test_a_report_of_an_opt_out_is_heeded(records, clock, twilio, unknown, reconciler):
    unknown(LOST)
    twilio.twilio.dead = {PHONE: 21610}
    twilio.twilio.deliver()
    clock.advance(seconds=30)
    reconciler.run_once()
    with records.writes.begin() as connection:
        record_decision(connection, *decided("fix-2", campaign=replace(BREAD, id="cake")))
        put_campaign(connection, replace(BREAD, id="cake"), NOW)
    sender_to(records, clock, None).run_once()
    with records.reads.connect() as connection:
        reasons = {message.campaign: message.reason for message in messages_of(connection, "ana")}
    assert reasons["cake"] == "consent_withdrawn"


def test_without_a_trace_it_fails_once_the_provider_would_have_one(
    records, clock, twilio, unknown, reconciler
):
    message = unknown(REFUSED)
    asked = 0
    while stored(records).state is MessageState.UNKNOWN:
        clock.advance(seconds=30)
        asked += 1
        reconciler.run_once()
        assert asked < 1000
    assert clock() >= message.valid_until + NO_TRACE_AFTER
    assert (stored(records).state, stored(records).reason) == (MessageState.FAILED, "no_trace")
    clock.advance(hours=2)
    sender_to(records, clock, None).run_once()
    assert len(twilio.requests) == 1, "it was never sent again"


@pytest.mark.parametrize("gone", ["channel", "number"])
def test_what_nobody_can_be_asked_about_stays_unknown_and_counts(records, clock, unknown, reconciler, gone):
    message = unknown(LOST)
    clock.advance(seconds=30)
    with records.writes.begin() as connection:
        if gone == "number":
            put_subject(connection, Subject("ana"), NOW)
        else:
            connection.execute(update(messages).values(channel=Channel.PUSH.value))
    clock.advance(hours=2)
    assert reconciler.run_once() == 0
    assert stored(records).state is MessageState.UNKNOWN
    with records.reads.connect() as connection:
        [counted] = sent_to(connection, ["ana"], NOW)["ana"]
    assert NOW < counted.at <= message.valid_until


def test_messages_that_are_not_the_one_are_left_out(clock, twilio, sms):
    sought = Sought(PHONE, "Ana’s fresh bread", NOW)
    text = {"to": PHONE, "from_": "+33939000001", "body": "Ana's fresh bread", "status": "queued"}
    own = twilio.twilio.add(**text)  # with another apostrophe, as Twilio's smart encoding writes it
    twilio.twilio.add(**{**text, "body": "another text"})
    twilio.twilio.add(**{**text, "to": "+33639980002"})
    twilio.twilio.add(**text, direction="inbound")
    clock.advance(minutes=10)
    twilio.twilio.add(**text)
    assert [trace.provider_id for trace in sms.find(sought)] == [own.sid]


def test_a_trace_of_another_message_is_nobody_else_s(records, clock):
    _, message = decided("fix-1")
    with records.writes.begin() as connection:
        record_decision(connection, *decided("fix-0", at=NOW - timedelta(minutes=1)))
        [other] = messages_of(connection, "ana")
        record_sent(connection, other.id, begin_attempt(connection, other, NOW), "SM0", NOW)
        traces = [Trace(f"SM{n}", MessageState.SENT, NOW + timedelta(seconds=n)) for n in (0, 9, 2)]
        assert own_trace(connection, Unsettled(message, NOW), traces) == traces[2]
        assert own_trace(connection, Unsettled(message, NOW), traces[:1]) is None


def test_a_provider_that_does_not_answer_is_asked_ever_more_rarely(records, clock, twilio, unknown):
    unknown(LOST)
    away = TwilioSms(
        ACCOUNT_SID, AUTH_TOKEN, from_="+33939000001", api_url="http://127.0.0.1:9", timeout_seconds=0.5
    )
    clock.advance(seconds=30)
    assert Reconciler(records, {Channel.SMS: away}, clock).run_once() == 0
    assert stored(records).state is MessageState.UNKNOWN
    pauses = [pause_after(NOW, NOW + timedelta(seconds=seconds)) for seconds in (0, 40, 80, 90_000)]
    assert pauses == [timedelta(seconds=30), timedelta(seconds=40), timedelta(seconds=80), LONGEST_PAUSE]
