"""An installation to measure: the product as a newcomer would start it, on a data directory of its own, with
geofences, and phones whose shoppers allow location. What the environment says of another installation is not heeded.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from config import Settings
from config.settings import PREFIX
from consent import store as consent_store
from consent.entry import Action, Channel, Entry, Purpose
from consent.ledger import record
from consent.subject import Device, Subject
from engine.bench.work import name_of
from engine.clock import wall_clock
from engine.live import Live, done_key, lease_key, open_live
from engine.log import SignalLog
from engine.records import open_records
from engine.schema import upgrade
from geofences import store as geofence_store
from geofences.geofence import Geofence

KEY = "bench-key"
AGE_LIMIT_SECONDS = 86_400
"""Phones report every ten seconds by their clocks, which run faster here, so that a few make many pings."""
POLL_SECONDS = 0.02
LEASE_SECONDS = 10.0
PHONES_PER_SHOPPER = 10
"""More than most have, so that a ledger for many phones is soon written; a ping does not ask whose it is."""
FICTITIOUS = "+3363998{:04d}"
"""Numbers that the French regulator keeps for fiction; several shoppers share one here."""
DOOR, WORKER, LIVE_STORE = "door", "engine", "live store"


@dataclass(frozen=True, slots=True)
class Served:
    """A running installation: where its door is, its live store, its data, and the processes that are counted."""

    host: str
    port: int
    live: Live
    settings: Settings
    workers: Sequence[psutil.Process]
    processes: Mapping[int, str]
    """Process id -> what it is."""

    def cpu_seconds(self) -> dict[str, float]:
        """CPU time so far, by what the processes are."""
        spent = dict.fromkeys((DOOR, WORKER, LIVE_STORE), 0.0)
        for pid, name in self.processes.items():
            spent[name] += sum(psutil.Process(pid).cpu_times()[:2])
        return spent

    def depth(self) -> int:
        """Log entries that wait."""
        return SignalLog(self.live, 0).depth()

    def done(self) -> int:
        """Log entries that were ever processed."""
        counts = [self.live.client.get(done_key(each)) for each in range(self.live.partitions)]
        return sum(int(each) for each in counts if isinstance(each, bytes))

    def settle(self) -> None:
        """Wait until the log is worked off."""
        while self.depth():
            time.sleep(POLL_SECONDS)

    def shares(self) -> dict[str, int]:
        """How many partitions each worker holds."""
        held: dict[str, int] = {}
        for partition in range(self.live.partitions):
            lease = self.live.client.get(lease_key(partition))
            if isinstance(lease, bytes):
                owner = lease.decode().partition("#")[0]
                held[owner] = held.get(owner, 0) + 1
        return held


@contextmanager
def serving(settings: Settings, workers: int = 1) -> Iterator[Served]:
    """Run one process with the door and the sender, and so many with worker and decider, on a data directory that
    `fill` has filled.
    """
    log = (settings.data_dir / "processes.log").open("ab")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)} | {
        "CHALAND_DATA_DIR": str(settings.data_dir),
        "CHALAND_ADMIN_KEY": settings.admin_key,
        "CHALAND_LEASE_SECONDS": str(settings.lease_seconds),
        "CHALAND_PING_AGE_LIMIT_SECONDS": str(settings.ping_age_limit_seconds),
        "CHALAND_REQUESTS_PER_SECOND_LIMIT": "10000000",
        "CHALAND_COUNTRY_RULES": "off",  # so that the hour at which it is measured makes no difference
    }
    command = [sys.executable, "-m", "engine.cli", "serve", "--role"]
    started: list[subprocess.Popen[str]] = []

    def start(*role: str) -> None:
        words = [*command, *role]
        started.append(subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, stderr=log, text=True))

    live = None
    try:
        start("api", "--role", "sender", "--port", "0")
        start("engine")
        address = urlsplit(_url_of(started[0], settings.data_dir))
        live = open_live("", settings.data_dir, settings.partitions)
        served = Served(address.hostname or "", address.port or 0, live, settings, [], {})
        _await_workers(served, started)
        while len(started) <= workers:  # one by one, as each rebuilds the gate when it starts
            start("engine")
            _await_workers(served, started)
        pids = [each.pid for each in started]
        yield replace(served, workers=[psutil.Process(pid) for pid in pids[1:]], processes=_names(pids))
    finally:
        if live is not None:
            live.close()
        for process in reversed(started):
            process.send_signal(signal.SIGTERM)
        for process in started:
            with process:
                process.wait()
        log.close()


def _url_of(door: "subprocess.Popen[str]", folder: Path) -> str:
    assert door.stdout
    for line in door.stdout:
        if "http://" in line:
            return line.split(" is at ")[1].split()[0]
    raise RuntimeError(f"the door did not open: {_tail(folder)}")


def _await_workers(served: Served, started: Sequence["subprocess.Popen[str]"]) -> None:
    """Until every partition is owned, and shared evenly among the workers, which stand behind the door."""
    workers = len(started) - 1
    most = -(-served.live.partitions // workers)
    while sum(shares := served.shares().values()) < served.live.partitions or max(shares) > most:
        if any(each.poll() is not None for each in started):
            raise RuntimeError(f"a process ended at once: {_tail(served.settings.data_dir)}")
        time.sleep(POLL_SECONDS)


def _tail(folder: Path) -> str:
    return (folder / "processes.log").read_text(encoding="utf-8")[-2000:]


def _names(pids: Sequence[int]) -> dict[int, str]:
    """What the processes are, and their children, of which the live store's server is one."""
    names: dict[int, str] = {}
    for place, pid in enumerate(pids):
        names[pid] = WORKER if place else DOOR
        names |= {child.pid: LIVE_STORE for child in psutil.Process(pid).children(recursive=True)}
    return names


def settings_for(folder: Path, lease_seconds: float = LEASE_SECONDS) -> Settings:
    """The product's defaults on this data directory, but that old pings are taken."""
    return Settings(
        data_dir=folder,
        admin_key=KEY,
        lease_seconds=lease_seconds,
        ping_age_limit_seconds=AGE_LIMIT_SECONDS,
    )


def fill(settings: Settings, geofences: Sequence[Geofence], devices: int) -> None:
    """Put geofences and phones into the records store; every shopper allows location and offers by SMS."""
    records = open_records(settings.records_url, settings.vault_keys)
    try:
        upgrade(records)
        now = wall_clock()
        with records.writes.begin() as connection:
            geofence_store.put_many(connection, geofences, now)
            for first in range(0, devices, PHONES_PER_SHOPPER):
                phones = range(first, min(first + PHONES_PER_SHOPPER, devices))
                subject = _subject(first // PHONES_PER_SHOPPER, phones)
                consent_store.put_subject(connection, subject, now)
                record(connection, _grant(subject.id, Purpose.LOCATION, None, now))
                record(connection, _grant(subject.id, Purpose.MARKETING, Channel.SMS, now))
    finally:
        records.close()


def _subject(number: int, phones: Sequence[int]) -> Subject:
    return Subject(
        id=f"shopper-{number}",
        phone=FICTITIOUS.format(number % 10_000),
        locale="fr",
        devices=tuple(Device(name_of(each)) for each in phones),
    )


def _grant(subject: str, purpose: Purpose, channel: Channel | None, now: datetime) -> Entry:
    return Entry(
        id=f"{subject}-{purpose}",
        subject=subject,
        purpose=purpose,
        channel=channel,
        action=Action.GRANT,
        source="bench",
        text_version="1",
        at=now,
        recorded_at=now,
        actor="bench",
    )
