"""A store in trouble: out of memory, stalled, its disk full. The door says 503 and when to come back, nothing that was
accepted is lost, and all goes on by itself once the trouble is over.
"""

import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from engine.live import Live, gate_key, open_live, partition_of
from engine.log import SignalLog
from tests.service.crowd import Body, assert_same, send, set_up, settled, stream
from tests.service.process import Served, chaland

PINGS = 2_000
DEVICES = 10
BODY = 50
TIMEOUT_SECONDS = 1
SETTINGS = {
    "CHALAND_PING_AGE_LIMIT_SECONDS": "86400",
    "CHALAND_LIVE_TIMEOUT_SECONDS": str(TIMEOUT_SECONDS),
}
AT_ONCE = 20
DISK_BYTES = 8_000_000


@pytest.fixture(scope="module")
def bodies() -> list[Body]:
    return list(stream(14, time.time() - 3600, PINGS, DEVICES, BODY))


@pytest.fixture(scope="module")
def calm(bodies: list[Body], tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    folder = tmp_path_factory.mktemp("calm")
    with chaland("serve", data_dir=folder, **SETTINGS) as served, served.client() as client:
        set_up(client, DEVICES)
        for body in bodies:
            send(client, body)
        told = settled(client)
    assert len(told[0]) > 50
    return told


@contextmanager
def town(folder: Path) -> Iterator[tuple[Served, httpx2.Client]]:
    with chaland("serve", data_dir=folder, **SETTINGS) as served, served.client() as client:
        set_up(client, DEVICES)
        client.put("/v1/subjects/other", json={"devices": [{"device": "other-phone"}]}).raise_for_status()
        yield served, client


def server_of(served: Served) -> psutil.Process:
    """The live store's server, a child of the engine."""
    [server] = [each for each in psutil.Process(served.process.pid).children() if "valkey" in each.name()]
    return server


def post(client: httpx2.Client, body: Body) -> httpx2.Response:
    return client.post("/v1/pings", json={"pings": body})


def assert_come_back(answer: httpx2.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["content-type"] == "application/problem+json"


def test_out_of_memory(bodies: list[Body], calm: tuple[Any, Any], tmp_path: Path):
    with town(tmp_path) as (_, client):
        live = open_live("", tmp_path, partitions=4)
        for body in bodies[:20]:
            send(client, body)
        live.client.config_set("maxmemory", 1_000_000)
        assert live.client.info("memory")["used_memory"] > 1_000_000
        assert_come_back(post(client, bodies[20]))
        await_empty(live)  # what was accepted is worked through all the same
        assert withdraw(client).status_code == 201  # and a withdrawal is in force at once
        assert live.client.hget(gate_key(partition_of("other-phone", 4)), "other-phone") == b"0"
        assert client.get("/readyz").status_code == 200
        live.client.config_set("maxmemory", 0)
        for body in bodies[20:]:
            assert send(client, body) == 0
        live.close()
        assert_same(calm, settled(client))


def test_a_stalled_server(bodies: list[Body], calm: tuple[Any, Any], tmp_path: Path):
    """As when the disk does not answer an fsync."""
    with town(tmp_path) as (served, client), ThreadPoolExecutor(AT_ONCE) as senders:
        for body in bodies[:20]:
            send(client, body)
        server_of(served).send_signal(signal.SIGSTOP)
        began = time.monotonic()
        answers = [
            *senders.map(lambda body: post(client, body), [bodies[20]] * AT_ONCE),
            withdraw(client),
        ]
        took_seconds = time.monotonic() - began
        server_of(served).send_signal(signal.SIGCONT)
        for answer in answers:
            assert_come_back(answer)
        assert took_seconds < 6 * TIMEOUT_SECONDS
        for body in bodies[20:]:
            send(client, body)
        assert_same(calm, settled(client))
        print(f"{AT_ONCE} requests at once were told to come back within {took_seconds:.1f} s")


def test_a_full_disk(bodies: list[Body], calm: tuple[Any, Any], tmp_path: Path):
    with small_disk(tmp_path / "valkey"), town(tmp_path) as (_, client):
        filler = tmp_path / "valkey" / "filler"
        for body in bodies[:20]:
            send(client, body)
        fill(filler)
        assert_come_back(until_refused(client, bodies[20]))
        assert client.get("/healthz").status_code == 200
        filler.unlink()
        for body in bodies[20:]:
            send(client, body)
        assert_same(calm, settled(client))


def withdraw(client: httpx2.Client) -> httpx2.Response:
    """Somebody else allows no location any more."""
    entry = {"purpose": "location", "action": "withdraw", "source": "test"}
    return client.post("/v1/subjects/other/consents", json=entry)


def await_empty(live: Live) -> None:
    deadline = time.monotonic() + 20
    while SignalLog(live, 0).depth():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def until_refused(client: httpx2.Client, body: Body) -> httpx2.Response:
    """A last page may have been left on the disk."""
    deadline = time.monotonic() + 20
    while True:
        answer = post(client, body)
        if answer.status_code != 202:
            return answer
        assert time.monotonic() < deadline


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of its own, of a few megabytes."""
    folder.mkdir()
    size = f"size={DISK_BYTES}"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(file: Path) -> None:
    """Write until there is no room left."""
    with file.open("wb", buffering=0) as target:
        try:
            while target.write(b"x" * 4096):
                pass
        except OSError:
            return
