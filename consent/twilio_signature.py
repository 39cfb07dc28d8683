"""Tells whether a webhook call truly comes from Twilio. The one door to Twilio's own validator."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from twilio.request_validator import RequestValidator


class Algorithm(StrEnum):
    """SHA-1 under the account's auth token, or SHA-256 under a secret that is shared for webhooks alone. Which one
    counts is a setting: what a call says of its own signature (``X-Twilio-Webhooks-Signature-Settings``) is not heard.
    """

    SHA1 = "HMAC_SHA1"
    SHA256 = "HMAC_SHA256"


def is_signed(
    url: str,
    form: Mapping[str, Any],
    signature: str | None,
    tokens: Iterable[str],
    algorithm: Algorithm = Algorithm.SHA1,
) -> bool:
    """Whether `signature` is right for this URL and form under one of the tokens: two live while one is rotated.

    `form` holds every field as it came, empty ones too; a multi-dict may repeat a field. Anything malformed is not
    signed; an empty token signs nothing.
    """
    if not signature or not signature.isascii():
        return False
    try:
        return any(
            bool(RequestValidator(token).validate(url, form, signature, algorithm.value))
            for token in tokens
            if token
        )
    except (
        TypeError,
        ValueError,
        IndexError,
        AttributeError,
    ):  # what the validator raises on malformed input
        return False


def public_address(public_url: str, raw_path: bytes, raw_query: bytes) -> str:
    """The URL that was called, as Twilio wrote it: the configured public base, then path and query untouched.
    The Host header and what proxies add are the caller's words and play no part.
    """
    query = b"?" + raw_query if raw_query else b""
    path = raw_path.split(b"?", 1)[0]
    return public_url.rstrip("/") + (path + query).decode("latin-1")
