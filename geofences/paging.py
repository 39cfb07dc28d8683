"""Lists in portions: the cursor from one page to the next, and ids in portions for a query."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from datetime import UTC, datetime

from geofences.errors import InvalidCursor

CHUNK = 500


def chunks(ids: Iterable[str], size: int = CHUNK) -> Iterable[list[str]]:
    """The ids, each once and in order, in portions that every database takes in one query."""
    several = sorted(set(ids))
    return (several[start : start + size] for start in range(0, len(several), size))


def write_cursor(*place: str) -> str:
    """The cursor of the page that begins after this place."""
    return urlsafe_b64encode(json.dumps(place).encode()).decode()


def read_cursor(cursor: str, parts: int) -> list[str]:
    """The place, of so many parts, that `write_cursor` wrote. Raises `InvalidCursor`."""
    try:
        place = json.loads(urlsafe_b64decode(cursor))
    except (ValueError, RecursionError):
        place = None
    if (
        isinstance(place, list)
        and len(place) == parts
        and all(isinstance(part, str) and part.isprintable() for part in place)
    ):
        return place
    raise InvalidCursor


def read_time_cursor(cursor: str) -> tuple[datetime, str]:
    """An instant and an id. Raises `InvalidCursor`."""
    at, event = read_cursor(cursor, 2)
    try:
        return datetime.fromisoformat(at).astimezone(UTC), event
    except (ValueError, OverflowError):
        raise InvalidCursor from None
