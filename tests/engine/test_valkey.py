import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from engine.live import Live, LiveStoreMismatch, open_live
from engine.valkey import start_valkey

OWNER = """
import sys, time
from pathlib import Path
from engine.live import open_live
live = open_live("", Path(sys.argv[1]), 4)
live.client.set("said", "by the owner")
print(live.child.process.pid, flush=True)
time.sleep(600)
"""


def test_the_data_survives_a_restart(tmp_path: Path):
    live = open_live("", tmp_path, 4)
    live.client.set("kept", "yes")
    live.close()
    again = open_live("", tmp_path, 4)
    assert again.client.get("kept") == b"yes"
    again.close()


def test_a_second_process_is_a_guest_and_leaves_the_server_running(tmp_path: Path):
    owner = open_live("", tmp_path, 4)
    guest = open_live("", tmp_path, 4)
    guest.client.set("said", "by the guest")
    guest.close()
    assert owner.client.get("said") == b"by the guest"
    owner.close()


def test_the_server_does_not_outlive_a_killed_owner_and_its_data_is_taken_over(tmp_path: Path):
    with _owner(tmp_path) as (owner, server_pid):
        owner.kill()
        owner.wait()
    heir = open_live("", tmp_path, 4)
    assert heir.client.get("said") == b"by the owner"
    assert heir.child
    assert heir.child.process
    assert heir.child.process.pid != server_pid
    _await_end(server_pid)
    heir.close()


def test_a_server_that_was_killed_is_started_again_with_all_that_it_answered(tmp_path: Path):
    live = open_live("", tmp_path, 4)
    assert live.child
    assert live.child.process
    live.client.set("kept", "yes")
    live.child.process.kill()
    _await(lambda: _get(live, "kept") == b"yes", "it was not started again")
    live.close()


def test_a_guest_takes_the_data_over_when_the_owner_has_gone(tmp_path: Path):
    with _owner(tmp_path) as (owner, _):
        guest = open_live("", tmp_path, 4)
        assert guest.child
        assert guest.child.process is None
        owner.kill()
        owner.wait()
        _await(lambda: guest.child.process is not None, "nobody took over")
        _await(lambda: _get(guest, "said") == b"by the owner", "the data is not there")
    guest.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who listens at a socket")
def test_a_server_that_nobody_owns_and_that_does_not_end_is_killed_before_another_opens_its_data(
    tmp_path: Path,
):
    live = open_live("", tmp_path, 4)
    live.client.set("kept", "yes")
    live.close()
    assert live.child
    left = live.child._spawn()
    _await(lambda: _get(live, "kept") == b"yes", "it did not start")
    left.send_signal(signal.SIGSTOP)
    heir = open_live("", tmp_path, 4)
    assert left.wait(timeout=1) == -signal.SIGKILL
    assert heir.client.get("kept") == b"yes"
    heir.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_the_server_ends_with_a_killed_owner_even_if_nobody_comes_after(tmp_path: Path):
    with _owner(tmp_path) as (owner, server_pid):
        owner.kill()
        owner.wait()
    _await_end(server_pid)


def test_a_long_data_directory_still_gets_a_socket(tmp_path: Path):
    deep = tmp_path / ("d" * 120)
    child = start_valkey(deep)
    with Redis(unix_socket_path=str(child.socket)) as client:
        assert client.ping()
    child.stop()


def test_another_number_of_partitions_is_refused(tmp_path: Path):
    open_live("", tmp_path, 4).close()
    with pytest.raises(LiveStoreMismatch, match="made with 4 partitions"):
        open_live("", tmp_path, 8)
    open_live("", tmp_path, 4).close()


def test_a_server_that_is_not_there_is_an_error_at_once(tmp_path: Path):
    with pytest.raises(RedisError):
        open_live("redis://127.0.0.1:1/0", tmp_path, 4)


@contextmanager
def _owner(data_dir: Path) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """A process that owns the server of a data directory, and the server's process id."""
    command = [sys.executable, "-c", OWNER, str(data_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout
            yield owner, int(owner.stdout.readline())
        finally:
            owner.kill()


def _get(live: Live, key: str) -> bytes | None:
    try:
        return live.client.get(key)
    except RedisError:
        return None


def _await_end(pid: int) -> None:
    def ended() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False

    _await(ended, "the server is still running")


def _await(holds: Callable[[], bool], failure: str) -> None:
    """Real processes work in real time; twenty seconds are far more than they need."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if holds():
            return
        time.sleep(0.01)
    pytest.fail(failure)
