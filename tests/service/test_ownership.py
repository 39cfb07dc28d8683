"""Several engines share the partitions: one joins, one leaves, one is paused and wakes up late, in mid-stream. Nothing
is lost, nothing doubled.
"""

import signal
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import httpx2

from engine.live import Live, lease_key, open_live
from tests.service.crowd import Body, assert_same, send, set_up, settled, stream
from tests.service.process import Served, chaland

PINGS = 5_000
DEVICES = 25
BODY = 50
PARTITIONS = 8
SETTINGS = {
    "CHALAND_PING_AGE_LIMIT_SECONDS": "86400",
    "CHALAND_PARTITIONS": str(PARTITIONS),
    "CHALAND_LEASE_SECONDS": "1",
}


def shares(live: Live, engines: list[Served]) -> list[int]:
    """How many partitions each engine holds."""
    with live.pipeline() as pipeline:
        for partition in range(PARTITIONS):
            pipeline.get(lease_key(partition))
        leases = pipeline.execute()
    held = Counter(lease.decode().partition("-")[0] for lease in leases if lease)
    return [held[str(engine.process.pid)] for engine in engines]


def await_shares(live: Live, engines: list[Served], expected: list[int]) -> None:
    """Real processes share in real time."""
    deadline = time.monotonic() + 20
    while sorted(shares(live, engines)) != expected:
        assert time.monotonic() < deadline, shares(live, engines)
        time.sleep(0.05)


def test_engines_come_and_go_and_every_ping_is_processed_once(tmp_path: Path):
    bodies = list(stream(13, time.time() - 3600, PINGS, DEVICES, BODY))
    portions = [bodies[start : start + len(bodies) // 5] for start in range(0, len(bodies), len(bodies) // 5)]
    for folder in ("calm", "shared"):
        (tmp_path / folder).mkdir()
    with chaland("serve", data_dir=tmp_path / "calm", **SETTINGS) as served, served.client() as client:
        set_up(client, DEVICES)
        for body in bodies:
            send(client, body)
        calm = settled(client)
    with ExitStack() as stack:

        def engine() -> Served:
            return stack.enter_context(
                chaland("serve", "--role", "engine", data_dir=tmp_path / "shared", **SETTINGS)
            )

        roles = ("--role", "api", "--role", "sender")
        door = stack.enter_context(chaland("serve", *roles, data_dir=tmp_path / "shared", **SETTINGS))
        client = stack.enter_context(door.client())
        live = open_live("", tmp_path / "shared", PARTITIONS)
        stack.callback(live.close)
        set_up(client, DEVICES)
        engines = [engine()]
        await_shares(live, engines, [8])
        feed(client, portions[0])
        engines += [engine(), engine()]
        feed(client, portions[1])
        await_shares(live, engines, [2, 3, 3])
        engines.pop().process.terminate()  # an orderly leave hands over at once
        feed(client, portions[2])
        await_shares(live, engines, [4, 4])
        engines[0].process.send_signal(signal.SIGSTOP)
        feed(client, portions[3])
        await_shares(live, engines, [0, 8])
        engines[0].process.send_signal(signal.SIGCONT)
        feed(client, portions[4])
        await_shares(live, engines, [4, 4])
        shared = settled(client)
    assert len(calm[0]) > 200
    assert_same(calm, shared)


def feed(client: httpx2.Client, bodies: list[Body]) -> None:
    for body in bodies:
        send(client, body)
