"""Whether the place of an offer is open, by the hours and holidays of the place itself."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from campaigns.country_rules import store_of
from consent.countries.feast import feast_on
from consent.countries.hours import day_and_time, local_time
from consent.countries.place import areas_of_store
from geofences.geofence import Geofence
from geofences.opening_hours import Unreadable, is_open

DAY = timedelta(days=1)


def hours_told(geofence: Geofence | None, now: datetime) -> dict[str, Any]:
    """The hours of the place, and the holidays that count at `now`: hours may run on into the next day."""
    local = local_time(now, geofence.timezone) if geofence else None
    if geofence is None or geofence.opening_hours is None or local is None:
        return {"hours": None}
    areas = areas_of_store(store_of(geofence))
    return {
        "hours": geofence.opening_hours,
        "zone": geofence.timezone,
        "holiday": feast_on(areas, local.date()),
        "holiday_before": feast_on(areas, local.date() - DAY),
    }


def open_by(told: Mapping[str, Any], now: datetime) -> tuple[dict[str, Any], bool]:
    """What the hours that were told say of `now`, and whether the place is open. Nobody knows it of a place that has no
    hours, or whose hours cannot be read; so it is not.
    """
    local = local_time(now, told["zone"]) if told["hours"] is not None else None
    if local is None:
        return {}, False
    shown = {"local_time": day_and_time(local)}
    holidays = {local.date(): told["holiday"], local.date() - DAY: told["holiday_before"]}
    try:
        return shown, is_open(told["hours"], local, lambda day: holidays[day] is not None)
    except Unreadable as unreadable:
        return shown | {"problem": str(unreadable)}, False
