"""Pages of a long list: each ends with a cursor from which the next one goes on, whatever was added meanwhile."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from campaigns.errors import InvalidCursor

Item = TypeVar("Item")
MAX_NUMBER_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items, and the cursor of the page that follows; None on the last."""

    items: tuple[Item, ...]
    next: str | None


def write_cursor(*place: str) -> str:
    """A cursor that names the place of the last item on a page; opaque to callers."""
    return urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def read_cursor(cursor: str, parts: int) -> list[str]:
    """The place that `write_cursor` named. Raises `InvalidCursor` for anything else."""
    try:
        place = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, Base64Error, RecursionError):
        place = None
    if (
        isinstance(place, list)
        and len(place) == parts
        and all(isinstance(part, str) and part.isprintable() for part in place)
    ):
        return place
    raise InvalidCursor


def read_number_cursor(cursor: str) -> int:
    """The number that a cursor names."""
    [number] = read_cursor(cursor, parts=1)
    if not (number.isascii() and number.isdecimal() and len(number) < MAX_NUMBER_DIGITS):
        raise InvalidCursor
    return int(number)


def read_time_cursor(cursor: str) -> tuple[datetime, str]:
    """The instant and the id that a cursor names."""
    at, item_id = read_cursor(cursor, parts=2)
    try:
        return datetime.fromisoformat(at).astimezone(UTC), item_id
    except (ValueError, OverflowError):
        raise InvalidCursor from None
