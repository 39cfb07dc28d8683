"""What the rules of the countries concerned say about one message: each answer names the rule that holds it back."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from consent.countries.calendar import holiday_on
from consent.countries.hours import covers, day_and_time, local_time, possible_openings
from consent.countries.pack import calendars_of, rules_in_force
from consent.countries.place import Concerned
from consent.countries.rule import Holidays, Hours, Reach, Rule, Sender, SendingCap, Words
from consent.entry import Channel

NEAR_DAYS = 4
HORIZON_DAYS = 33
"""The next opening is looked for up to two days less ahead."""


@dataclass(frozen=True, slots=True)
class Hold:
    """What keeps a message back. `rule` and `version` name it; without a version nobody can tell which rules count.
    `zone` and `local_time` are the clock that decided, where one did.
    """

    rule: str
    version: str | None
    because: str
    zone: str | None = None
    local_time: str | None = None

    @property
    def name(self) -> str:
        """The rule and its version, as messages and logs name it."""
        return f"{self.rule}@{self.version}" if self.version else self.rule


def holds_by_hours(who: Concerned, at: datetime, channel: Channel, reach: Reach) -> Iterator[Hold]:
    """Every rule that is closed at `at` on one of the clocks concerned; none: an offer may go."""
    if who.unknown is not None:
        yield Hold(who.unknown, None, "nobody can tell which hours count there")
        return
    for zone in who.zones:
        local = local_time(at, zone)
        if local is None:
            yield Hold("unknown_zone", None, "nobody can tell what time it is there", zone)
            continue
        shown = day_and_time(local)
        for rule in rules_in_force(who.areas, local.date(), channel):
            because = _closed(rule, who, local, channel, reach)
            if because is not None:
                yield Hold(because[0].id, because[0].version, because[1], zone, shown)


@lru_cache(maxsize=4096)
def hold_by_hours(who: Concerned, minute: datetime, channel: Channel, reach: Reach) -> Hold | None:
    """The first of these in a whole minute: all edges lie on one."""
    return next(holds_by_hours(who, minute, channel, reach), None)


def next_opening(who: Concerned, after: datetime, channel: Channel, reach: Reach) -> datetime | None:
    """The first instant from `after` on at which every clock and rule concerned is open; None if there is none soon."""
    minute = after.replace(second=0, microsecond=0)
    if hold_by_hours(who, minute, channel, reach) is None:
        return after
    return _opening_after(who, minute, channel, reach)


@lru_cache(maxsize=4096)
def _opening_after(who: Concerned, minute: datetime, channel: Channel, reach: Reach) -> datetime | None:
    """The opening that follows a minute in which it is closed: all edges lie on whole minutes. Of a few days first, as
    it seldom takes longer; the last of them are not all there in every zone, so they do not count.
    """
    for days in (NEAR_DAYS, HORIZON_DAYS):
        for at in sorted(_candidates(who, minute, channel, reach, days)):
            if at > minute + timedelta(days=days - 2):
                break
            if at > minute and next(holds_by_hours(who, at, channel, reach), None) is None:
                return at
    return None


def caps_in_force(who: Concerned, at: datetime, channel: Channel) -> list[tuple[Rule, SendingCap]]:
    """The caps that count, each with its rule."""
    return [
        (rule, rule.content) for rule in _in_force(who, at, channel) if isinstance(rule.content, SendingCap)
    ]


def asked_of_sender(who: Concerned, at: datetime, channel: Channel, sender: str) -> dict[str, bool]:
    """Of each rule about senders, by its name, whether it forbids this one: a number, a short code or a name."""
    return {
        rule.name: sender.startswith(rule.content.forbidden)
        for rule in _in_force(who, at, channel)
        if isinstance(rule.content, Sender)
    }


def hold_by_sender(asked: Mapping[str, bool]) -> Hold | None:
    """The rule that forbids the sender."""
    why = "the sender's kind of number may not carry offers there"
    return next((hold_of(name, why) for name, forbidden in asked.items() if forbidden), None)


def asked_of_words(
    who: Concerned, at: datetime, channel: Channel, *, text: str, sender: str, brand: str
) -> dict[str, list[str]]:
    """Of each rule about words, by its name, what the text lacks."""
    return {
        rule.name: missing_words(rule.content, text=text, sender=sender, brand=brand)
        for rule in _in_force(who, at, channel)
        if isinstance(rule.content, Words)
    }


def hold_by_words(asked: Mapping[str, Sequence[str]]) -> Hold | None:
    """The rule whose words are missing from the text; the hold says which."""
    lacking = ((name, missing) for name, missing in asked.items() if missing)
    return next((hold_of(name, f"the text lacks {' and '.join(missing)}") for name, missing in lacking), None)


def hold_of(name: str, because: str) -> Hold:
    """The hold by the rule of that name and version (`Rule.name`)."""
    rule, _, version = name.partition("@")
    return Hold(rule, version, because)


def missing_words(words: Words, *, text: str, sender: str, brand: str) -> list[str]:
    """What the rule asks for and the text does not hold. A name as sender cannot be answered: to offer nothing but a
    reply to it is as good as nothing.
    """
    said = _plain(text)
    nameless = not re.fullmatch(r"\+?[0-9]+", sender)
    missing = []
    if words.advertiser and _plain(brand) not in (said if not nameless else f"{said} {_plain(sender)}"):
        missing.append("the advertiser's name")
    number = rf"\D{{0,8}}{words.reply_number}\d{{2,}}" if nameless else ""
    if not any(re.search(rf"\b{_plain(word)}\b{number}", said) for word in words.opt_out):
        missing.append("a number to write STOP to" if number else "a way to refuse further offers")
    return missing


def _in_force(who: Concerned, at: datetime, channel: Channel) -> Iterator[Rule]:
    """The rules that count by the store's clock."""
    local = local_time(at, who.zones[0]) if who.zones else None
    return iter(rules_in_force(who.areas, local.date(), channel) if local else ())


def _closed(
    rule: Rule, who: Concerned, local: datetime, channel: Channel, reach: Reach
) -> tuple[Rule, str] | None:
    """The rule by which it is closed, and why: the rule itself, or the one that names the holiday."""
    if not isinstance(rule.content, Hours):
        return None
    if not any(covers(window, local) for window in rule.content.in_reach(reach)):
        return rule, "outside its hours"
    return _holiday(rule, who, local, channel) if rule.content.closed_on_holidays else None


def _holiday(rule: Rule, who: Concerned, local: datetime, channel: Channel) -> tuple[Rule, str] | None:
    country = rule.area[:2]
    for other in rules_in_force(who.areas, local.date(), channel):
        if isinstance(other.content, Holidays) and other.area[:2] == country:
            for calendar in calendars_of(other, who.areas):
                name = holiday_on(local.date(), other.content.calendar, calendar)
                if name is not None:
                    return other, f"a holiday: {name}"
    return None


def _candidates(who: Concerned, after: datetime, channel: Channel, reach: Reach, days: int) -> set[datetime]:
    found = set[datetime]()
    for zone in who.zones:
        local = local_time(after, zone)
        if local is None:
            continue
        for ahead in range(-1, days):
            day = local.date() + timedelta(days=ahead)
            rules = rules_in_force(who.areas, day, channel)
            windows = [
                window
                for rule in rules
                if isinstance(rule.content, Hours)
                for window in rule.content.in_reach(reach)
            ]
            found.update(possible_openings(zone, day, sorted({0, *(each.opens_minute for each in windows)})))
    return found


def _plain(text: str) -> str:
    bare = "".join(each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))
    return bare.casefold()
