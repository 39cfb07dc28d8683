"""The partitioned signal log: a 202 means the signal is in it; a worker reads it in order and acknowledges.

A device always lands in the same partition. Appending checks consent in the same atomic step, so a withdrawal
that was answered is seen by every later append.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from redis.exceptions import RedisError

from engine.live import Live, cursor_key, gate_key, log_key, partition_of
from engine.signals import Signals, decode_signals

START = b"0-0"


class Verdict(StrEnum):
    """What became of one device's signals."""

    ACCEPTED = "accepted"
    NO_CONSENT = "no_consent"
    UNKNOWN_DEVICE = "unknown_device"
    LOG_FULL = "log_full"
    UNAVAILABLE = "unavailable"


_BY_NUMBER = {1: Verdict.ACCEPTED, 0: Verdict.NO_CONSENT, -1: Verdict.UNKNOWN_DEVICE}


@dataclass(frozen=True, slots=True)
class LogEntry:
    """What one request body brought to one partition: for each device its signals, and when they were received."""

    id: bytes
    received_at: float
    signals: Sequence[tuple[str, Signals]]


class SignalLog:
    """The log's two ends: `append` for intake, `read` for a worker. Acknowledging is part of a worker's commit."""

    def __init__(self, live: Live, limit_entries: int) -> None:
        self._live = live
        self._limit_entries = limit_entries
        self._append = live.script("append")

    def append(self, signals: Mapping[str, bytes], received_at: float) -> dict[str, Verdict]:
        """Append each device's packed signals to its partition; one atomic step, and one entry, per partition.

        What could not be written is said per device, never raised: the other partitions' signals are in.
        """
        by_partition: dict[int, list[str]] = defaultdict(list)
        for device in signals:
            by_partition[partition_of(device, self._live.partitions)].append(device)
        verdicts: dict[str, Verdict] = {}
        for partition, devices in by_partition.items():
            pairs = [part for device in devices for part in (device, signals[device])]
            verdicts |= self._append_one(partition, devices, [repr(received_at), self._limit_entries, *pairs])
        return verdicts

    def _append_one(self, partition: int, devices: list[str], args: list[Any]) -> dict[str, Verdict]:
        try:
            answer = self._append(keys=[gate_key(partition), log_key(partition)], args=args)
        except RedisError:
            return dict.fromkeys(devices, Verdict.UNAVAILABLE)
        if answer == b"full":
            return dict.fromkeys(devices, Verdict.LOG_FULL)
        return {device: _BY_NUMBER[number] for device, number in zip(devices, answer, strict=True)}

    def cursor(self, partition: int) -> bytes:
        """The id of the last entry that was processed."""
        return cast("bytes | None", self._live.client.get(cursor_key(partition))) or START

    def read(self, cursors: Mapping[int, bytes], count: int, block_ms: int) -> dict[int, list[LogEntry]]:
        """Up to `count` entries after each partition's cursor; waits up to `block_ms` when there are none."""
        streams: dict[Any, Any] = {log_key(partition): cursor for partition, cursor in cursors.items()}
        partitions: dict[Any, int] = {log_key(partition).encode(): partition for partition in cursors}
        answer = self._live.client.xread(streams, count=count, block=block_ms)
        pairs = answer.items() if isinstance(answer, dict) else cast("Any", answer or ())
        return {partitions[name]: [_entry(*each) for each in _flat(entries)] for name, entries in pairs}

    def depth(self) -> int:
        """How many entries wait to be processed, over all partitions."""
        return sum(
            int(self._live.client.xlen(log_key(partition))) for partition in range(self._live.partitions)
        )


def _flat(entries: Any) -> Any:
    """redis-py answers a list of entries (protocol 2), or a list holding that list (protocol 3)."""
    return entries[0] if entries and isinstance(entries[0], list) else entries


def _entry(entry_id: bytes, parts: Mapping[bytes, bytes]) -> LogEntry:
    return LogEntry(
        id=entry_id,
        received_at=float(parts[b"r"]),
        signals=[(name.decode(), decode_signals(data)) for name, data in parts.items() if name != b"r"],
    )
