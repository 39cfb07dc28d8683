"""What a line of a story expects, and whether it is among what happened."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any, Self

from geofences.event import EventKind

NOTHING = "nothing"
NO_OTHER_EVENT = "no other event"
WITHIN_SECONDS = 60.0
"""How far off the estimated time of an event may be where a story does not say."""
FORMS = (
    f"`{NOTHING}`, `{NO_OTHER_EVENT}`, `enter bakery` ({', '.join(EventKind)}), `enter bakery at 09:01 (within 30 s)`, "
    "`dwell bakery retracted`, `sms to ana: ...`, `refused: ...`, `withdrawn: ...`, `allowed: ...`, `forgotten: ...`"
)

_event = re.compile(
    rf"(?P<what>(?:{'|'.join(EventKind)}) [\w-]+(?: retracted)?)"
    r"(?: at (?P<time>\d{1,2}:\d\d(?::\d\d)?)(?: \(within (?P<seconds>\d+) s\))?)?"
)
_other = re.compile(r"(?:(?:sms|push) to \w+|refused|withdrawn|allowed|forgotten): .+")


@dataclass(frozen=True, slots=True)
class Happened:
    """One thing that happened, in words; `at` is an event's estimated time."""

    words: str
    at: datetime | None = None

    @classmethod
    def told(cls, what: dict[str, Any], zone: tzinfo) -> Self:
        """What the API told, in a story's words."""
        match what["what"]:
            case "message":
                return cls(f"{what['channel']} to {what['subject']}: {what['text']}")
            case "refusal":
                since = what.get("since")
                at = f" at {datetime.fromisoformat(since).astimezone(zone):%H:%M}" if since else ""
                return cls(f"refused: {what['reason'].replace('_', ' ')}{at}")
            case "event" | "retraction" as kind:
                words = f"{what['kind']} {what['geofence']}" + (" retracted" if kind == "retraction" else "")
                return cls(words, datetime.fromisoformat(what["at"]).astimezone(zone))
            case _:
                return cls(f"{what['what']}: {what['detail']}")

    def __str__(self) -> str:
        return f"{self.words} at {self.at:%H:%M:%S}" if self.at else self.words


def is_expectation(text: str) -> bool:
    """Whether these words can be expected at all."""
    return text in (NOTHING, NO_OTHER_EVENT) or bool(_event.fullmatch(text) or _other.fullmatch(text))


def is_met(text: str, happened: Sequence[Happened], beside: Sequence[str], day: datetime) -> bool:
    """Whether an expectation is met by what happened on a day; `beside` are all that stand on its line."""
    if text == NOTHING:
        return not happened
    if text == NO_OTHER_EVENT:
        expected = [found["what"] for each in beside if (found := _event.fullmatch(each))]
        return sorted(expected) == sorted(each.words for each in happened if each.at)
    found = _event.fullmatch(text)
    if found is None:
        return any(each.words == text for each in happened)
    return any(each.words == found["what"] and _is_timely(each, found, day) for each in happened)


def _is_timely(each: Happened, expected: re.Match[str], day: datetime) -> bool:
    if each.at is None or not expected["time"]:
        return True
    within = float(expected["seconds"] or WITHIN_SECONDS)
    return abs(each.at - clock_time(expected["time"], day)) <= timedelta(seconds=within)


def clock_time(text: str, day: datetime) -> datetime:
    """The instant of a time of day (09:01 or 09:01:30). Raises `ValueError` where there is none."""
    hour, minute, second = (*map(int, text.split(":")), 0)[:3]
    return day.replace(hour=hour, minute=minute, second=second, microsecond=0)
