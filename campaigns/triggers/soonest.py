"""When an offer may go that need not go now: by its campaign's own hours and by the rules of countries at once."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from campaigns.country_rules import CountryRules, Reading
from consent.countries.hours import Window, is_open_on_all, local_time, possible_openings

LOOKS = 40
"""So often hours and rules are asked in turn, at most."""
DAYS = 8
"""A campaign's own hours come back every week."""


def soonest(
    windows: Sequence[Window], rules: CountryRules, reading: Reading, now: datetime, before: datetime
) -> datetime | None:
    """The first instant from `now` on, and before `before`, at which both are open; None if there is none."""
    at = now
    for _ in range(LOOKS):
        lawful = rules.opening(reading, at) if rules.enforced else at
        open_at = _opening(windows, reading.clocks, lawful) if lawful and lawful < before else None
        if open_at is None or open_at >= before:
            return None
        if open_at == lawful:
            return open_at
        at = open_at
    return None


def _opening(windows: Sequence[Window], zones: Sequence[str], after: datetime) -> datetime | None:
    """The first instant from `after` on at which the campaign's own hours are open on every clock."""
    if is_open_on_all(windows, after, zones):
        return after
    candidates = sorted(at for zone in zones for at in _openings(windows, zone, after) if at > after)
    return next((at for at in candidates if is_open_on_all(windows, at, zones)), None)


def _openings(windows: Sequence[Window], zone: str, after: datetime) -> Iterator[datetime]:
    local = local_time(after, zone)
    if local is None:
        return
    minutes = sorted({0, *(window.opens_minute for window in windows)})
    for ahead in range(-1, DAYS):
        yield from possible_openings(zone, local.date() + timedelta(days=ahead), minutes)
