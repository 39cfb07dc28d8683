"""Entries of the signal log and the event log that could not be read, or not be kept: put into a stream beside their own,
so that they hold up nothing, until an operator has a version take them up that reads them, or a day is over.
"""

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import chain

from engine import metrics
from engine.event_log import decode_event
from engine.live import Live, events_key, lease_key, log_key, quarantine_key
from engine.log import entry_of
from engine.round_trip import raised

logger = logging.getLogger(__name__)

LIMIT_ENTRIES = 1000
"""Of each stream. Beyond it the stream waits: so many are no mishap, but a door that is newer than its workers."""
KEPT_HOURS = 24
"""Nobody can look for a shopper in what cannot be read, so it is not kept for longer than it takes to mend."""
PAGE_ENTRIES = 100
NO_END = b"9999999999999-0"
"""An id after every other."""


class Of(StrEnum):
    """Which stream of a partition an entry is from."""

    SIGNALS = "signals"
    EVENTS = "events"

    def stream(self, partition: int) -> str:
        """The stream's key."""
        return log_key(partition) if self is Of.SIGNALS else events_key(partition)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """An entry that was set aside. `why` is the kind of error alone; `parts` are what its stream had, names and values
    in turn.
    """

    of: Of
    partition: int
    id: bytes
    why: str
    parts: Sequence[bytes]

    @property
    def name(self) -> str:
        """What operators call it: ``signals/3/1795766400000-0``."""
        return f"{self.of}/{self.partition}/{self.id.decode()}"

    @property
    def since(self) -> datetime:
        """When it was written into its stream, by the live store's clock."""
        return datetime.fromtimestamp(int(self.id.split(b"-")[0]) / 1000, tz=UTC)

    @property
    def is_readable(self) -> bool:
        """Whether this version can read it."""
        return is_readable(self.of, self.parts)


def is_readable(of: Of, parts: Sequence[bytes]) -> bool:
    """Whether this version can read an entry of a stream: its names and values in turn."""
    if of is Of.SIGNALS:
        return not entry_of(b"", parts).unreadable
    try:
        decode_event(parts[1])
    except Exception:  # noqa: BLE001  # whatever is wrong with it, it is not readable
        return False
    return True


class Quarantine:
    """What is set aside in all partitions."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def keep(
        self, of: Of, partition: int, lease: str, faults: Sequence[tuple[bytes, str]], *, leave: bool = False
    ) -> int | None:
        """Set entries aside, each with the kind of its fault, under the lease on their partition; with `leave` they leave
        their stream in the same step. Answers how many, from the first one on, need not be looked at any more: there
        was no room for the others. None if the lease is lost.
        """
        stream = of.stream(partition)
        keys = (lease_key(partition), stream, quarantine_key(stream))
        args = (lease, LIMIT_ENTRIES, int(leave), *chain.from_iterable(faults))
        [kept] = raised(self._live.batched("set_aside", durable=True)([(keys, args)]))
        if not isinstance(kept, list):
            return None
        for (entry_id, why), is_new in zip(faults, kept, strict=False):
            if is_new:
                metrics.SET_ASIDE.labels(of).inc()
                logger.warning("an entry is set aside: %s/%d/%s (%s)", of, partition, entry_id.decode(), why)
        if len(kept) < len(faults):
            logger.warning("the quarantine of %s in partition %d is full; they wait", of, partition)
        return len(kept)

    def counts(self) -> dict[Of, int]:
        """How many entries are set aside, by stream. Raises RedisError."""
        every = [(of, partition) for of in Of for partition in range(self._live.partitions)]
        lengths = raised(self._live.ask([("XLEN", quarantine_key(of.stream(each))) for of, each in every]))
        return {
            of: sum(length for (each, _), length in zip(every, lengths, strict=True) if each is of)
            for of in Of
        }

    def entries(self, of: Of, partition: int) -> Iterator[Quarantined]:
        """What is set aside of a stream, the oldest first."""
        key, after = quarantine_key(of.stream(partition)), b"-"
        while True:
            [found] = raised(self._live.ask([("XRANGE", key, after, "+", "COUNT", PAGE_ENTRIES)]))
            for entry_id, (_, why, *parts) in found:
                yield Quarantined(of, partition, entry_id, why.decode(), parts)
            if len(found) < PAGE_ENTRIES:
                return
            after = b"(" + found[-1][0]

    def all(self) -> Iterator[Quarantined]:
        """All that is set aside."""
        return chain.from_iterable(
            self.entries(of, partition) for of in Of for partition in range(self._live.partitions)
        )

    def put_back(self, entry: Quarantined, limit_entries: int) -> bool:
        """Put an entry back at the end of its stream, unless that holds so many, or the entry has gone meanwhile."""
        stream = entry.of.stream(entry.partition)
        keys, args = (quarantine_key(stream), stream), (limit_entries, entry.id)
        [back] = raised(self._live.batched("put_back", durable=True)([(keys, args)]))
        return bool(back)

    def drop(self, entries: Collection[Quarantined]) -> int:
        """Delete entries for good. Answers how many there were."""
        gone = raised(
            self._live.ask(
                [("XDEL", quarantine_key(each.of.stream(each.partition)), each.id) for each in entries]
            )
        )
        return int(sum(gone))

    def sweep(self) -> int:
        """Delete what has been kept for long enough. Answers how many entries that were."""
        every = [of.stream(partition) for of in Of for partition in range(self._live.partitions)]
        kept_ms = KEPT_HOURS * 3_600_000
        trim = self._live.batched("trim")
        gone = int(sum(raised(trim([((quarantine_key(each),), (NO_END, kept_ms)) for each in every]))))
        if gone:
            metrics.QUARANTINE_LOST.labels("expired").inc(gone)
            logger.warning("%d entries that were set aside were not put back within %d h", gone, KEPT_HOURS)
        return gone
