"""Public holidays, movable ones included, of a country or one of its regions."""

from datetime import date
from functools import lru_cache

import holidays


@lru_cache(maxsize=256)
def _calendar(country: str, subdivision: str | None) -> holidays.HolidayBase:
    return holidays.country_holidays(country, subdiv=subdivision, language="en_US")


def holiday_on(day: date, country: str, subdivision: str | None = None) -> str | None:
    """The name of the holiday on that day, or None on any other. Raises `NotImplementedError` for a place that has no
    calendar.
    """
    return _calendar(country, subdivision).get(day)
