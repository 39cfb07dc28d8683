"""Measures what a ping costs: end to end over HTTP, by stage in this process, and against a plain STRtree.

CPU seconds are of all the product's processes together, the live store's server included; the load generator is
this process and is not counted. The work has a fixed seed: pings in random order over a grid of circles, one in
twenty inside one.
"""

import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import psutil
import shapely
from tqdm import tqdm

from config import Settings
from consent import store as consent_store
from consent.entry import Action, Entry, Purpose
from consent.ledger import record
from consent.subject import Device, Subject
from engine.app import Engine
from engine.batch import Batch
from engine.clock import wall_clock
from engine.detection import World, detect
from engine.live import cursor_key, open_live, partition_of
from engine.signals import Fix, Signal, decode_pings
from geofences import store as geofence_store
from geofences.geofence import Geofence
from geofences.geojson import geofence_from_feature
from geofences.index import GeofenceIndex

SEED = 4
GEOFENCES = 1000
DEVICES = 2000
INSIDE_SHARE = 0.05
SIZES = (1, 10, 100, 1000)
PINGS = {1: 3_000, 10: 20_000, 100: 60_000, 1000: 100_000}
QUICK_PINGS = {1: 600, 10: 4_000, 100: 12_000, 1000: 20_000}
LATENCY_SAMPLES = 100
STAGE_PINGS = 20_000
GRID_DEGREES = 0.01
RADIUS_M = 100.0
ORIGIN = (2.0, 48.0)
KEY = "bench-key"


@dataclass(frozen=True, slots=True)
class _Work:
    """Generated pings, as columns."""

    devices: Sequence[str]
    lat: Any
    lon: Any

    def bodies(self, size: int, count: int, at: float) -> Iterator[bytes]:
        """Request bodies of `size` pings each; times count up, so that no device's ping is late."""
        rows = itertools.islice(itertools.cycle(range(len(self.devices))), count)
        pings = (
            {
                "device": self.devices[row],
                "at": round(at + number * 1e-4, 4),
                "lat": self.lat[row],
                "lon": self.lon[row],
                "accuracy": 12,
            }
            for number, row in enumerate(rows)
        )
        while chunk := list(itertools.islice(pings, size)):
            yield json.dumps({"pings": chunk}).encode()


def measure(*, quick: bool) -> dict[str, Any]:
    """Run everything; answers the figures that `chaland bench --json` writes."""
    work = _work()
    figures: dict[str, Any] = {"work": {"geofences": GEOFENCES, "devices": DEVICES, "inside": INSIDE_SHARE}}
    figures["stages"], figures["peers"] = _stages(work), {"strtree": _strtree(work)}
    pings = QUICK_PINGS if quick else PINGS
    with (
        tempfile.TemporaryDirectory(prefix="chaland-bench-") as folder,
        _serving(Path(folder)) as (client, process),
    ):
        rates = {}
        for size in tqdm(SIZES, desc="end to end", unit=" sizes", disable=not sys.stderr.isatty()):
            rates[str(size)] = round(_rate(client, process, work, size, pings[size]))
        figures["end_to_end"] = {
            "pings_per_cpu_second": rates,
            "latency_ms": _latency(client, work, Path(folder)),
        }
    ours = figures["stages"]["match"]["pings_per_cpu_second"]
    figures["peers"]["match_to_strtree_ratio"] = round(
        ours / figures["peers"]["strtree"]["pings_per_cpu_second"], 2
    )
    return figures


def table(figures: dict[str, Any]) -> str:
    """The figures as lines for people."""
    lines = ["end to end, pings per CPU second of all processes:"]
    lines += [
        f"  {size:>5} a body  {rate:>10,}"
        for size, rate in figures["end_to_end"]["pings_per_cpu_second"].items()
    ]
    latency = figures["end_to_end"]["latency_ms"]
    lines.append(f"ping sent to processed, idle: p50 {latency['p50']} ms, p99 {latency['p99']} ms")
    lines.append("stages, in one process:")
    lines += [
        f"  {name:<10} {each['microseconds_per_ping']:>7.2f} us a ping  {each['pings_per_cpu_second']:>10,} /CPU s"
        for name, each in figures["stages"].items()
    ]
    peer = figures["peers"]["strtree"]["pings_per_cpu_second"]
    lines.append(
        f"peer: shapely STRtree in process {peer:,} /CPU s; match is {figures['peers']['match_to_strtree_ratio']} x"
    )
    return "\n".join(lines)


