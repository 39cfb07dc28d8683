import pytest

from campaigns.channels.channel import DeliveryError, Receipt
from consent import opt_in
from consent.inbound import InboundPolicy
from consent.store import put_subject
from consent.subject import Subject
from engine.asker import Asker
from engine.handover import open_handovers
from tests.consent.cast import grant, minute

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


@pytest.fixture
def asking(records, clock):
    with records.writes.begin() as connection:
        put_subject(connection, Subject("ute", phone="+4915112345678", locale="de"), minute(0))
        opt_in.ask(connection, grant(minute(0), subject="ute"), minute(0))

    def asker(phone):
        return Asker(records, phone, open_handovers(records), POLICY, clock)

    return asker


def test_a_number_is_asked_once_in_its_language_without_an_offer(asking):
    phone = Phone()
    assert asking(phone).run_once() == 1
    assert asking(phone).run_once() == 0
    [message] = phone.messages
    assert (message.to, message.valid_seconds) == ("+4915112345678", 48 * 3600)
    assert all(word in message.text for word in ("Bäckerei", "JA", "STOP", "030 990000"))
    assert "http" not in message.text


@pytest.mark.parametrize("unknown", [False, True])
def test_a_number_that_could_not_be_asked_is_not_asked_again(asking, unknown):
    phone = Phone(DeliveryError("no", permanent=False, outcome_unknown=unknown))
    asking(phone).run_once()
    assert asking(phone).run_once() == 0
    assert len(phone.messages) == 1
