"""The keys of the vault, which are kept outside the database: a file with one key a line."""

import os
import re
import secrets
import tempfile
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

KEY_BYTES = 32
LINE = re.compile(r"(?P<kind>[a-z]+) (?P<id>[a-z0-9-]{1,32}) (?P<secret>[A-Za-z0-9_=-]{44})")
HEADER = """\
# Keys of the vault, a line each: kind, id, secret. Keep a copy apart from the database and its backups: without
# them nothing that is sealed can be read; with them and the database everything can.
"""


class KeyKind(StrEnum):
    """What a key is for: wrapping data keys, finding a subject by phone or device, recognising who must be left alone."""

    MASTER = "master"
    INDEX = "index"
    SUPPRESSION = "suppression"


@dataclass(frozen=True, slots=True)
class Key:
    """One key. Its id may be known to all; it begins with the kind's first letter."""

    kind: KeyKind
    id: str
    secret: bytes = field(repr=False)


class KeyMissing(RuntimeError):
    """A key that the database was sealed with is not in the file, or is another one."""

    def __init__(self, key_id: str, path: Path) -> None:
        super().__init__(
            f"{path}: the vault's key {key_id} is missing or is not the one this database was sealed with; "
            "put the right file back (from the copy that is kept apart from the database)"
        )


class UnreadableKeys(RuntimeError):
    """The file of keys cannot be used; the message says why."""


class Keyring:
    """The keys of one file. An id that is not known is looked for in the file again: another process may have added
    it. Safe to use from several threads.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._keys: dict[str, Key] = {}
        self._lock = threading.Lock()

    def key(self, key_id: str) -> Key:
        """The key with this id. Raises KeyMissing."""
        found = self._keys.get(key_id)
        if found is None:
            self.read()
            found = self._keys.get(key_id)
        if found is None:
            raise KeyMissing(key_id, self.path)
        return found

    def read(self) -> Sequence[Key]:
        """Every key of the file as it is now, in its order; none when there is no file. Raises UnreadableKeys."""
        keys = self._parsed()
        self._keys = {key.id: key for key in keys}
        return keys

    def add(self, kinds: Collection[KeyKind]) -> list[Key]:
        """Make a new key of each kind, and write them down before anything is sealed with them."""
        with self._lock:
            new = [
                Key(kind, f"{kind[0]}-{secrets.token_hex(4)}", secrets.token_bytes(KEY_BYTES))
                for kind in kinds
            ]
            self._write([*self._parsed(), *new])
        self.read()
        return new

    def drop(self, ids: Collection[str]) -> None:
        """Destroy keys: what is sealed with them, in old backups for example, can no longer be read."""
        with self._lock:
            self._write([key for key in self._parsed() if key.id not in ids])
        self.read()

    def _parsed(self) -> list[Key]:
        try:
            lines = self.path.read_text(encoding="ascii").splitlines()
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise UnreadableKeys(f"{self.path}: cannot be read ({type(error).__name__})") from None
        keys = []
        for number, line in enumerate(lines, start=1):
            if not line.strip() or line.startswith("#"):
                continue
            match = LINE.fullmatch(line.strip())
            if match is None or match["kind"] not in set(KeyKind):
                raise UnreadableKeys(f"{self.path}, line {number}: must be a kind, an id and a secret")
            keys.append(Key(KeyKind(match["kind"]), match["id"], urlsafe_b64decode(match["secret"])))
        return keys

    def _write(self, keys: Sequence[Key]) -> None:
        """Put the whole file in place at once, readable by its owner only."""
        lines = [f"{key.kind} {key.id} {urlsafe_b64encode(key.secret).decode()}\n" for key in keys]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")  # mode 0600
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(HEADER + "".join(lines))
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
