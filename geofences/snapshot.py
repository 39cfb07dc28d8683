"""A snapshot of all geofences in a file, so that an index need not be made of the records store at every start.

It is a copy and nobody's truth: one that is cut short, altered, of another version or of another store is not used.
The file: `MAGIC`, the SHA-256 of all that follows, the length of the header (8 bytes, little-endian), the header
(MessagePack), and the columns of `Packed`, each from a multiple of `ALIGNMENT` on. It is mapped and not read into memory,
so that processes on one machine share the pages.
"""

import mmap
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from geofences.geofence import Geofence
from geofences.packed import KINDS, Packed

Column = NDArray[Any]

MAGIC = b"chaland geofences 1\n"
ALIGNMENT = 64
MEANING = " ".join((*(each.name for each in fields(Geofence)), *KINDS))
"""What rows mean: a file that was written when geofences had other fields or kinds is not used."""
COLUMNS: Mapping[str, tuple[str, int]] = {
    "revisions": ("<i8", 1),
    "kinds": ("<i1", 1),
    "bounds": ("<f8", 4),
    "reach_m": ("<f8", 1),
    "firsts": ("<i8", 1),
    "positions": ("<f8", 2),
    "record_firsts": ("<i8", 1),
    "records": ("<u1", 1),
}
"""Their types, and how many numbers a row has."""
_PREAMBLE = len(MAGIC) + sha256().digest_size


class UnfitSnapshot(ValueError):
    """The file is no snapshot that can be used; the message says why."""


class _Header(msgspec.Struct, frozen=True):
    revision: int
    meaning: str
    ids: list[str]
    buried: dict[str, int]
    counts: dict[str, int]
    """Rows of each column."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All geofences as they were after the edit `revision`; `buried` tells ids that were gone by then, each with the
    revision at which it went.
    """

    revision: int
    packed: Packed
    buried: Mapping[str, int]


def write(snapshot: Snapshot, path: Path) -> int:
    """Put a snapshot in the file's place, all at once. Answers its bytes. Raises `OSError` and leaves the old one."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.draft")
    try:
        with draft.open("xb") as file:
            size = _fill(file, snapshot)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return size


def read(path: Path) -> Snapshot:
    """The snapshot in a file. Raises `UnfitSnapshot`, and `FileNotFoundError` when there is none."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size < _PREAMBLE + 8:
            raise UnfitSnapshot("it is cut short")
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    if bytes(data[: len(MAGIC)]) != MAGIC:
        raise UnfitSnapshot("it is of another version")
    if sha256(data[_PREAMBLE:]).digest() != bytes(data[len(MAGIC) : _PREAMBLE]):
        raise UnfitSnapshot("its checksum is wrong")
    start = _PREAMBLE + 8
    end = start + int.from_bytes(data[_PREAMBLE:start], "little")
    header = msgspec.msgpack.decode(data[start:end], type=_Header)
    if header.meaning != MEANING:
        raise UnfitSnapshot("it is of another version")
    columns: dict[str, Column] = {}
    for name, (kind, width) in COLUMNS.items():
        rows = np.frombuffer(data, kind, header.counts[name] * width, _aligned(end))
        columns[name] = rows.reshape(-1, width) if width > 1 else rows
        end = _aligned(end) + rows.nbytes
    return Snapshot(header.revision, Packed(ids=header.ids, **columns), header.buried)


def _fill(file: BinaryIO, snapshot: Snapshot) -> int:
    """Write the file's content. Answers its bytes."""
    columns: dict[str, Column] = {
        name: np.ascontiguousarray(getattr(snapshot.packed, name), kind)
        for name, (kind, _) in COLUMNS.items()
    }
    header = msgspec.msgpack.encode(
        _Header(
            revision=snapshot.revision,
            meaning=MEANING,
            ids=list(snapshot.packed.ids),
            buried=dict(snapshot.buried),
            counts={name: len(column) for name, column in columns.items()},
        )
    )
    parts: list[bytes | memoryview] = [len(header).to_bytes(8, "little"), header]
    end = _PREAMBLE + 8 + len(header)
    for column in columns.values():
        parts += [bytes(_aligned(end) - end), column.data.cast("B") if column.size else b""]
        end = _aligned(end) + column.nbytes
    return _write_parts(file, parts)


def _write_parts(file: BinaryIO, parts: Sequence[bytes | memoryview]) -> int:
    digest = sha256()
    for part in parts:
        digest.update(part)
    return sum(file.write(part) for part in (MAGIC, digest.digest(), *parts))


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT
