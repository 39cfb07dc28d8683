"""The provider's own calls: set faults, send a text from a phone, count what arrived. For tests and developers."""

import json
from typing import Any

from engine.provider.exchange import Answer


class Unfit(ValueError):
    """A call that cannot be heeded; says what was wrong with it."""


def read_json(body: bytes) -> Any:
    """The body as JSON. Raises `Unfit`."""
    try:
        return json.loads(body or b"null")
    except ValueError:
        raise Unfit("the body is no JSON") from None


def read_text(given: Any) -> tuple[str, str, str]:
    """Sender, receiver and words of a shopper's text. Raises `Unfit`."""
    fields = ("from", "to", "body")
    if not isinstance(given, dict) or not all(isinstance(given.get(name), str) for name in fields):
        raise Unfit('a text is {"from": number, "to": number, "body": words}')
    return given["from"], given["to"], given["body"]


def told(message: str) -> Answer:
    """The answer to an unfit call."""
    return Answer(400, json.dumps({"error": message}).encode())
