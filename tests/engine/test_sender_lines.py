"""The sender keeps to what its line allows: breaker, rates, ceilings, and where texts may go at all."""

from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest

from campaigns.decision_store import record_decision
from campaigns.delivery.channels.channel import DeliveryError, Receipt
from campaigns.delivery.channels.sms_twilio import TwilioSms
from campaigns.delivery.outbox import BACKOFF_SECONDS
from campaigns.message import MessageState
from campaigns.message_store import messages_of
from campaigns.store import put_campaign
from consent.entry import Channel
from engine.lines import Lines
from tests.campaigns.cast import BREAD, decided
from tests.conftest import MONDAY_NINE
from tests.engine.test_lines import LIMITS
from tests.engine.test_sender import sender_to, welcome
from tests.support.twilio_api import ACCOUNT_SID, AUTH_TOKEN, Fault, TwilioApi

NOW = MONDAY_NINE
WIDE = replace(LIMITS, per_second=1000, sender_per_second=1000, spend_per_day=1000, texts_per_prefix=1000)


class Switch:
    """A provider that is reached, or not, as the test says."""

    def __init__(self):
        self.works = True
        self.calls = 0
        self.sent = []

    def send(self, message):
        self.calls += 1
        if not self.works:
            raise DeliveryError("cannot be reached", permanent=False)
        self.sent.append(message.id)
        return Receipt(message.id)


@pytest.fixture
def switch():
    return Switch()


@pytest.fixture
def sender(records, clock, live, switch):
    def made(limits=WIDE, channel=switch, **more):
        return sender_to(records, clock, channel, lines=Lines(live, {Channel.SMS: limits}, clock), **more)

    return made


@pytest.fixture
def due(records, clock):
    """`due(3)`: three more shoppers with a message each, from now."""
    made = []
    with records.writes.begin() as connection:
        put_campaign(connection, BREAD, NOW)

    def more(count, phone="+3363998{:04d}"):
        with records.writes.begin() as connection:
            for _ in range(count):
                subject = f"s{len(made)}"
                welcome(connection, subject, phone.format(len(made)))
                record_decision(connection, *decided(subject, at=clock(), subject=subject))
                made.append(subject)
        return made

    return more


def states(records, made):
    with records.reads.connect() as connection:
        return [messages_of(connection, subject)[0] for subject in made]


def by_state(records, made):
    return [message.state.value for message in states(records, made)]


def test_a_line_that_is_down_is_left_alone_and_one_message_tries_it(records, clock, sender, due, switch):
    made = due(9)
    switch.works = False
    own = sender()
    assert own.run_once() == 5
    assert own.run_once() == 0
    assert switch.calls == 5
    assert by_state(records, made) == ["due"] * 9
    clock.advance(seconds=30)
    assert own.run_once() == 1, "the probe"
    clock.advance(seconds=60)
    switch.works = True
    assert own.run_once() == 1
    clock.advance(seconds=60)
    while own.run_once():
        pass
    assert by_state(records, made) == ["sent"] * 9
    assert len(switch.sent) == len(set(switch.sent)) == 9


def test_messages_behind_a_line_that_is_down_expire_in_time(records, clock, sender, due, switch):
    made = due(60)
    switch.works = False
    own = sender()
    own.run_once()
    calls = switch.calls
    clock.set(NOW + timedelta(seconds=BREAD.shelf_life_seconds))
    while own.run_once():
        pass
    assert set(by_state(records, made)) == {"expired"}
    assert switch.calls == calls


def test_a_busy_provider_is_asked_again_when_it_said(records, clock, live, sender, due):
    [_, second] = due(2)
    with TwilioApi() as twilio:
        sms = TwilioSms(ACCOUNT_SID, AUTH_TOKEN, from_="+33939000001", api_url=twilio.url, timeout_seconds=5)
        own = sender(channel=sms)
        twilio.fail_next(Fault(429, 20429, retry_after_seconds=40))
        own.run_once(limit=1)
        assert own.run_once() == 0, "the other message waits too"
        clock.advance(seconds=39)
        assert own.run_once() == 0
        clock.advance(seconds=2)
        while own.run_once():
            clock.advance(seconds=1)
        assert set(by_state(records, ["s0", second])) == {"sent"}
        assert len(twilio.messages) == 2


