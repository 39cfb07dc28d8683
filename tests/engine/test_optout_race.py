"""No message starts once a withdrawal has been answered, however sending and withdrawing interleave, whoever dies when.

`pytest tests/engine/test_optout_race.py --interleavings 10000` tries that many on each database.
"""

from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from random import Random

import pytest
from sqlalchemy import event

from campaigns.decision_store import forget_subject, record_decision
from campaigns.delivery.channels.channel import DeliveryError, Receipt
from campaigns.store import put_campaign
from consent.desk import Desk
from consent.entry import Channel, Purpose
from consent.errors import StillSending, SubjectNotFound
from consent.inbound import InboundPolicy
from consent.store import delete_subject
from engine.handover import Handovers, open_handovers
from engine.sender import Sender
from tests.campaigns.cast import BAKERY, BREAD, decided
from tests.conftest import MONDAY_NINE
from tests.consent.cast import withdraw
from tests.engine.test_sender import welcome
from tests.support.turns import play, point

POLICY = InboundPolicy(brand="Bakery", contact="01 99 00 00 01")
CAKE = replace(BREAD, id="cake")
WAIT_SECONDS = 0.3


class Line:
    """A provider whose calls begin and end as turns come; keeps what happened, in order."""

    def __init__(self, log, random):
        self.log = log
        self.random = random

    def send(self, message):
        point()
        self.log.append("call")
        point()
        self.log.append("end")
        if self.random.random() < 0.1:
            raise DeliveryError("busy", permanent=False)
        return Receipt(message.id)


class Rehearsal:
    """One subject with messages that are due, senders, and somebody who withdraws."""

    def __init__(self, records, clock, handovers, number, seed):
        self.records = records
        self.clock = clock
        self.handovers = handovers
        self.subject = f"s{number}"
        self.phone = f"+336{number:08d}"
        self.random = Random(seed)  # a repeatable one
        self.log = []
        self.desk = Desk(
            reads=records.reads,
            writes=records.writes,
            now=clock,
            withdrawing=lambda _subject: None,
            changed=lambda _subject: None,
            settle=handovers.settle,
            records_of={},
            on_erasure=[forget_subject],
            forget_devices=lambda _devices: None,
            settle_erasures=lambda: None,
        )

    def __enter__(self):
        with self.records.writes.begin() as connection:
            welcome(connection, self.subject, self.phone)
            for campaign in self.random.sample([BREAD, CAKE], self.random.randrange(1, 3)):
                record_decision(connection, *decided(self.subject, campaign=campaign, subject=self.subject))
        return self

    def __exit__(self, *_):
        with self.records.writes.begin() as connection:
            forget_subject(connection, self.subject)
            delete_subject(connection, self.subject)

    def play(self, *, crashes):
        """How many crashed."""
        senders = [self.send] * self.random.randrange(1, 3)
        withdrawals = [self.withdrawal()] * self.random.randrange(1, 3)
        return play([*senders, *withdrawals], self.random, crashes=crashes)

    def send(self):
        Sender(
            reads=self.records.reads,
            writes=self.records.writes,
            channels={Channel.SMS: Line(self.log, self.random)},
            place_of=lambda _connection, _geofence: BAKERY,
            handovers=self.handovers,
            now=self.clock,
        ).run_once()

    def withdrawal(self):
        """One of the ways to withdraw, as somebody who asks for it sees it."""
        way = self.random.choice(
            [self.text, self.text, self.withdraw_marketing, self.withdraw_location, self.erase]
        )

        def withdraw_and_note():
            try:
                way()
            except StillSending:
                self.log.append("unconfirmed")
            except SubjectNotFound:
                self.log.append("erased by the other")
            else:
                self.log.append("answer")

        return withdraw_and_note

    def text(self):
        self.desk.hear(
            sid=f"SM{self.subject}", from_number=self.phone, body="STOP", opt_out_type=None, policy=POLICY
        )

    def withdraw_marketing(self):
        self.desk.record(withdraw(MONDAY_NINE, subject=self.subject))

    def withdraw_location(self):
        self.desk.record(withdraw(MONDAY_NINE, subject=self.subject, purpose=Purpose.LOCATION))

    def erase(self):
        self.desk.erase(self.subject, "test")

    def calls_after_the_answer(self):
        """How many messages started after the first answer, also by a sender that comes later."""
        if "answer" not in self.log:
            return 0
        self.send()
        return self.log[self.log.index("answer") :].count("call")


class NoLocks:
    """What there would be without any: everybody may, at any time."""

    @contextmanager
    def shared(self, _subject):
        yield True

    def is_free(self, _subject):
        return True


@pytest.fixture
def records(records):
    event.listen(records.writes, "checkout", lambda *_: point())  # before each transaction
    with records.writes.begin() as connection:
        for campaign in (BREAD, CAKE):
            put_campaign(connection, campaign, MONDAY_NINE)
    return records


def rehearse(records, clock, handovers, number):
    """What became of one interleaving, by kind."""
    with Rehearsal(records, clock, handovers, number, f"{records.writes.dialect.name} {number}") as rehearsal:
        crashed = rehearsal.play(crashes=number % 2 == 1)
        late = rehearsal.calls_after_the_answer()
    log = rehearsal.log
    answered = log.index("answer") if "answer" in log else len(log)
    return Counter(
        interleavings=1,
        answered="answer" in log,
        unconfirmed="unconfirmed" in log,
        crashed=crashed,
        sent_before="call" in log[:answered],
        calls_after=late,
    )


def test_no_message_starts_after_the_answer(records, clock, request, tell):
    handovers = open_handovers(records, wait_limit_seconds=WAIT_SECONDS, pause=lambda _seconds: point())
    told = Counter()
    for number in range(request.config.getoption("--interleavings")):
        told += (came := rehearse(records, clock, handovers, number))
        assert came["calls_after"] == 0, f"interleaving {number}"
    kinds = ("interleavings", "answered", "sent_before", "crashed", "unconfirmed", "calls_after")
    said = ", ".join(f"{kind.replace('_', ' ')} {told[kind]}" for kind in kinds)
    tell(f"opt-out against sending on {records.writes.dialect.name}: {said}")
    assert told["answered"] > told["interleavings"] / 2
    assert told["sent_before"]
    assert told["crashed"]


def test_without_locks_the_same_interleavings_find_messages_that_start_too_late(records, clock):
    handovers = Handovers(NoLocks(), lambda _subject: False)
    assert sum(rehearse(records, clock, handovers, number)["calls_after"] for number in range(100))
