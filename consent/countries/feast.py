"""The feast days of a place: the public holidays of its country, and of the regions in which it lies or may lie."""

from collections.abc import Iterable
from datetime import date

from consent.countries.calendar import holiday_on
from consent.countries.pack import pack_of


def feast_on(areas: Iterable[str], day: date) -> str | None:
    """The name of the holiday on that day in one of these countries and regions (ISO 3166), or None."""
    for area in sorted(areas):
        pack = pack_of(area[:2])
        region = pack.regions.get(area) if pack else None
        if "-" in area and (region is None or region.calendar is None):
            continue
        try:
            name = holiday_on(day, area[:2], region.calendar if region else None)
        except NotImplementedError:  # a place without a calendar
            continue
        if name is not None:
            return name
    return None
