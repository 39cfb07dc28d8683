"""The engine worker: takes a micro-batch of fixes from its partitions, detects what happened, and commits states,
events and acknowledgement of each partition in one atomic, fenced step.
"""

import logging
import threading
import time
from collections.abc import Sequence
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
from geofences.detect import Detection, DeviceState, Fixes, decode_state, detect, encode_state
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
        """Process one micro-batch of every owned partition that has one. Answers how many fixes it took."""
        self._places.refresh()
        ready = {
            partition: cursor
            for partition, cursor in self._cursors.items()
            if self._has_room_for_events(partition)
        }
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
        for partition, entries in batches.items():
            self._commit_one(partition, entries[-1].id, detection)
        metrics.PINGS_PROCESSED.inc(len(heard))
        metrics.PINGS_LATE.inc(detection.late)
        return len(fixes)

    def _has_room_for_events(self, partition: int) -> bool:
        return self._live.client.xlen(events_key(partition)) < self._event_limit_entries

    def _states_of(self, devices: Sequence[str]) -> dict[str, DeviceState | None]:
        """The states of the devices that may still be heard; None for one that has none yet."""
        names = sorted(set(devices))
        with self._live.client.pipeline(transaction=False) as pipeline:
            for name in names:
                partition = partition_of(name, self._live.partitions)
                pipeline.hget(gate_key(partition), name)
                pipeline.get(device_prefix(partition) + name)
            answers = cast("list[bytes | None]", pipeline.execute())
        return {
            name: decode_state(state) if state else None
            for name, gate, state in zip(names, answers[::2], answers[1::2], strict=True)
            if gate == b"1"
        }

    def _commit_one(self, partition: int, last_id: bytes, detection: Detection) -> None:
        states = [
            part
            for device, state in detection.states.items()
            if partition_of(device, self._live.partitions) == partition
            for part in (device, encode_state(state))
        ]
        events = [
            part
            for event in detection.events
            if partition_of(event.device, self._live.partitions) == partition
            for part in (event.device, EVENT_ENCODER.encode(event))
        ]
        lease = self._leases.held.get(partition, "")
        keys = [
            lease_key(partition),
            cursor_key(partition),
            log_key(partition),
            gate_key(partition),
            events_key(partition),
            device_prefix(partition),
        ]
        args: list[Any] = [lease, self._cursors[partition], last_id, self._state_expiry_ms, len(states) // 2]
        if self._commit(keys=keys, args=[*args, *states, *events]):
            self._cursors[partition] = last_id
            metrics.EVENTS_EMITTED.inc(len(events) // 2)
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
        for device, fixes in entry.fixes
        for fix in fixes
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
