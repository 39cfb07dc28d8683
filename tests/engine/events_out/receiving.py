"""What a receiver does, by the specification of Standard Webhooks and not by our code."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime

TOLERANCE_SECONDS = 300


class NotGenuine(Exception):
    pass


def verified(secret, headers, body, now):
    """The webhook-id of a genuine call. Raises NotGenuine."""
    message_id, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
    if abs(datetime.fromtimestamp(int(timestamp), UTC) - now).total_seconds() > TOLERANCE_SECONDS:
        raise NotGenuine("too old, or too new")
    key = base64.b64decode(secret[len("whsec_") :])
    expected = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    for each in headers["webhook-signature"].split(" "):
        version, _, code = each.partition(",")
        if version == "v1" and hmac.compare_digest(base64.b64decode(code), expected):
            return message_id
    raise NotGenuine("no signature fits")
