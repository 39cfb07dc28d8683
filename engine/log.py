"""The partitioned signal log: a 202 means the signal is in it; a worker reads it in order and acknowledges.

A device always lands in the same partition. Appending checks consent in the same atomic step, so a withdrawal
that was answered is seen by every later append.
"""

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import starmap
from typing import cast

import msgspec
from redis.exceptions import RedisError

from engine.batch import Batch, packed
from engine.live import (
    Live,
    Reader,
    Stream,
    cursor_key,
    done_key,
    gate_edits_key,
    gate_key,
    log_key,
    partition_of,
)
from engine.round_trip import raised
from engine.signals import Report

START = b"0-0"
TRIES = 3
"""A consent may be withdrawn between two tries; one that goes on like this is told to come back."""


PAGE_ENTRIES = 500
"""Of the processed ones that are read again, in one go."""


class Refusal(StrEnum):
    """Why a device's signals were not appended."""

    NO_CONSENT = "no_consent"
    UNKNOWN_DEVICE = "unknown_device"
    LOG_FULL = "log_full"
    UNAVAILABLE = "unavailable"


_BY_NUMBER = {0: Refusal.NO_CONSENT, -1: Refusal.UNKNOWN_DEVICE}
_encoder = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True)
class LogEntry:
    """What one append brought to one partition, in the order given."""

    id: bytes
    gate_edits: bytes
    """How often the partition's gate had closed by then."""
    signals: Batch
    unreadable: str = ""
    """The kind of error, where this version cannot read what it brought; then it has no signals."""


@dataclass(slots=True)
class _Part:
    """What one append brings to one partition: reports in order, and when each was received."""

    received: list[float] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)

    @property
    def devices(self) -> list[str]:
        """Each once."""
        return list(dict.fromkeys([report.device for report in self.reports]))

    def without(self, refused: Container[str]) -> "_Part":
        """The same but for these devices."""
        left = [row for row, report in enumerate(self.reports) if report.device not in refused]
        return _Part([self.received[row] for row in left], [self.reports[row] for row in left])


class SignalLog:
    """The log's two ends: `append` for intake, `read` for a worker. Acknowledging is part of a worker's commit."""

    def __init__(self, live: Live, limit_entries: int) -> None:
        self._live = live
        self._limit_entries = limit_entries
        self._append = live.batched("append", durable=True, as_one=True)
        self._trim = live.batched("trim")

    def append(self, arrivals: Sequence[tuple[float, Sequence[Report]]]) -> dict[str, Refusal]:
        """Append what bodies brought, each with when it was received (unix seconds), to the partitions of their
        devices; one atomic step, and one entry, per partition. Answers the devices that were refused; the signals of
        all others are in.
        """
        partitions = self._live.partitions
        waiting: dict[int, _Part] = defaultdict(_Part)
        for received_at, reports in arrivals:
            for report in reports:
                part = waiting[partition_of(report.device, partitions)]
                part.received.append(received_at)
                part.reports.append(report)
        refusals: dict[str, Refusal] = {}
        for _ in range(TRIES):
            waiting = self._try(waiting, refusals)
            if not waiting:
                break
        for left in waiting.values():
            refusals.update(dict.fromkeys(left.devices, Refusal.UNAVAILABLE))
        return refusals

    def _try(self, waiting: Mapping[int, "_Part"], refusals: dict[str, Refusal]) -> dict[int, "_Part"]:
        """Append once, all partitions in one round trip. Answers what may be heard but was held up by what may not."""
        devices = {partition: each.devices for partition, each in waiting.items()}
        answers = self._append(
            [
                (
                    (gate_key(partition), gate_edits_key(partition), log_key(partition)),
                    (
                        self._limit_entries,
                        _encoder.encode(devices[partition]),
                        packed(each.received, each.reports),
                    ),
                )
                for partition, each in waiting.items()
            ]
        )
        again: dict[int, _Part] = {}
        for (partition, names), answer in zip(devices.items(), answers, strict=True):
            if isinstance(answer, list):
                refused = {
                    name: _BY_NUMBER[number]
                    for name, number in zip(names, answer, strict=True)
                    if number != 1
                }
                refusals.update(refused)
                if (left := waiting[partition].without(refused)).reports:
                    again[partition] = left
            elif answer != b"ok":
                away = isinstance(answer, RedisError)
                refusals.update(dict.fromkeys(names, Refusal.UNAVAILABLE if away else Refusal.LOG_FULL))
        return again

    def cursors(self, partitions: Iterable[int]) -> dict[int, bytes]:
        """The id of the last entry that was processed, by partition."""
        partitions = list(partitions)
        with self._live.pipeline() as pipeline:
            for partition in partitions:
                pipeline.get(cursor_key(partition))
            found = cast("list[bytes | None]", pipeline.execute())
        return {partition: cursor or START for partition, cursor in zip(partitions, found, strict=True)}

    def read(self, cursors: Mapping[int, bytes], count: int, block_ms: int) -> dict[int, list[LogEntry]]:
        """Up to `count` entries after each partition's cursor; waits up to `block_ms` when there are none, 0 not at all."""
        return _by_partition(cursors, self._live.read(_streams(cursors), count, block_ms))

    def reader(self) -> "LogReader":
        """A reader for one thread."""
        return LogReader(self, self._live.reader())

    def processed(self, partition: int, until: bytes) -> list[LogEntry]:
        """What is still kept of entries that were processed before, up to and with the one of this id, and can be read."""
        kept: list[LogEntry] = []
        after = b"-"
        while True:
            [entries] = raised(
                self._live.ask([("XRANGE", log_key(partition), after, until, "COUNT", PAGE_ENTRIES)])
            )
            kept += [each for each in starmap(entry_of, entries) if not each.unreadable]
            if len(entries) < PAGE_ENTRIES:
                return kept
            after = b"(" + entries[-1][0]

    def trim(self, cursors: Mapping[int, bytes], kept_ms: int) -> None:
        """Drop processed entries that are older than so many milliseconds by the live store's clock."""
        raised(self._trim([((log_key(each),), (cursor, kept_ms)) for each, cursor in cursors.items()]))

    def depth(self) -> int:
        """How many entries wait to be processed, over all partitions."""
        with self._live.pipeline() as pipeline:
            for partition in range(self._live.partitions):
                pipeline.xinfo_stream(log_key(partition))
                pipeline.get(done_key(partition))
            answers = pipeline.execute(raise_on_error=False)
        waiting = 0
        for stream, done in zip(answers[::2], answers[1::2], strict=True):
            if isinstance(done, RedisError):
                raise done
            if not isinstance(stream, RedisError):  # a log without an entry yet is an error
                waiting += int(stream["entries-added"]) - int(done or 0)
        return waiting


