"""Signals by the thousand, as columns: how intake packs them, the log keeps them and the worker takes them up. A row
becomes a `Signal` of its own only where somebody looks at it.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from math import isnan
from typing import Any, overload

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.signals import Fix, Heard, Ping, Report, Sighting, Signal, known, times_of

Floats = NDArray[np.float64]
UNKNOWN = float("nan")
FIELDS = ("received_at", "at", "lat", "lon", "accuracy", "speed", "heading")
"""The rows of `Batch.columns`, as `Fix` has them; nan is unknown."""
MOTION = FIELDS.index("speed")
"""From here on many phones say nothing."""


class _Packed(msgspec.Struct, array_like=True, gc=False):
    """A batch as the signal log holds it; `columns` are little-endian doubles, without the last ones if these hold
    nothing.
    """

    devices: list[str]
    columns: bytes
    heard: dict[int, Heard]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Packed)


@dataclass(frozen=True, slots=True)
class Batch(Sequence[Signal]):
    """Signals in order of arrival. Where `heard` has a row, it is a sighting, of which `columns` hold the times only."""

    devices: list[str]
    columns: Floats
    heard: dict[int, Heard]

    @classmethod
    def of(cls, signals: Iterable[Signal]) -> "Batch":
        """From signals one by one; a batch is itself."""
        if isinstance(signals, cls):
            return signals
        signals = list(signals)
        return cls(
            [signal.device for signal in signals],
            _columns([(signal.received_at, *_values(signal.what)) for signal in signals]),
            {row: signal.what for row, signal in enumerate(signals) if isinstance(signal.what, Heard)},
        )

    @classmethod
    def together(cls, batches: Sequence["Batch"]) -> "Batch":
        """One after the other."""
        if len(batches) == 1:
            return batches[0]
        heard: dict[int, Heard] = {}
        start = 0
        for each in batches:
            heard.update({start + row: what for row, what in each.heard.items()})
            start += len(each.devices)
        columns = [each.columns for each in batches] or [np.empty((len(FIELDS), 0))]
        return cls(
            list(chain.from_iterable(each.devices for each in batches)),
            np.concatenate(columns, axis=1),
            heard,
        )

    @classmethod
    def decoded(cls, data: bytes) -> "Batch":
        """What `encoded` packed. Raises `ValueError`, or `msgspec.DecodeError`, for what it did not."""
        packed = _decoder.decode(data)
        if not packed.devices:
            return cls.of(())
        held = np.frombuffer(packed.columns, "<f8").reshape(-1, len(packed.devices))
        if not MOTION <= len(held) <= len(FIELDS):
            raise ValueError(f"{len(held)} columns, and not {MOTION} to {len(FIELDS)}")
        if packed.heard and not 0 <= min(packed.heard) <= max(packed.heard) < len(packed.devices):
            raise ValueError("a sighting in a row that is not there")
        columns = np.empty((len(FIELDS), len(packed.devices)))
        columns[: len(held)] = held
        columns[len(held) :] = UNKNOWN
        return cls(packed.devices, columns, packed.heard)

    def encoded(self) -> bytes:
        """Packed for the signal log."""
        columns = self.columns if not np.isnan(self.columns[MOTION:]).all() else self.columns[:MOTION]
        return _encoder.encode(
            _Packed(self.devices, np.ascontiguousarray(columns, "<f8").tobytes(), self.heard)
        )

    def only(self, rows: Sequence[int]) -> "Batch":
        """These rows, in the order given."""
        heard = (
            {new: self.heard[old] for new, old in enumerate(rows) if old in self.heard} if self.heard else {}
        )
        return Batch([self.devices[row] for row in rows], self.columns[:, rows], heard)

    def __len__(self) -> int:
        return len(self.devices)

    @overload
    def __getitem__(self, row: int) -> Signal: ...
    @overload
    def __getitem__(self, row: slice) -> "Batch": ...
    def __getitem__(self, row: int | slice) -> "Signal | Batch":
        if isinstance(row, slice):
            return self.only(range(*row.indices(len(self))))
        [signal] = self.each([row])
        return signal

    def each(self, rows: Sequence[int]) -> Iterator[Signal]:
        """The signals in these rows, in the order given."""
        for row, values in zip(rows, self.columns[:, rows].T.tolist(), strict=True):
            received_at, at, lat, lon, accuracy, speed, heading = values
            what: Fix | Heard | None = self.heard.get(row) if self.heard else None
            if what is None:
                what = Fix(
                    at,
                    lat,
                    lon,
                    accuracy,
                    None if isnan(speed) else speed,
                    None if isnan(heading) else heading,
                )
            yield Signal(self.devices[row], received_at, what)


def packed(received: Sequence[float], reports: Sequence[Report]) -> bytes:
    """What devices reported, each with when it was received (unix seconds), as the signal log holds it. An append packs few
    at a time, for which lists are cheaper than numpy's arrays; for many they are no dearer.
    """
    heard = {row: report.heard for row, report in enumerate(reports) if type(report) is Sighting}
    pings: Sequence[Any] = reports
    if heard:
        pings = [_NO_PING if row in heard else report for row, report in enumerate(reports)]
    values = [*received, *times_of(reports)]
    values += [ping.lat for ping in pings]
    values += [ping.lon for ping in pings]
    values += [ping.accuracy for ping in pings]
    motion = [ping.speed for ping in pings] + [ping.heading for ping in pings]
    if motion.count(None) < len(motion):
        motion = [UNKNOWN if known(value) is None else value for value in motion]
        if not all(map(isnan, motion)):
            values += motion
    columns = struct.pack(f"<{len(values)}d", *values)
    return _encoder.encode(_Packed([report.device for report in reports], columns, heard))


_NO_PING = Ping("", UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN)


def _columns(rows: Sequence[Sequence[float]]) -> Floats:
    return np.array(rows, dtype=np.float64).reshape(-1, len(FIELDS)).T


def _values(what: Fix | Heard) -> tuple[float, ...]:
    if isinstance(what, Heard):
        return (what.at, *[UNKNOWN] * (len(FIELDS) - 2))
    return (
        what.at,
        what.lat,
        what.lon,
        what.accuracy,
        UNKNOWN if what.speed is None else what.speed,
        UNKNOWN if what.heading is None else what.heading,
    )
