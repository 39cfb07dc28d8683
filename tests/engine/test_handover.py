import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from campaigns.delivery.outbox import begin_attempt, lock_due
from consent.errors import StillSending
from engine.handover import START_LIMIT_SECONDS, STRIPES, open_handovers
from tests.engine.test_sender import NOW, CountingChannel, due, sender_to, stored  # noqa: F401

HOLD = """
import sys
from engine.handover import open_handovers
from engine.records import open_records
with open_handovers(open_records(sys.argv[1])).under_way("ana"):
    print("held", flush=True)
    sys.stdin.read()
"""


class Waits:
    """Notes each pause in place of waiting."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self, seconds):
        self.seconds += seconds


@pytest.fixture
def waits():
    return Waits()


@pytest.fixture
def handovers(records, waits):
    return open_handovers(records, wait_limit_seconds=0.1, pause=waits)


@contextmanager
def another_process(url):
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout.readline() == "held\n"
        yield child
    finally:
        child.kill()
        child.communicate()


def test_a_withdrawal_waits_for_the_hand_over_and_for_nobody_elses(handovers, waits):
    with handovers.under_way("ana"):
        with pytest.raises(StillSending):
            handovers.settle("ana")
        assert waits.seconds == pytest.approx(0.1)
        handovers.settle("ben")
    handovers.settle("ana")
    assert waits.seconds == pytest.approx(0.1)


def test_hand_overs_do_not_wait_for_each_other(handovers, waits):
    with handovers.under_way("ana"), handovers.under_way("ana"):
        assert waits.seconds == 0


def test_a_channel_that_fails_gives_the_lock_back(handovers):
    with pytest.raises(ZeroDivisionError), handovers.under_way("ana"):
        _ = 1 / 0
    handovers.settle("ana")


def test_a_process_that_stands_still_is_waited_for_and_a_dead_one_is_not(database_url, handovers):
    with another_process(database_url) as child:
        os.kill(child.pid, signal.SIGSTOP)
        with pytest.raises(StillSending):
            handovers.settle("ana")
        child.kill()
        child.wait()
        patient = handovers._locks
        while not patient.is_free("ana"):  # PostgreSQL notices the end of a connection in its own time
            pass
        handovers.settle("ana")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_message_left_half_way_is_waited_for_as_long_as_it_might_start(records, due, handovers, waits):  # noqa: F811
    with records.writes.begin() as connection:
        begin_attempt(connection, lock_due(connection, due.id), NOW)
    handovers.settle("ana")
    assert waits.seconds == pytest.approx(START_LIMIT_SECONDS)


def test_a_claim_that_has_grown_old_is_not_handed_over(records, clock, due):  # noqa: F811
    channel = CountingChannel()
    sender = sender_to(records, clock, channel)
    ticks = iter([0.0, START_LIMIT_SECONDS + 0.1, 10.0, 10.1])
    sender._ticks = lambda: next(ticks)
    sender.run_once()
    assert channel.sent == []
    assert stored(records).state == "due"
    clock.advance(seconds=60)
    sender.run_once()
    assert channel.sent == [due.id]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_connection_that_broke_takes_its_lock_along_and_does_not_come_back(records, handovers):
    locks = handovers._locks
    with locks.shared("ana") as held:
        assert held
        with records.writes.connect() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
            )
        while not locks.is_free("ana"):
            pass
    with locks.shared("ana") as held:
        assert held
    assert locks.is_free("ana")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_lock_files_are_few_and_empty(records, handovers, tmp_path):
    for number in range(200):
        handovers.settle(f"s{number}")
    files = list((tmp_path / "records.sqlite.handovers").iterdir())
    assert len(files) <= min(200, STRIPES)
    assert not any(file.stat().st_size for file in files)
