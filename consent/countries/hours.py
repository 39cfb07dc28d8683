"""Weekly hours on the wall clock of a place, not of the server."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)


class Day(StrEnum):
    """A day of the week; the order is that of `datetime.weekday`."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


WEEK = tuple(Day)


@dataclass(frozen=True, slots=True)
class Window:
    """Open on `days` from `opens_minute` to just before `closes_minute`, in minutes after local midnight.

    `closes_minute` may be 1440 (``24:00``). A window that closes before it opens runs across midnight and
    belongs to the day on which it opens.
    """

    days: frozenset[Day]
    opens_minute: int
    closes_minute: int

    def __post_init__(self) -> None:
        if not self.days:
            raise ValueError("a window needs at least one day")
        if not 0 <= self.opens_minute < 1440 or not 0 <= self.closes_minute <= 1440:
            raise ValueError("a window's times lie between 00:00 and 24:00")
        if self.opens_minute == self.closes_minute:
            raise ValueError("a window must not close when it opens; the whole day is 00:00 to 24:00")


def window_json(window: Window) -> dict[str, object]:
    """The window as the API writes it."""
    return {
        "days": [day.value for day in WEEK if day in window.days],
        "from": _clock_text(window.opens_minute),
        "to": _clock_text(window.closes_minute),
    }


def window_from_json(raw: Mapping[str, Any]) -> Window:
    """Read a window as the API writes it."""
    return Window(frozenset(map(Day, raw["days"])), minute_of(raw["from"]), minute_of(raw["to"]))


def minute_of(text: str) -> int:
    """Minutes after midnight of ``HH:MM``."""
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def is_open(windows: Sequence[Window], at: datetime, zone: str | None) -> bool:
    """Whether `at` falls into a window on the wall clock of `zone` (an IANA name).

    No windows means any time. With windows, an unknown zone is closed: nobody knows what time it is there.
    The wall clock decides on the days it jumps, too: a window inside the hour that spring skips does not
    open that day, one inside the hour that autumn repeats opens twice. Exactly at the closing time is closed.
    """
    if not windows:
        return True
    local = local_time(at, zone)
    return local is not None and any(covers(window, local) for window in windows)


def is_open_on_all(windows: Sequence[Window], at: datetime, zones: Sequence[str]) -> bool:
    """The same on each of these wall clocks; with windows and without a clock it is closed."""
    return not windows or (bool(zones) and all(is_open(windows, at, zone) for zone in zones))


def covers(window: Window, local: datetime) -> bool:
    """Whether the wall clock shows a time within the window."""
    # Whole minutes suffice: both edges lie on a minute, and 19:59:59 is still in the minute before 20:00.
    minute = local.hour * 60 + local.minute
    today = WEEK[local.weekday()]
    if window.opens_minute < window.closes_minute:
        return today in window.days and window.opens_minute <= minute < window.closes_minute
    yesterday = WEEK[local.weekday() - 1]
    return (today in window.days and minute >= window.opens_minute) or (
        yesterday in window.days and minute < window.closes_minute
    )


def local_time(at: datetime, zone: str | None) -> datetime | None:
    """The wall clock of `zone` at the instant `at`; None where the zone is unknown."""
    if at.tzinfo is None:
        raise ValueError("a naive datetime has no instant; give it a zone")
    place = _zone(zone)
    return None if place is None else at.astimezone(place)


def day_and_time(local: datetime) -> str:
    """A wall clock as decisions show it: ``tue 19:59``."""
    return f"{WEEK[local.weekday()]} {local:%H:%M}"


def possible_openings(zone: str, day: date, minutes: Sequence[int]) -> Iterator[datetime]:
    """The instants of a local day at which hours that open at one of `minutes` may begin to be open: when the wall
    clock shows it, each time it does, and when the wall clock jumps.
    """
    place = _zone(zone)
    if place is None:
        return
    midnight = datetime.combine(day, time(), place)
    for minute in minutes:
        for fold in (0, 1):
            shown = (midnight + minute * MINUTE).replace(fold=fold)
            at = shown.astimezone(UTC)
            if at.astimezone(place).replace(tzinfo=None) == shown.replace(tzinfo=None):
                yield at
    yield from _jumps(place, midnight.astimezone(UTC))


def _jumps(place: ZoneInfo, start: datetime) -> Iterator[datetime]:
    """Where the wall clock jumps within 25 hours: all zones do so on a whole quarter of an hour."""
    quarter = 15 * MINUTE
    end = start + 100 * quarter
    if start.astimezone(place).utcoffset() == end.astimezone(place).utcoffset():
        return
    at = start
    while at < end:
        at += quarter
        if (at - quarter).astimezone(place).utcoffset() != at.astimezone(place).utcoffset():
            yield at


@lru_cache(maxsize=1024)
def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, ValueError, OSError):  # not found; not a plain name; a folder of zones
        return None


def _clock_text(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
