"""What a template may do to a value: a few filters that marketers know, each bounded by what it may be told.

Their arguments stand in the template as they are, so that they can be checked when it is saved. Amounts and dates are
written as the text's language does (CLDR, by Babel), with plain spaces: one of another kind doubles the price of an SMS.
"""

import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time
from babel.numbers import format_currency, list_currencies
from liquid import RenderContext
from liquid.builtin.expressions import Filter
from liquid.builtin.expressions.arguments import KeywordArgument
from liquid.builtin.expressions.primitive import IntegerLiteral, StringLiteral
from liquid.builtin.filters import misc, string
from liquid.filter import with_context

LOCALE, ZONE = " locale", " zone"
"""Under these names the text's language and the place's time zone are found; no template can name them."""
MAX_KEPT = 160
"""Characters, or words, that `truncate` and `truncatewords` may keep."""
MAX_ELLIPSIS_CHARS = 10
MAX_NUMBER_CHARS = 20
MAX_AMOUNT_DIGITS = 12
DEFAULT_LOCALE = Locale("en")

_DATES = ("short", "medium", "long", "full")
_PATTERNS = {"weekday": "EEEE", "day": "d MMMM"}
DATE_FORMATS = (*_DATES, *_PATTERNS, "time")
_CURRENCIES = frozenset(list_currencies())


@with_context
def money(value: object, currency: str, *, context: RenderContext) -> str:
    """An amount with its currency; nothing for what is no number, or is absurd."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return ""
    written = str(value)
    try:
        amount = Decimal(written) if len(written) <= MAX_NUMBER_CHARS else Decimal("NaN")
    except InvalidOperation:
        return ""
    if not amount.is_finite() or amount.adjusted() >= MAX_AMOUNT_DIGITS:
        return ""
    return _plainly_spaced(format_currency(amount, currency, locale=_locale(context)))


@with_context
def day_and_hour(value: object, form: str, *, context: RenderContext) -> str:
    """A date (2026-11-24), or an instant (2026-11-24T09:15:00+01:00) by the clock of the place; nothing for anything else."""
    at = _instant(value)
    if at is None:
        return ""
    locale = _locale(context)
    if isinstance(at, datetime) and at.tzinfo is not None:
        try:
            at = at.astimezone(_zone(context))
        except OverflowError:  # the very first or last hours that a calendar here knows
            return ""
    if form == "time":
        return (
            _plainly_spaced(format_time(at.time(), "short", locale=locale))
            if isinstance(at, datetime)
            else ""
        )
    return _plainly_spaced(format_date(at, _PATTERNS.get(form, form), locale=locale))


FILTERS: Mapping[str, Callable[..., Any]] = {
    "default": misc.default,
    "upcase": string.upcase,
    "downcase": string.downcase,
    "capitalize": string.capitalize,
    "strip": string.strip,
    "truncate": string.truncate,
    "truncatewords": string.truncatewords,
    "money": money,
    "date": day_and_hour,
}


def argument_problem(used: Filter) -> str | None:
    """What is wrong with what a filter is told."""
    if used.name in _ARGUMENTS:
        least, fits, allowed = _ARGUMENTS[used.name]
        values = [] if any(isinstance(each, KeywordArgument) for each in used.args) else _literals(used)
        if (
            values is None
            or not least <= len(values) <= len(fits)
            or not all(fit(value) for fit, value in zip(fits, values, strict=False))
        ):
            return f"{used.name}: {allowed}"
    elif used.name != "default" and used.args:
        return f"{used.name}: it takes nothing"
    return None


def _literals(used: Filter) -> list[int | str] | None:
    values = [argument.value for argument in used.args]
    if not all(isinstance(value, IntegerLiteral | StringLiteral) for value in values):
        return None
    return [value.value for value in values if isinstance(value, IntegerLiteral | StringLiteral)]


def _kept(value: object) -> bool:
    return isinstance(value, int) and 1 <= value <= MAX_KEPT


def _ellipsis(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_ELLIPSIS_CHARS


def _one_of(known: frozenset[str] | tuple[str, ...], value: object) -> bool:
    return value in known


_CUT = (
    1,
    (_kept, _ellipsis),
    f"a number from 1 to {MAX_KEPT}, then if you like the ending, of at most {MAX_ELLIPSIS_CHARS} characters in quotes",
)
_ARGUMENTS: Mapping[str, tuple[int, tuple[Callable[[object], bool], ...], str]] = {
    "truncate": _CUT,
    "truncatewords": _CUT,
    "money": (1, (partial(_one_of, _CURRENCIES),), "an ISO 4217 currency in quotes, such as 'EUR'"),
    "date": (1, (partial(_one_of, DATE_FORMATS),), f"one of {', '.join(map(repr, DATE_FORMATS))}"),
}
"""By filter: the least number of arguments, a check of each, and what is allowed in words."""


def _instant(value: object) -> date | datetime | None:
    if not isinstance(value, str):
        return None
    for read in (date.fromisoformat, datetime.fromisoformat):
        try:
            return read(value)
        except ValueError:
            continue
    return None


def _locale(context: RenderContext) -> Locale:
    named = context.resolve(LOCALE)
    try:
        return Locale.parse(named, sep="-") if isinstance(named, str) else DEFAULT_LOCALE
    except (ValueError, UnknownLocaleError):
        return DEFAULT_LOCALE


def _zone(context: RenderContext) -> ZoneInfo | Any:
    named = context.resolve(ZONE)
    return ZoneInfo(named) if isinstance(named, str) else UTC


def _plainly_spaced(text: str) -> str:
    spaced = "".join(" " if unicodedata.category(each) == "Zs" else each for each in text)
    return "".join(each for each in spaced if unicodedata.category(each) != "Cf")
