from itertools import permutations

import pytest

from campaigns.delivery.channels.twilio_status import STATES
from campaigns.message import MessageState, after_receipt, derived_id

NEVER_LEFT = (MessageState.EXPIRED, MessageState.CANCELLED)


def final(was, reports):
    for report in reports:
        was = after_receipt(was, report)
    return was


@pytest.mark.parametrize("end", [MessageState.DELIVERED, MessageState.UNDELIVERED, MessageState.FAILED])
@pytest.mark.parametrize("was", [MessageState.SENDING, MessageState.UNKNOWN, MessageState.SENT])
def test_reports_in_any_order_twice_or_missing_end_the_same(was, end):
    words = [word for word, state in STATES.items() if state is MessageState.SENT]
    reports = [STATES[word] for word in words[:3]] + [end, end]
    for size in range(1, len(reports) + 1):
        for some in permutations(reports, size):
            assert final(was, some) is (end if end in some else MessageState.SENT)


@pytest.mark.parametrize("was", NEVER_LEFT)
@pytest.mark.parametrize("report", sorted(set(STATES.values())))
def test_what_never_left_the_house_stays_there(was, report):
    assert after_receipt(was, report) is was


def test_delivered_is_final():
    assert all(
        after_receipt(MessageState.DELIVERED, report) is MessageState.DELIVERED for report in STATES.values()
    )


def test_derived_ids_are_hex_and_tell_kinds_apart():
    assert len(derived_id("decision", "e", "c")) == 32
    assert derived_id("decision", "e", "c") != derived_id("message", "e", "c")
    assert derived_id("message", "1:a", "b") != derived_id("message", "1", "a1:b")
