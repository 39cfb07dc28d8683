"""One rule of a country: what it asks, since and until when it is in force, who says so, and when to look again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Any

from consent.countries.hours import Window, minute_of, window_from_json
from consent.entry import Channel


class Basis(StrEnum):
    """How well a rule is founded: its own text was read, somebody reports it, or it is caution of ours."""

    TEXT = "text"
    SECONDARY = "secondary"
    HOUSE = "house"


class Reach(StrEnum):
    """How far hours are used: as the rule does by default, or up to the latest it allows."""

    DEFAULT = "default"
    LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Hours:
    """Open in any of `windows`; `latest` are the same up to where the rule ends for those who ask for it."""

    windows: tuple[Window, ...]
    latest: tuple[Window, ...]
    closed_on_holidays: bool

    def in_reach(self, reach: Reach) -> tuple[Window, ...]:
        """The windows that count."""
        return self.windows if reach is Reach.DEFAULT else self.latest


@dataclass(frozen=True, slots=True)
class Holidays:
    """Public holidays, by the name of their calendar."""

    calendar: str


@dataclass(frozen=True, slots=True)
class SendingCap:
    """At most `max` offers to one shopper in any `per_seconds` seconds."""

    max: int
    per_seconds: int


@dataclass(frozen=True, slots=True)
class Sender:
    """Beginnings of numbers that may not be the sender."""

    forbidden: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Words:
    """What a text must hold: the advertiser's name, and one of the words by which to refuse; where the sender is a
    name, which nobody can answer, also a number that begins with `reply_number` (empty: any).
    """

    advertiser: bool
    opt_out: tuple[str, ...]
    reply_number: str


Content = Hours | Holidays | SendingCap | Sender | Words


@dataclass(frozen=True, slots=True)
class Rule:
    """`area` is an ISO 3166 code of a country or region. In force from `start` up to before `end`."""

    id: str
    area: str
    start: date
    end: date | None
    channels: frozenset[Channel]
    content: Content
    source: str
    basis: Basis
    note: str
    reviewed: date
    review_by: date

    @property
    def version(self) -> str:
        """Which of several versions of the rule this is: the day from which it is in force."""
        return self.start.isoformat()

    @property
    def name(self) -> str:
        """The rule and its version, as messages and logs name it."""
        return f"{self.id}@{self.version}"

    def in_force(self, day: date) -> bool:
        """Whether it counts on that day."""
        return self.start <= day and (self.end is None or day < self.end)


def rule_from_toml(raw: Mapping[str, Any], country: str) -> Rule:
    """Read a rule of a pack. Raises `ValueError` or `KeyError` for one that is wrong: packs come with the product."""
    start, end = raw["from"], raw.get("until")
    if end is not None and end <= start:
        raise ValueError(f"{raw['id']}: it would end before it begins")
    if raw["review_by"] <= raw["reviewed"]:
        raise ValueError(f"{raw['id']}: it is to be reviewed after it was")
    content = _CONTENTS[raw["kind"]](raw)
    by_default = [Channel.SMS] if isinstance(content, Sender | Words) else list(Channel)
    return Rule(
        id=raw["id"],
        area=raw.get("region", country),
        start=start,
        end=end,
        channels=frozenset(map(Channel, raw.get("channels", by_default))),
        content=content,
        source=raw["source"],
        basis=Basis(raw["basis"]),
        note=raw.get("note", ""),
        reviewed=raw["reviewed"],
        review_by=raw["review_by"],
    )


def _hours(raw: Mapping[str, Any]) -> Hours:
    windows = tuple(map(window_from_json, raw["open"]))
    latest = tuple(
        replace(window, closes_minute=minute_of(each.get("to_at_latest", each["to"])))
        for window, each in zip(windows, raw["open"], strict=True)
    )
    return Hours(windows, latest, raw.get("closed_on_holidays", False))


_CONTENTS: Mapping[str, Callable[[Mapping[str, Any]], Content]] = {
    "hours": _hours,
    "holidays": lambda raw: Holidays(raw["calendar"]),
    "cap": lambda raw: SendingCap(raw["max"], raw["per_seconds"]),
    "sender": lambda raw: Sender(tuple(raw["forbidden"])),
    "words": lambda raw: Words(raw["advertiser"], tuple(raw["opt_out"]), raw.get("reply_number", "")),
}
