"""Opening hours as OpenStreetMap writes them: whether a place is open at a time on its own wall clock.

Read is what shops use: days, dates, times, `off`, public holidays. Anything else (`sunrise`, school holidays, weeks,
years) cannot be read, and who cannot read hours does not know that it is open.
https://wiki.openstreetmap.org/wiki/Key:opening_hours/specification
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache

DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
HOLIDAY = "PH"
DAY_MINUTES = 1440
LATEST_MINUTES = 2 * DAY_MINUTES
ALWAYS = ((0, DAY_MINUTES),)

_Span = tuple[int, int]
_day = f"(?:{'|'.join(DAYS)}|{HOLIDAY})"
_month = f"(?:{'|'.join(MONTHS)})"
_date = rf"{_month}(?: \d{{1,2}})?(?:-(?:{_month} )?\d{{1,2}}|-{_month})?"
_time = r"\d{1,2}:\d{2}-\d{1,2}:\d{2}"
_rule = re.compile(
    rf"(?:(?P<dates>{_date}(?:,{_date})*):? ?)?(?P<days>{_day}(?:-{_day})?(?:,{_day}(?:-{_day})?)*)?:? ?"
    rf"(?P<when>24/7|off|closed|open|{_time}(?:,{_time})*)?"
)
_further = re.compile(rf", (?={_day}|{_month})|,(?<=\d\d,)(?={_day}\b|{_month}\b)")


class Unreadable(ValueError):
    """Hours in words that are not known here."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Of the days that it is about (None: all) the times, in minutes after midnight. One that is `further` adds to the
    rules before it, any other takes their place.
    """

    dates: tuple[tuple[tuple[int, int], tuple[int, int]], ...]
    days: frozenset[int] | None
    holidays: bool
    times: tuple[_Span, ...]
    further: bool

    def is_about(self, day: date, *, holiday: bool) -> bool:
        """Whether the rule says something of this day."""
        if self.dates and not any(_within(day, *each) for each in self.dates):
            return False
        if self.days is None:
            return True
        return (holiday and self.holidays) or day.weekday() in self.days


def is_open(hours: str, local: datetime, is_holiday: Callable[[date], bool]) -> bool:
    """Whether a place with these hours is open when its wall clock shows `local`; at the closing time it is closed.
    Raises `Unreadable`.

    On a holiday a place that says nothing of holidays or of that date counts as closed, unless it never closes.
    """
    rules = read_hours(" ".join(hours.split()))
    minute = local.hour * 60 + local.minute
    today, yesterday = local.date(), local.date() - timedelta(days=1)
    return any(opens <= minute < closes for opens, closes in _times(rules, today, is_holiday)) or any(
        minute < closes - DAY_MINUTES for _, closes in _times(rules, yesterday, is_holiday)
    )


@lru_cache(maxsize=4096)
def read_hours(hours: str) -> tuple[Rule, ...]:
    """The rules of a text. Raises `Unreadable`."""
    rules = []
    for part in hours.strip("; ").split(";"):
        for place, text in enumerate(_further.split(part.strip())):
            rules.append(_read(text.strip(), further=place > 0))
    return tuple(rules)


def _times(rules: tuple[Rule, ...], day: date, is_holiday: Callable[[date], bool]) -> tuple[_Span, ...]:
    holiday = is_holiday(day)
    about = [each for each in rules if each.is_about(day, holiday=holiday)]
    if holiday and any(each.times != ALWAYS or each.days is not None for each in rules):
        about = [each for each in about if each.holidays or each.dates]
    times: tuple[_Span, ...] = ()
    for each in about:
        times = (*times, *each.times) if each.further else each.times
    return times


def _read(text: str, *, further: bool) -> Rule:
    found = _rule.fullmatch(text)
    if not text or found is None:
        raise Unreadable("not in the words that are read: days, dates, times, off, PH")
    days, holidays = _read_days(found["days"])
    return Rule(
        dates=tuple(_read_date(each) for each in found["dates"].split(",")) if found["dates"] else (),
        days=days,
        holidays=holidays,
        times=tuple(_read_times(found["when"])),
        further=further,
    )


def _read_days(text: str | None) -> tuple[frozenset[int] | None, bool]:
    if not text:
        return None, False
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if HOLIDAY in (first, last):
            if last:
                raise Unreadable("holidays are no range")
            continue
        start, end = DAYS.index(first), DAYS.index(last or first)
        days |= {(start + each) % 7 for each in range((end - start) % 7 + 1)}
    return frozenset(days), HOLIDAY in text


def _read_date(text: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """From and to, as month and day, both included."""
    first, _, last = text.partition("-")
    month, day = _month_and_day(first, 0)
    if not last:
        return (month, day or 1), (month, day or 31)
    if last.isdigit():
        return (month, day), (month, int(last))
    end_month, end_day = _month_and_day(last, 31)
    return (month, day or 1), (end_month, end_day)


def _month_and_day(text: str, missing: int) -> tuple[int, int]:
    month, _, day = text.partition(" ")
    return MONTHS.index(month) + 1, int(day) if day else missing


def _within(day: date, first: tuple[int, int], last: tuple[int, int]) -> bool:
    this = (day.month, day.day)
    return first <= this <= last if first <= last else this >= first or this <= last


def _read_times(text: str | None) -> Iterator[_Span]:
    if text in ("off", "closed"):
        return
    if text is None or text in ("open", "24/7"):
        yield ALWAYS[0]
        return
    for part in text.split(","):
        opens, closes = (int(each[:-3]) * 60 + int(each[-2:]) for each in part.split("-"))
        if closes <= opens:
            closes += DAY_MINUTES
        if opens >= DAY_MINUTES or closes > LATEST_MINUTES:
            raise Unreadable("no time of day")
        yield opens, closes
