"""Runs exactly the engine's detection over recorded files, in arrival order, never looking ahead."""

import heapq
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tqdm import tqdm

from engine import track
from engine.beliefs import STANDARD, DetectionPolicy
from engine.detection import Detection, World, detect, tick
from engine.recordings.recorded import RecordedPing, RecordedSighting, read_lines
from engine.signals import Signal
from engine.track import Track
from engine.transfer import read_beacons, read_file
from geofences.beacons import Beacons
from geofences.event import PlaceEvent, Revision
from geofences.index import GeofenceIndex

BATCH_SECONDS = 2.0
"""Timers are looked at so often, by the stream's own time."""
BATCH_LIMIT = 2000


@dataclass(slots=True)
class Recording:
    """What a replay reads: geofences, pings, and perhaps sightings with the beacons that were heard."""

    geofences: Path
    pings: Path
    sightings: Path | None = None
    beacons: Path | None = None


@dataclass(slots=True)
class Replay:
    """The engine's detection over a stream of signals: tracks in memory, and the timers among them."""

    world: World
    policy: DetectionPolicy = STANDARD
    tracks: dict[str, Track] = field(default_factory=dict)
    late: int = 0
    _dues: list[tuple[float, str]] = field(default_factory=list)

    def feed(self, batch: list[Signal]) -> list[PlaceEvent]:
        """Take a batch in order of arrival; first, what was due by the clock before it."""
        events = self.catch_up(batch[0].received_at)
        detection = detect(self.world, self.tracks, batch, self.policy)
        return events + self._keep(detection)

    def catch_up(self, now: float) -> list[PlaceEvent]:
        """Say what is due until now for phones that are silent."""
        due = set()
        while self._dues and self._dues[0][0] <= now:
            due.add(heapq.heappop(self._dues)[1])
        return self._keep(
            tick(
                self.world,
                {each: self.tracks[each] for each in sorted(due) if each in self.tracks},
                now,
                self.policy,
            )
        )

    def _keep(self, detection: Detection) -> list[PlaceEvent]:
        for device, each in detection.tracks.items():
            if each is None:
                self.tracks.pop(device, None)
            else:
                self.tracks[device] = each
        self.late += len(detection.late)
        for device, each in detection.tracks.items():
            due = track.due_at(each, self.world.index.get) if each else None
            if due is not None:
                heapq.heappush(self._dues, (due, device))
        return list(detection.events)


def replay(
    recording: Recording, out: IO[str], *, policy: DetectionPolicy = STANDARD, quiet: bool = False
) -> dict[str, int]:
    """Write one JSON line per event to `out`; answer how many signals, events and late signals there were."""
    run = Replay(open_world(recording), policy)
    counts = {
        "geofences": len(run.world.index),
        "beacons": len(run.world.beacons),
        "signals": 0,
        "events": 0,
        "late": 0,
    }
    with tqdm(unit=" signals", disable=quiet, desc="replay") as progress:
        for batch in batches(signals(recording)):
            events = run.feed(batch)
            out.writelines(line(event) for event in events)
            counts["signals"] += len(batch)
            counts["events"] += len(events)
            progress.update(len(batch))
    counts["late"] = run.late
    return counts


def open_world(recording: Recording) -> World:
    """The geofences and beacons of a recording. Raises a `GeofenceError` for a file that is wrong."""
    world = World()
    world.follow(
        GeofenceIndex.of(read_file(recording.geofences)),
        Beacons.of(read_beacons(recording.beacons)) if recording.beacons else Beacons(),
    )
    return world


def signals(recording: Recording) -> Iterator[Signal]:
    """Pings and sightings of a recording, merged in order of arrival. Raises `Unreadable`."""
    pings = (
        Signal(each.device, each.received_at, each.fix) for each in read_lines(recording.pings, RecordedPing)
    )
    if recording.sightings is None:
        return pings
    heard = (
        Signal(each.device, each.received_at, each.heard)
        for each in read_lines(recording.sightings, RecordedSighting)
    )
    return heapq.merge(pings, heard, key=lambda signal: signal.received_at)


def batches(source: Iterable[Signal]) -> Iterator[list[Signal]]:
    """Cut a stream where its time goes on by `BATCH_SECONDS`, or at `BATCH_LIMIT` signals."""
    batch: list[Signal] = []
    for signal in source:
        if batch and (len(batch) >= BATCH_LIMIT or signal.received_at - batch[0].received_at > BATCH_SECONDS):
            yield batch
            batch = []
        batch.append(signal)
    if batch:
        yield batch


def line(event: PlaceEvent) -> str:
    """One event as JSON. One that is told anew or taken back says so, and of what kind it was."""
    fields = {
        "device": event.device,
        "kind": event.kind if event.revision is Revision.SAID else event.revision,
        "geofence": event.geofence,
        "at": round(event.at.timestamp(), 3),
        "emitted": round(event.emitted.timestamp(), 3),
    }
    if event.beacon:
        fields["beacon"] = event.beacon
    if event.zone:
        fields["zone"] = event.zone
    if event.revision is not Revision.SAID:
        fields["of"] = event.kind
    return json.dumps(fields) + "\n"
