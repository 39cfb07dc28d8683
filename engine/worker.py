"""The engine worker: takes a micro-batch of fixes from its partitions, detects what happened, and commits states,
events and acknowledgement of each partition in one atomic, fenced step.
"""

import logging
import threading
import time
from bisect import bisect
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate, chain
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

import msgspec
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from engine import metrics, track
from engine.ahead import packed_texts
from engine.batch import Batch
from engine.clock import Now
from engine.detection import Detection, World, detect, recall, tick
from engine.fleet_figures import FleetFigures
from engine.leases import Leases
from engine.live import (
    Live,
    commit_keys,
    device_prefix,
    due_key,
    events_key,
    gate_edits_key,
    gate_key,
    partition_of,
)
from engine.log import LogEntry, SignalLog
from engine.passers import KEPT_SECONDS, Passers
from engine.places import Places
from engine.quarantine import Of, Quarantine
from engine.recent import Recent
from engine.round_trip import raised
from engine.track import Track, UnreadableTrack, decode_track, encode_track

if TYPE_CHECKING:
    from geofences.event import PlaceEvent

logger = logging.getLogger(__name__)

ROOM_SECONDS = 0.25
"""So often it is asked whether decisions keep up."""
ROUND_SECONDS = 0.008
"""Rounds of few signals that take less begin no sooner than this after each other, so that a second of many small bodies
takes few of them; except that none waits for longer than `REST` times what the one before it took.
"""
FEW_SIGNALS = 100
"""A round of fewer is one of few: what it costs does not depend on them."""
REST = 3.0
RETRY_SECONDS = 1.0
"""Pause after a store did not answer."""
TIMERS_AT_ONCE = 500
"""Phones of one partition whose timers are looked at in one round."""
SIGNALS_AT_ONCE = 60_000
"""Signals of a round: each partition takes no further entry once it has its share of them, but always one. It bounds
memory, and the time for which the live store answers nobody else while one partition is committed.
"""
FEW_ENTRIES = 8
"""So many are read of each partition as long as nobody knows how many signals an entry has."""
LOG_KEPT_MS = int((KEPT_SECONDS + 20) * 1000)
"""Processed entries stay in the log for so long: a worker that takes a partition over learns from them where phones
were that are near nothing."""
TRACKS_KEPT_SECONDS = 300.0
TRACKS_LIMIT = 2_000_000
"""Phones of which a worker remembers the track, or that there is none, so as not to read back what it has written."""
LEASE_LOST = 0
"""What the commit of a partition answers that is another worker's; any other number is that the batch does not begin at
its cursor."""
Remembered = tuple[Track | None, bytes, str | None]
"""A track, None for none; how often the gate of its partition had closed when the live store held it too; and the timer
that the live store has for it, as it is told to the commit, None if that is not known.
"""
NO_TIMER, SAME_TIMER = "-", ""
"""What the commit is told instead of a moment."""
_encoder = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True)
class _Batch:
    """What is committed in one round trip. By partition: the id of the last entry and how many entries were taken, the
    devices whose tracks are written, how often the gate had closed when these were known to be allowed. `after` is the
    moment up to which timers have been looked at: one that could not be told by then never will be.
    """

    until: Mapping[int, tuple[bytes, int]]
    devices: Mapping[int, Sequence[str]]
    gate_edits: Mapping[int, bytes]
    detection: Detection
    signals: Batch = field(default_factory=lambda: Batch.of(()))
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class _Known:
    """The tracks of devices that may be heard, None for one that has none; by partition, how often the gate had closed
    when that was known; and of devices for which it may have been opened after some of the signals had come, how often
    it had closed by then.
    """

    tracks: dict[str, Track | None] = field(default_factory=dict)
    gate_edits: dict[int, bytes] = field(default_factory=dict)
    since: dict[str, int] = field(default_factory=dict)

    def rows(self, entries: Iterable[LogEntry]) -> list[int]:
        """The rows of the entries' signals, one after the other, that may be heard: of a device that may, and appended
        when the gate was open for it as it is now.
        """
        heard: list[int] = []
        first = 0
        for entry in entries:
            edits, names = int(entry.gate_edits), entry.signals.devices
            heard += [
                row
                for row, device in enumerate(names, first)
                if device in self.tracks and self.since.get(device, 0) <= edits
            ]
            first += len(names)
        return heard


