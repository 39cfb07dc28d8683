"""What a ping costs stage by stage: the product's own parts in this process, one after the other, each timed at the
door that the next one calls it by. CPU time of this thread, and of the live store's server beside it.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psutil

from config import Settings
from engine.ahead import Ahead, InStep
from engine.bench.work import Feed, name_of
from engine.clock import wall_clock
from engine.decider import Decider
from engine.gate import ALLOWED_FIRST, ConsentGate
from engine.intake import Intake
from engine.leases import Leases
from engine.live import BatchedScript, Live, gate_key, open_live, partition_of
from engine.log import LogEntry, SignalLog
from engine.places import Places
from engine.records import Records, open_records
from engine.signals import SignalKind
from engine.worker import Worker
from geofences.geofence import Geofence
from geofences.index import Floats, GeofenceIndex, Matches

BODY = 100
"""Pings of a body."""
BODIES_AT_ONCE = 20
"""Bodies that share an append, and then a round of the worker."""
GATE_AT_ONCE = 10_000
LEASE_SECONDS = 86_400.0
"""Nobody else wants the partitions, and nothing renews the leases here."""
STAGES = ("decode", "append", "read", "fetch", "match", "detect", "commit", "decide")
"""In the order of a ping's way; `append` includes packing, `read` unpacking."""


@dataclass(slots=True)
class Spent:
    """CPU seconds: of our process, and of the live store's server."""

    ours: float = 0.0
    server: float = 0.0


class Meter:
    """Adds up what stages spend. A stage within another counts to itself alone."""

    def __init__(self) -> None:
        self.spent: dict[str, Spent] = {name: Spent() for name in STAGES}
        self.server: psutil.Process | None = None
        self._within: list[str] = []
        self._ours = self._server = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what is spent inside to this stage."""
        self._turn()
        self._within.append(name)
        try:
            yield
        finally:
            self._turn()
            self._within.pop()

    def clear(self) -> None:
        """Begin again at nothing."""
        self.spent = {name: Spent() for name in self.spent}

    def _turn(self) -> None:
        ours = time.thread_time()
        server = sum(self.server.cpu_times()[:2]) if self.server else 0.0
        if self._within:
            spent = self.spent[self._within[-1]]
            spent.ours += ours - self._ours
            spent.server += server - self._server
        self._ours, self._server = time.thread_time(), server


class _MeteredLive(Live):
    meter: Meter

    def batched(self, name: str, *, durable: bool = False, as_one: bool = False) -> BatchedScript:
        script, meter = super().batched(name, durable=durable, as_one=as_one), self.meter
        if name not in meter.spent:
            return script

        def call(calls: Sequence[tuple[Sequence[str], Sequence[Any]]]) -> list[Any]:
            with meter.stage(name):
                return script(calls)

        return call

    def ahead(self, *names: str) -> Ahead:
        """Scripts that are waited for where they are called, so that the server's time counts to the same stage."""
        return InStep({name: self.batched(name) for name in names})


class _MeteredLog(SignalLog):
    meter: Meter

    def read(self, cursors: Mapping[int, bytes], count: int, block_ms: int) -> dict[int, list[LogEntry]]:
        with self.meter.stage("read"):
            return super().read(cursors, count, block_ms)


class _SettledPlaces(Places):
    """Places that are given, and that nobody edits."""

    def refresh(self) -> None:
        """Do nothing."""


class _MeteredIndex(GeofenceIndex):
    meter: Meter

    def match(self, lons: Floats, lats: Floats, pads_m: Floats) -> Matches:
        with self.meter.stage("match"):
            return super().match(lons, lats, pads_m)


