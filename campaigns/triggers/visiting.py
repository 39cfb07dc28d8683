"""Which visit it is, and how long after the one before: what a trigger asks of a shopper's visits to the place."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from campaigns.triggers.occasion import Timed
from campaigns.triggers.trigger import Trigger, VisitNumber
from consent.countries.hours import local_time
from geofences.visit import Visit, latest


def visit_told(
    trigger: Trigger, visits: Sequence[Visit], at: datetime, zone: str | None
) -> tuple[Mapping[str, Any], bool]:
    """What the visit during which `at` falls is, as far as the trigger asks, and whether that is what it asks for.

    `visits` are the shopper's to the place, oldest first; `zone` is the place's. An absence follows an earlier visit:
    whoever was never seen there is new, not back. An instant of no visit is no visit.
    """
    if not trigger.looks_back:
        return {}, True
    if trigger.event is Timed.ABSENCE:
        return _absence_told(trigger.absent_days or 0, visits, at)
    this = latest(visits, at)
    earlier = [each for each in visits if this is not None and each.entered_at < this.entered_at]
    told: dict[str, Any] = {"visiting": this is not None}
    fits = this is not None
    if this is not None and trigger.visit is not None:
        since = _counted_since(trigger.visit, this.entered_at, zone)
        number = None if since is None else 1 + sum(1 for each in earlier if each.entered_at >= since)
        told |= {"number": number, "wanted": trigger.visit.number}
        fits &= number == trigger.visit.number
    if this is not None and trigger.absent_days is not None:
        absent = this.entered_at - earlier[-1].until if earlier else None
        told |= {
            "absent_days": absent and round(absent / timedelta(days=1), 1),
            "wanted_days": trigger.absent_days,
        }
        fits &= absent is not None and absent >= timedelta(days=trigger.absent_days)
    return told, fits


def _absence_told(days: int, visits: Sequence[Visit], at: datetime) -> tuple[Mapping[str, Any], bool]:
    """How long ago the last visit was, of those to any of the places."""
    absent = at - max(visit.until for visit in visits) if visits else None
    told = {"absent_days": absent and round(absent / timedelta(days=1), 1), "wanted_days": days}
    return told, absent is not None and absent >= timedelta(days=days)


def _counted_since(wanted: VisitNumber, at: datetime, zone: str | None) -> datetime | None:
    """The first instant of the period; None where nobody knows what month it is."""
    if wanted.days is not None:
        return at - timedelta(days=wanted.days)
    local = local_time(at, zone)
    return None if local is None else local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
