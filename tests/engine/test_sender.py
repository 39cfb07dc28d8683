import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy.exc import OperationalError

from campaigns.campaign import CampaignState
from campaigns.decision_store import record_decision
from campaigns.delivery.channels.channel import Receipt
from campaigns.delivery.channels.sms_twilio import TwilioSms
from campaigns.delivery.outbox import BACKOFF_SECONDS, TAKEN_SECONDS, begin_attempt, lock_due
from campaigns.message import MessageState
from campaigns.message_store import messages_of
from campaigns.store import delete_campaign, put_campaign, set_state
from campaigns.tables import attempts
from consent import suppression
from consent.countries.hours import window_from_json
from consent.entry import Action, Channel, Entry, Purpose
from consent.errors import StillSending
from consent.ledger import record
from consent.store import delete_subject, mark_of_subject, put_subject
from consent.subject import Subject
from engine.handover import open_handovers
from engine.sender import ABANDONED_SECONDS, Sender
from tests.campaigns.cast import BAKERY, BREAD, decided
from tests.conftest import MONDAY_NINE
from tests.support.twilio_api import ACCOUNT_SID, AUTH_TOKEN, Fault, TwilioApi

NOW = MONDAY_NINE
PHONE = "+33639980001"


@pytest.fixture
def twilio():
    with TwilioApi() as api:
        yield api


def sender_to(records, clock, channel, **more):
    places = {"bakery": BAKERY}
    return Sender(
        reads=records.reads,
        writes=records.writes,
        channels={Channel.SMS: channel} if channel else {},
        place_of=lambda connection, geofence: places.get(geofence),
        now=clock,
        **({"handovers": open_handovers(records)} | more),
    )


@pytest.fixture
def sender(records, clock, twilio):
    sms = TwilioSms(ACCOUNT_SID, AUTH_TOKEN, from_="+33939000001", api_url=twilio.url, timeout_seconds=1.5)
    return sender_to(records, clock, sms)


def say(connection, action, purpose=Purpose.MARKETING, subject="ana", at=NOW - timedelta(hours=1)):
    entry = Entry(
        id=f"{subject}-{purpose}-{action}",
        subject=subject,
        purpose=purpose,
        channel=Channel.SMS if purpose is Purpose.MARKETING else None,
        action=action,
        source="test",
        text_version="v1",
        at=at,
        recorded_at=at,
        actor="test",
    )
    record(connection, entry)


def welcome(connection, subject="ana", phone=PHONE):
    put_subject(connection, Subject(subject, phone=phone, attributes={"first_name": "Ana"}), NOW)
    for purpose in (Purpose.LOCATION, Purpose.MARKETING):
        say(connection, Action.GRANT, purpose, subject)


@pytest.fixture
def due(records):
    """Ana allowed it all, the bread campaign is active, and one message is due."""
    decision, message = decided("fix-1")
    with records.writes.begin() as connection:
        welcome(connection)
        put_campaign(connection, BREAD, NOW)
        record_decision(connection, decision, message)
    return message


def stored(records, subject="ana"):
    with records.reads.connect() as connection:
        [message] = messages_of(connection, subject)
    return message


def tries(records):
    with records.reads.connect() as connection:
        return [row.outcome for row in connection.execute(attempts.select().order_by(attempts.c.number))]


def test_a_due_message_goes_out_once(records, clock, twilio, sender, due):
    assert sender.run_once() == 1
    message = stored(records)
    assert (message.state, message.sent_at) == (MessageState.SENT, NOW)
    [created] = twilio.messages.values()
    assert (created["sid"], created["to"], created["body"]) == (message.provider_id, PHONE, due.text)
    assert twilio.requests[0]["ValidityPeriod"] == "900"
    assert tries(records) == ["sent"]
    clock.advance(seconds=TAKEN_SECONDS)
    assert sender.run_once() == 0
    assert len(twilio.requests) == 1


def test_too_many_requests_are_repeated_after_a_pause(records, clock, twilio, sender, due):
    twilio.fail_next(Fault(429, 20429), Fault(429, 20429))
    sender.run_once()
    assert (stored(records).state, stored(records).error_code) == (MessageState.DUE, "20429")
    assert sender.run_once() == 0
    for pause_seconds in BACKOFF_SECONDS[:2]:
        clock.advance(seconds=pause_seconds * 1.5)
        sender.run_once()
    assert stored(records).state is MessageState.SENT
    assert tries(records) == ["retry", "retry", "sent"]
    assert len(twilio.messages) == 1


def test_every_repeat_asks_for_consent_again(records, clock, twilio, sender, due):
    twilio.fail_next(Fault(429, 20429))
    sender.run_once()
    with records.writes.begin() as connection:
        say(connection, Action.WITHDRAW, at=NOW)
    clock.advance(seconds=60)
    sender.run_once()
    assert (stored(records).state, stored(records).reason) == (MessageState.CANCELLED, "consent_withdrawn")
    assert len(twilio.requests) == 1


