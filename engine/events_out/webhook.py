"""How a webhook is signed and when it is tried again: Standard Webhooks 1.0 (standardwebhooks.com). Pure."""

import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import datetime
from hashlib import blake2b, sha256

from campaigns.channels.channel import asked_pause_seconds

PREFIX = "whsec_"
SECRET_BYTES = 32
PAUSES_SECONDS = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""After the first, second, ... failed call, as the specification suggests: ten calls over three days and a bit."""
SPREAD = 0.25
"""A pause is up to a quarter longer, so that a crowd does not return at once."""
GONE = 410
"""By the specification: the receiver wants no more."""


def new_secret() -> str:
    """A secret as it is shown to its receiver."""
    return PREFIX + b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signed_headers(keys: Sequence[str], webhook_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers of one call, signed with every secret that is in use."""
    timestamp = str(int(at.timestamp()))
    content = b".".join((webhook_id.encode(), timestamp.encode(), body))
    codes = (hmac.digest(b64decode(key.removeprefix(PREFIX)), content, sha256) for key in keys)
    return {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{b64encode(code).decode()}" for code in codes),
    }


def pause_seconds(webhook_id: str, attempts: int, asked: str | None = None) -> float | None:
    """How long to wait after so many failed calls; None when there were enough. `asked` is what Retry-After said."""
    if attempts > len(PAUSES_SECONDS):
        return None
    drawn = blake2b(f"{webhook_id} {attempts}".encode(), digest_size=2).digest()
    pause = PAUSES_SECONDS[attempts - 1] * (1 + SPREAD * int.from_bytes(drawn) / 0xFFFF)
    return max(pause, asked_pause_seconds(asked) or 0.0)
