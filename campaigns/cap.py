"""How often one campaign may speak to one subject: so many messages in a window that rolls with the clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from consent.entry import Channel

DAY_SECONDS = 86_400
MAX_CAPS = 5
MAX_CAP_SECONDS = 366 * DAY_SECONDS


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `max` messages in any `per_seconds` seconds."""

    max: int
    per_seconds: int

    def __post_init__(self) -> None:
        if self.max < 1 or not 1 <= self.per_seconds <= MAX_CAP_SECONDS:
            raise ValueError("a cap allows at least one message in one second to 366 days")


ONCE_A_DAY = Cap(max=1, per_seconds=DAY_SECONDS)


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that went to somebody, or will go, and what it was about. `at` is when it went, or was made."""

    at: datetime
    event: str
    campaign: str
    geofence: str | None
    channel: Channel


def full_cap(caps: Sequence[Cap], sent_at: Sequence[datetime], now: datetime) -> Cap | None:
    """The first cap that one more message at `now` would break, or None while there is room.

    A message counts from its own instant until `per_seconds` later, that end excluded. An instant after `now`
    counts too, so that a clock that is set back never makes room.
    """
    return next((cap for cap in caps if _count(cap, sent_at, now) >= cap.max), None)


def counted_since(caps: Sequence[Cap], now: datetime) -> datetime:
    """The instant after which messages still count for one of the caps."""
    return now - timedelta(seconds=max((cap.per_seconds for cap in caps), default=0))


def _count(cap: Cap, sent_at: Sequence[datetime], now: datetime) -> int:
    since = now - timedelta(seconds=cap.per_seconds)
    return sum(1 for at in sent_at if at > since)
