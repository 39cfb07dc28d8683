"""The proof of consent: for a subject, a purpose and an instant, what stood, by which entry, under which text."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from consent import checkpoint, ledger, log
from consent.commitment import entry_line
from consent.entry import Channel, Entry, Purpose, Standing
from consent.errors import EntryNotFound
from consent.notice import notices_of
from consent.receipt import issue
from consent.signing import KeyRing
from consent.store import consent_entries


def proof(
    conn: Connection,
    ring: KeyRing,
    subject: str,
    purpose: Purpose,
    channel: Channel | None,
    at: datetime,
    now: datetime,
) -> tuple[Standing, dict[str, Any] | None]:
    """What stood at `at`, and the receipt of the entry that decided; None where there never was one."""
    stands = ledger.standing_of(conn, subject, purpose, channel, at)
    return stands, None if stands.because is None else receipt_of(conn, ring, stands.because, now)


def receipt_by_id(conn: Connection, ring: KeyRing, subject: str, entry: str, now: datetime) -> dict[str, Any]:
    """The receipt of one of a subject's entries. Raises EntryNotFound."""
    for stands in ledger.entries_of(conn, subject):
        if stands.id == entry:
            return receipt_of(conn, ring, stands, now)
    raise EntryNotFound


def receipt_of(conn: Connection, ring: KeyRing, entry: Entry, now: datetime) -> dict[str, Any]:
    """The receipt of an entry that stands in the log, against a checkpoint signed `now`."""
    signed = checkpoint.current(conn, ring, now)
    salt = conn.scalar(select(consent_entries.c.salt).where(consent_entries.c.id == entry.id))
    if salt is None or entry.seq is None:
        raise EntryNotFound
    version = entry.text_version
    notice = notices_of(conn, [version]).get(version) if version else None
    path = log.inclusion(conn, entry.seq - 1, signed.size)
    return issue(entry_line(entry), salt, entry.seq, path, signed, notice)
