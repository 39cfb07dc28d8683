"""Signed links for the shopper: whoever holds one speaks for one subject, for a while, and needs no login.

The subject's id and the last instant stand in the link, and a code over them that nobody can make without a key which
the records store does not have. The code is also over when the subject was made known and over the number that is
held: an id that is given anew, and a number that passes on to somebody else, leave old links without effect.
"""

import hmac
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from hashlib import sha256

from consent.errors import LinkExpired, LinkUnknown

CODE_BYTES = 16
TOKEN_LIMIT_CHARS = 256
_HEAD = struct.Struct(">cI")


class LinkKind(Enum):
    """What a link opens: every choice and right, or nothing but the way out of marketing."""

    PREFERENCES = b"p"
    UNSUBSCRIBE = b"u"


PATHS = {LinkKind.PREFERENCES: "/p/", LinkKind.UNSUBSCRIBE: "/u/"}


@dataclass(frozen=True, slots=True)
class Holder:
    """For whom links are made: the subject, when it was made known, and its number (None: there is none)."""

    subject: str
    created_at: datetime
    phone: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Link:
    """A link for the shopper; after `expires_at` it opens nothing."""

    url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class PreferenceLinks:
    """Makes links and reads them. The first of `keys` signs, every one is trusted, so that a key can be replaced."""

    public_url: str
    keys: tuple[bytes, ...] = field(repr=False)
    life: timedelta
    unsubscribe_life: timedelta

    def to(self, holder: Holder, kind: LinkKind, at: datetime) -> Link:
        """A link for the holder that is good from `at` on."""
        life = self.life if kind is LinkKind.PREFERENCES else self.unsubscribe_life
        until = int((at + life).timestamp())
        body = _HEAD.pack(kind.value, until) + holder.subject.encode()
        token = urlsafe_b64encode(body + _code(self.keys[0], body, holder)).rstrip(b"=").decode()
        return Link(
            f"{self.public_url.rstrip('/')}{PATHS[kind]}{token}", datetime.fromtimestamp(until, tz=UTC)
        )

    def holder(
        self, token: str, kind: LinkKind, holder_of: Callable[[str], Holder | None], at: datetime
    ) -> Holder:
        """Whom the token speaks for. Raises LinkUnknown for one that is not ours, or no longer; LinkExpired."""
        body, code = _parts(token)
        said_kind, until = _HEAD.unpack_from(body)
        holder = holder_of(_subject(body))
        if holder is None or said_kind != kind.value or not _is_ours(self.keys, body, code, holder):
            raise LinkUnknown
        if at.timestamp() > until:
            raise LinkExpired
        return holder

    def until(self, token: str) -> datetime:
        """The last instant of a token that `holder` has accepted."""
        return datetime.fromtimestamp(_HEAD.unpack_from(_parts(token)[0])[1], tz=UTC)


def _parts(token: str) -> tuple[bytes, bytes]:
    """What was signed, and the code. Raises LinkUnknown."""
    if len(token) > TOKEN_LIMIT_CHARS:
        raise LinkUnknown
    try:
        whole = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
    except ValueError:
        raise LinkUnknown from None
    if len(whole) <= _HEAD.size + CODE_BYTES:
        raise LinkUnknown
    return whole[:-CODE_BYTES], whole[-CODE_BYTES:]


def _subject(body: bytes) -> str:
    try:
        return body[_HEAD.size :].decode("ascii")
    except UnicodeDecodeError:
        raise LinkUnknown from None


def _is_ours(keys: Sequence[bytes], body: bytes, code: bytes, holder: Holder) -> bool:
    return any(hmac.compare_digest(_code(key, body, holder), code) for key in keys)


def _code(key: bytes, body: bytes, holder: Holder) -> bytes:
    known = holder.created_at.astimezone(UTC).isoformat().encode()
    parts = (b"chaland preference link 1", body, known, (holder.phone or "").encode())
    framed = b"".join(struct.pack(">I", len(part)) + part for part in parts)
    return hmac.digest(key, framed, sha256)[:CODE_BYTES]