class _Overtaken(Exception):
    """A commit was refused, as another worker has the partition now, or the live store is elsewhere than was thought:
    what was detected since is built on nothing.
    """


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
        self._reader = log.reader()
        self._leases = leases
        self._places = places
        self._now = now
        self._world = World(places.index, places.beacons)
        self._followed = (0, 0)
        self._batch_entries = batch_entries
        self._entries_at_once = min(FEW_ENTRIES, batch_entries)
        self._state_expiry_ms = state_expiry_seconds * 1000
        self._event_limit_entries = event_limit_entries
        self._log_kept_entries = log_kept_entries
        self._ahead = live.ahead("fetch", "commit")
        self._sent: _Batch | None = None
        kept_seconds = min(TRACKS_KEPT_SECONDS, state_expiry_seconds / 4)
        self._tracks: Recent[Remembered] = Recent(kept_seconds, TRACKS_LIMIT)
        self._fleet = FleetFigures(live)
        self._quarantine = Quarantine(live)
        self._upset = False
        self._full: set[int] = set()
        self._full_looked = _Every(ROOM_SECONDS)
        self._cursors: dict[int, bytes] = {}
        self._due_at: dict[int, float] = {}
        self.failures = 0
        """Rounds that failed for a reason of ours."""

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
            except Exception as error:  # noqa: BLE001  # nothing ends this thread while its leases are renewed
                # The type alone: a message may quote a value, and a value may be personal.
                logger.error("worker: a round failed (%s); beginning anew", type(error).__name__)  # noqa: TRY400
                self.failures += 1
                metrics.ROUNDS_FAILED.inc()
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
            with suppress(_Overtaken):
                self._settle()
            self._fleet.flush(self._now().timestamp(), at_once=True)
            self._leases.release_all()
            self._ahead.drop()
            self._reader.drop()
        except RedisError:
            logger.warning("worker: leases could not be given back; they run out by themselves")

    def refresh(self) -> None:
        """Renew leases, and forget the place reached in partitions that have gone to others. Before the first, all
        geofences are loaded, which may take longer than a lease.
        """
        self._places.refresh()
        try:
            self._settle()
        except _Overtaken:
            self._begin_anew()
        before = self._leases.held
        self._leases.refresh()
        held = self._leases.held
        cursors = self._log.cursors(held)
        if any(held.get(partition) != before.get(partition) for partition in self._cursors):
            self._begin_anew()  # one that came back under another lease may have been another worker's for a while
        elif any(reached != cursors.get(partition) for partition, reached in self._cursors.items()):
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
            known = self._known(
                {partition: list(dict.fromkeys(signals.devices))},
                {partition: [each.gate_edits for each in entries]},
            )
            recall(self._world, signals.only(known.rows(entries)))

    def _begin_anew(self) -> None:
        """Forget all that is only remembered: what was not committed did not happen. What is being committed is found
        so, or is not, when cursors are read again.
        """
        self._ahead.drop()
        self._reader.drop()
        self._sent = None
        self._cursors.clear()
        self._tracks.clear()
        self._world.passers = Passers()
        self._entries_at_once = min(FEW_ENTRIES, self._batch_entries)
        self._upset = True

    def run_once(self, block_ms: int = 0) -> int:
        """Process one micro-batch of every owned partition that has one, and the timers of those that are caught up
        with. Answers how many log entries and timers it took. With `block_ms` it waits that long for something to do,
        and the commit may still be under way when it returns; the next one waits for it, and knows what it wrote.
        """
        try:
            return self._round(block_ms)
        except _Overtaken:
            self._begin_anew()
            return 0

    def _round(self, block_ms: int) -> int:
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
        batches, waiting = self._read(ready, block_ms)
        if batches:
            began = time.monotonic()
            few = sum(len(each.signals) for each in chain.from_iterable(batches.values())) < FEW_SIGNALS
            self._take(batches, ready if block_ms and not few else {}, block_ms)
            if block_ms and few:
                took = time.monotonic() - began
                time.sleep(max(min(REST * took, ROUND_SECONDS - took), 0))
        if not block_ms or not batches:
            self._settle()
        self._fleet.flush(self._now().timestamp(), at_once=not block_ms)
        caught_up = [each for each in ready if each not in waiting]
        return sum(len(entries) for entries in batches.values()) + self._tick(caught_up)

    def _read(
        self, cursors: Mapping[int, bytes], block_ms: int
    ) -> tuple[dict[int, list[LogEntry]], Collection[int]]:
        """What comes next of each partition, and the partitions of which more may be there. By how many signals the
        entries had it is told how many to read the next time, so that little is read twice.
        """
        found = self._reader.read(cursors, self._entries_at_once, block_ms)
        waiting = {each for each, entries in found.items() if len(entries) >= self._entries_at_once}
        sizes = {each: [len(entry.signals) for entry in entries] for each, entries in found.items()}
        if found:
            share = SIGNALS_AT_ONCE // len(found)
            signals = sum(map(sum, sizes.values()))
            fitting = share * sum(map(len, sizes.values())) // max(signals, 1)
            self._entries_at_once = max(min(fitting, self._batch_entries), 1)
            if signals > share:
                for partition, each in sizes.items():
                    kept = bisect(list(accumulate(each)), share) or 1
                    if kept < len(each):
                        found[partition] = found[partition][:kept]
                        waiting.add(partition)
            waiting |= self._set_aside(found)
        return found, waiting

    def _set_aside(self, found: dict[int, list[LogEntry]]) -> set[int]:
        """Keep the entries that cannot be read in the quarantine, so that they may be acknowledged with the others, as
        bringing nothing. Takes out of `found` those from the first on that there is no room for, and answers of which
        partitions.
        """
        held_up = set()
        for partition, entries in list(found.items()):
            faults = [(each.id, each.unreadable) for each in entries if each.unreadable]
            if not faults:
                continue
            lease = self._leases.held.get(partition, "")
            kept = self._quarantine.keep(Of.SIGNALS, partition, lease, faults)
            if kept is None:
                self._leases.lost(partition)
                raise _Overtaken
            if kept < len(faults):
                held_up.add(partition)
                self._full.add(partition)  # till it is looked for room again
                found[partition] = entries[: [each.id for each in entries].index(faults[kept][0])]
                if not found[partition]:
                    del found[partition]
        return held_up

    def _take(
        self, taken: Mapping[int, Sequence[LogEntry]], following: Mapping[int, bytes], block_ms: int
    ) -> None:
        """Detect what happened and commit it. Before that, ask for what comes next in the partitions of `following`, of
        which it tells where they were, so that it is here when it is wanted.
        """
        entries = list(chain.from_iterable(taken.values()))
        devices = {
            partition: list(dict.fromkeys(chain.from_iterable(each.signals.devices for each in entries)))
            for partition, entries in taken.items()
        }
        known = self._known(
            devices,
            {partition: [each.gate_edits for each in entries] for partition, entries in taken.items()},
        )
        signals = Batch.together([each.signals for each in entries])
        if known.since or sum(map(len, devices.values())) > len(known.tracks):
            for stranger in set(signals.devices) - known.tracks.keys():
                self._world.forget(stranger)
            signals = signals.only(known.rows(entries))
        detection = detect(self._world, known.tracks, signals) if signals else Detection({}, ())
        if following:
            reached = {partition: entries[-1].id for partition, entries in taken.items()}
            self._reader.ask({**following, **reached}, self._entries_at_once, block_ms)
        self._commit(
            _Batch(
                until={partition: (entries[-1].id, len(entries)) for partition, entries in taken.items()},
                devices=self._by_partition(detection.tracks),
                gate_edits=known.gate_edits,
                detection=detection,
                signals=signals,
            )
        )

    def _tick(self, partitions: Iterable[int]) -> int:
        """Say what is due by the clock in partitions without a backlog, where a silent phone is truly silent."""
        now = self._now().timestamp()
        taken = 0
        for partition in partitions:
            if self._due_at.get(partition, float("inf")) > now:
                continue
            self._settle()
            names = self._live.client.zrange(
                due_key(partition), 0, int(now * 1000), byscore=True, offset=0, num=TIMERS_AT_ONCE
            )
            devices = [name.decode() for name in cast("list[bytes]", names)]
            known = self._known({partition: devices})
            tracks = {name: each for name, each in known.tracks.items() if each}
            detection = tick(self._world, tracks, now)
            self._commit(
                _Batch(
                    until={partition: (self._cursors[partition], 0)},
                    devices={partition: devices},
                    gate_edits=known.gate_edits,
                    detection=Detection({**tracks, **detection.tracks}, detection.events),
                    after=now,
                )
            )
            self._settle()
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
        full = {
            partition
            for partition, depth in zip(self._cursors, depths, strict=True)
            if depth >= self._event_limit_entries
        }
        if self._full - full:  # the log has grown meanwhile, by entries of whatever size
            self._entries_at_once = min(FEW_ENTRIES, self._entries_at_once)
        self._full = full

    def _known(
        self,
        devices: Mapping[int, Sequence[str]],
        gate_edits: Mapping[int, Sequence[bytes]] = MappingProxyType({}),
    ) -> _Known:
        """What is known of devices that may still be heard. `gate_edits` tells how often the gate had closed for each
        log entry.

        The live store is asked where something is not remembered, or the gate has closed since it was: a withdrawal
        deletes the track there. A track that it was not asked for is remembered no longer for having been looked at, so
        that it is forgotten before it expires there.
        """
        now = self._now().timestamp()
        known = _Known()
        asked: dict[int, dict[str, Remembered]] = {}
        for partition, names in devices.items():
            of_entries = set(gate_edits.get(partition, ()))
            lately = self._tracks.just_now(names, now) if len(of_entries) == 1 else None
            if lately is not None and {then for _, then, _ in lately} == of_entries:
                known.tracks.update(zip(names, [each for each, _, _ in lately], strict=True))
                [known.gate_edits[partition]] = of_entries
                continue
            there = self._tracks.among(names, now)
            of_all = of_entries | {then for _, then, _ in there.values()}
            if len(of_entries) == len(of_all) == 1 and len(there) == len(names):
                known.tracks.update({name: each for name, (each, _, _) in there.items()})
                [known.gate_edits[partition]] = of_all
                self._tracks.put({name: each for name, each in there.items() if not each[0]}, now)
            else:
                asked[partition] = there
        if asked:
            answered = self._ask({partition: devices[partition] for partition in asked}, asked, gate_edits)
            known = _Known(
                known.tracks | answered.tracks, known.gate_edits | answered.gate_edits, answered.since
            )
            for partition, there in asked.items():
                then = known.gate_edits[partition]
                none: Remembered = (None, then, None)
                for name in devices[partition]:
                    if name not in known.tracks:
                        there.pop(name, None)
                    elif track_of := known.tracks[name]:
                        there[name] = (track_of, then, there[name][2] if name in there else None)
                    else:
                        there[name] = none
                self._tracks.put(there, now)
        return known

    def _ask(
        self,
        devices: Mapping[int, Sequence[str]],
        there: Mapping[int, Mapping[str, Remembered]],
        gate_edits: Mapping[int, Sequence[bytes]],
    ) -> _Known:
        """What the live store knows of devices, of which some are remembered."""
        known = _Known()
        remembered = {
            partition: [name for name, (each, _, _) in tracks.items() if each]
            for partition, tracks in there.items()
        }
        wanted = {
            partition: [name for name in names if name not in there[partition]]
            for partition, names in devices.items()
        }
        least = {
            partition: min({*counts, *(then for _, then, _ in there[partition].values())}, key=int)
            for partition in devices
            if (counts := gate_edits.get(partition))
        }
        self._ahead.call(
            "fetch",
            [
                (
                    (gate_key(partition), gate_edits_key(partition), device_prefix(partition)),
                    [
                        least.get(partition, b""),
                        *(_encoder.encode(each[partition]) for each in (devices, remembered, wanted)),
                    ],
                )
                for partition in devices
            ],
        )
        self._settle()
        for partition, answer in zip(devices, raised(self._ahead.hear()), strict=True):
            known.gate_edits[partition], heard, kept, states, opened = answer
            names = devices[partition]
            if heard:
                verdicts = list(zip(names, heard.decode(), strict=True))
                names = [name for name, verdict in verdicts if verdict != "0"]
                again = (name for name, verdict in verdicts if verdict == "2")
                for name, since in zip(again, map(int, opened), strict=True):
                    known.since[name] = since
                    if name not in there[partition] or int(there[partition][name][1]) < since:
                        self._world.forget(name)
            found: dict[str, Track | None] = dict.fromkeys(names)
            for name, verdict in zip(remembered[partition], kept, strict=True):
                if verdict != ord("1"):
                    self._forget(name)
                elif name in found:
                    found[name] = there[partition][name][0]
            for name, state in zip(wanted[partition], states, strict=True):
                if state and name in found:
                    found[name] = _track_of(state)
            known.tracks.update(found)
        return known

    def _forget(self, device: str) -> None:
        self._tracks.pop(device)
        self._world.forget(device)

    def _by_partition(self, devices: Iterable[str]) -> dict[int, list[str]]:
        grouped: dict[int, list[str]] = defaultdict(list)
        for device in devices:
            grouped[partition_of(device, self._live.partitions)].append(device)
        return grouped

    def _commit(self, batch: _Batch) -> None:
        """Write what was detected, each partition in one step of its own, all in one round trip, once it is known that
        what went before is written. What becomes of it is heard later; till then it counts as done.
        """
        self._settle()
        events: dict[int, list[PlaceEvent]] = defaultdict(list)
        for event in batch.detection.events:
            events[partition_of(event.device, self._live.partitions)].append(event)
        leases, now = self._leases.held, self._now().timestamp()
        after: dict[str, Remembered] = {}
        self._ahead.call_as_one(
            "commit",
            [
                (
                    commit_keys(each),
                    packed_texts(
                        [
                            leases.get(each, ""),
                            self._cursors[each],
                            *batch.until[each],
                            batch.gate_edits[each],
                            self._log_kept_entries,
                            self._state_expiry_ms,
                            LOG_KEPT_MS,
                            len(batch.devices.get(each, ())),
                            *self._states(each, batch, after, now),
                            *(
                                part
                                for event in events.get(each, ())
                                for part in (event.device, _encoder.encode(event))
                            ),
                        ]
                    ),
                )
                for each in batch.until
            ],
        )
        self._sent = batch
        self._cursors.update({partition: last_id for partition, (last_id, _) in batch.until.items()})
        self._tracks.put(after, now)

    def _settle(self) -> None:
        """Wait until what was sent is written. Raises `_Overtaken` where it is not."""
        if not self._sent:
            return
        batch, self._sent = self._sent, None
        answers = raised(self._ahead.hear())
        refused = {
            partition: answer
            for partition, answer in zip(batch.until, answers, strict=True)
            if not isinstance(answer, list)
        }
        skipped = {device.decode() for answer in answers if isinstance(answer, list) for device in answer}
        for partition, why in refused.items():
            if why == LEASE_LOST:
                logger.warning("worker: partition %d has passed to another worker", partition)
                self._leases.lost(partition)
            else:
                logger.warning(
                    "worker: partition %d is not where it was left; starting from there", partition
                )
        for device in skipped:
            self._forget(device)
        signals, events, late = batch.signals, batch.detection.events, batch.detection.late
        if refused or skipped:

            def written(device: str) -> bool:
                return device not in skipped and partition_of(device, self._live.partitions) not in refused

            signals = signals.only([row for row, device in enumerate(signals.devices) if written(device)])
            events = [each for each in events if written(each.device)]
            late = list(filter(written, late))
        metrics.EVENTS_EMITTED.inc(len(events))
        metrics.PINGS_PROCESSED.inc(len(signals))
        metrics.PINGS_LATE.inc(len(late))
        if signals.heard:
            self._fleet.take(self._world.index, self._world.beacons, signals, self._world.passers)
        if refused:
            raise _Overtaken

    def _states(
        self, partition: int, batch: _Batch, after: dict[str, Remembered], now: float
    ) -> list[str | bytes]:
        """What the commit of one partition says of its devices: each its name, state, and timer. Adds to `after` what
        is to be remembered of them once it is sent.
        """
        devices, edits = batch.devices.get(partition, ()), batch.gate_edits[partition]
        before = {} if batch.after else self._tracks.among(devices, now)
        first_due = self._due_at.get(partition, float("inf"))
        states: list[str | bytes] = []
        for device in devices:
            each = batch.detection.tracks.get(device)
            due_at = track.due_at(each, self._world.index.get) if each else None
            timer = NO_TIMER
            if due_at is not None and due_at > batch.after:
                timer = str(int(due_at * 1000) + 1)
                first_due = min(first_due, due_at)
            same = device in before and before[device][2] == timer
            states += (device, encode_track(each) if each else b"", SAME_TIMER if same else timer)
            after[device] = (each, edits, timer)
        self._due_at[partition] = first_due
        return states


def _track_of(state: bytes) -> Track | None:
    """What the live store holds of a phone; None where it cannot be read, and then the phone is met anew."""
    try:
        return decode_track(state)
    except UnreadableTrack as error:
        logger.warning("worker: a track cannot be read (%s); its phone is met anew", error)
        metrics.TRACKS_UNREADABLE.inc()
        return None


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
