"""What can be done in a story: each kind of line with the words that it is known by."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from engine.stage import OUTSIDE_M, Stage
from engine.stories.expectation import clock_time

APPROACH_SECONDS = (-30, -15)
STAY_SECONDS = (0, 10, 20, 30, 40, 50)
STROLL_M = 10.0
"""Whoever stays at a place moves about, so far east and west of its middle."""
ERRING_ACCURACY_M = 10.0
"""Of a fix that errs, where a story does not say."""
PASSING_FIXES = 4
"""Of one who drives through, as many before as after the middle of the place."""

Act = Callable[[Stage, datetime, re.Match[str]], list[dict[str, Any]]]


class Deed(NamedTuple):
    """What can happen at a time: an example for error messages, how it is recognised, and what it does."""

    form: str
    pattern: re.Pattern[str]
    act: Act


def deed(what: str) -> tuple[Act, re.Match[str]]:
    """What these words ask for. Raises `ValueError`."""
    for _, pattern, act in DEEDS:
        if match := pattern.fullmatch(what):
            return act, match
    raise ValueError(f"{what!r} is none of:" + "".join(f"\n  {each.form}" for each in DEEDS))


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
    outside, inside = stage.spot(match["place"], OUTSIDE_M), stage.spot(match["place"])
    way = [(at + timedelta(seconds=each), outside) for each in APPROACH_SECONDS]
    return stage.report(match["who"], way + [(at + timedelta(seconds=each), inside) for each in STAY_SECONDS])


def _leaves(stage: Stage, at: datetime, match: re.Match[str]) -> list[dict[str, Any]]:
    outside = stage.spot(match["place"], OUTSIDE_M)
    return stage.report(match["who"], [(at + timedelta(seconds=each), outside) for each in STAY_SECONDS])


def _stays(stage: Stage, at: datetime, match: re.Match[str]) -> list[dict[str, Any]]:
    middle_m = OUTSIDE_M if match["where"] == "outside" else 0.0
    spots = [stage.spot(match["place"], middle_m + aside_m) for aside_m in (-STROLL_M, STROLL_M)]
    return stage.report(
        match["who"],
        [
            (at + timedelta(seconds=seconds), spots[seconds // 30 % 2])
            for seconds in range(0, int(match["minutes"]) * 60 + 1, 30)
        ],
    )


def _drives(stage: Stage, at: datetime, match: re.Match[str]) -> list[dict[str, Any]]:
    speed_mps, every = float(match["kmh"]) / 3.6, float(match["seconds"])
    offsets = [(number + 0.5) * every for number in range(-PASSING_FIXES // 2, PASSING_FIXES // 2)]
    way = [(at + timedelta(seconds=each), stage.spot(match["place"], speed_mps * each)) for each in offsets]
    return stage.report(match["who"], way, speed_mps)


def _is_silent(stage: Stage, at: datetime, match: re.Match[str]) -> list[dict[str, Any]]:
    until = clock_time(match["until"], at)
    if until <= at:
        raise ValueError(f"{match['until']} is not after {at:%H:%M:%S}, when the silence begins")
    stage.phone(match["who"])
    return stage.wait(at, until)


def _clock_is_off(stage: Stage, at: datetime, match: re.Match[str]) -> list[dict[str, Any]]:
    sign = 1 if match["way"] == "fast" else -1
    stage.phone(match["who"]).fast_seconds = sign * float(match["seconds"])
    return stage.wait(at, at)


def _is_off(stage: Stage, at: datetime, match: re.Match[str]) -> list[dict[str, Any]]:
    where = stage.phone(match["who"]).where
    if where is None:
        raise ValueError(f"nobody knows where {match['who']} is: say first where, as in `ana enters bakery`")
    return stage.err(at, match["who"], where.east(float(match["metres"])), _accuracy(match))


def _jumps(stage: Stage, at: datetime, match: re.Match[str]) -> list[dict[str, Any]]:
    return stage.err(at, match["who"], stage.spot(match["place"]), _accuracy(match))


def _accuracy(match: re.Match[str]) -> float:
    return float(match["accuracy"] or ERRING_ACCURACY_M)


def _holds_back(stage: Stage, at: datetime, match: re.Match[str]) -> list[dict[str, Any]]:
    stage.phone(match["who"]).hold_seconds = float(match["seconds"])
    return stage.wait(at, at)


_WHO, _PLACE, _TIME = r"(?P<who>\w+)", r"(?P<place>[\w-]+)", r"\d{1,2}:\d\d(?::\d\d)?"
_N = r"\d+(?:\.\d+)?"
_ERRS = rf"for one fix(?:, accuracy (?P<accuracy>{_N}))?"

DEEDS = (
    Deed("ana allows location, and sms for offers", re.compile(rf"{_WHO} allows (?P<rest>.+)"), _allows),
    Deed("ana withdraws sms", re.compile(rf"{_WHO} withdraws (?P<rest>.+)"), _withdraws),
    Deed("ana enters bakery", re.compile(rf"{_WHO} enters {_PLACE}"), _enters),
    Deed("ana leaves bakery", re.compile(rf"{_WHO} leaves {_PLACE}"), _leaves),
    Deed(
        "ana stays in (or outside) bakery for 8 minutes",
        re.compile(rf"{_WHO} stays (?P<where>in|outside) {_PLACE} for (?P<minutes>\d+) minutes?"),
        _stays,
    ),
    Deed(
        "ana drives through bakery at 90 km/h, a fix every 60 s",
        re.compile(rf"{_WHO} drives through {_PLACE} at (?P<kmh>{_N}) km/h, a fix every (?P<seconds>{_N}) s"),
        _drives,
    ),
    Deed(
        "ana's phone is silent until 09:15",
        re.compile(rf"{_WHO}'s phone is silent until (?P<until>{_TIME})"),
        _is_silent,
    ),
    Deed(
        "ana's phone goes offline",
        re.compile(rf"{_WHO}'s phone goes offline"),
        lambda stage, at, match: stage.go_online(at, match["who"], online=False),
    ),
    Deed(
        "ana's phone is back online",
        re.compile(rf"{_WHO}'s phone is back online"),
        lambda stage, at, match: stage.go_online(at, match["who"], online=True),
    ),
    Deed(
        "ana's phone sends its next fix 60 s late",
        re.compile(rf"{_WHO}'s phone sends its next fix (?P<seconds>{_N}) s late"),
        _holds_back,
    ),
    Deed(
        "ana's phone clock is 60 s fast (or slow)",
        re.compile(rf"{_WHO}'s phone clock is (?P<seconds>{_N}) s (?P<way>fast|slow)"),
        _clock_is_off,
    ),
    Deed(
        "ana's phone is 150 m off for one fix, accuracy 5",
        re.compile(rf"{_WHO}'s phone is (?P<metres>{_N}) m off {_ERRS}"),
        _is_off,
    ),
    Deed(
        "ana's phone jumps to bakery for one fix, accuracy 5",
        re.compile(rf"{_WHO}'s phone jumps to {_PLACE} {_ERRS}"),
        _jumps,
    ),
    Deed(
        'ana texts "STOP"',
        re.compile(rf'{_WHO} texts ["“](?P<text>.*)["”]'),
        lambda stage, at, match: stage.text(at, match["who"], match["text"]),
    ),
    Deed(
        "ana is forgotten",
        re.compile(rf"{_WHO} is forgotten"),
        lambda stage, at, match: stage.forget(at, match["who"]),
    ),
    Deed(
        "campaign Bread is paused (resumed, ended)",
        re.compile(r"campaign (?P<name>[\w-]+) is (?P<state>paused|resumed|ended)"),
        lambda stage, at, match: stage.move_campaign(at, match["name"], match["state"]),
    ),
)
