"""What geofences and phones weigh, and what a ping costs among so many of them: measured in a process of its own, so
that nothing else is in its memory.
"""

import gc
import multiprocessing
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import isinf
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
import psutil

from engine.bench.installation import settings_for
from engine.bench.stages import open_line
from engine.bench.work import EVERY_SECONDS, Feed, make_geofences, make_work
from engine.clock import wall_clock
from engine.live import Live, device_prefix, due_key, gate_key, log_key
from geofences.index import GeofenceIndex

P = ParamSpec("P")
T = TypeVar("T")

EDITS = 50
MOVED_DEGREES = 0.001
BULK_SHARE = 0.01
PAD_M = 50.0
MATCHED = 20_000
SAMPLED_PHONES = 200_000
"""Of a larger crowd everybody reports once, and so many go on; they are too many for a processor's cache."""
SAMPLED_KEYS = 500


@dataclass(frozen=True, slots=True)
class IndexFootprint:
    """An index of so many geofences: seconds to build it, microseconds of an edit, of a ping where nobody was yet and
    where somebody was, and bytes.
    """

    geofences: int
    build_seconds: float
    put_microseconds: float
    remove_microseconds: float
    bulk_edit_seconds: float
    """Of moving one in a hundred at once."""
    match_cold_microseconds: float
    match_warm_microseconds: float
    bytes_per_geofence: float

    def table(self) -> dict[str, float]:
        """The figures as they are written to a file."""
        return {name: round(value, 3) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class CrowdFootprint:
    """So many phones among so many geofences: CPU microseconds of a ping by stage, and bytes of a phone."""

    geofences: int
    devices: int
    pings: int
    microseconds_by_stage: dict[str, float]
    followed_share: float
    worker_bytes_per_device: float
    store_bytes_per_idle_device: float
    store_bytes_per_followed_device: float
    log_bytes_per_ping: float

    @property
    def microseconds_per_ping(self) -> float:
        """All stages together."""
        return sum(self.microseconds_by_stage.values())

    def table(self) -> dict[str, Any]:
        """The figures as they are written to a file."""
        rounded = {
            name: round(value, 3) for name, value in asdict(self).items() if not isinstance(value, dict)
        }
        return rounded | {
            "microseconds_per_ping": round(self.microseconds_per_ping, 3),
            "microseconds_by_stage": self.microseconds_by_stage,
        }


def apart(seconds: float, run: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
    """What `run` answers in a fresh process; None when it takes longer than so many seconds."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(
        target=_answer, args=(theirs, run, *args), kwargs=kwargs
    )
    process.start()
    theirs.close()
    try:
        return cast("T", ours.recv()) if ours.poll(None if isinf(seconds) else seconds) else None
    except EOFError:
        raise RuntimeError(f"{run.__name__} ended without an answer") from None
    finally:
        process.kill()
        process.join()


def _answer(to: Connection, run: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> None:
    to.send(run(*args, **kwargs))


def weigh_index(count: int) -> IndexFootprint:
    """Build an index of so many geofences, edit it, and ask it. Wants a process of its own."""
    before = _resident_bytes()
    geofences = make_geofences(count)
    began = time.process_time()
    index = GeofenceIndex.of(geofences)
    built = time.process_time() - began
    held = _resident_bytes() - before
    work = make_work(MATCHED, 1, count)
    pads = np.full(MATCHED, PAD_M)
    cold, warm = (_cpu_seconds(lambda: index.match(work.lon, work.lat, pads)) for _ in range(2))
    numbers = range(0, count, max(count // EDITS, 1))
    few = make_geofences(count, only=numbers, shift_degrees=MOVED_DEGREES)
    put = _cpu_seconds(lambda: deque(map(index.put, few), 0))
    ids = [each.id for each in few]
    removed = _cpu_seconds(lambda: deque(map(index.remove, ids), 0))
    numbers = range(0, count, int(1 / BULK_SHARE))
    many = make_geofences(count, only=numbers, shift_degrees=2 * MOVED_DEGREES)
    changes: list[Any] = [(each.id, each) for each in many]
    bulk = _cpu_seconds(lambda: index.change(changes))
    return IndexFootprint(
        geofences=count,
        build_seconds=built,
        put_microseconds=put / len(few) * 1e6,
        remove_microseconds=removed / len(few) * 1e6,
        bulk_edit_seconds=bulk,
        match_cold_microseconds=cold / MATCHED * 1e6,
        match_warm_microseconds=warm / MATCHED * 1e6,
        bytes_per_geofence=held / count,
    )


def weigh_crowd(geofences: int, devices: int, warm_rounds: int, rounds: int) -> CrowdFootprint:
    """Let so many phones report; wants a process of its own. What a ping costs is measured over the last `rounds` of
    at most `SAMPLED_PHONES`, after `warm_rounds` of theirs and one of everybody.
    """
    with tempfile.TemporaryDirectory(prefix="chaland-bench-") as folder:
        line = open_line(settings_for(Path(folder)), make_geofences(geofences), devices)
        try:
            before = _resident_bytes()
            line.begin()
            now = wall_clock().timestamp()
            ago = (warm_rounds + rounds) * EVERY_SECONDS
            line.take(Feed(make_work(devices, 1, geofences), now - ago), devices)
            log_bytes = _log_bytes(line.live) / line.pings
            held = _resident_bytes() - before
            phones = min(devices, SAMPLED_PHONES)
            feed = Feed(make_work(phones, warm_rounds + rounds, geofences), now)
            line.take(feed, phones * warm_rounds)
            line.begin()
            line.take(feed, phones * rounds)
            idle, followed, share = _store_bytes(line.live, devices)
            stages = {
                name: each["microseconds_per_ping"] for name, each in line.table().items() if name != "decide"
            }
            return CrowdFootprint(
                geofences, devices, line.pings, stages, share, held / devices, idle, followed, log_bytes
            )
        finally:
            line.close()


def _store_bytes(live: Live, devices: int) -> tuple[float, float, float]:
    """Bytes in the live store of a phone that is only known, of one that is followed besides, and the share of these."""
    ask: Any = live.client.execute_command
    partitions = range(live.partitions)
    gates = sum(ask("MEMORY", "USAGE", gate_key(each), "SAMPLES", 0) or 0 for each in partitions)
    tracks: list[bytes] = []
    followed = timers = timer_bytes = 0
    for each in partitions:
        names = list(live.client.scan_iter(f"{device_prefix(each)}*", count=10_000))
        followed += len(names)
        tracks += cast("list[bytes]", names[:SAMPLED_KEYS])
        timers += int(ask("ZCARD", due_key(each)))
        timer_bytes += ask("MEMORY", "USAGE", due_key(each), "SAMPLES", 0) or 0
    track_bytes = [ask("MEMORY", "USAGE", name) or 0 for name in tracks]
    mean = sum(track_bytes) / max(len(track_bytes), 1)
    return gates / devices, mean + timer_bytes / max(timers, 1), followed / devices


def _log_bytes(live: Live) -> int:
    """Of the signal log, which keeps what was processed for a few minutes."""
    ask: Any = live.client.execute_command
    return sum(ask("MEMORY", "USAGE", log_key(each), "SAMPLES", 0) or 0 for each in range(live.partitions))


def _cpu_seconds(run: Callable[[], object]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


def _resident_bytes() -> int:
    gc.collect()
    return psutil.Process().memory_info().rss
