"""Whether the place of an offer is open, by the hours and holidays of the place itself."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from campaigns.country_rules import store_of
from consent.countries.feast import feast_on
from consent.countries.hours import day_and_time, local_time
from consent.countries.place import areas_of_store
from geofences.geofence import Geofence
from geofences.opening_hours import Unreadable, is_open


def hours_told(geofence: Geofence | None, now: datetime) -> tuple[Mapping[str, Any], bool]:
    """What the place's hours say of `now`, and whether it is open. Nobody knows it of a place that has no hours, or
    whose hours cannot be read; so it is not.
    """
    local = local_time(now, geofence.timezone) if geofence else None
    if geofence is None or geofence.opening_hours is None or local is None:
        return {"hours": None}, False
    areas = areas_of_store(store_of(geofence))
    told = {
        "hours": geofence.opening_hours,
        "zone": geofence.timezone,
        "local_time": day_and_time(local),
        "holiday": feast_on(areas, local.date()),
    }
    try:
        return told, is_open(geofence.opening_hours, local, lambda day: feast_on(areas, day) is not None)
    except Unreadable as unreadable:
        return told | {"problem": str(unreadable)}, False