def test_a_provider_that_shuts_us_out_opens_the_breaker_and_ends_few_messages(records, clock, sender, due):
    made = due(8)
    with TwilioApi() as twilio:
        sms = TwilioSms(ACCOUNT_SID, "wrong", from_="+33939000001", api_url=twilio.url, timeout_seconds=5)
        sender(channel=sms).run_once()
    assert sorted(by_state(records, made)) == ["due"] * 3 + ["failed"] * 5
    assert {message.reason for message in states(records, made)} == {"configuration", None}


def test_retries_end_with_their_reason(records, clock, sender, due, switch):
    made = due(1)
    switch.works = False
    own = sender()
    for pause_seconds in (*BACKOFF_SECONDS, 0):
        own.run_once()
        clock.advance(seconds=pause_seconds * 1.5)
    [message] = states(records, made)
    assert (message.state, message.reason) == (MessageState.FAILED, "retries_exhausted")


def test_rates_hold_for_all_senders_together(records, clock, sender, due, switch):
    due(25)
    several = [sender(replace(WIDE, sender_per_second=10)) for _ in range(3)]
    sent = []
    for _ in range(4):
        for each in several:
            each.run_once()
        sent.append(switch.calls)
        clock.advance(seconds=1)
    assert sent == [10, 20, 25, 25]


def test_what_is_not_called_uses_up_nothing(records, clock, sender, due, switch):
    due(3)
    due(1, phone="+4179120{:04d}")
    own = sender(replace(WIDE, messages_per_day=3, sender_per_second=4), countries=frozenset({"FR"}))
    for _ in range(3):
        own.run_once()
        clock.advance(seconds=60)
    assert switch.calls == 3


@pytest.mark.parametrize(
    ("phone", "reason"),
    [
        ("+4179120{:04d}", "country_not_allowed"),
        ("+3313998{:04d}", "not_a_mobile"),
        ("+3389970{:04d}", "not_a_mobile"),
        ("+3363998{:04d}", None),
    ],
)
def test_texts_go_to_mobiles_of_the_countries_that_are_allowed(records, sender, due, switch, phone, reason):
    made = due(1, phone=phone)
    sender(countries=frozenset({"FR"})).run_once()
    [message] = states(records, made)
    assert message.reason == reason
    assert message.state is (MessageState.CANCELLED if reason else MessageState.SENT)
    assert switch.calls == (0 if reason else 1)


def test_too_many_to_one_prefix_are_not_sent(records, sender, due, switch):
    made = due(5)
    sender(replace(WIDE, texts_per_prefix=3)).run_once()
    assert (
        sorted(message.reason or "" for message in states(records, made))
        == ["", "", ""] + ["prefix_velocity"] * 2
    )
    assert switch.calls == 3


@pytest.mark.parametrize("limits", [{"spend_per_day": 0.2}, {"texts_per_prefix": 2}])
def test_attempts_that_did_not_go_are_not_paid_for(records, clock, sender, due, switch, limits):
    made = due(2)
    own = sender(replace(WIDE, **limits))
    switch.works = False
    for seconds in BACKOFF_SECONDS[:2]:
        own.run_once()
        clock.advance(seconds=seconds * 1.5)
    assert switch.calls == 4
    switch.works = True
    own.run_once()
    assert by_state(records, made) == ["sent"] * 2


def test_a_claim_that_got_too_old_uses_up_nothing(records, clock, sender, due, switch):
    made = due(1)
    once = {"messages_per_day": 1, "spend_per_day": 0.1, "texts_per_prefix": 1}
    sender(replace(WIDE, **once), ticks=count(step=10).__next__).run_once()
    assert switch.calls == 0
    clock.advance(seconds=BACKOFF_SECONDS[0] * 1.5)
    sender(replace(WIDE, **once)).run_once()
    assert by_state(records, made) == ["sent"]


def test_without_money_messages_wait_and_expire(records, clock, sender, due, switch):
    made = due(3)
    own = sender(replace(WIDE, spend_per_day=0.2))
    own.run_once()
    assert (switch.calls, sorted(by_state(records, made))) == (2, ["due", "sent", "sent"])
    assert own.run_once() == 0
    clock.set(NOW + timedelta(seconds=BREAD.shelf_life_seconds))
    own.run_once()
    assert sorted(by_state(records, made)) == ["expired", "sent", "sent"]
