"""When a broadcast goes: once at an instant, or at a time of day on some days of each week, on a wall clock that is named."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from consent.countries.hours import MINUTE, WEEK, Day, local_time, minute_of


@dataclass(frozen=True, slots=True)
class Once:
    """At this instant."""

    at: datetime

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise ValueError("a naive datetime has no instant; give it a zone")


@dataclass(frozen=True, slots=True)
class Weekly:
    """On `days` at `minute` after local midnight of `timezone` (an IANA name)."""

    days: frozenset[Day]
    minute: int
    timezone: str


Schedule = Once | Weekly


def latest(schedule: Schedule, now: datetime) -> datetime | None:
    """The newest instant up to `now`, that one included, at which it goes; None before the first.

    What a wall clock shows twice counts once, the first time; what it skips comes as much later.
    """
    if isinstance(schedule, Once):
        return schedule.at if schedule.at <= now else None
    local = local_time(now, schedule.timezone)
    if local is None:
        return None
    for back in range(len(WEEK) + 2):
        day = local.date() - timedelta(days=back)
        if WEEK[day.weekday()] in schedule.days:
            shown = datetime.combine(day, time(), ZoneInfo(schedule.timezone)) + schedule.minute * MINUTE
            if shown.astimezone(UTC) <= now:
                return shown.astimezone(UTC)
    return None


def schedule_json(schedule: Schedule | None) -> dict[str, Any] | None:
    """The schedule as the API writes it."""
    if schedule is None:
        return None
    if isinstance(schedule, Once):
        return {"at": schedule.at.isoformat()}
    return {
        "days": [day.value for day in WEEK if day in schedule.days],
        "time": f"{schedule.minute // 60:02d}:{schedule.minute % 60:02d}",
        "timezone": schedule.timezone,
    }


def schedule_from_json(raw: Mapping[str, Any] | None) -> Schedule | None:
    """Read back what `schedule_json` wrote."""
    if raw is None:
        return None
    if "at" in raw:
        return Once(datetime.fromisoformat(raw["at"]))
    return Weekly(frozenset(map(Day, raw["days"])), minute_of(raw["time"]), raw["timezone"])
