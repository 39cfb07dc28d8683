"""Which time zone a place keeps: by name, or looked up offline from where it is."""

from functools import cache
from importlib import resources
from zoneinfo import available_timezones

import tzfpy


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def is_timezone(name: str) -> bool:
    """Whether this is an IANA name that the machine (or the `tzdata` package) knows."""
    return name in _zones()


def country_of(name: str) -> str | None:
    """The country (ISO 3166) that keeps a zone; None for one that is no country's own."""
    return _countries().get(name)


@cache
def _countries() -> dict[str, str]:
    table = resources.files("tzdata").joinpath("zoneinfo", "zone.tab").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in table.splitlines() if not line.startswith("#")]
    return {row[2]: row[0] for row in rows}


def timezone_at(lon: float, lat: float) -> str:
    """The IANA name of the zone at a point in degrees; at sea one of the nautical zones (``Etc/GMT-1``)."""
    found = tzfpy.get_tz(lon, lat)
    return found if found in _zones() else _nautical(lon)


def _nautical(lon: float) -> str:
    hours = round(lon / 15)
    return f"Etc/GMT{-hours:+d}" if hours else "Etc/GMT"
