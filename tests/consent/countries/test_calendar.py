from datetime import date, timedelta

import pytest

from consent.countries.calendar import holiday_on
from consent.countries.pack import packs
from consent.countries.rule import Holidays
from tests.consent.countries.oracle import easter_by_gauss, easter_by_meeus, easter_by_moon, nth_weekday

YEARS = range(2026, 2047)
"""More than twenty."""

FROM_EASTER = {
    "FR": {1: "Easter Monday", 39: "Ascension", 50: "Whit Monday"},
    "DE": {-2: "Good Friday", 1: "Easter Monday", 39: "Ascension", 50: "Whit Monday"},
    "GB-ENG": {-2: "Good Friday", 1: "Easter Monday"},
    "GB-SCT": {-2: "Good Friday"},
    "ES": {-2: "Good Friday"},
    "IT": {0: "Easter", 1: "Easter Monday"},
    "NL": {0: "Easter", 1: "Easter Monday", 39: "Ascension", 49: "Whit Sunday", 50: "Whit Monday"},
    "PT": {-2: "Good Friday", 0: "Easter", 60: "Corpus Christi"},
    "BE": {0: "Easter", 1: "Easter Monday", 39: "Ascension", 49: "Whit Sunday", 50: "Whit Monday"},
    "LU": {1: "Easter Monday", 39: "Ascension", 50: "Whit Monday"},
    "MC": {1: "Easter Monday", 39: "Ascension", 50: "Whit Monday", 60: "Corpus Christi"},
    "CH": {39: "Ascension"},
    "CH-ZH": {-2: "Good Friday", 1: "Easter Monday", 39: "Ascension", 50: "Whit Monday"},
    "CH-LU": {60: "Corpus Christi"},
    "CA": {-2: "Good Friday"},
    "DE-BY": {60: "Corpus Christi"},
    "ES-CT": {-2: "Good Friday"},
    "ES-MD": {-3: "Maundy Thursday"},
}
"""Days after Easter Sunday that are holidays, by country and region; written from the calendars, not from the product."""

FRENCH_FIXED = {(1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25)}


def every_day(year: int) -> list[date]:
    return [date(year, 1, 1) + timedelta(days=ahead) for ahead in range(365 + (year % 4 == 0))]


def test_three_ways_to_easter_agree():
    for year in range(1900, 2100):
        assert easter_by_gauss(year) == easter_by_meeus(year) == easter_by_moon(year)
    assert easter_by_moon(2026) == date(2026, 4, 5)
    assert easter_by_moon(2038) == date(2038, 4, 25)


@pytest.mark.parametrize("place", FROM_EASTER)
def test_movable_feasts_over_twenty_years(place):
    country, _, region = place.partition("-")
    for year in YEARS:
        easter = easter_by_moon(year)
        for days, name in FROM_EASTER[place].items():
            assert holiday_on(easter + timedelta(days=days), country, region or None), (year, name)


def test_french_holidays_are_these_and_no_others():
    for year in YEARS:
        easter = easter_by_gauss(year)
        movable = {easter + timedelta(days=days) for days in (1, 39, 50)}
        expected = movable | {date(year, month, day) for month, day in FRENCH_FIXED}
        assert {day for day in every_day(year) if holiday_on(day, "FR")} == expected
        there = {easter - timedelta(days=2), date(year, 12, 26)}
        assert {day for day in every_day(year) if holiday_on(day, "FR", "57")} == expected | there


@pytest.mark.parametrize(
    ("department", "month", "day"),
    [("971", 5, 27), ("972", 5, 22), ("973", 6, 10), ("974", 12, 20), ("976", 4, 27)],
)
def test_the_overseas_departments_keep_the_day_of_abolition(department, month, day):
    assert all(holiday_on(date(year, month, day), "FR", department) for year in YEARS)
    others = [
        day for day in every_day(2027) if holiday_on(day, "FR") and not holiday_on(day, "FR", department)
    ]
    assert others == []


def test_american_and_canadian_feasts_fall_on_their_weekdays():
    for year in YEARS:
        assert holiday_on(nth_weekday(year, 11, 3, 4), "US") == "Thanksgiving Day"
        assert holiday_on(nth_weekday(year, 5, 0, -1), "US") == "Memorial Day"
        assert holiday_on(nth_weekday(year, 9, 0, 1), "US")
        assert holiday_on(nth_weekday(year, 9, 0, 1), "CA")
        assert holiday_on(nth_weekday(year, 10, 0, 2), "CA", "ON")


def test_every_calendar_that_a_pack_names_is_known():
    for pack in packs():
        for rule in pack.rules:
            if isinstance(rule.content, Holidays):
                for calendar in (None, *(region.calendar for region in pack.regions.values())):
                    assert holiday_on(date(2027, 1, 1), rule.content.calendar, calendar)
