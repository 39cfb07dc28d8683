"""Load for benchmarks: starts the product as a newcomer would, in two processes, sends it bodies over many
connections at once, and counts the CPU time of everything that it runs, its live store included. The sender is the
calling process and is not counted.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from config import Settings
from consent import store as consent_store
from consent.entry import Action, Entry, Purpose
from consent.ledger import record
from consent.subject import Device, Subject
from engine.app import Engine
from engine.clock import wall_clock
from engine.live import Live, lease_key, open_live
from engine.log import SignalLog
from geofences import store as geofence_store
from geofences.geofence import Geofence

KEY = "bench-key"
CONNECTIONS = 64
POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Served:
    """A running installation: where its door is, its live store, and the processes that are counted."""

    host: str
    port: int
    live: Live
    processes: Sequence[psutil.Process]

    def cpu_seconds(self) -> dict[str, float]:
        """CPU time so far, by process."""
        return {_name(each): sum(each.cpu_times()[:2]) for each in self.processes}

    def depth(self) -> int:
        """Log entries that wait."""
        return SignalLog(self.live, 0).depth()


@contextmanager
def serving(folder: Path, geofences: Sequence[Geofence], devices: int) -> Iterator[Served]:
    """Run one process with the door and one with everything else, on a data directory with this many phones whose
    shoppers allow location.
    """
    settings = Settings(data_dir=folder, admin_key=KEY)
    _fill(settings, geofences, devices)
    environ = os.environ | {
        "CHALAND_DATA_DIR": str(folder),
        "CHALAND_ADMIN_KEY": KEY,
        "CHALAND_REQUESTS_PER_SECOND_LIMIT": "10000000",
    }
    command = [sys.executable, "-m", "engine.cli", "serve"]
    door = subprocess.Popen(
        [*command, "--role", "api", "--port", "0"], env=environ, stdout=subprocess.PIPE, text=True
    )
    engine = None
    try:
        assert door.stdout
        url = next(line for line in door.stdout if "http://" in line).split(" is at ")[1].split()[0]
        engine = subprocess.Popen([*command, "--role", "engine"], env=environ, stdout=subprocess.DEVNULL)
        address = urlsplit(url)
        live = open_live("", folder, settings.partitions)
        while not all(live.client.exists(lease_key(each)) for each in range(live.partitions)):
            time.sleep(POLL_SECONDS)
        first, second = psutil.Process(engine.pid), psutil.Process(door.pid)
        processes = [first, second, *first.children(recursive=True), *second.children(recursive=True)]
        yield Served(address.hostname or "", address.port or 0, live, processes)
        live.close()
    finally:
        for process in (engine, door):
            if process is not None:
                process.send_signal(signal.SIGTERM)
                process.wait()


def send(served: Served, bodies: Sequence[bytes], *, per_second: float | None = None) -> None:
    """Post every body once, over many connections; at this pace, or as fast as they are answered."""
    asyncio.run(_send(served, bodies, per_second))


def settle(served: Served) -> None:
    """Wait until the log is worked off."""
    while served.depth():
        time.sleep(POLL_SECONDS)


async def _send(served: Served, bodies: Sequence[bytes], per_second: float | None) -> None:
    waiting = iter(bodies)
    began, sent = time.monotonic(), 0

    async def one() -> None:
        nonlocal sent
        reader, writer = await asyncio.open_connection(served.host, served.port)
        for body in waiting:
            if per_second is not None:
                await asyncio.sleep(max(began + sent / per_second - time.monotonic(), 0))
            sent += 1
            while not await _posted(reader, writer, body):  # noqa: ASYNC110  # another process's readiness
                await asyncio.sleep(0.05)
        writer.close()

    await asyncio.gather(*(one() for _ in range(min(CONNECTIONS, len(bodies)))))


async def _posted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> bool:
    """False when the door asks to come back."""
    writer.write(
        b"POST /v1/pings HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n" % (KEY.encode(), len(body))
    )
    writer.write(body)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    answer = await reader.readexactly(length)
    status = int(head.split(b" ", 2)[1])
    if status not in (202, 429, 503):
        raise RuntimeError(f"the door answered {status}: {answer[:200]!r}")
    return status == 202


def _name(process: psutil.Process) -> str:
    words = process.cmdline()
    if "api" in words:
        return "door"
    return "engine" if "engine" in words else "live store"


def _fill(settings: Settings, geofences: Sequence[Geofence], devices: int) -> None:
    engine = Engine(settings)
    engine.open()
    try:
        now = wall_clock()
        with engine.records.writes.begin() as connection:
            geofence_store.put_many(connection, geofences, now)
            for number in range(devices):
                name = f"device-{number}"
                subject = Subject(
                    id=name,
                    phone=None,
                    locale="fr",
                    timezone=None,
                    attributes={},
                    devices=(Device(name, None),),
                )
                consent_store.put_subject(connection, subject, now)
                record(
                    connection,
                    Entry(
                        id=f"entry-{number}",
                        subject=name,
                        purpose=Purpose.LOCATION,
                        channel=None,
                        action=Action.GRANT,
                        source="bench",
                        text_version="1",
                        at=now,
                        recorded_at=now,
                        actor="bench",
                    ),
                )
        engine.gate.rebuild()
    finally:
        engine.close()
