"""The one place where the wall clock is read; everything else is told the time."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Now = Callable[[], datetime]


def wall_clock() -> datetime:
    """The time now, aware, in UTC."""
    return datetime.now(UTC)


class SetClock:
    """A clock that stands still until it is set: stories, backtests and tests run on it."""

    def __init__(self, at: datetime) -> None:
        self._at = _aware(at)

    def __call__(self) -> datetime:
        """The instant it was set to."""
        return self._at

    def set(self, at: datetime) -> None:
        """Make it `at`, which must be aware."""
        self._at = _aware(at)

    def advance(self, **timedelta_parts: float) -> None:
        """Move on by the given `timedelta` parts, for example ``advance(minutes=5)``."""
        self._at += timedelta(**timedelta_parts)


def _aware(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError("a naive datetime has no instant; give it a zone")
    return at.astimezone(UTC)
