"""The provider's own calls: set faults, send a text from a phone, count what arrived. For tests and developers."""

import json
import re
from typing import Any

from engine.provider.exchange import Answer

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


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


def read_browser(given: Any) -> tuple[str, str | None]:
    """Name of a new browser, and the key that its page subscribes with, if any. Raises `Unfit`."""
    named = isinstance(given, dict) and isinstance(given.get("name"), str) and NAME.fullmatch(given["name"])
    if not named or not isinstance(given.get("server_key"), str | None):
        raise Unfit('a browser is {"name": 1 to 64 letters and digits, "server_key": a VAPID key or nothing}')
    return given["name"], given.get("server_key")


def told(message: str) -> Answer:
    """The answer to an unfit call."""
    return Answer(400, json.dumps({"error": message}).encode())
