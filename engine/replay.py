"""Runs exactly the engine's detection over recorded files, in arrival order, never looking ahead."""

import gzip
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np
from tqdm import tqdm

from engine.transfer import read_file
from geofences.detect import DeviceState, Fixes, detect
from geofences.event import PlaceEvent
from geofences.index import GeofenceIndex

BATCH_LINES = 2000


class Unreadable(ValueError):
    """An input file that cannot be used; the message names the file, the line and the field."""


class RecordedPing(msgspec.Struct, gc=False):
    """One line of a pings file: the fields of ``/v1/pings``, and when the server received it. Others are ignored."""

    device: str
    at: float
    received_at: float
    lat: float
    lon: float
    accuracy: float


def replay(geofences: Path, pings: Path, out: IO[str], *, quiet: bool = False) -> dict[str, int]:
    """Write one JSON line per event to `out`; answer how many pings, events and late pings there were."""
    index = GeofenceIndex.of(read_file(geofences))
    states: dict[str, DeviceState] = {}
    counts = {"geofences": len(index), "pings": 0, "events": 0, "late": 0}
    with tqdm(unit=" pings", disable=quiet, desc="replay") as progress:
        for batch in _batches(_read(pings), BATCH_LINES):
            detection = detect(index, states, _columns(batch))
            states |= detection.states
            out.writelines(_line(event) for event in detection.events)
            counts["pings"] += len(batch)
            counts["events"] += len(detection.events)
            counts["late"] += detection.late
            progress.update(len(batch))
    return counts


def _read(path: Path) -> Iterator[RecordedPing]:
    decoder = msgspec.json.Decoder(RecordedPing)
    opener: Any = gzip.open if path.suffix == ".gz" else open
    newest = float("-inf")
    with opener(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                ping = decoder.decode(line)
            except msgspec.MsgspecError as error:
                raise Unreadable(f"{path}, line {number}: {error}") from None
            if ping.received_at < newest:
                raise Unreadable(f"{path}, line {number}: received_at goes back; sort the file by it")
            newest = ping.received_at
            yield ping


def _batches(pings: Iterable[RecordedPing], size: int) -> Iterator[list[RecordedPing]]:
    source = iter(pings)
    while batch := list(islice(source, size)):
        yield batch


def _columns(batch: list[RecordedPing]) -> Fixes:
    return Fixes(
        devices=[ping.device for ping in batch],
        at=np.array([ping.at for ping in batch]),
        received_at=np.array([ping.received_at for ping in batch]),
        lat=np.array([ping.lat for ping in batch]),
        lon=np.array([ping.lon for ping in batch]),
        accuracy_m=np.array([ping.accuracy for ping in batch]),
    )


def _line(event: PlaceEvent) -> str:
    fields = {
        "device": event.device,
        "kind": event.kind,
        "geofence": event.geofence,
        "at": round(event.at.timestamp(), 3),
        "emitted": round(event.emitted.timestamp(), 3),
    }
    return json.dumps(fields) + "\n"
