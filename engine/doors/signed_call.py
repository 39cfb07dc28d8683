"""Calls that an app's server signs in place of showing a key: Standard Webhooks 1.0 (`consent/standard_webhook.py`).

What is shared with an app follows from its key's id and a secret of this installation, so that nothing is kept of it, and a
stranger's name costs the same work as a known one.
"""

import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import sha256

from consent import standard_webhook

TOLERANCE_SECONDS = 300
"""A call is heard so long before and after the time that it names."""
ID_LIMIT_CHARS = 255
SIGNATURES_LIMIT = 10
_LABEL = b"chaland app webhook "


def shared_key(master: bytes, app: str) -> bytes:
    """What we share with the app whose key has this id."""
    return hmac.digest(master, _LABEL + app.encode(), sha256)


def secret_text(master: bytes, app: str) -> str:
    """The same, as the libraries of Standard Webhooks take it."""
    return standard_webhook.secret_text(shared_key(master, app))


def signed_id(
    headers: Mapping[bytes, bytes], body: bytes, keys: Iterable[bytes], now: datetime
) -> str | None:
    """The id of a call that is signed with one of the keys, and in time; None for every other one, however it is malformed."""
    try:
        call = headers[b"webhook-id"].decode("ascii")
        written = headers[b"webhook-timestamp"].decode("ascii")
        shown = headers[b"webhook-signature"].split(b" ")[:SIGNATURES_LIMIT]
    except (KeyError, UnicodeDecodeError):
        return None
    if not 1 <= len(call) <= ID_LIMIT_CHARS or not (written.isdecimal() and len(written) <= 12):
        return None
    wanted = [standard_webhook.code(key, call, int(written), body).encode() for key in keys]
    fits = [hmac.compare_digest(each, one) for each in wanted for one in shown]
    in_time = abs(now.timestamp() - int(written)) <= TOLERANCE_SECONDS
    return call if any(fits) and in_time else None