class LogReader:
    """Reads the log, and may ask for what comes next before it wants to have it. One thread uses it."""

    def __init__(self, log: SignalLog, reader: Reader) -> None:
        self._log = log
        self._reader = reader
        self._asked: Mapping[int, bytes] = {}

    def ask(self, cursors: Mapping[int, bytes], count: int, block_ms: int) -> None:
        """Ask for what `read` answers the next time, so that it comes while something else is done."""
        self._asked = dict(cursors)
        self._reader.ask(_streams(cursors), count, block_ms)

    def read(self, cursors: Mapping[int, bytes], count: int, block_ms: int) -> dict[int, list[LogEntry]]:
        """See `SignalLog.read`. What was asked for is answered where the cursor is still the same; the others are read now,
        for who gets nothing of a partition takes it to have nothing.
        """
        if not self._asked:
            return self._log.read(cursors, count, block_ms)
        asked, self._asked = self._asked, {}
        found = {
            partition: entries
            for partition, entries in _by_partition(asked, self._reader.hear()).items()
            if cursors.get(partition) == asked[partition]
        }
        others = {each: cursor for each, cursor in cursors.items() if asked.get(each) != cursor}
        return found | self._log.read(others, count, 0) if others else found

    def drop(self) -> None:
        """What was asked for is not wanted."""
        self._asked = {}
        self._reader.drop()


def _streams(cursors: Mapping[int, bytes]) -> dict[bytes, bytes]:
    return {log_key(partition).encode(): cursor for partition, cursor in cursors.items()}


def _by_partition(partitions: Iterable[int], streams: Iterable[Stream]) -> dict[int, list[LogEntry]]:
    keys = {log_key(partition).encode(): partition for partition in partitions}
    return {keys[name]: [entry_of(*each) for each in entries] for name, entries in streams}


def entry_of(entry_id: bytes, parts: Sequence[bytes]) -> LogEntry:
    """An entry of a log's stream: names and values in turn."""
    try:
        _, gate_edits, _, signals = parts  # g and s, as append.lua wrote them
        int(gate_edits)
        return LogEntry(id=entry_id, gate_edits=gate_edits, signals=Batch.decoded(signals))
    except Exception as error:  # noqa: BLE001  # whatever is wrong with its bytes, it may hold up no other
        return LogEntry(id=entry_id, gate_edits=b"0", signals=Batch.of(()), unreadable=type(error).__name__)
