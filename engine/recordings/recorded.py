"""Signals as files keep them: JSON lines in order of arrival, with when the server received each."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from engine.signals import Fix, Heard, HeardBeacon, known
from geofences.beacon import RegionChange
from geofences.event import EventKind, Revision


class Unreadable(ValueError):
    """A file that cannot be used; the message names the file, the line and the field."""


class RecordedPing(msgspec.Struct, gc=False):
    """One line of a pings file: the fields of ``/v1/pings``, and when the server received it. Others are ignored."""

    device: str
    at: float
    received_at: float
    lat: float
    lon: float
    accuracy: float
    speed: float | None = None
    heading: float | None = None

    @property
    def fix(self) -> Fix:
        """The same as the signal log would hold it."""
        return Fix(self.at, self.lat, self.lon, self.accuracy, known(self.speed), known(self.heading))


class RecordedSighting(msgspec.Struct, gc=False):
    """One line of a sightings file: the fields of ``/v1/sightings``, and when the server received it."""

    device: str
    at: float
    received_at: float
    beacon: HeardBeacon
    rssi: float | None = None
    event: RegionChange | None = None
    tx_power: float | None = None

    def __post_init__(self) -> None:
        """Refuse what says neither how loud nor what happened."""
        missing = "rssi" if self.rssi is None else self.beacon.missing
        if self.event is None and missing:
            raise ValueError(f"Object missing required field `{missing}`")

    @property
    def heard(self) -> Heard:
        """The same as the signal log would hold it."""
        return Heard.of(self.at, self.rssi, self.tx_power, self.beacon, region=self.event)


class RecordedEvent(msgspec.Struct, gc=False):
    """One line of an events file, as `chaland replay` writes it; `of` is the kind of an event that is told anew or taken back.
    Others are ignored.
    """

    device: str
    kind: str
    geofence: str
    at: float
    emitted: float
    id: str | None = None
    of: EventKind | None = None
    beacon: str | None = None
    zone: str | None = None

    def __post_init__(self) -> None:
        """Refuse a kind that no event has."""
        revised = self.kind in [each.value for each in (Revision.AMENDED, Revision.RETRACTED)]
        if revised != (self.of is not None) or not (
            revised or self.kind in [each.value for each in EventKind]
        ):
            raise ValueError(
                f"kind must be one of {', '.join(EventKind)}; or amended or retracted, with `of`"
            )

    @property
    def received_at(self) -> float:
        """By which the file is sorted."""
        return self.emitted


R = TypeVar("R", RecordedPing, RecordedSighting, RecordedEvent)


def read_lines(path: Path, kind: type[R]) -> Iterator[R]:
    """The lines of a file, unpacked when its name ends in ``.gz``; empty ones are passed over. Raises `Unreadable`
    at the first that is wrong, or that was received before the one above it.
    """
    decoder = msgspec.json.Decoder(kind)
    newest = float("-inf")
    for number, line in _lines(path):
        try:
            signal = decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Unreadable(f"{path}, line {number}: {error}") from None
        if signal.received_at < newest:
            raise Unreadable(f"{path}, line {number}: received_at goes back; sort the file by it")
        newest = signal.received_at
        yield signal


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    opener: Any = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as lines:
            yield from ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise Unreadable(f"{path}: {error}") from None
