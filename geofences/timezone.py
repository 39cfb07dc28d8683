"""Which time zone a place keeps: by name, or looked up offline from where it is."""

from functools import cache
from zoneinfo import available_timezones

import tzfpy


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def is_timezone(name: str) -> bool:
    """Whether this is an IANA name that the machine (or the `tzdata` package) knows."""
    return name in _zones()


def timezone_at(lon: float, lat: float) -> str:
    """The IANA name of the zone at a point in degrees; at sea one of the nautical zones (``Etc/GMT-1``)."""
    found = tzfpy.get_tz(lon, lat)
    return found if found in _zones() else _nautical(lon)


def _nautical(lon: float) -> str:
    hours = round(lon / 15)
    return f"Etc/GMT{-hours:+d}" if hours else "Etc/GMT"
