"""Feasts and clock changes, computed here from their definitions alone, to hold the product's against."""

from datetime import UTC, date, datetime, timedelta


def easter_by_gauss(year: int) -> date:
    """Gauss (1800, corrected 1816), with the century terms computed for the year."""
    a, b, c = year % 19, year % 4, year % 7
    k = year // 100
    m = (15 - (13 + 8 * k) // 25 + k - k // 4) % 30
    n = (4 + k - k // 4) % 7
    d = (19 * a + m) % 30
    e = (2 * b + 4 * c + 6 * d + n) % 7
    if d == 29 and e == 6:
        return date(year, 4, 19)
    if d == 28 and e == 6 and (11 * m + 11) % 30 < 19:
        return date(year, 4, 18)
    return date(year, 3, 22) + timedelta(days=d + e)


def easter_by_meeus(year: int) -> date:
    """The anonymous Gregorian algorithm (Nature, 1876), as in Meeus, Astronomical Algorithms, chapter 8."""
    a, (b, c) = year % 19, divmod(year, 100)
    (d, e), f = divmod(b, 4), (b + 8) // 25
    g = (b - f + 1) // 3
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    el = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 22 * el) // 451
    month, day = divmod(h + el - 7 * m + 114, 31)
    return date(year, month, day + 1)


def easter_by_moon(year: int) -> date:
    """The definition itself: the Sunday after the ecclesiastical full moon on or after 21 March (Gregorian epact)."""
    golden, century = year % 19 + 1, year // 100 + 1
    epact = (11 * golden + 20 + (8 * century + 5) // 25 - 5 - (3 * century // 4 - 12)) % 30
    if epact == 24 or (epact == 25 and golden > 11):
        epact += 1
    moon = 44 - epact
    moon += 30 if moon < 21 else 0
    full = date(year, 3, 1) + timedelta(days=moon - 1)
    return full + timedelta(days=7 - (full.weekday() + 1) % 7)


def nth_weekday(year: int, month: int, weekday: int, nth: int) -> date:
    """The nth (from 1; -1: the last) of a weekday (Monday is 0) in a month, by looking at every day."""
    days = [date(year, month, 1) + timedelta(days=ahead) for ahead in range(31)]
    fitting = [day for day in days if day.month == month and day.weekday() == weekday]
    return fitting[nth - 1 if nth > 0 else nth]


def european_offset(at: datetime, winter_hours: int) -> timedelta:
    """Directive 2000/84/EC: an hour more from the last Sunday of March, 01:00 UTC, to the last of October, 01:00 UTC."""
    begins, ends = (
        datetime.combine(nth_weekday(at.year, month, 6, -1), datetime.min.time(), UTC) + timedelta(hours=1)
        for month in (3, 10)
    )
    return timedelta(hours=winter_hours + (begins <= at < ends))


def new_york_offset(at: datetime) -> timedelta:
    """15 USC 260a: an hour more from the second Sunday of March to the first of November, 02:00 by the clock then."""
    begins = datetime.combine(nth_weekday(at.year, 3, 6, 2), datetime.min.time(), UTC) + timedelta(hours=7)
    ends = datetime.combine(nth_weekday(at.year, 11, 6, 1), datetime.min.time(), UTC) + timedelta(hours=6)
    return timedelta(hours=-5 + (begins <= at < ends))


OFFSETS = {
    "Europe/Paris": lambda at: european_offset(at, 1),
    "Europe/Madrid": lambda at: european_offset(at, 1),
    "Atlantic/Canary": lambda at: european_offset(at, 0),
    "America/New_York": new_york_offset,
}


def wall_clock_in(zone: str, at: datetime) -> datetime:
    """What the clocks of the zone show at an instant, naive."""
    return (at + OFFSETS[zone](at)).replace(tzinfo=None)
