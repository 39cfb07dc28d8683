"""A receipt: one entry of the ledger, the text that was shown, and the proof that it stands in the log.

It is JSON that whoever holds it can check offline with the log's public key: the salt and the entry give the leaf, the
leaf and the path give the root, and the root is the one of the signed checkpoint. Nothing else need be trusted.
"""

from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Literal

import msgspec

from consent.checkpoint import Checkpoint, read
from consent.commitment import SALT_BYTES, EntryLine, leaf_of
from consent.merkle import is_included
from consent.notice import Notice
from consent.signing import KeyRing, NotTrusted

FORM: Literal["chaland-receipt/1"] = "chaland-receipt/1"
RECEIPT_LIMIT_BYTES = 200_000


class InvalidReceipt(ValueError):
    """A receipt that proves nothing, and why."""


class ShownText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The text that an entry is about."""

    version: str
    language: str
    text: str


class Receipt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`place` is the entry's, from 1; `salt` and `path` are in base64; `checkpoint` is a signed note."""

    receipt: Literal["chaland-receipt/1"]
    entry: EntryLine
    notice: ShownText | None
    salt: str
    place: int
    path: list[str]
    checkpoint: str


@dataclass(frozen=True, slots=True)
class Proven:
    """What a receipt proves: that this entry stood in the log, at the latest when the checkpoint was signed."""

    entry: EntryLine
    notice: ShownText | None
    by: datetime

    def told(self) -> dict[str, str]:
        """The entry's fields, and the text, by name."""
        fields: dict[str, str] = msgspec.to_builtins(self.entry)
        return fields if self.notice is None else fields | {"text": self.notice.text}


def issue(
    entry: EntryLine,
    salt: bytes,
    place: int,
    path: list[bytes],
    checkpoint: Checkpoint,
    notice: Notice | None,
) -> dict[str, Any]:
    """The receipt, as JSON values. A notice counts only if the entry holds the hash of its text."""
    is_vouched = notice is not None and notice.text_hash == entry.text_hash
    shown = ShownText(notice.version, notice.language, notice.text) if notice and is_vouched else None
    made = Receipt(
        receipt=FORM,
        entry=entry,
        notice=shown,
        salt=b64encode(salt).decode(),
        place=place,
        path=[b64encode(step).decode() for step in path],
        checkpoint=checkpoint.note,
    )
    values: dict[str, Any] = msgspec.to_builtins(made)
    return values


def check(receipt: bytes, ring: KeyRing) -> Proven:
    """What the receipt, or the receipt in a proof, proves by the public keys of the ring alone. Raises InvalidReceipt."""
    if len(receipt) > RECEIPT_LIMIT_BYTES:
        raise InvalidReceipt(f"a receipt has at most {RECEIPT_LIMIT_BYTES} bytes")
    try:
        values = msgspec.json.decode(receipt)
        inner = values.get("receipt") if isinstance(values, dict) else None
        held = msgspec.convert(inner if isinstance(inner, dict) else values, Receipt, strict=True)
        salt, path = _bytes(held.salt), [_bytes(step) for step in held.path]
        signed = read(ring, held.checkpoint)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidReceipt(f"this is no receipt: {error}") from None
    except NotTrusted as error:
        raise InvalidReceipt(str(error)) from None
    leaf = leaf_of(salt, held.entry)
    if len(salt) != SALT_BYTES or not is_included(leaf, held.place - 1, signed.size, path, signed.root):
        raise InvalidReceipt("the entry is not in the log that was signed: something was changed")
    if held.notice is not None:
        _check_text(held.entry, held.notice)
    return Proven(held.entry, held.notice, signed.at)


def _check_text(entry: EntryLine, notice: ShownText) -> None:
    told = (notice.version, notice.language, sha256(notice.text.encode()).hexdigest())
    if told != (entry.text_version, entry.language, entry.text_hash):
        raise InvalidReceipt("the text is not the one that the entry names")


def _bytes(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise InvalidReceipt("salt and path are base64") from None
