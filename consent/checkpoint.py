"""A checkpoint: what the consent log was at one moment, signed, to be handed to somebody else.

Its text is that of https://c2sp.org/tlog-checkpoint (the log's name, its size, its root), with the time as one line
more. Whoever keeps one can prove later that the log was cut back or rewritten; the log's owner alone could do both.
"""

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from consent import log
from consent.commitment import instant
from consent.errors import LedgerKeyDiffers
from consent.log_tables import consent_checkpoints, consent_log
from consent.merkle import HASH_BYTES
from consent.signing import KeyRing, NotTrusted

TEXT = re.compile(
    r"(?P<name>[^\n]+)\n(?P<size>0|[1-9][0-9]{0,18})\n(?P<root>[A-Za-z0-9+/]{43}=)\n"
    r"(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6})Z\n"
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The log's size and root at a time, and the signed note that says so."""

    size: int
    root: bytes
    at: datetime
    note: str


def sign(ring: KeyRing, size: int, root: bytes, at: datetime) -> Checkpoint:
    """Say what the log is, under the ring's signature. `at` is aware and in UTC."""
    text = f"{ring.name}\n{size}\n{b64encode(root).decode()}\n{instant(at)}\n"
    return Checkpoint(size, root, at, ring.sign(text))


def read(ring: KeyRing, note: str) -> Checkpoint:
    """The checkpoint that a note holds. Raises NotTrusted unless a key of the ring has signed it."""
    found = TEXT.fullmatch(ring.open(note))
    if found is None or found["name"] != ring.name:
        raise NotTrusted("this note is no checkpoint of this log")
    root = b64decode(found["root"], validate=True)
    if len(root) != HASH_BYTES or b64encode(root).decode() != found["root"]:
        raise NotTrusted("this note is no checkpoint of this log")
    try:
        at = datetime.fromisoformat(found["at"] + "+00:00")
    except ValueError:
        raise NotTrusted("this note is no checkpoint of this log") from None
    return Checkpoint(int(found["size"]), root, at, note)


def newest(conn: Connection) -> str | None:
    """The note of the newest checkpoint that was taken."""
    by_age = select(consent_checkpoints.c.note).order_by(consent_checkpoints.c.number.desc())
    return conn.scalar(by_age.limit(1))


def current(conn: Connection, ring: KeyRing, at: datetime) -> Checkpoint:
    """What the log is now, signed, and not kept. Raises LedgerKeyDiffers."""
    _last(conn, ring)
    size = log.size_of(conn)
    return sign(ring, size, log.root_at(conn, size), at)


def take(conn: Connection, ring: KeyRing, at: datetime) -> Checkpoint:
    """Take a checkpoint of the log and keep it; where nothing was written since the last one, that one. Raises
    LedgerKeyDiffers.
    """
    size = log.hold(conn)
    last = _last(conn, ring)
    if last is not None and last.size == size:
        return last
    taken = sign(ring, size, log.root_at(conn, size), at)
    number = conn.scalar(select(consent_log.c.checkpoints)) or 0
    conn.execute(insert(consent_checkpoints).values(number=number + 1, note=taken.note))
    conn.execute(update(consent_log).where(consent_log.c.id == 1).values(checkpoints=number + 1))
    return taken


def _last(conn: Connection, ring: KeyRing) -> Checkpoint | None:
    """The newest checkpoint. Another key must not go on where it ends: nobody could check the log as one."""
    note = newest(conn)
    if note is None:
        return None
    try:
        return read(ring, note)
    except NotTrusted:
        raise LedgerKeyDiffers from None
