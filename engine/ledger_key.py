"""Where the keys of the consent log live: the setting `ledger_key`, or a file in the data directory; never the database.

Beside that file lies the newest checkpoint, so that a database that was cut back behind it is noticed.
"""

import os
import secrets
from pathlib import Path

from config import Settings
from consent.signing import InvalidKey, KeyRing

KEY_FILE = "ledger.key"
CHECKPOINT_FILE = "ledger.checkpoint"
NAME_BYTES = 4


def opened_ring(settings: Settings) -> KeyRing:
    """The ring; a first one is made in the data directory when there is none. Raises InvalidKey."""
    ring = known_ring(settings)
    if ring is not None:
        return ring
    file = settings.data_dir / KEY_FILE
    _place(file, KeyRing.new(f"chaland/{secrets.token_hex(NAME_BYTES)}").text, replace=False)
    return KeyRing.parse(file.read_text(encoding="utf-8"))


def known_ring(settings: Settings) -> KeyRing | None:
    """The ring, if there is one. Raises InvalidKey."""
    file = settings.data_dir / KEY_FILE
    if settings.ledger_key:
        return KeyRing.parse(settings.ledger_key)
    return KeyRing.parse(file.read_text(encoding="utf-8")) if file.exists() else None


def rotate(settings: Settings) -> KeyRing:
    """Put a new signing key in the place of the one in the data directory; what it signed can still be checked. Raises
    InvalidKey where the ring comes from elsewhere.
    """
    if settings.ledger_key:
        raise InvalidKey("the ring comes from CHALAND_LEDGER_KEY; a new one must be put there")
    ring = opened_ring(settings).rotated()
    _place(settings.data_dir / KEY_FILE, ring.text, replace=True)
    return ring


def kept_checkpoint(settings: Settings) -> str | None:
    """The note beside the key."""
    file = settings.data_dir / CHECKPOINT_FILE
    return file.read_text(encoding="utf-8") if file.exists() else None


def keep_checkpoint(settings: Settings, note: str) -> None:
    """Put the note beside the key."""
    _place(settings.data_dir / CHECKPOINT_FILE, note, replace=True)


def _place(file: Path, text: str, *, replace: bool) -> None:
    """Write the whole file at once, for its owner only; without `replace`, one that is there first stays."""
    written = file.with_name(f"{file.name}.{secrets.token_hex(NAME_BYTES)}")
    with os.fdopen(
        os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
    ) as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    try:
        if replace:
            written.replace(file)
        else:
            file.hardlink_to(written)
    except FileExistsError:
        pass
    finally:
        written.unlink(missing_ok=True)