def test_a_final_refusal_is_not_repeated(records, clock, twilio, sender, due):
    twilio.fail_next(Fault(400, 21211))
    sender.run_once()
    assert (stored(records).state, stored(records).error_code) == (MessageState.FAILED, "21211")
    clock.advance(seconds=300)
    assert sender.run_once() == 0
    assert len(twilio.requests) == 1


@pytest.mark.parametrize(
    "fault", [Fault(hang=True, accept=True), Fault(drop=True, accept=True), Fault(500, 20500)]
)
def test_a_call_without_a_clear_answer_is_unknown_and_never_repeated(
    records, clock, twilio, sender, due, fault
):
    twilio.fail_next(fault)
    sender.run_once()
    assert stored(records).state is MessageState.UNKNOWN
    clock.advance(seconds=600)
    assert sender.run_once() == 0
    assert len(twilio.requests) == 1


def withdraw_marketing(connection):
    say(connection, Action.WITHDRAW, at=NOW)


def withdraw_by_a_fast_clock(connection):
    say(connection, Action.WITHDRAW, at=NOW + timedelta(seconds=50))


def withdraw_location(connection):
    say(connection, Action.WITHDRAW, Purpose.LOCATION, at=NOW)


def pause(connection):
    set_state(connection, "bread", CampaignState.PAUSED, NOW)


def end_by_the_clock(connection):
    put_campaign(connection, replace(BREAD, version=2, ends_at=NOW), NOW)


def delete(connection):
    delete_campaign(connection, "bread")


def close(connection):
    windows = (window_from_json({"days": ["mon"], "from": "10:00", "to": "20:00"}),)
    put_campaign(connection, replace(BREAD, version=2, windows=windows), NOW)


def erase(connection):
    delete_subject(connection, "ana")


def forget_number(connection):
    put_subject(connection, Subject("ana"), NOW)


def suppress(connection):
    """As a STOP from the number does, or the erasure of somebody else who has it too."""
    suppression.suppress(connection, mark_of_subject(connection, "ana"), suppression.Because.OPT_OUT, NOW)


def send_another_before(connection):
    record_decision(connection, *decided("earlier", at=NOW - timedelta(minutes=1)))
    message = next(m for m in messages_of(connection, "ana") if m.created_at < NOW)
    begin_attempt(connection, message, NOW)


@pytest.mark.parametrize(
    ("meanwhile", "reason"),
    [
        (withdraw_marketing, "consent_withdrawn"),
        (withdraw_by_a_fast_clock, "consent_withdrawn"),
        (withdraw_location, "location_consent_withdrawn"),
        (pause, "campaign_not_active"),
        (end_by_the_clock, "campaign_not_active"),
        (delete, "campaign_not_active"),
        (close, "outside_window"),
        (erase, "no_address"),
        (forget_number, "no_address"),
        (suppress, "suppressed"),
        (send_another_before, "cap_reached"),
    ],
)
def test_what_changes_between_decision_and_claim_cancels_without_a_call(
    records, twilio, sender, due, meanwhile, reason
):
    with records.writes.begin() as connection:
        meanwhile(connection)
    assert sender.run_once() == 1
    with records.reads.connect() as connection:
        message = next(m for m in messages_of(connection, "ana") if m.id == due.id)
    assert (message.state, message.reason) == (MessageState.CANCELLED, reason)
    assert twilio.requests == []


def test_a_stale_offer_expires_without_a_call(records, clock, twilio, sender, due):
    clock.set(due.valid_until)
    sender.run_once()
    assert (stored(records).state, stored(records).reason) == (MessageState.EXPIRED, "too_late")
    assert twilio.requests == []


def test_a_channel_that_is_not_set_up_cancels(records, clock, due):
    sender_to(records, clock, None).run_once()
    assert (stored(records).state, stored(records).reason) == (MessageState.CANCELLED, "no_channel")


def test_what_a_dead_process_left_is_unknown_and_not_sent(records, clock, twilio, sender, due):
    with records.writes.begin() as connection:
        begin_attempt(connection, lock_due(connection, due.id), NOW)
    sender.run_once()
    assert stored(records).state is MessageState.SENDING
    clock.advance(seconds=ABANDONED_SECONDS + 1)
    sender.run_once()
    assert stored(records).state is MessageState.UNKNOWN
    assert tries(records) == ["unknown"]
    assert twilio.requests == []


class BrokenChannel:
    """A channel with a bug that names the shopper."""

    def send(self, message):
        raise RuntimeError(f"cannot send {message.text} to {message.to}")


