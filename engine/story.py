"""Text stories that drive the real engine: each line says when, who does what, and what must come of it.

    09:00  ana allows location, and sms for offers
    09:01  ana enters bakery              -> sms to ana: Fresh bread until ten
    09:05  ana texts "Arrêt svp"          -> withdrawn: sms
    11:00  ana enters bakery              -> refused: consent withdrawn at 09:05

A story that declares no place gets the bakery, and one that declares no campaign gets the bread offer.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from engine.stage import Stage

ZONE = ZoneInfo("Europe/Paris")
FIRST_DAY = date(2026, 11, 24)
"""A Tuesday without a holiday near it."""
BAKERY = "place bakery circle 48.8353 2.2410 40"
BREAD = 'campaign Bread on enter at bakery by sms says "Fresh bread until ten"'
APPROACH_SECONDS = (-30, -15)
STAY_SECONDS = (0, 10, 20, 30, 40, 50)

_timed = re.compile(r"^(?P<time>\d{1,2}:\d\d)\s+(?P<what>.+?)(?:\s*->\s*(?P<expected>.+))?$")


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
            lines.append(Line(number, stripped, timed["time"], timed["what"], expected))
        elif stripped == "next day" or stripped.startswith(("place ", "campaign ")):
            lines.append(Line(number, stripped, None, stripped, ()))
        else:
            raise StoryError(
                f"line {number}: {stripped!r} begins with no time (09:00), and is no `place`, `campaign` or `next day`"
            )
    return lines


def tell(text: str, stage: Stage) -> list[Expectation]:
    """Play a story on a fresh stage. Answers each expectation, met or missed."""
    lines = parse(text)
    telling = _Telling(stage)
    for declared, default in (("place ", BAKERY), ("campaign ", BREAD)):
        if not any(line.what.startswith(declared) and line.time is None for line in lines):
            _declare(telling, Line(0, default, None, default, ()))
    for line in lines:
        if line.time is None:
            _declare(telling, line)
        else:
            _play(telling, line)
    return telling.results


def _declare(telling: _Telling, line: Line) -> None:
    if line.what == "next day":
        telling.day += timedelta(days=1)
        return
    for pattern, act in _DECLARATIONS:
        if match := pattern.fullmatch(line.what):
            act(telling.stage, match)
            return
    raise StoryError(f"line {line.number}: {line.what!r} could be `{BAKERY}` or `{BREAD}`")


def _play(telling: _Telling, line: Line) -> None:
    assert line.time is not None
    hour, minute = map(int, line.time.split(":"))
    at = datetime(telling.day.year, telling.day.month, telling.day.day, hour, minute, tzinfo=ZONE)
    for pattern, act in _ACTIONS:
        if match := pattern.fullmatch(line.what):
            happened = _told(act(telling.stage, at, match))
            telling.results += [
                Expectation(line, expected, _fits(expected, happened), happened) for expected in line.expected
            ]
            return
    raise StoryError(
        f"line {line.number}: {line.what!r} is none of: allows, withdraws, enters, leaves, stays in .. for .. minutes, "
        'texts "..", is forgotten, campaign .. is paused'
    )


def _fits(expected: str, happened: Sequence[str]) -> bool:
    return not happened if expected == "nothing" else expected in happened


def _told(happened: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(_words(each) for each in happened)


def _words(what: dict[str, Any]) -> str:
    match what["what"]:
        case "message":
            return f"{what['channel']} to {what['subject']}: {what['text']}"
        case "refusal":
            since = what.get("since")
            at = f" at {datetime.fromisoformat(since).astimezone(ZONE):%H:%M}" if since else ""
            return f"refused: {what['reason'].replace('_', ' ')}{at}"
        case "event":
            return f"{what['kind']} {what['geofence']}"
        case _:
            return f"{what['what']}: {what['detail']}"


def _allows(stage: Stage, at: datetime, match: re.Match[str]) -> list[dict[str, Any]]:
    stage.meet(at, match["who"])
    for part in re.split(r",\s*(?:and\s+)?|\s+and\s+", match["rest"]):
        purpose, channel = _purpose(part)
        stage.consent(at, match["who"], purpose, channel, "grant")
    return []


def _withdraws(stage: Stage, at: datetime, match: re.Match[str]) -> list[dict[str, Any]]:
    purpose, channel = _purpose(match["rest"])
    return stage.consent(at, match["who"], purpose, channel, "withdraw")


def _purpose(words: str) -> tuple[str, str | None]:
    if channel := re.fullmatch(r"(sms|push)(?: for offers)?", words.strip()):
        return "marketing", channel[1]
    return words.strip(), None


def _enters(stage: Stage, at: datetime, match: re.Match[str]) -> list[dict[str, Any]]:
    outside = [at + timedelta(seconds=each) for each in APPROACH_SECONDS]
    inside = [at + timedelta(seconds=each) for each in STAY_SECONDS]
    stage.walk(match["who"], match["place"], outside, inside=False)
    return stage.walk(match["who"], match["place"], inside, inside=True)


def _leaves(stage: Stage, at: datetime, match: re.Match[str]) -> list[dict[str, Any]]:
    return stage.walk(
        match["who"], match["place"], [at + timedelta(seconds=each) for each in STAY_SECONDS], inside=False
    )


def _stays(stage: Stage, at: datetime, match: re.Match[str]) -> list[dict[str, Any]]:
    seconds = range(0, int(match["minutes"]) * 60 + 1, 30)
    return stage.walk(
        match["who"], match["place"], [at + timedelta(seconds=each) for each in seconds], inside=True
    )


_ACTIONS: tuple[
    tuple[re.Pattern[str], Callable[[Stage, datetime, re.Match[str]], list[dict[str, Any]]]], ...
] = (
    (re.compile(r"(?P<who>\w+) allows (?P<rest>.+)"), _allows),
    (re.compile(r"(?P<who>\w+) withdraws (?P<rest>.+)"), _withdraws),
    (re.compile(r"(?P<who>\w+) enters (?P<place>[\w-]+)"), _enters),
    (re.compile(r"(?P<who>\w+) leaves (?P<place>[\w-]+)"), _leaves),
    (re.compile(r"(?P<who>\w+) stays in (?P<place>[\w-]+) for (?P<minutes>\d+) minutes"), _stays),
    (
        re.compile(r'(?P<who>\w+) texts ["“](?P<text>.*)["”]'),
        lambda stage, at, match: stage.text(at, match["who"], match["text"]),
    ),
    (re.compile(r"(?P<who>\w+) is forgotten"), lambda stage, at, match: stage.forget(at, match["who"])),
    (
        re.compile(r"campaign (?P<name>[\w-]+) is (?P<state>paused|resumed|ended)"),
        lambda stage, at, match: stage.move_campaign(at, match["name"], match["state"]),
    ),
)

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
            r'(?: between (?P<from>\d\d:\d\d) and (?P<to>\d\d:\d\d))? says "(?P<text>.*)"'
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
