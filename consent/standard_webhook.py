"""How a call is signed: Standard Webhooks 1.0 (github.com/standard-webhooks/standard-webhooks), the scheme ``v1``, HMAC-SHA256
over id, time and the very bytes of the body. Pure.
"""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256

PREFIX = "whsec_"


def secret_text(key: bytes) -> str:
    """A key as it is shown to whoever shares it."""
    return PREFIX + b64encode(key).decode()


def key_of(text: str) -> bytes:
    """The key that `secret_text` wrote."""
    return b64decode(text.removeprefix(PREFIX))


def code(key: bytes, call: str, timestamp: int, body: bytes) -> str:
    """The signature of one call at so many unix seconds, its scheme in front."""
    return "v1," + b64encode(hmac.digest(key, f"{call}.{timestamp}.".encode() + body, sha256)).decode()


def signed_headers(keys: Sequence[bytes], call: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers of one call, signed with every key."""
    timestamp = int(at.timestamp())
    return {
        "webhook-id": call,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(code(key, call, timestamp, body) for key in keys),
    }
