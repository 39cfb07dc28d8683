"""What a leaf of the consent log commits to: a random salt and the canonical line of what was written down.

The line is the JSON of the fields that are not null, in the canonical form of RFC 8785: keys in order, no spaces,
UTF-8. The commitment is SHA-256 over the salt's 32 bytes and the line; the leaf's hash is that of RFC 6962 over the
commitment. Once salt and line are destroyed, the leaf tells nothing of what it stood for, and still holds its place.
These forms are never changed: a new field is one more that is null for what was written before it.
"""

import secrets
from datetime import datetime
from hashlib import sha256

import msgspec

from consent.entry import Entry

SALT_BYTES = 32


class EntryLine(msgspec.Struct, omit_defaults=True, frozen=True, forbid_unknown_fields=True):
    """An entry, as committed to. Its place in the ledger is told by its leaf."""

    action: str | None = None
    actor: str | None = None
    at: str | None = None
    channel: str | None = None
    evidence: str | None = None
    id: str | None = None
    jurisdiction: str | None = None
    language: str | None = None
    partner: str | None = None
    purpose: str | None = None
    recorded_at: str | None = None
    source: str | None = None
    subject: str | None = None
    text_hash: str | None = None
    text_version: str | None = None


class NoticeLine(msgspec.Struct, omit_defaults=True, frozen=True, forbid_unknown_fields=True):
    """A published text, as committed to."""

    actor: str | None = None
    language: str | None = None
    published_at: str | None = None
    renews: str | None = None
    text: str | None = None
    version: str | None = None


class ErasureLine(msgspec.Struct, omit_defaults=True, frozen=True, forbid_unknown_fields=True):
    """An erasure, as committed to: `entries` are the places of the entries that it destroyed, separated by spaces."""

    actor: str | None = None
    entries: str | None = None
    erased_at: str | None = None


Line = EntryLine | NoticeLine | ErasureLine

canonical = msgspec.json.Encoder().encode
"""The canonical form of a line, as bytes."""


def new_salt() -> bytes:
    """Randomness that makes a commitment hide what it is to, however easily that could be guessed."""
    return secrets.token_bytes(SALT_BYTES)


def leaf_of(salt: bytes, line: Line) -> bytes:
    """The hash of the leaf that commits to a line."""
    return sha256(b"\x00" + sha256(salt + canonical(line)).digest()).digest()


def entry_line(entry: Entry) -> EntryLine:
    """An entry's line."""
    return EntryLine(
        action=entry.action.value,
        actor=entry.actor,
        at=instant(entry.at),
        channel=None if entry.channel is None else entry.channel.value,
        evidence=entry.evidence,
        id=entry.id,
        jurisdiction=entry.jurisdiction,
        language=entry.language,
        partner=entry.partner,
        purpose=entry.purpose.value,
        recorded_at=instant(entry.recorded_at),
        source=entry.source,
        subject=entry.subject,
        text_hash=entry.text_hash,
        text_version=entry.text_version,
    )


def instant(at: datetime) -> str:
    """A UTC time as it stands in a line: RFC 3339 with a space and six decimals."""
    return f"{at:%Y-%m-%d %H:%M:%S.%f}Z"