@dataclass(slots=True)
class Line:
    """The whole way of a ping in one process: `feed` it pings; `meter` holds what they cost."""

    live: Live
    intake: Intake
    log: SignalLog
    worker: Worker
    index: GeofenceIndex
    decider: Decider | None
    meter: Meter
    pings: int = 0
    events: int = 0
    gate_us_per_shopper: float = 0.0
    """What it took to project the ledger onto the gate."""
    _closing: list[Any] = field(default_factory=list)

    @property
    def decide_us_per_event(self) -> float:
        """CPU microseconds of an event at the decider."""
        spent = self.meter.spent["decide"]
        return (spent.ours + spent.server) / max(self.events, 1) * 1e6

    def feed(self, bodies: Sequence[bytes]) -> None:
        """Take bodies of pings all the way, so many at once."""
        for first in range(0, len(bodies), BODIES_AT_ONCE):
            arrivals = []
            with self.meter.stage("decode"):
                for body in bodies[first : first + BODIES_AT_ONCE]:
                    reports = self.intake.read(SignalKind.PINGS, body)
                    arrivals.append((reports.received_at, reports.timely))
            with self.meter.stage("append"):
                self.log.append(arrivals)
            with self.meter.stage("detect"):
                while self.worker.run_once():
                    pass
            assert not self.log.depth(), "the worker has left something undone"
            self.pings += sum(len(each) for _, each in arrivals)
            with self.meter.stage("decide"):
                while self.decider and (taken := self.decider.run_once()):
                    self.events += taken

    def take(self, feed: Feed, pings: int, seconds: float = float("inf")) -> None:
        """Feed so many pings, or what can be fed in so many seconds."""
        until, at_once = time.monotonic() + seconds, BODY * BODIES_AT_ONCE
        for first in range(0, pings, at_once):
            if first and time.monotonic() > until:
                return
            _, bodies = feed.take(min(at_once, pings - first), BODY)
            self.feed(bodies)

    def begin(self) -> None:
        """Count from here on."""
        self.worker.refresh()
        self.meter.clear()
        self.pings = self.events = 0

    def close(self) -> None:
        """Stop everything."""
        self.worker.close()
        for each in self._closing:
            each.close()

    def table(self) -> dict[str, dict[str, float]]:
        """Microseconds a ping by stage: of our process, of the live store's, and of both."""
        return {
            name: {
                "microseconds_per_ping": round((spent.ours + spent.server) / self.pings * 1e6, 3),
                "ours": round(spent.ours / self.pings * 1e6, 3),
                "live_store": round(max(spent.server, 0.0) / self.pings * 1e6, 3),
                "pings_per_cpu_second": round(self.pings / max(spent.ours + spent.server, 1e-9)),
            }
            for name, spent in self.meter.spent.items()
        }


def open_line(
    settings: Settings, geofences: Sequence[Geofence], devices: int, *, records: Records | None = None
) -> Line:
    """A line on an empty data directory, where so many phones may be heard. With `records`, in which geofences and
    phones are, its ledger says who may be heard, and events are decided upon too.
    """
    meter = Meter()
    opened = open_live("", settings.data_dir, settings.partitions)
    live = _MeteredLive(opened.client, opened.partitions, opened.child, opened.durability)
    live.meter = meter
    assert opened.child
    assert opened.child.process
    meter.server = psutil.Process(opened.child.process.pid)
    gate_us = 0.0
    if records:
        with meter.stage("decide"):
            subjects = ConsentGate(live, records, wall_clock).rebuild()
        spent = meter.spent["decide"]
        gate_us = (spent.ours + spent.server) / max(subjects, 1) * 1e6
    else:
        allow(live, devices)
    unread = open_records(settings.records_url, settings.vault_keys)
    places = _SettledPlaces(unread)
    index = _MeteredIndex.of(geofences)
    assert isinstance(index, _MeteredIndex)
    index.meter = meter
    places.index = index
    log = _MeteredLog(live, settings.log_limit_entries)
    log.meter = meter
    leases = Leases(live, "bench", LEASE_SECONDS)
    worker = Worker(
        live,
        log,
        leases,
        places,
        wall_clock,
        batch_entries=settings.batch_entries,
        state_expiry_seconds=settings.state_expiry_seconds,
        event_limit_entries=settings.event_limit_entries,
        log_kept_entries=settings.log_limit_entries // 2,
    )
    worker.refresh()
    decider = Decider(live, records, leases, wall_clock) if records else None
    return Line(
        live=live,
        intake=Intake(settings, wall_clock),
        log=log,
        worker=worker,
        index=index,
        decider=decider,
        meter=meter,
        gate_us_per_shopper=gate_us,
        _closing=[unread, live],
    )


def allow(live: Live, devices: int) -> None:
    """Open the gate for phones, as the ledger's projection does."""
    for first in range(0, devices, GATE_AT_ONCE):
        verdicts: dict[int, dict[Any, Any]] = {}
        for device in range(first, min(first + GATE_AT_ONCE, devices)):
            name = name_of(device)
            verdicts.setdefault(partition_of(name, live.partitions), {})[name] = ALLOWED_FIRST
        with live.client.pipeline(transaction=False) as pipeline:
            for partition, each in verdicts.items():
                pipeline.hset(gate_key(partition), mapping=each)
            pipeline.execute()
