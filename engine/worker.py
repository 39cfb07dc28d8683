"""The engine worker: takes a micro-batch of fixes from its partitions, detects what happened, and commits states,
events and acknowledgement of each partition in one atomic, fenced step.
"""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import msgspec
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from engine import metrics, track
from engine.clock import Now
from engine.detection import Detection, Signal, World, decode_track, detect, encode_track, only, tick
from engine.leases import Leases
from engine.live import (
    Live,
    cursor_key,
    device_prefix,
    due_key,
    events_key,
    gate_key,
    lease_key,
    log_key,
    partition_of,
)
from engine.log import LogEntry, SignalLog
from engine.places import Places
from engine.track import Track
from geofences.event import PlaceEvent

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
"""Pause after a store did not answer."""
TIMERS_AT_ONCE = 500
"""Phones of one partition whose timers are looked at in one round."""
EVENT_ENCODER = msgspec.msgpack.Encoder()


class Worker:
    """Owns partitions by lease and works through their logs. One thread uses it."""

    def __init__(
        self,
        live: Live,
        log: SignalLog,
        leases: Leases,
        places: Places,
        now: Now,
        *,
        batch_entries: int,
        state_expiry_seconds: int,
        event_limit_entries: int,
    ) -> None:
        self._live = live
        self._log = log
        self._leases = leases
        self._places = places
        self._now = now
        self._world = World(places.index, places.beacons)
        self._followed = (0, 0)
        self._batch_entries = batch_entries
        self._state_expiry_ms = state_expiry_seconds * 1000
        self._event_limit_entries = event_limit_entries
        self._commit = live.script("commit")
        self._cursors: dict[int, bytes] = {}
        self._due_at: dict[int, float] = {}

    def run(self, stop: threading.Event, refresh_seconds: float) -> None:
        """Work until told to stop; leases are renewed by the caller's `refresh_seconds` at the latest."""
        ticks = _Every(refresh_seconds)
        while not stop.is_set():
            try:
                if ticks.due():
                    self.refresh()
                self.run_once(block_ms=100)
            except (RedisError, SQLAlchemyError) as error:
                logger.warning("worker: a store did not answer (%s); trying again", type(error).__name__)
                self._cursors.clear()
                stop.wait(RETRY_SECONDS)
        self.close()

    def close(self) -> None:
        """Hand the partitions over."""
        try:
            self._leases.release_all()
        except RedisError:
            logger.warning("worker: leases could not be given back; they run out by themselves")

    def refresh(self) -> None:
        """Renew leases, and forget the place reached in partitions that have gone to others."""
        self._leases.refresh()
        held = self._leases.held
        self._cursors = {partition: each for partition, each in self._cursors.items() if partition in held}
        for partition in held:
            if partition not in self._cursors:
                self._cursors[partition] = self._log.cursor(partition)
                self._due_at[partition] = self._first_due(partition)

    def run_once(self, block_ms: int = 0) -> int:
        """Process one micro-batch of every owned partition that has one, and the timers of those that are caught up
        with. Answers how many log entries and timers it took.
        """
        self._places.refresh()
        if self._places.edits != self._followed:
            self._world.follow(self._places.index, self._places.beacons)
            self._followed = self._places.edits
        ready = self._with_room_for_events()
        if not ready:
            threading.Event().wait(block_ms / 1000)
            return 0
        batches = self._log.read(ready, self._batch_entries, max(block_ms, 1))
        if batches:
            self._take(batches)
        caught_up = [each for each in ready if len(batches.get(each, ())) < self._batch_entries]
        return sum(len(entries) for entries in batches.values()) + self._tick(caught_up)

    def _take(self, batches: Mapping[int, Sequence[LogEntry]]) -> None:
        signals = _signals([entry for entries in batches.values() for entry in entries])
        known = self._tracks_of({signal.device for signal in signals})
        heard = only(signals, known)
        for stranger in {signal.device for signal in signals} - known.keys():
            self._world.crowd.forget(stranger)
        detection = detect(self._world, {name: each for name, each in known.items() if each}, heard)
        by_partition = self._by_partition(detection.tracks)
        for partition, entries in batches.items():
            self._commit_one(partition, entries[-1].id, detection, by_partition.get(partition, ()))
        metrics.PINGS_PROCESSED.inc(len(heard))
        metrics.PINGS_LATE.inc(detection.late)

    def _tick(self, partitions: Iterable[int]) -> int:
        """Say what is due by the clock in partitions without a backlog, where a silent phone is truly silent."""
        now = self._now().timestamp()
        taken = 0
        for partition in partitions:
            if self._due_at.get(partition, float("inf")) > now or partition not in self._cursors:
                continue
            names = self._live.client.zrange(
                due_key(partition), 0, int(now * 1000), byscore=True, offset=0, num=TIMERS_AT_ONCE
            )
            devices = [name.decode() for name in cast("list[bytes]", names)]
            known = self._tracks_of(devices)
            tracks = {name: each for name, each in known.items() if each}
            detection = tick(self._world, tracks, now)
            settled = Detection({**tracks, **detection.tracks}, detection.events, 0)
            self._commit_one(partition, self._cursors[partition], settled, devices, now)
            if partition in self._cursors:
                self._due_at[partition] = self._first_due(partition)
            taken += len(devices)
        return taken

    def _first_due(self, partition: int) -> float:
        """When the first timer of a partition is due, by our clock."""
        first = cast(
            "list[tuple[bytes, float]]", self._live.client.zrange(due_key(partition), 0, 0, withscores=True)
        )
        return first[0][1] / 1000 if first else float("inf")

    def _with_room_for_events(self) -> dict[int, bytes]:
        """The cursors of the partitions in which decisions have not fallen too far behind."""
        with self._live.client.pipeline(transaction=False) as pipeline:
            for partition in self._cursors:
                pipeline.xlen(events_key(partition))
            depths = cast("list[int]", pipeline.execute())
        return {
            partition: cursor
            for (partition, cursor), depth in zip(self._cursors.items(), depths, strict=True)
            if depth < self._event_limit_entries
        }

    def _tracks_of(self, devices: Iterable[str]) -> dict[str, Track | None]:
        """The tracks of the devices that may still be heard; None for one that has none yet."""
        by_partition = self._by_partition(set(devices))
        with self._live.client.pipeline(transaction=False) as pipeline:
            for partition, names in by_partition.items():
                pipeline.hmget(gate_key(partition), names)
                pipeline.mget([device_prefix(partition) + name for name in names])
            answers = cast("list[list[bytes | None]]", pipeline.execute())
        tracks: dict[str, Track | None] = {}
        for names, gates, found in zip(by_partition.values(), answers[::2], answers[1::2], strict=True):
            for name, gate, state in zip(names, gates, found, strict=True):
                if gate == b"1":
                    tracks[name] = decode_track(state) if state else None
        return tracks

    def _by_partition(self, devices: Iterable[str]) -> dict[int, list[str]]:
        grouped: dict[int, list[str]] = defaultdict(list)
        for device in devices:
            grouped[partition_of(device, self._live.partitions)].append(device)
        return grouped

    def _commit_one(
        self,
        partition: int,
        last_id: bytes,
        detection: Detection,
        devices: Sequence[str],
        after: float = 0.0,
    ) -> None:
        """Write what was detected of these devices. `after` is the moment up to which timers have been looked at: a
        timer that could not be told by then never will be.
        """
        state_parts: list[Any] = []
        for device in devices:
            each = detection.tracks.get(device)
            due_at = track.due_at(each, self._world.index.get) if each else None
            due_ms = "" if due_at is None or due_at <= after else str(int(due_at * 1000) + 1)
            state_parts += [device, encode_track(each) if each else b"", due_ms]
            if due_ms and due_at is not None:
                self._due_at[partition] = min(self._due_at.get(partition, float("inf")), due_at)
        events = [event for event in detection.events if event.device in set(devices)]
        event_parts = [part for event in events for part in (event.device, EVENT_ENCODER.encode(event))]
        keys = [
            lease_key(partition),
            cursor_key(partition),
            log_key(partition),
            gate_key(partition),
            events_key(partition),
            due_key(partition),
            device_prefix(partition),
        ]
        lease = self._leases.held.get(partition, "")
        args: list[Any] = [lease, self._cursors[partition], last_id, self._state_expiry_ms, len(devices)]
        if self._commit(keys=keys, args=[*args, *state_parts, *event_parts]):
            self._cursors[partition] = last_id
            metrics.EVENTS_EMITTED.inc(len(events))
        else:
            logger.warning("worker: partition %d has passed to another worker", partition)
            self._leases.lost(partition)
            self._cursors.pop(partition, None)


def decode_event(data: bytes) -> PlaceEvent:
    """A place event as the event log holds it."""
    return msgspec.msgpack.decode(data, type=PlaceEvent)


def _signals(entries: Sequence[LogEntry]) -> list[Signal]:
    signals: list[Signal] = []
    for entry in entries:
        for device, told in entry.signals:
            signals += [Signal(device, entry.received_at, fix) for fix in told.fixes]
            signals += [Signal(device, entry.received_at, heard) for heard in told.heard]
    return signals


class _Every:
    """Says yes at once, and then no more often than every so many seconds of process time passing."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = 0.0

    def due(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True
