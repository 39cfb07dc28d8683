from datetime import timedelta

from consent.address import Failure, forget_subject, is_dead, note_failure, revive
from consent.entry import Channel
from tests.consent.cast import minute

SMS = Channel.SMS
DAY = timedelta(days=1)


def fail(connection, message, at_days=0.0, strikes=3, subject="ana"):
    failure = Failure(message, "30003", strikes, 14 * DAY, minute(0) + at_days * DAY)
    return note_failure(connection, subject, SMS, failure)


def test_the_third_strike_is_the_end_and_nobody_elses(records):
    with records.writes.begin() as connection:
        assert [fail(connection, f"m{number}", number) for number in range(4)] == [False, False, True, True]
        assert is_dead(connection, "ana", SMS)
        assert not is_dead(connection, "ben", SMS)
        assert not is_dead(connection, "ana", Channel.PUSH)


def test_a_message_strikes_once(records):
    with records.writes.begin() as connection:
        assert not any(fail(connection, "m1") for _ in range(9))


def test_strikes_that_are_far_apart_do_not_add_up(records):
    with records.writes.begin() as connection:
        assert not any(fail(connection, f"m{number}", number * 15) for number in range(9))


def test_the_dead_stay_dead_until_the_subject_is_heard(records):
    with records.writes.begin() as connection:
        assert fail(connection, "m1", strikes=1)
        assert fail(connection, "m2", 400)
        revive(connection, ["ana", "ben"], SMS)
        assert not is_dead(connection, "ana", SMS)
        fail(connection, "m3", strikes=1)
        forget_subject(connection, "ana")
        assert not is_dead(connection, "ana", SMS)
