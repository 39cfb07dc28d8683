"""The secrets of webhooks, and when one is tried again, as Standard Webhooks 1.0 has it (standardwebhooks.com). Pure."""

import secrets
from hashlib import blake2b

from campaigns.delivery.channels.channel import asked_pause_seconds
from consent.standard_webhook import secret_text

SECRET_BYTES = 32
PAUSES_SECONDS = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""After the first, second, ... failed call, as the specification suggests: ten calls over three days and a bit."""
SPREAD = 0.25
"""A pause is up to a quarter longer, so that a crowd does not return at once."""
GONE = 410
"""By the specification: the receiver wants no more."""


def new_secret() -> str:
    """A secret as it is shown to its receiver."""
    return secret_text(secrets.token_bytes(SECRET_BYTES))


def pause_seconds(webhook_id: str, attempts: int, asked: str | None = None) -> float | None:
    """How long to wait after so many failed calls; None when there were enough. `asked` is what Retry-After said."""
    if attempts > len(PAUSES_SECONDS):
        return None
    drawn = blake2b(f"{webhook_id} {attempts}".encode(), digest_size=2).digest()
    pause = PAUSES_SECONDS[attempts - 1] * (1 + SPREAD * int.from_bytes(drawn) / 0xFFFF)
    return max(pause, asked_pause_seconds(asked) or 0.0)
