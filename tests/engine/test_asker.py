import time
from contextlib import contextmanager
from dataclasses import replace
from itertools import count

import pytest

from campaigns.delivery.breaker import BreakerState
from campaigns.delivery.channels.channel import DeliveryError, Receipt
from campaigns.delivery.outbox import AttemptOutcome
from consent import opt_in
from consent.address import is_dead
from consent.entry import Channel
from consent.errors import StillSending
from consent.inbound import InboundPolicy
from consent.store import mark_of_subject, put_subject
from consent.subject import Subject
from consent.suppression import suppression_of
from engine.asker import Asker
from engine.handover import open_handovers
from engine.lines import SECOND_YES, Lines
from tests.consent.cast import grant, minute
from tests.engine.test_lines import LIMITS

NAMES = {
    "+4915112345678": "ute",
    "+4915112345670": "eva",
    "+4915112345671": "ida",
    "+41791200000": "zoe",
}
WIDE = {"texts_per_prefix": 99, "spend_per_day": 99.0}
POLICY = InboundPolicy(brand="Bäckerei", contact="030 990000")


class Phone:
    """What the number was sent; fails if told to."""

    def __init__(self, error=None):
        self.error = error
        self.messages = []

    def send(self, message):
        self.messages.append(message)
        if self.error:
            raise self.error
        return Receipt(None)

    @property
    def asked(self):
        """Who, by their numbers."""
        return [NAMES[message.to] for message in self.messages]


@pytest.fixture
def asking(records, clock, live):
    with records.writes.begin() as connection:
        put_subject(connection, Subject("ute", phone="+4915112345678", locale="de"), minute(0))
        opt_in.ask(connection, grant(minute(0), subject="ute"), minute(0))

    def asker(phone, handovers=None, ticks=time.monotonic, **limits):
        lines = Lines(live, {Channel.SMS: replace(LIMITS, **limits)}, clock)
        locks, countries = handovers or open_handovers(records), frozenset({"DE"})
        return Asker(records, phone, locks, POLICY, clock, lines, countries, ticks)

    return asker


def test_a_number_is_asked_once_in_its_language_without_an_offer(asking):
    phone = Phone()
    assert asking(phone).run_once() == 1
    assert asking(phone).run_once() == 0
    [message] = phone.messages
    assert (message.to, message.valid_seconds) == ("+4915112345678", 48 * 3600)
    assert all(word in message.text for word in ("Bäckerei", "JA", "STOP", "030 990000"))
    assert "http" not in message.text
    assert "ute" not in message.id, "the provider is not told our id of the shopper"


@pytest.fixture
def lines(live, clock):
    return Lines(live, {Channel.SMS: LIMITS}, clock)


@pytest.fixture
def more(records):
    def add(*names, phone="+491511234567{}"):
        with records.writes.begin() as connection:
            for number, name in enumerate(names):
                put_subject(connection, Subject(name, phone=phone.format(number), locale="de"), minute(0))
                opt_in.ask(connection, grant(minute(1), subject=name), minute(1))

    return add


@pytest.mark.parametrize(("permanent", "unknown"), [(True, False), (False, True)])
def test_a_number_that_may_have_been_asked_or_never_can_be_is_not_asked_again(asking, permanent, unknown):
    phone = Phone(DeliveryError("no", permanent=permanent, outcome_unknown=unknown))
    asking(phone).run_once()
    assert asking(phone).run_once() == 0
    assert len(phone.messages) == 1


def test_a_text_that_surely_did_not_go_is_tried_again_for_a_while_and_costs_nothing(asking, more, clock):
    more("eva")
    phone = Phone(DeliveryError("no", permanent=False, busy=True, retry_after_seconds=7))
    once = {"texts_per_prefix": 1, "spend_per_day": 0.5}
    assert asking(phone, **once).run_once() == 1, "the first that fails ends the run"
    assert asking(phone, **once).run_once() == 0, "the line is left alone"
    clock.advance(seconds=8)
    phone.error = None
    assert asking(phone, **once).run_once() == 1
    assert phone.asked == ["ute", "ute"]


