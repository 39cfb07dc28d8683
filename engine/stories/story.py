"""Text stories that drive the real engine: each line says when, who does what, and what must come of it.

    09:00  ana allows location, and sms for offers
    09:01  ana enters bakery              -> sms to ana: Fresh bread until ten
    09:05  ana texts "Arrêt svp"          -> withdrawn: sms
    11:00  ana enters bakery              -> refused: consent withdrawn at 09:05

A story that declares no place gets the bakery, and one that declares no campaign gets the bread offer. The whole
language is in docs/stories.md.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from engine.stage import Stage
from engine.stories.deeds import deed
from engine.stories.expectation import FORMS, Happened, clock_time, is_expectation, is_met

ZONE = ZoneInfo("Europe/Paris")
FIRST_DAY = date(2026, 11, 24)
"""A Tuesday without a holiday near it."""
BAKERY = "place bakery circle 48.8353 2.2410 40"
BREAD = 'campaign Bread on enter at bakery by sms says "Fresh bread until ten"'

_timed = re.compile(r"^(?P<time>\d{1,2}:\d\d(?::\d\d)?)\s+(?P<what>.+?)(?:\s*->\s*(?P<expected>.+))?$")

_days = re.compile(r"next day|(?P<days>\d{1,3}) days later")


class StoryError(ValueError):
    """A line that is no story; the message names the line and what could stand there."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line: `time` is None for a declaration."""

    number: int
    text: str
    time: str | None
    what: str
    expected: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Expectation:
    """One thing that had to happen, whether it did, and what happened instead."""

    line: Line
    expected: str
    met: bool
    happened: tuple[str, ...]


@dataclass(slots=True)
class _Telling:
    stage: Stage
    day: date = FIRST_DAY
    now: datetime | None = None
    results: list[Expectation] = field(default_factory=list)


def parse(text: str) -> list[Line]:
    """The lines of a story; blank ones and those that begin with # are left out. Raises `StoryError`."""
    lines = []
    for number, raw in enumerate(text.splitlines(), start=1):
        stripped = raw.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if timed := _timed.match(stripped):
            expected = tuple(each.strip() for each in (timed["expected"] or "").split(";") if each.strip())
            for each in expected:
                if not is_expectation(each):
                    raise StoryError(f"line {number}: {each!r} cannot be expected; what can is {FORMS}")
            lines.append(Line(number, stripped, timed["time"], timed["what"], expected))
        elif _days.fullmatch(stripped) or stripped.startswith(("place ", "campaign ")):
            lines.append(Line(number, stripped, None, stripped, ()))
        else:
            raise StoryError(
                f"line {number}: {stripped!r} begins with no time (09:00), and is no `place`, `campaign`, `next day` or `30 days later`"
            )
    return lines


def tell(text: str, stage: Stage) -> list[Expectation]:
    """Play a story on a fresh stage. Answers each expectation, met or missed. Raises `StoryError`."""
    lines, telling = _with_defaults(parse(text)), _Telling(stage)
    for line in lines:
        if line.time is None:
            _declare(telling, line)
        else:
            _play(telling, line, line.time)
    return telling.results


def _with_defaults(lines: list[Line]) -> list[Line]:
    if not any(line.what.startswith("place ") for line in lines):
        lines = [Line(0, BAKERY, None, BAKERY, ()), *lines]
    bakery = next((n for n, line in enumerate(lines) if line.what.startswith("place bakery ")), None)
    if bakery is None or any(line.time is None and line.what.startswith("campaign ") for line in lines):
        return lines
    return [*lines[: bakery + 1], Line(0, BREAD, None, BREAD, ()), *lines[bakery + 1 :]]


def _declare(telling: _Telling, line: Line) -> None:
    if passing := _days.fullmatch(line.what):
        telling.day += timedelta(days=int(passing["days"] or 1))
        return
    if telling.now and line.what.startswith("place "):
        raise StoryError(f"line {line.number}: places stand before the first time")
    for pattern, act in _DECLARATIONS:
        if match := pattern.fullmatch(line.what):
            try:
                act(telling.stage, match)
            except (ValueError, LookupError) as error:
                raise StoryError(f"line {line.number}: {error.args[0]}") from None
            return
    raise StoryError(f"line {line.number}: {line.what!r} could be `{BAKERY}` or `{BREAD}`")


def _play(telling: _Telling, line: Line, time: str) -> None:
    midnight = datetime(telling.day.year, telling.day.month, telling.day.day, tzinfo=ZONE)
    try:
        at = clock_time(time, midnight)
        if telling.now and at < telling.now:
            raise ValueError(f"{time} is earlier than {telling.now:%H:%M:%S}, when the line before it began")
        telling.now = at
        act, match = deed(line.what)
        told = act(telling.stage, at, match)
    except (ValueError, LookupError) as error:
        raise StoryError(f"line {line.number}: {error.args[0]}") from None
    happened = [Happened.told(each, ZONE) for each in told]
    telling.results += [
        Expectation(line, each, is_met(each, happened, line.expected, midnight), tuple(map(str, happened)))
        for each in line.expected
    ]


_DECLARATIONS: tuple[tuple[re.Pattern[str], Callable[[Stage, re.Match[str]], None]], ...] = (
    (
        re.compile(r"place (?P<name>[\w-]+) circle (?P<lat>-?[\d.]+) (?P<lon>-?[\d.]+) (?P<radius>[\d.]+)"),
        lambda stage, match: stage.add_place(
            match["name"], float(match["lat"]), float(match["lon"]), float(match["radius"])
        ),
    ),
    (
        re.compile(
            r"campaign (?P<name>[\w-]+) on (?P<event>\w+) at (?P<place>[\w-]+) by (?P<channel>sms|push)"
            r"(?: between (?P<from>\d\d:\d\d) and (?P<to>\d\d:\d\d))?"
            r'(?P<when>(?:, [\w ]+)*)? says "(?P<text>.*)"'
        ),
        lambda stage, match: stage.add_campaign(**match.groupdict()),
    ),
)


def report(results: Sequence[Expectation]) -> Iterator[str]:
    """One printed line per expectation, and under a missed one what happened instead."""
    for each in results:
        yield f"{'met   ' if each.met else 'MISSED'}  line {each.line.number}: {each.line.what} -> {each.expected}"
        if not each.met:
            yield f"        instead: {'; '.join(each.happened) or 'nothing'}"
