"""Conditions on what a shopper did before: visited a place, received an offer, redeemed one, and how often since when."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

MAX_PLACES = 100
MAX_COUNT = 1000
MAX_SINCE_SECONDS = 400 * 86_400
"""No visit and no message is kept for longer."""
MAX_NAME_CHARS = 128

Wrong = Callable[[str, str], object]


class Act(StrEnum):
    """What may be asked about."""

    VISITED = "visited"
    RECEIVED = "received"
    REDEEMED = "redeemed"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Done `least` times or more, and at most `most` times, in the last `since_seconds` (None: as far back as is known).

    Of visits those to `geofences`, or to places with one of `tags`, or to `any`; of offers received, and of coupons
    redeemed, those of `campaign`, or of any where that is None.
    """

    act: Act
    geofences: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    any: bool = False
    campaign: str | None = None
    since_seconds: int | None = None
    least: int = 1
    most: int | None = None

    @property
    def is_profiling(self) -> bool:
        """Whether it chooses people by their conduct; what we sent them is ours."""
        return self.act is not Act.RECEIVED

    @property
    def since(self) -> timedelta:
        """How far it looks back."""
        return timedelta(seconds=MAX_SINCE_SECONDS if self.since_seconds is None else self.since_seconds)

    def holds(self, times: int) -> bool:
        """Whether it was done so many times as is asked for."""
        return self.least <= times and (self.most is None or times <= self.most)


@dataclass(frozen=True, slots=True)
class OnList:
    """Being on an uploaded list of subjects."""

    name: str


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of one subject: how often each behaviour was met, and on which lists it is. A behaviour that is not
    there was not looked up: nobody knows.
    """

    times: Mapping[Behaviour, int] = field(default_factory=dict)
    lists: frozenset[str] | None = None


UNKNOWN = Past()


def behaviour_json(behaviour: Behaviour) -> dict[str, Any]:
    """The condition as the API writes it; `read_behaviour` reads it back."""
    told: dict[str, Any] = {}
    if behaviour.act is Act.VISITED:
        told = {"geofences": list(behaviour.geofences), "tags": list(behaviour.tags), "any": behaviour.any}
    elif behaviour.campaign is not None:
        told = {"campaign": behaviour.campaign}
    if behaviour.since_seconds is not None:
        told["since_seconds"] = behaviour.since_seconds
    count = {"min": behaviour.least} | ({} if behaviour.most is None else {"max": behaviour.most})
    return {behaviour.act.value: {name: value for name, value in told.items() if value} | {"count": count}}


def read_behaviour(act: Act, raw: Any, where: str, wrong: Wrong) -> Behaviour | None:
    """Read the operand of a condition; what is wrong with it is told to `wrong`, with its field."""
    reading = _Reading(raw if isinstance(raw, dict) else {}, where, wrong)
    if not isinstance(raw, dict):
        reading.refuse("", "an object is expected, such as " + _EXAMPLES[act])
        return None
    least, most = reading.count()
    behaviour = Behaviour(
        act,
        geofences=reading.names("geofences") if act is Act.VISITED else (),
        tags=reading.names("tags") if act is Act.VISITED else (),
        any=reading.flag("any") if act is Act.VISITED else False,
        campaign=reading.name("campaign") if act is not Act.VISITED else None,
        since_seconds=reading.since_seconds(),
        least=least,
        most=most,
    )
    reading.finish()
    named = bool(behaviour.geofences or behaviour.tags)
    if act is Act.VISITED and named == behaviour.any:
        reading.refuse("", 'name geofences or tags, or say "any": true')
    return None if reading.failed else behaviour


class _Reading:
    """One pass over an operand, collecting what is wrong with it."""

    def __init__(self, raw: Mapping[str, Any], where: str, wrong: Wrong) -> None:
        self._left = dict(raw)
        self._where = where
        self._wrong = wrong
        self.failed = False

    def refuse(self, name: str, detail: str) -> None:
        self.failed = True
        self._wrong(f"{self._where}.{name}" if name else self._where, detail)

    def names(self, name: str) -> tuple[str, ...]:
        value = self._left.pop(name, [])
        if isinstance(value, list) and len(value) <= MAX_PLACES and all(map(_is_name, value)):
            return tuple(dict.fromkeys(value))
        self.refuse(name, f"a list of at most {MAX_PLACES} printable texts is expected")
        return ()

    def name(self, name: str) -> str | None:
        value = self._left.pop(name, None)
        if value is None or _is_name(value):
            return None if value is None else str(value)
        self.refuse(name, "a printable text is expected")
        return None

    def flag(self, name: str) -> bool:
        value = self._left.pop(name, False)
        if not isinstance(value, bool):
            self.refuse(name, "true or false is expected")
        return value is True

    def whole(self, name: str, least: int, most: int, value: Any) -> int | None:
        if value is None or (
            isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
        ):
            return value
        self.refuse(name, f"a whole number from {least} to {most} is expected")
        return None

    def since_seconds(self) -> int | None:
        seconds = self.whole("since_seconds", 1, MAX_SINCE_SECONDS, self._left.pop("since_seconds", None))
        days = self.whole("since_days", 1, MAX_SINCE_SECONDS // 86_400, self._left.pop("since_days", None))
        if seconds is not None and days is not None:
            self.refuse("since_days", "and since_seconds exclude each other; drop one")
        return days * 86_400 if days is not None else seconds

    def count(self) -> tuple[int, int | None]:
        value = self._left.pop("count", {})
        if not isinstance(value, dict) or set(value) - {"min", "max"}:
            self.refuse("count", 'an object with min and max is expected, such as {"min": 2}')
            return 1, None
        most = self.whole("count.max", 0, MAX_COUNT, value.get("max"))
        least = self.whole("count.min", 0, MAX_COUNT, value.get("min"))
        least = (0 if most == 0 else 1) if least is None else least
        if most is not None and most < least:
            self.refuse("count.max", "must not be less than min")
        return least, most

    def finish(self) -> None:
        for name in self._left:
            shown = name if name.isidentifier() and len(name) <= MAX_NAME_CHARS else ""
            self.refuse(shown, "is not known here")


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME_CHARS and value.isprintable()


_EXAMPLES = {
    Act.VISITED: '{"tags": ["bakery"], "since_days": 30, "count": {"min": 2}}',
    Act.RECEIVED: '{"campaign": "bread", "since_days": 7}',
    Act.REDEEMED: '{"campaign": "bread", "since_days": 7}',
}
