"""What all processes together may call, kept in a real live store."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from campaigns.delivery.breaker import BreakerPolicy, BreakerState
from consent.entry import Channel
from engine.lines import Grant, LineLimits, Lines, NoLines, Short
from engine.sending_figures import troubles

LIMITS = LineLimits(
    sender="+33939000001",
    per_second=20,
    sender_per_second=10,
    messages_per_day=100,
    spend_per_day=1.0,
    segment_price=0.1,
    texts_per_prefix=3,
    prefix_window_seconds=600,
)
SMS = Channel.SMS


@pytest.fixture
def lines(live, clock):
    def opened(**changes):
        return Lines(live, {SMS: replace(LIMITS, **changes)}, clock, BreakerPolicy())

    return opened


def test_a_sender_s_bucket_fills_by_the_second_and_all_processes_draw_from_it(lines, clock):
    one, other = lines(), lines()
    assert one.grant(SMS, 6) == Grant(6)
    assert other.grant(SMS, 6) == Grant(4, Short.RATE)
    assert one.grant(SMS, 1) == Grant(0, Short.RATE)
    clock.advance(seconds=0.25)
    assert one.grant(SMS, 50) == Grant(2, Short.RATE)
    clock.advance(hours=1)
    assert one.grant(SMS, 50).count == 10, "a long rest gives no more than a second's worth"


def test_senders_share_the_channel_s_bucket(lines):
    assert lines(sender="A").grant(SMS, 50).count == 10
    assert lines(sender="B").grant(SMS, 50).count == 10
    assert lines(sender="C").grant(SMS, 50) == Grant(0, Short.RATE)


def test_what_was_not_used_is_given_back(lines):
    several = lines()
    several.grant(SMS, 10)
    several.unused(SMS, 4)
    assert several.grant(SMS, 50).count == 4


def test_a_rate_below_one_a_second_is_kept_too(lines, clock):
    slow = lines(sender_per_second=0.5)
    granted = 0
    for _ in range(100):
        granted += slow.grant(SMS, 5).count
        clock.advance(seconds=1)
    assert granted == 50


def test_a_day_has_so_many_messages(lines, clock):
    several = lines(messages_per_day=13, sender_per_second=1000, per_second=1000)
    assert [several.grant(SMS, 6).count for _ in range(3)] == [6, 6, 1]
    assert several.grant(SMS, 6) == Grant(0, Short.DAY)
    assert several.used_up(SMS) == {Short.DAY}
    assert troubles(several) == [
        "nothing is left today of the messages for sms; what is due waits, and may expire"
    ]
    clock.advance(days=1)
    assert several.grant(SMS, 6).count == 6


def test_a_day_has_so_much_money(lines, clock):
    several = lines(texts_per_prefix=100)
    assert [several.spend(SMS, "+33639980001", 3) for _ in range(4)] == [Short.NOTHING] * 3 + [Short.SPEND]
    assert several.used_up(SMS) == frozenset()
    assert several.spend(SMS, "+33639980001", 1) is Short.NOTHING
    assert several.used_up(SMS) == {Short.SPEND}
    clock.advance(days=1)
    assert several.spend(SMS, "+33639980001", 10) is Short.NOTHING


def test_what_did_not_go_is_not_spent(lines, clock):
    several = lines()
    for _ in range(9):
        assert several.spend(SMS, "+33639980001", 2) is Short.NOTHING
        several.unspend(SMS, "+33639980001", 2)
    several.unspend(SMS, "+33639980001", 2)
    assert [several.spend(SMS, "+33639980001", 2) for _ in range(4)] == [Short.NOTHING] * 3 + [Short.PREFIX]
    clock.advance(days=1)
    several.unspend(SMS, "+33639980001", 3)
    several = lines(texts_per_prefix=100)
    assert [several.spend(SMS, "+33639980001", 5) for _ in range(3)] == [Short.NOTHING] * 2 + [Short.SPEND]


def test_numbers_of_one_prefix_get_so_many_texts_within_a_window(lines, clock):
    several = lines(spend_per_day=1000)
    pumped = [several.spend(SMS, f"+99636398{number:04d}", 1) for number in range(5)]
    assert pumped == [Short.NOTHING] * 3 + [Short.PREFIX] * 2
    assert several.spend(SMS, "+99636410000", 1) is Short.NOTHING
    clock.advance(seconds=600)
    assert several.spend(SMS, "+99636398000", 1) is Short.NOTHING


def test_a_busy_provider_is_left_alone_for_as_long_as_it_says(lines, clock):
    one, other = lines(), lines()
    one.busy(SMS, 7)
    assert other.grant(SMS, 5) == Grant(0, Short.PAUSE)
    clock.advance(seconds=6.9)
    assert other.grant(SMS, 5).count == 0
    clock.advance(seconds=0.2)
    assert other.grant(SMS, 5).count == 5
    one.busy(SMS, None)
    assert other.grant(SMS, 5).count == 0
    one.busy(SMS, 1e9)
    clock.advance(seconds=301)
    assert other.grant(SMS, 5).count == 5


def test_all_processes_share_one_breaker_and_one_probe(lines, clock):
    one, other = lines(), lines()
    for teller in (one, other, one, other, one):
        teller.heard(SMS, well=False)
    assert other.grant(SMS, 5) == Grant(0, Short.BREAKER)
    assert (one.is_good(SMS), other.is_good(SMS)) == (False, False)
    assert troubles(one) == ["calls over sms fail; the next is tried at 08:00:30 UTC"]
    clock.advance(seconds=30)
    assert one.grant(SMS, 5) == Grant(1, Short.BREAKER)
    assert other.grant(SMS, 5) == Grant(0, Short.BREAKER)
    assert other.breakers()[SMS].state is BreakerState.HALF_OPEN
    one.unused(SMS)
    assert other.grant(SMS, 5).count == 1
    other.heard(SMS, well=True)
    assert one.grant(SMS, 5) == Grant(5)


def test_no_result_is_lost_however_many_tell_at_once(lines, clock):
    several = [lines(), lines()]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda each: each.heard(SMS, well=True, outcome="sent"), several * 30))
    assert several[0].breakers()[SMS].calls == 60
    assert several[0].counted(SMS, "sent") == 60


def test_a_result_for_a_breaker_that_others_have_opened_is_counted_and_closes_nothing(lines):
    one, other = lines(), lines()
    one.heard(SMS, well=True, outcome="sent")
    for _ in range(5):
        other.heard(SMS, well=False)
    one.heard(SMS, well=True, outcome="sent")
    assert one.breakers()[SMS].state is BreakerState.OPEN
    assert not one.is_good(SMS)
    assert one.counted(SMS, "sent") == 2


def test_a_channel_without_limits_is_not_bounded():
    lines = NoLines()
    assert lines.grant(SMS, 99) == Grant(99)
    assert lines.spend(SMS, "+33639980001", 9) is Short.NOTHING
    lines.heard(SMS, well=False)
    lines.busy(SMS, 5)
    lines.unused(SMS)
    assert lines.is_good(SMS)
    assert lines.breakers() == {}