def test_a_channel_s_bug_leaves_the_outcome_unknown_and_the_log_clean(records, clock, due, caplog):
    with caplog.at_level(logging.DEBUG):
        sender_to(records, clock, BrokenChannel()).run_once()
    assert stored(records).state is MessageState.UNKNOWN
    assert "RuntimeError" in caplog.text
    assert PHONE not in caplog.text
    assert due.text not in caplog.text


def test_one_message_that_fails_takes_no_other_along(records, clock, due, caplog):
    class Handovers:
        """Cannot be had for Ana, and has a bug for Ben."""

        @contextmanager
        def under_way(self, subject):
            if subject == "ana":
                raise StillSending
            if subject == "ben":
                raise OperationalError("SELECT", {"phone": PHONE}, Exception("gone"))
            yield

    with records.writes.begin() as connection:
        for number, name in enumerate(("ben", "eve"), 2):
            welcome(connection, name, f"+3363998000{number}")
            record_decision(connection, *decided(name, subject=name))
    channel = CountingChannel()
    own = sender_to(records, clock, channel, handovers=Handovers())
    with ThreadPoolExecutor(2) as pool:
        assert own.run_once(pool=pool) == 3
    assert len(channel.sent) == 1
    assert [stored(records, name).state.value for name in ("ana", "ben", "eve")] == ["due", "due", "sent"]
    assert "OperationalError" in caplog.text
    assert PHONE not in caplog.text
    clock.advance(seconds=TAKEN_SECONDS)
    sender_to(records, clock, channel).run_once()
    assert len(channel.sent) == 3


def test_the_log_of_a_full_life_holds_nothing_personal(records, clock, twilio, sender, due, caplog):
    twilio.fail_next(Fault(429, 20429), Fault(400, 21211))
    with caplog.at_level(logging.DEBUG):
        sender.run_once()
        clock.advance(seconds=10)
        sender.run_once()
    assert due.id in caplog.text
    assert PHONE not in caplog.text
    assert PHONE[1:] not in caplog.text
    assert "fresh bread" not in caplog.text


class CountingChannel:
    """Counts what is handed over; safe to share between threads."""

    def __init__(self):
        self.sent = []

    def send(self, message):
        self.sent.append(message.id)  # list.append is atomic
        return Receipt(message.id)


def test_senders_side_by_side_send_each_message_once(records, clock):
    with records.writes.begin() as connection:
        put_campaign(connection, BREAD, NOW)
        for number in range(30):
            welcome(connection, f"s{number}", f"+3363998{number:04d}")
            record_decision(connection, *decided(f"fix-{number}", subject=f"s{number}"))
    channel = CountingChannel()

    def work(_):
        while sender_to(records, clock, channel).run_once(limit=4):
            pass

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert len(channel.sent) == len(set(channel.sent)) == 30


class StoppingChannel:
    """Sets the event after the first message."""

    def __init__(self, stop):
        self.stop, self.sent = stop, 0

    def send(self, message):
        self.sent += 1
        self.stop.set()
        return Receipt(None)


def test_the_loop_sends_and_stops_when_told(records, clock, due):
    with records.writes.begin() as connection:
        record_decision(connection, *decided("fix-2", campaign=replace(BREAD, id="cake")))
        put_campaign(connection, replace(BREAD, id="cake"), NOW)
    stop = threading.Event()
    channel = StoppingChannel(stop)
    loop = threading.Thread(target=sender_to(records, clock, channel, workers=1).run, args=(stop,))
    loop.start()
    loop.join(10)
    assert not loop.is_alive()
    assert channel.sent == 1


class ImpatientStop(threading.Event):
    """Notes every pause in place of waiting, and is set after the fourth."""

    def __init__(self):
        super().__init__()
        self.pauses = []

    def wait(self, timeout=None):
        self.pauses.append(timeout)
        if len(self.pauses) == 4:
            self.set()
        return self.is_set()


def test_a_store_that_fails_is_tried_again_after_growing_pauses(records, clock, due, caplog):
    def broken():
        raise OperationalError("INSERT", {"text": due.text, "phone": PHONE}, Exception("gone"))

    stop = ImpatientStop()
    sender_to(records, broken, CountingChannel()).run(stop)
    assert stop.pauses == [1.0, 2.0, 4.0, 8.0]
    assert "OperationalError" in caplog.text
    assert PHONE not in caplog.text


def test_a_withdrawal_under_way_is_waited_for_and_heeded(records, twilio, sender, due):
    sending = threading.Thread(target=sender.run_once)
    with records.writes.begin() as connection:
        say(connection, Action.WITHDRAW, at=NOW)
        sending.start()
        sending.join(0.3)
        assert sending.is_alive()
    sending.join(10)
    assert not sending.is_alive()
    assert (stored(records).state, stored(records).reason) == (MessageState.CANCELLED, "consent_withdrawn")
    assert twilio.requests == []
