"""Sealing: what a database holds of a person, unreadable without keys that are not in it.

Each subject has a data key of its own, wrapped by a master key; whoever destroys it destroys all that it sealed. Phones
and devices are found by a keyed fingerprint of theirs. Nothing here reads or writes a store.
"""

import hmac
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV

from consent.keyring import Key, Keyring

MARK = "$1$"
"""Begins everything that is sealed, in this version's way. No id and no phone number has a dollar sign."""
NONCE_BYTES = 12
INDEX_BYTES = 16
DATA_KEY_BYTES = 32


class Unsealable(Exception):
    """What should be sealed is not, was sealed for another subject or field, or its key is gone."""


class DataKey:
    """The key of one subject. `field` says where a value stands: sealed for one place, it opens nowhere else."""

    def __init__(self, subject: str, secret: bytes) -> None:
        self._subject = subject
        self._secret = secret
        self._sealing = AESGCM(secret)

    def seal(self, field: str, text: str) -> str:
        """The text, sealed with AES-256-GCM; another time it looks different."""
        nonce = os.urandom(NONCE_BYTES)
        return _shown(nonce + self._sealing.encrypt(nonce, text.encode(), self._place(field)))

    def open(self, field: str, sealed: str) -> str:
        """What `seal` sealed. Raises Unsealable."""
        data = _hidden(sealed)
        try:
            return self._sealing.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], self._place(field)).decode()
        except (InvalidTag, ValueError):
            raise Unsealable(f"{field}: it does not open with its subject's key") from None

    def seal_alike(self, field: str, text: str) -> str:
        """The text, sealed with AES-SIV (RFC 5297): the same text looks the same each time, so that it can be found."""
        return _shown(self._alike().encrypt(text.encode(), [self._place(field)]))

    def open_alike(self, field: str, sealed: str) -> str:
        """What `seal_alike` sealed. Raises Unsealable."""
        try:
            return self._alike().decrypt(_hidden(sealed), [self._place(field)]).decode()
        except (InvalidTag, ValueError):
            raise Unsealable(f"{field}: it does not open with its subject's key") from None

    def wrapped(self, master: Key) -> str:
        """This key under a master key, bound to its subject."""
        nonce = os.urandom(NONCE_BYTES)
        return _shown(nonce + _wrapping(master.secret).encrypt(nonce, self._secret, _owner(self._subject)))

    def _alike(self) -> AESSIV:
        return AESSIV(hmac.digest(self._secret, b"alike", "sha256"))

    def _place(self, field: str) -> bytes:
        return f"{len(self._subject)}:{self._subject}{field}".encode()


class Vault:
    """Works with the keys of a keyring."""

    def __init__(self, keyring: Keyring) -> None:
        self.keyring = keyring

    def new_data_key(self, subject: str) -> DataKey:
        """A fresh key for a subject."""
        return DataKey(subject, os.urandom(DATA_KEY_BYTES))

    def unwrap(self, subject: str, master_id: str, wrapped: str) -> DataKey:
        """The subject's key. Raises KeyMissing, Unsealable."""
        data = _hidden(wrapped)
        try:
            secret = _wrapping(self.keyring.key(master_id).secret).decrypt(
                data[:NONCE_BYTES], data[NONCE_BYTES:], _owner(subject)
            )
        except InvalidTag:
            raise Unsealable("a data key does not open with its master key") from None
        return DataKey(subject, secret)

    def fingerprint(self, key_id: str, what: str, value: str) -> str:
        """Where to find a `value` of this kind (a phone, a device): the key's id, and 128 bits of HMAC-SHA256."""
        digest = hmac.digest(self.keyring.key(key_id).secret, f"{what}\0{value}".encode(), "sha256")
        return f"{key_id}${digest[:INDEX_BYTES].hex()}"

    def check_value(self, key_id: str) -> str:
        """Tells two secrets of one id apart, and nothing else."""
        return hmac.digest(self.keyring.key(key_id).secret, b"check", "sha256")[:8].hex()


def is_sealed(text: str) -> bool:
    """Whether a text looks as if it came from `seal` or `seal_alike`."""
    return text.startswith(MARK)


@lru_cache(maxsize=16)
def _wrapping(secret: bytes) -> AESGCM:
    return AESGCM(secret)


def _owner(subject: str) -> bytes:
    return f"data key of {subject}".encode()


def _shown(data: bytes) -> str:
    return MARK + urlsafe_b64encode(data).decode().rstrip("=")


def _hidden(sealed: str) -> bytes:
    if not is_sealed(sealed):
        raise Unsealable("it is not sealed")
    text = sealed[len(MARK) :]
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise Unsealable("it is not sealed") from None
