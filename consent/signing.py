"""The keys of the consent log: Ed25519, in the text forms of C2SP signed notes (https://c2sp.org/signed-note).

A key ring is a text file with one key a line: the first signs, those behind it are public keys that signed before it.
"""

import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519 = b"\x01"
KEY_BYTES = 32
KEY_ID_BYTES = 4
SIGNATURE_BYTES = 64
PRIVATE = "PRIVATE+KEY+"
SIGNED_BY = "— "
NOTE_LIMIT_CHARS = 10_000


class InvalidKey(ValueError):
    """A line that is no key, or a ring that cannot be used."""


class NotTrusted(ValueError):
    """A note that no known key has signed, or that is no note."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What checks signatures. `name` is the log's."""

    name: str
    raw: bytes

    @property
    def id(self) -> bytes:
        """The four bytes by which a signature names its key."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.raw).digest()[:KEY_ID_BYTES]

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read ``name+id+key``. Raises InvalidKey."""
        name, _, rest = line.partition("+")
        key_id, _, key = rest.partition("+")
        found = cls(name, _key_bytes(key))
        if not _is_name(name) or key_id != found.id.hex():
            raise InvalidKey("a public key is `name+id+key`, as `chaland consent keys` prints it")
        return found

    def has_signed(self, text: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's, over exactly this text."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, text)
        except InvalidSignature:
            return False
        return True

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{b64encode(ED25519 + self.raw).decode()}"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """What signs. It is kept outside the database."""

    name: str
    seed: bytes = field(repr=False)

    @classmethod
    def new(cls, name: str) -> Self:
        """A key that nobody has yet."""
        return cls(name, secrets.token_bytes(KEY_BYTES))

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read ``PRIVATE+KEY+name+id+key``. Raises InvalidKey."""
        name, _, rest = line.removeprefix(PRIVATE).partition("+")
        key_id, _, key = rest.partition("+")
        found = cls(name, _key_bytes(key))
        if not line.startswith(PRIVATE) or not _is_name(name) or key_id != found.public.id.hex():
            raise InvalidKey("a signing key is `PRIVATE+KEY+name+id+key`")
        return found

    @property
    def public(self) -> PublicKey:
        """The key that checks what this one signs."""
        return PublicKey(self.name, self._private.public_key().public_bytes_raw())

    @property
    def line(self) -> str:
        """The key as a key ring holds it: a secret."""
        return f"{PRIVATE}{self.name}+{self.public.id.hex()}+{b64encode(ED25519 + self.seed).decode()}"

    def sign(self, text: bytes) -> bytes:
        """The signature over a text."""
        return self._private.sign(text)

    @property
    def _private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The key that signs, if it is here, and every public key whose signatures count, the newest first."""

    signing: SigningKey | None
    public: tuple[PublicKey, ...]

    @classmethod
    def new(cls, name: str) -> Self:
        """A ring with one new key."""
        key = SigningKey.new(name)
        return cls(key, (key.public,))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a ring, or a list of public keys. Raises InvalidKey."""
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
        signing = [SigningKey.parse(line) for line in lines if line.startswith(PRIVATE)]
        public = [PublicKey.parse(line) for line in lines if not line.startswith(PRIVATE)]
        if len(signing) > 1 or not lines:
            raise InvalidKey("a key ring holds at most one signing key, and at least one key")
        ring = cls(signing[0] if signing else None, (*(key.public for key in signing), *public))
        if len({key.name for key in ring.public}) > 1:
            raise InvalidKey("the keys of a ring carry one name: that of the log")
        return ring

    @property
    def name(self) -> str:
        """The log's name."""
        return self.public[0].name

    @property
    def text(self) -> str:
        """The ring as its file holds it: a secret, if it can sign."""
        signing = [] if self.signing is None else [self.signing.line]
        return "\n".join([*signing, *map(str, self.public[len(signing) :])]) + "\n"

    def rotated(self) -> Self:
        """A ring with a new signing key; what signed before only checks from now on."""
        key = SigningKey.new(self.name)
        return type(self)(key, (key.public, *self.public))

    def sign(self, text: str) -> str:
        """The text as a signed note. Raises InvalidKey when nothing here can sign."""
        if self.signing is None:
            raise InvalidKey("this key ring holds public keys only; it cannot sign")
        signed = b64encode(self.signing.public.id + self.signing.sign(text.encode())).decode()
        return f"{text}\n{SIGNED_BY}{self.name} {signed}\n"

    def open(self, note: str) -> str:
        """The text of a note that one of these keys has signed. Raises NotTrusted."""
        text, separator, signatures = note.rpartition("\n\n")
        if not separator or len(note) > NOTE_LIMIT_CHARS:
            raise NotTrusted("this is no signed note")
        text += "\n"
        for key_id, signature in _signatures(signatures, self.name):
            for key in self.public:
                if key.id == key_id and key.has_signed(text.encode(), signature):
                    return text
        raise NotTrusted("no key that is known here has signed this")


def _signatures(lines: str, name: str) -> Iterator[tuple[bytes, bytes]]:
    if not lines.endswith("\n"):
        raise NotTrusted("this is no signed note")
    for line in lines.splitlines():
        signer, _, signed = line.removeprefix(SIGNED_BY).partition(" ")
        try:
            raw = b64decode(signed, validate=True)
        except ValueError:
            raw = b""
        if not line.startswith(SIGNED_BY) or len(raw) <= KEY_ID_BYTES or b64encode(raw).decode() != signed:
            raise NotTrusted("a signature of this note is malformed")
        if signer == name and len(raw) == KEY_ID_BYTES + SIGNATURE_BYTES:
            yield raw[:KEY_ID_BYTES], raw[KEY_ID_BYTES:]


def _key_bytes(text: str) -> bytes:
    try:
        raw = b64decode(text, validate=True)
    except ValueError:
        raw = b""
    if len(raw) != KEY_BYTES + 1 or raw[:1] != ED25519:
        raise InvalidKey("a key of the consent log is an Ed25519 key")
    return raw[1:]


def _is_name(name: str) -> bool:
    return bool(name) and name.isprintable() and not any(each.isspace() or each == "+" for each in name)