def test_its_calls_are_counted_beside_those_of_offers_and_open_the_line_s_breaker(
    asking, more, lines, records
):
    more("eva", "ida")
    phone = Phone()
    asking(phone, **WIDE).run_once()
    phone.error = DeliveryError("no", permanent=True, code="20003", shut_out=True)
    more("kim", phone="+4915112345675")
    asking(phone, **WIDE).run_once()
    counted = {outcome: lines.counted(SECOND_YES, outcome) for outcome in AttemptOutcome}
    assert counted == {"sent": 3, "failed": 1, "retry": 0, "unknown": 0}
    assert [lines.counted(Channel.SMS, outcome) for outcome in ("sent", "failed")] == [3, 1]
    for _ in range(9):
        asking(phone, **WIDE).run_once()
    assert lines.breakers()[Channel.SMS].state is BreakerState.OPEN
    assert len(phone.messages) == 3 + 5
    with records.reads.connect() as connection:
        assert opt_in.due(connection, 9) == ["kim"], "whose credentials were refused has not asked"


def test_no_further_number_is_asked_once_the_line_is_down(asking, more, lines):
    more(*(f"n{number}" for number in range(8)))
    phone = Phone(DeliveryError("no answer", permanent=False, outcome_unknown=True))
    assert asking(phone, **WIDE).run_once() == 5
    assert lines.counted(SECOND_YES, AttemptOutcome.UNKNOWN) == 5


def test_a_channel_s_bug_counts_as_a_call_that_nobody_knows_of(asking, lines, caplog):
    asking(Phone(RuntimeError("+4915112345678"))).run_once()
    assert asking(Phone()).run_once() == 0
    assert lines.counted(SECOND_YES, AttemptOutcome.UNKNOWN) == 1
    assert "+49" not in caplog.text


@pytest.mark.parametrize(("code", "dead", "suppressed"), [("21211", True, False), ("21610", False, True)])
def test_what_the_provider_says_of_the_number_is_heeded(asking, records, code, dead, suppressed):
    asking(Phone(DeliveryError("no", permanent=True, code=code))).run_once()
    with records.writes.begin() as connection:
        assert is_dead(connection, "ute", Channel.SMS) is dead
        assert (suppression_of(connection, mark_of_subject(connection, "ute")) is not None) is suppressed
        assert not opt_in.confirm(connection, "SM1", "ute", minute(2)), "nothing waits for a yes"


def test_a_claim_that_got_too_old_is_not_handed_over(asking, lines):
    phone = Phone()
    assert asking(phone, ticks=count(step=10).__next__).run_once() == 0
    assert phone.messages == []
    once = {"texts_per_prefix": 1, "spend_per_day": 0.5, "messages_per_day": 1}
    assert asking(phone, **once).run_once() == 1


def test_it_is_not_tried_for_ever(asking, clock):
    phone = Phone(DeliveryError("no", permanent=False))
    clock.advance(seconds=opt_in.TRIED_FOR.total_seconds())
    assert [asking(phone).run_once() for _ in range(2)] == [1, 0]


def test_requests_keep_to_the_line(asking, more, clock):
    more("eva", "ida")
    phone = Phone()
    poor = {"spend_per_day": 0.3, "segment_price": 0.2}
    assert asking(phone, messages_per_day=1, **poor).run_once() == 1
    assert asking(phone, messages_per_day=1, **poor).run_once() == 0
    assert asking(phone, **poor).run_once() == 0, "the money is used up"
    clock.advance(seconds=600)
    assert asking(phone).run_once() == 2
    assert len({message.id for message in phone.messages}) == 3
    assert sorted(phone.asked) == ["eva", "ida", "ute"]


def test_numbers_that_get_no_texts_are_not_asked(asking, more):
    more("zoe", phone="+4179120000{}")
    more("eva", "ida")
    phone = Phone()
    own = asking(phone, texts_per_prefix=2)
    own.run_once()
    assert phone.asked == ["ute", "eva"]
    assert own.run_once() == 0


def test_one_number_that_cannot_be_had_keeps_no_other_from_being_asked(asking, more, records, caplog):
    class Handovers:
        @contextmanager
        def under_way(self, subject):
            if subject == "ute":
                raise StillSending
            if subject == "eva":
                raise RuntimeError("+4915112345670")
            yield

    more("eva", "ida")
    phone = Phone()
    asking(phone, Handovers()).run_once()
    assert phone.asked == ["ida"]
    assert "+49" not in caplog.text
    with records.reads.connect() as connection:
        assert opt_in.due(connection, 9) == ["ute", "eva"]
