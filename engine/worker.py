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
import numpy as np
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from engine import metrics
from engine.leases import Leases
from engine.live import (
    Live,
    cursor_key,
    device_prefix,
    events_key,
    gate_key,
    lease_key,
    log_key,
    partition_of,
)
from engine.log import LogEntry, SignalLog
from engine.places import Places
from geofences.detect import DeviceState, Fixes, decode_state, detect, encode_state
from geofences.event import PlaceEvent

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
"""Pause after a store did not answer."""
EVENT_ENCODER = msgspec.msgpack.Encoder()


class Worker:
    """Owns partitions by lease and works through their logs. One thread uses it."""

    def __init__(
        self,
        live: Live,
        log: SignalLog,
        leases: Leases,
        places: Places,
        *,
        batch_entries: int,
        state_expiry_seconds: int,
        event_limit_entries: int,
    ) -> None:
        self._live = live
        self._log = log
        self._leases = leases
        self._places = places
        self._batch_entries = batch_entries
        self._state_expiry_ms = state_expiry_seconds * 1000
        self._event_limit_entries = event_limit_entries
        self._commit = live.script("commit")
        self._cursors: dict[int, bytes] = {}

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

    def run_once(self, block_ms: int = 0) -> int:
        """Process one micro-batch of every owned partition that has one. Answers how many entries it took."""
        self._places.refresh()
        ready = self._with_room_for_events()
        if not ready:
            threading.Event().wait(block_ms / 1000)
            return 0
        batches = self._log.read(ready, self._batch_entries, max(block_ms, 1))
        if not batches:
            return 0
        fixes = _columns([entry for entries in batches.values() for entry in entries])
        known = self._states_of(fixes.devices)
        heard = fixes.only(known.keys())
        detection = detect(self._places.index, {name: each for name, each in known.items() if each}, heard)
        changed = self._by_partition(detection.states)
        for partition, entries in batches.items():
            devices = set(changed.get(partition, ()))
            self._commit_one(
                partition,
                entries[-1].id,
                {device: detection.states[device] for device in devices},
                [event for event in detection.events if event.device in devices],
            )
        metrics.PINGS_PROCESSED.inc(len(heard))
        metrics.PINGS_LATE.inc(detection.late)
        return sum(len(entries) for entries in batches.values())

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

    def _states_of(self, devices: Iterable[str]) -> dict[str, DeviceState | None]:
        """The states of the devices that may still be heard; None for one that has none yet."""
        by_partition = self._by_partition(set(devices))
        with self._live.client.pipeline(transaction=False) as pipeline:
            for partition, names in by_partition.items():
                pipeline.hmget(gate_key(partition), names)
                pipeline.mget([device_prefix(partition) + name for name in names])
            answers = cast("list[list[bytes | None]]", pipeline.execute())
        states: dict[str, DeviceState | None] = {}
        for names, gates, found in zip(by_partition.values(), answers[::2], answers[1::2], strict=True):
            for name, gate, state in zip(names, gates, found, strict=True):
                if gate == b"1":
                    states[name] = decode_state(state) if state else None
        return states

    def _by_partition(self, devices: Iterable[str]) -> dict[int, list[str]]:
        grouped: dict[int, list[str]] = defaultdict(list)
        for device in devices:
            grouped[partition_of(device, self._live.partitions)].append(device)
        return grouped

    def _commit_one(
        self, partition: int, last_id: bytes, states: Mapping[str, DeviceState], events: Sequence[PlaceEvent]
    ) -> None:
        state_parts = [part for device, state in states.items() for part in (device, encode_state(state))]
        event_parts = [part for event in events for part in (event.device, EVENT_ENCODER.encode(event))]
        lease = self._leases.held.get(partition, "")
        keys = [
            lease_key(partition),
            cursor_key(partition),
            log_key(partition),
            gate_key(partition),
            events_key(partition),
            device_prefix(partition),
        ]
        args: list[Any] = [lease, self._cursors[partition], last_id, self._state_expiry_ms, len(states)]
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


def _columns(entries: Sequence[LogEntry]) -> Fixes:
    rows = [
        (device, entry.received_at, fix)
        for entry in entries
        for device, signals in entry.signals
        for fix in signals.fixes
    ]
    return Fixes(
        devices=[device for device, _, _ in rows],
        at=np.array([fix.at for _, _, fix in rows]),
        received_at=np.array([received_at for _, received_at, _ in rows]),
        lat=np.array([fix.lat for _, _, fix in rows]),
        lon=np.array([fix.lon for _, _, fix in rows]),
        accuracy_m=np.array([fix.accuracy for _, _, fix in rows]),
    )


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
