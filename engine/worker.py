"""The engine worker: takes a micro-batch of fixes from its partitions, detects what happened, and commits states,
events and acknowledgement of each partition in one atomic, fenced step.
"""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

import msgspec
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from engine import metrics, track
from engine.batch import Batch
from engine.clock import Now
from engine.detection import Detection, World, detect, recall, tick
from engine.fleet_figures import FleetFigures
from engine.leases import Leases
from engine.live import (
    Live,
    cursor_key,
    device_prefix,
    done_key,
    due_key,
    events_key,
    gate_edits_key,
    gate_key,
    lease_key,
    log_key,
    partition_of,
)
from engine.log import LogEntry, SignalLog
from engine.passers import KEPT_SECONDS, Passers
from engine.places import Places
from engine.recent import Recent
from engine.round_trip import raised
from engine.track import Track, decode_track, encode_track
from geofences.event import PlaceEvent

logger = logging.getLogger(__name__)

ROOM_SECONDS = 0.25
"""So often it is asked whether decisions keep up."""
ROUND_SECONDS = 0.004
"""Rounds that take less begin no sooner than this after each other, so that a busy second takes few of them; except
that none waits for longer than `REST` times what the one before it took.
"""
REST = 3.0
RETRY_SECONDS = 1.0
"""Pause after a store did not answer."""
TIMERS_AT_ONCE = 500
"""Phones of one partition whose timers are looked at in one round."""
LOG_KEPT_MS = int((KEPT_SECONDS + 20) * 1000)
"""Processed entries stay in the log for so long: a worker that takes a partition over learns from them where phones
were that are near nothing."""
TRACKS_KEPT_SECONDS = 300.0
TRACKS_LIMIT = 2_000_000
"""Phones of which a worker remembers the track, or that there is none, so as not to read back what it has written."""
_encoder = msgspec.msgpack.Encoder()


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
        log_kept_entries: int,
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
        self._log_kept_entries = log_kept_entries
        self._fetch = live.batched("fetch")
        self._commit = live.batched("commit")
        self._tracks: Recent[Track | None] = Recent(TRACKS_KEPT_SECONDS, TRACKS_LIMIT)
        self._fleet = FleetFigures(live)
        self._upset = False
        self._full: set[int] = set()
        self._full_looked = _Every(ROOM_SECONDS)
        self._cursors: dict[int, bytes] = {}
        self._due_at: dict[int, float] = {}

    def run(self, stop: threading.Event, refresh_seconds: float) -> None:
        """Work until told to stop; leases are renewed by the caller's `refresh_seconds` at the latest."""
        ticks = _Every(refresh_seconds)
        while not stop.is_set():
            try:
                if ticks.due() or self._upset:
                    self.refresh()
                self.run_once(block_ms=100)
            except (RedisError, SQLAlchemyError) as error:
                logger.warning("worker: a store did not answer (%s); trying again", type(error).__name__)
                self._begin_anew()
                stop.wait(RETRY_SECONDS)
        self.close()

    @property
    def is_ready(self) -> bool:
        """Whether all geofences are loaded."""
        return self._places.loaded

    def close(self) -> None:
        """Hand the partitions over, and what was heard of beacons in."""
        self._places.close()
        try:
            self._fleet.flush(self._now().timestamp(), at_once=True)
            self._leases.release_all()
        except RedisError:
            logger.warning("worker: leases could not be given back; they run out by themselves")

    def refresh(self) -> None:
        """Renew leases, and forget the place reached in partitions that have gone to others. Before the first, all
        geofences are loaded, which may take longer than a lease.
        """
        self._places.refresh()
        self._leases.refresh()
        self._upset = False
        held = self._leases.held
        if self._cursors.keys() - held:
            self._begin_anew()
            self._upset = False
        cursors = self._log.cursors(held)
        if any(reached != cursors.get(partition) for partition, reached in self._cursors.items()):
            logger.warning("worker: the live store is behind what was written to it; starting from there")
            self._begin_anew()
            self._upset = False
        for partition, cursor in cursors.items():
            if partition not in self._cursors:
                self._recall(partition, self._log.processed(partition, cursor))
                self._cursors[partition] = cursor
                self._due_at[partition] = self._first_due(partition)
        self._log.trim(self._cursors, LOG_KEPT_MS)

    def _recall(self, partition: int, entries: Sequence[LogEntry]) -> None:
        """Learn from processed entries where phones were that are near nothing, which no state holds."""
        if entries:
            signals = Batch.together([entry.signals for entry in entries])
            known = self._known({partition: list(dict.fromkeys(signals.devices))})
            recall(
                self._world, signals.only([row for row, name in enumerate(signals.devices) if name in known])
            )

    def _begin_anew(self) -> None:
        """Forget all that is only remembered: what was not committed did not happen."""
        self._cursors.clear()
        self._tracks.clear()
        self._world.passers = Passers()
        self._upset = True

    def run_once(self, block_ms: int = 0) -> int:
        """Process one micro-batch of every owned partition that has one, and the timers of those that are caught up
        with. Answers how many log entries and timers it took. With `block_ms` it waits that long for something to do.
        """
        self._places.refresh()
        if self._places.edits != self._followed:
            self._world.follow(self._places.index, self._places.beacons)
            self._followed = self._places.edits
        if self._full_looked.due() or not block_ms:
            self._look_for_room()
        ready = {partition: each for partition, each in self._cursors.items() if partition not in self._full}
        if not ready:
            threading.Event().wait(block_ms / 1000)
            return 0
        batches = self._log.read(ready, self._batch_entries, block_ms)
        if batches:
            began = time.monotonic()
            self._take(batches)
            if block_ms:
                took = time.monotonic() - began
                time.sleep(max(min(REST * took, ROUND_SECONDS - took), 0))
        self._fleet.flush(self._now().timestamp(), at_once=not block_ms)
        caught_up = [each for each in ready if len(batches.get(each, ())) < self._batch_entries]
        return sum(len(entries) for entries in batches.values()) + self._tick(caught_up)

    def _take(self, taken: Mapping[int, Sequence[LogEntry]]) -> None:
        batches = {
            partition: Batch.together([entry.signals for entry in entries])
            for partition, entries in taken.items()
        }
        devices = {partition: list(dict.fromkeys(each.devices)) for partition, each in batches.items()}
        known = self._known(
            devices, {partition: entries[0].gate_edits for partition, entries in taken.items()}
        )
        signals = Batch.together(list(batches.values()))
        if sum(map(len, devices.values())) > len(known):
            for stranger in set(signals.devices) - known.keys():
                self._world.forget(stranger)
            signals = signals.only([row for row, name in enumerate(signals.devices) if name in known])
        detection = detect(self._world, known, signals) if signals else Detection({}, (), 0)
        batch = {partition: (entries[-1].id, len(entries)) for partition, entries in taken.items()}
        self._commit_all(batch, detection, self._by_partition(detection.tracks))
        if signals.heard:
            self._fleet.take(self._world.index, self._world.beacons, signals, self._world.passers)
        metrics.PINGS_PROCESSED.inc(len(signals))
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
            tracks = {name: each for name, each in self._known({partition: devices}).items() if each}
            detection = tick(self._world, tracks, now)
            settled = Detection({**tracks, **detection.tracks}, detection.events, 0)
            batch = {partition: (self._cursors[partition], 0)}
            self._commit_all(batch, settled, {partition: devices}, now)
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

    def _look_for_room(self) -> None:
        """Find the partitions in which decisions have fallen too far behind."""
        with self._live.pipeline() as pipeline:
            for partition in self._cursors:
                pipeline.xlen(events_key(partition))
            depths = cast("list[int]", pipeline.execute())
        self._full = {
            partition
            for partition, depth in zip(self._cursors, depths, strict=True)
            if depth >= self._event_limit_entries
        }

    def _known(
        self, devices: Mapping[int, Sequence[str]], gate_edits: Mapping[int, bytes] = MappingProxyType({})
    ) -> dict[str, Track | None]:
        """The tracks of the devices that may still be heard; None for one that has none. What is remembered counts
        only as long as the live store holds it too: a withdrawal deletes it there. `gate_edits` tells for which state
        of a partition's gate its devices are known to be allowed.
        """
        there = {partition: self._tracks.among(names) for partition, names in devices.items()}
        remembered = {
            partition: [name for name, each in tracks.items() if each] for partition, tracks in there.items()
        }
        wanted = {
            partition: [name for name in names if name not in there[partition]]
            for partition, names in devices.items()
        }
        answers = self._fetch(
            [
                (
                    (gate_key(partition), gate_edits_key(partition), device_prefix(partition)),
                    [
                        gate_edits.get(partition, b""),
                        *(_encoder.encode(each[partition]) for each in (devices, remembered, wanted)),
                    ],
                )
                for partition in devices
            ]
        )
        known: dict[str, Track | None] = {}
        for partition, answer in zip(devices, raised(answers), strict=True):
            heard, kept, states = answer
            names = devices[partition]
            if heard:
                names = [name for name, verdict in zip(names, heard, strict=True) if verdict == ord("1")]
            found = dict.fromkeys(names)
            for name, verdict in zip(remembered[partition], kept, strict=True):
                if verdict != ord("1"):
                    self._tracks.pop(name)
                elif name in found:
                    found[name] = there[partition][name]
            for name, state in zip(wanted[partition], states, strict=True):
                if state and name in found:
                    found[name] = decode_track(state)
            known |= found
        self._tracks.put(known, self._now().timestamp())
        return known

    def _by_partition(self, devices: Iterable[str]) -> dict[int, list[str]]:
        grouped: dict[int, list[str]] = defaultdict(list)
        for device in devices:
            grouped[partition_of(device, self._live.partitions)].append(device)
        return grouped

    def _commit_all(
        self,
        batch: Mapping[int, tuple[bytes, int]],
        detection: Detection,
        devices: Mapping[int, Sequence[str]],
        after: float = 0.0,
    ) -> None:
        """Write what was detected of these devices, each partition in one step of its own, all in one round trip.
        `batch` has the id of the last entry of each partition, and how many entries were taken; `after` is the moment
        up to which timers have been looked at: one that could not be told by then never will be.
        """
        events: dict[int, list[PlaceEvent]] = defaultdict(list)
        for event in detection.events:
            events[partition_of(event.device, self._live.partitions)].append(event)
        answers = self._commit(
            [
                self._commit_of(
                    partition, *until, detection, devices.get(partition, ()), events.get(partition, ()), after
                )
                for partition, until in batch.items()
            ]
        )
        now = self._now().timestamp()
        for (partition, (last_id, _)), answer in zip(batch.items(), raised(answers), strict=True):
            if not answer:
                logger.warning("worker: partition %d has passed to another worker", partition)
                self._leases.lost(partition)
                self._begin_anew()
                continue
            if partition in self._cursors:
                self._cursors[partition] = last_id
            metrics.EVENTS_EMITTED.inc(len(events.get(partition, ())))
            if not self._upset:
                self._tracks.put(
                    {name: detection.tracks.get(name) for name in devices.get(partition, ())}, now
                )

    def _commit_of(
        self,
        partition: int,
        last_id: bytes,
        entries: int,
        detection: Detection,
        devices: Sequence[str],
        events: Sequence[PlaceEvent],
        after: float,
    ) -> tuple[Sequence[str], Sequence[Any]]:
        """The keys and arguments of one partition's commit."""
        states: list[Any] = []
        for device in devices:
            each = detection.tracks.get(device)
            due_at = track.due_at(each, self._world.index.get) if each else None
            due_ms = "" if due_at is None or due_at <= after else str(int(due_at * 1000) + 1)
            states += [device, encode_track(each) if each else b"", due_ms]
            if due_ms and due_at is not None:
                self._due_at[partition] = min(self._due_at.get(partition, float("inf")), due_at)
        keys = [
            lease_key(partition),
            cursor_key(partition),
            done_key(partition),
            log_key(partition),
            gate_key(partition),
            events_key(partition),
            due_key(partition),
            device_prefix(partition),
        ]
        lease, cursor = self._leases.held.get(partition, ""), self._cursors.get(partition, b"")
        keep: Collection[Any] = (self._log_kept_entries, self._state_expiry_ms, LOG_KEPT_MS)
        args = [lease, cursor, last_id, entries, *keep, len(devices), *states]
        return keys, args + [part for event in events for part in (event.device, _encoder.encode(event))]


def decode_event(data: bytes) -> PlaceEvent:
    """A place event as the event log holds it."""
    return msgspec.msgpack.decode(data, type=PlaceEvent)


class _Every:
    """Says yes at once, and then no more often than every so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = 0.0

    def due(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True
