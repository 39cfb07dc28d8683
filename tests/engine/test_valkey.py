import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from engine.live import LiveStoreMismatch, open_live
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
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout
    server_pid = int(owner.stdout.readline())
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    heir = open_live("", tmp_path, 4)
    assert heir.client.get("said") == b"by the owner"
    assert heir.child
    assert heir.child.process
    assert heir.child.process.pid != server_pid
    _await_end(server_pid)
    heir.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_the_server_ends_with_a_killed_owner_even_if_nobody_comes_after(tmp_path: Path):
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout
    server_pid = int(owner.stdout.readline())
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
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


def _await_end(pid: int) -> None:
    """A real process ends in real time; ten seconds are far more than it needs."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    pytest.fail("the server is still running")