def _work() -> _Work:
    random = np.random.default_rng(SEED)
    side = int(GEOFENCES**0.5) + 1
    lon = ORIGIN[0] + random.uniform(0, side * GRID_DEGREES, STAGE_PINGS)
    lat = ORIGIN[1] + random.uniform(0, side * GRID_DEGREES, STAGE_PINGS)
    inside = random.random(STAGE_PINGS) < INSIDE_SHARE
    cell = random.integers(0, GEOFENCES, STAGE_PINGS)
    lon[inside] = ORIGIN[0] + (cell[inside] % side) * GRID_DEGREES
    lat[inside] = ORIGIN[1] + (cell[inside] // side) * GRID_DEGREES
    devices = [f"device-{number}" for number in random.integers(0, DEVICES, STAGE_PINGS)]
    return _Work(devices, np.round(lat, 6).tolist(), np.round(lon, 6).tolist())


def _geofences() -> list[Geofence]:
    side = int(GEOFENCES**0.5) + 1
    return [
        geofence_from_feature(
            {
                "type": "Feature",
                "id": f"place-{number}",
                "properties": {"name": f"Place {number}", "radius": RADIUS_M, "timezone": "Europe/Paris"},
                "geometry": {
                    "type": "Point",
                    "coordinates": [
                        ORIGIN[0] + number % side * GRID_DEGREES,
                        ORIGIN[1] + number // side * GRID_DEGREES,
                    ],
                },
            }
        )
        for number in range(GEOFENCES)
    ]


def _stages(work: _Work) -> dict[str, Any]:
    index = GeofenceIndex.of(_geofences())
    at = wall_clock().timestamp()
    [body] = work.bodies(STAGE_PINGS, STAGE_PINGS, at)
    pings = decode_pings(body, STAGE_PINGS)
    signals = [
        Signal(ping.device, at, Fix(ping.at_seconds, ping.lat, ping.lon, ping.accuracy, None, None))
        for ping in pings
    ]
    lons, lats = np.array(work.lon), np.array(work.lat)
    reach = np.full(len(pings), 50.0)
    return {
        "decode": _timed(lambda: decode_pings(body, STAGE_PINGS)),
        "pack": _timed(lambda: Batch.of_reports([(at, pings)]).encoded()),
        "match": _timed(lambda: index.match(lons, lats, reach)),
        "detect": _timed(lambda: detect(World(index), {}, signals)),
    }


def _strtree(work: _Work) -> dict[str, Any]:
    degrees = RADIUS_M / 111_320
    tree = shapely.STRtree([shapely.Point(*_centre(each)).buffer(degrees) for each in _geofences()])
    return _timed(lambda: tree.query(shapely.points(work.lon, work.lat), predicate="within"))


def _centre(geofence: Geofence) -> tuple[float, float]:
    shape: Any = geofence.shape
    return shape.lon, shape.lat


def _timed(run: Callable[[], object]) -> dict[str, Any]:
    run()
    costs = []
    for _ in range(3):
        before = time.process_time()
        run()
        costs.append(time.process_time() - before)
    seconds = statistics.median(costs)
    return {
        "microseconds_per_ping": round(seconds / STAGE_PINGS * 1e6, 3),
        "pings_per_cpu_second": round(STAGE_PINGS / max(seconds, 1e-9)),
    }


@contextmanager
def _serving(folder: Path) -> Iterator[tuple[httpx2.Client, psutil.Process]]:
    settings = Settings(data_dir=folder, admin_key=KEY)
    _fill(settings)
    environ = os.environ | {
        "CHALAND_DATA_DIR": str(folder),
        "CHALAND_ADMIN_KEY": KEY,
        "CHALAND_REQUESTS_PER_SECOND_LIMIT": "1000000",
    }
    command = [sys.executable, "-m", "engine.cli", "serve", "--port", "0"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            url = next(line for line in process.stdout if "http://" in line).split(" is at ")[1].split()[0]
            headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
            with httpx2.Client(base_url=url, headers=headers, timeout=60) as client:
                yield client, psutil.Process(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)


def _fill(settings: Settings) -> None:
    engine = Engine(settings)
    engine.open()
    try:
        now = wall_clock()
        with engine.records.writes.begin() as connection:
            geofence_store.put_many(connection, _geofences(), now)
            for number in range(DEVICES):
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


def _rate(client: httpx2.Client, process: psutil.Process, work: _Work, size: int, count: int) -> float:
    bodies = list(work.bodies(size, count, wall_clock().timestamp()))
    before, goal = _cpu_seconds(process), _processed(client) + count
    for body in bodies:
        while (answer := client.post("/v1/pings", content=body)).status_code == 503:
            time.sleep(0.1)
        answer.raise_for_status()
    while _processed(client) < goal:
        time.sleep(0.05)
    return count / (_cpu_seconds(process) - before)


def _latency(client: httpx2.Client, work: _Work, folder: Path) -> dict[str, float]:
    """From sending one ping to its being processed and acknowledged in the live store, with nothing else to do."""
    live = open_live("", folder, Settings().partitions)
    took = []
    for body in work.bodies(1, LATENCY_SAMPLES, wall_clock().timestamp() + 10):
        key = cursor_key(partition_of(json.loads(body)["pings"][0]["device"], live.partitions))
        was, began = live.client.get(key), time.perf_counter()
        client.post("/v1/pings", content=body).raise_for_status()
        while live.client.get(key) == was:
            pass
        took.append((time.perf_counter() - began) * 1000)
    live.close()
    cuts = statistics.quantiles(took, n=100)
    return {"p50": round(cuts[49], 2), "p99": round(cuts[98], 2)}


def _processed(client: httpx2.Client) -> int:
    for line in client.get("/metrics/").text.splitlines():
        if line.startswith("chaland_pings_processed_total "):
            return int(float(line.split()[1]))
    return 0


def _cpu_seconds(process: psutil.Process) -> float:
    return sum(sum(each.cpu_times()[:2]) for each in (process, *process.children(recursive=True)))
