"""What an erasure takes beyond the records: the streams of the live store, and the files of both stores.

A stream cannot change an entry, and keeps the bytes of deleted ones as long as their neighbours live; so the streams of
a device's partition are copied without it, and the copy takes their place.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any, cast

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from consent import erasure
from engine import metrics
from engine.batch import Batch
from engine.event_log import decode_event
from engine.live import Live, events_key, log_key, partition_of, quarantine_key, tag
from engine.log import entry_of
from engine.quarantine import Of, is_readable
from engine.records import Records
from engine.round_trip import raised

logger = logging.getLogger(__name__)

COPIED_AT_ONCE = 200
"""Entries of a stream that are read, and written again, in one round trip."""
LOCK_MS = 60_000
TRIES = 5
PATIENCE_SECONDS = 30.0
"""How long an erasure waits for the files; then the job goes on."""
POLL_SECONDS = 0.02

Fields = dict[bytes, bytes]


class Busy(RedisError):
    """Somebody else rewrites the same stream, for too long."""


class Erasures:
    """Forgets devices in the live store, and settles erasures: afterwards no file holds a trace of them."""

    def __init__(self, live: Live, records: Records, now: Callable[[], datetime]) -> None:
        self._live = live
        self._records = records
        self._now = now
        self._swap = live.batched("swap", durable=True)
        self._settling = threading.Lock()

    def forget_devices(self, devices: Sequence[str]) -> None:
        """Take devices whose gate is closed out of all streams. Raises RedisError."""
        by_partition: dict[int, set[str]] = {}
        for device in devices:
            by_partition.setdefault(partition_of(device, self._live.partitions), set()).add(device)
        for partition, names in by_partition.items():
            self._forget(partition, log_key(partition), partial(_heard, names))
            self._forget(partition, events_key(partition), partial(_told, names))

    def settle(self) -> int:
        """Have both stores write their files anew, if there are erasures that wait for it. Answers how many are settled
        by it; those who ask at the same time share one run.
        """
        with self._settling:
            with self._records.reads.connect() as connection:
                waiting = erasure.unsettled(connection)
            if (
                not waiting
                or not self._records.compact()
                or not all(map(_rewrite_file, self._live.servers()))
            ):
                return 0
            with self._records.writes.begin() as connection:
                erasure.settle(connection, waiting, self._now())
            return len(waiting)

    def _forget(self, partition: int, stream: str, kept: Callable[[Fields], Fields | None]) -> None:
        """Rewrite a stream, and what was set aside of it: there, nothing stays that cannot be read."""
        aside = quarantine_key(stream)
        had = self._live.client.xlen(aside)  # which may be put back behind what is being looked at
        self._rewrite(partition, stream, kept)
        if (before := self._live.client.xlen(aside)) or had:
            self._rewrite(partition, aside, partial(_aside, kept))
            self._rewrite(partition, stream, kept)  # to which some may just have been put back
            if lost := before - self._live.client.xlen(aside):
                metrics.QUARANTINE_LOST.labels("erasure").inc(lost)
                logger.warning("erasure: %d entries that were set aside went with it", lost)

    def _rewrite(self, partition: int, stream: str, kept: Callable[[Fields], Fields | None]) -> None:
        for _ in range(TRIES):
            copy, lock = f"{stream}:copy", f"{tag(partition)}:copying"
            mine = self._locked(lock)
            self._live.client.delete(copy)
            last, copied = self._copy(stream, copy, kept)
            if raised(self._swap([((stream, copy, lock), (mine, last, copied))])) == [1]:
                return
        raise Busy("the live store's streams could not be rewritten; try again")

    def _locked(self, lock: str) -> str:
        mine, deadline = secrets.token_hex(8), time.monotonic() + PATIENCE_SECONDS
        while not self._live.client.set(lock, mine, nx=True, px=LOCK_MS):
            if time.monotonic() > deadline:
                raise Busy("the live store's streams are being rewritten by somebody else; try again")
            time.sleep(POLL_SECONDS)
        return mine

    def _copy(self, stream: str, copy: str, kept: Callable[[Fields], Fields | None]) -> tuple[bytes, int]:
        """Copy what is kept of all entries, under their ids. Answers the id looked at last, and how many are kept."""
        last, copied = b"0-0", 0
        while True:
            answer: Any = self._live.client.xrange(stream, min=b"(" + last, count=COPIED_AT_ONCE)
            entries = cast("list[tuple[bytes, Fields]]", answer)
            with self._live.pipeline() as pipeline:
                for entry_id, fields in entries:
                    last = entry_id
                    if (left := kept(fields)) is not None:
                        pipeline.xadd(copy, cast("Any", left), id=cast("Any", entry_id))
                        copied += 1
                pipeline.execute()
            if len(entries) < COPIED_AT_ONCE:
                return last, copied


def rewrite_own_file(live: Live) -> None:
    """Have the server that is this process's own, if there is one, write its append-only file anew: signals stay in it
    after they are processed. Whoever brings a server of theirs sees to its files.
    """
    if live.child and live.child.is_ours:
        _rewrite_file(live.client)


def _rewrite_file(server: Redis) -> bool:
    """Have a server write its append-only file anew, and wait for it; False if it takes too long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        if not server.info("persistence")["aof_enabled"]:
            return True
        while not _begun(server):
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        while time.monotonic() < deadline:
            state = server.info("persistence")
            if not state["aof_rewrite_in_progress"] and not state["aof_rewrite_scheduled"]:
                return bool(state["aof_last_bgrewrite_status"] == "ok")
            time.sleep(POLL_SECONDS)
    except RedisError as error:
        logger.warning("privacy: the live store did not rewrite its file (%s)", type(error).__name__)
    return False


def _begun(server: Redis) -> bool:
    try:
        server.bgrewriteaof()
    except ResponseError:  # one that began before us is running
        return False
    return True


def _heard(names: Collection[str], fields: Fields) -> Fields | None:
    """An entry of the signal log without these devices; an entry stays even when it is empty, for it is counted. One that
    cannot be read is emptied: whose it is nobody knows.
    """
    entry = entry_of(b"", _parts(fields))
    if entry.unreadable:
        logger.warning(
            "erasure: an entry of the signal log that cannot be read (%s) went with it", entry.unreadable
        )
        return {b"g": entry.gate_edits, b"s": _NOTHING}
    if not any(name in entry.signals.devices for name in names):
        return fields
    left = [row for row, device in enumerate(entry.signals.devices) if device not in names]
    return {**fields, b"s": entry.signals.only(left).encoded()}


def _told(names: Collection[str], fields: Fields) -> Fields | None:
    """An entry of the event log, unless it is about one of these devices, or nobody knows about which."""
    if not is_readable(Of.EVENTS, _parts(fields)):
        logger.warning("erasure: an event that cannot be read went with it")
        return None
    return None if decode_event(fields[b"e"]).device in names else fields


def _aside(kept: Callable[[Fields], Fields | None], fields: Fields) -> Fields | None:
    """An entry that was set aside, as its stream would keep it, unless that is as nothing."""
    left = kept({name: value for name, value in fields.items() if name != b"why"})
    return None if left is None or left.get(b"s") == _NOTHING else {b"why": fields[b"why"], **left}


def _parts(fields: Fields) -> list[bytes]:
    return list(chain.from_iterable(fields.items()))


_NOTHING = Batch.of(()).encoded()
