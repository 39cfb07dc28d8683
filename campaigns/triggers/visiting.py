"""Which visit it is, and how long after the one before: what a trigger asks of a shopper's visits to the place."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from campaigns.triggers.occasion import Timed
from campaigns.triggers.trigger import Trigger, VisitNumber
from consent.countries.hours import local_time
from geofences.visit import Visit, latest

DAY_SECONDS = 86_400


def visit_told(trigger: Trigger, visits: Sequence[Visit], at: datetime, zone: str | None) -> dict[str, Any]:
    """What the visit during which `at` falls is, as far as the trigger asks.

    `visits` are the shopper's to the place, oldest first; `zone` is the place's. An absence follows an earlier visit:
    whoever was never seen there is new, not back. An instant of no visit is no visit.
    """
    if not trigger.looks_back:
        return {}
    if trigger.event is Timed.ABSENCE:
        absent = at - max(visit.until for visit in visits) if visits else None
        return {"absent_seconds": _whole_seconds(absent)}
    this = latest(visits, at)
    earlier = [each for each in visits if this is not None and each.entered_at < this.entered_at]
    told: dict[str, Any] = {"visiting": this is not None}
    if this is not None and trigger.visit is not None:
        since = _counted_since(trigger.visit, this.entered_at, zone)
        told["number"] = None if since is None else 1 + sum(1 for each in earlier if each.entered_at >= since)
    if this is not None and trigger.absent_days is not None:
        absent = this.entered_at - earlier[-1].until if earlier else None
        told["absent_seconds"] = _whole_seconds(absent)
    return told


def visit_wanted(trigger: Trigger, told: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """What the trigger asks of what was told of a visit, and whether it is that."""
    wanted: dict[str, Any] = {}
    if not trigger.looks_back:
        return wanted, True
    if trigger.event is not Timed.ABSENCE and not told["visiting"]:
        return wanted, False
    fits = True
    if trigger.visit is not None:
        wanted["wanted"] = trigger.visit.number
        fits = told["number"] == trigger.visit.number
    if trigger.absent_days is not None:
        absent = told["absent_seconds"]
        wanted |= {
            "absent_days": None if absent is None else round(absent / DAY_SECONDS, 1),
            "wanted_days": trigger.absent_days,
        }
        fits = fits and absent is not None and absent >= trigger.absent_days * DAY_SECONDS
    return wanted, fits


def _whole_seconds(absent: timedelta | None) -> int | None:
    return None if absent is None else absent // timedelta(seconds=1)


def _counted_since(wanted: VisitNumber, at: datetime, zone: str | None) -> datetime | None:
    """The first instant of the period; None where nobody knows what month it is."""
    if wanted.days is not None:
        return at - timedelta(days=wanted.days)
    local = local_time(at, zone)
    return None if local is None else local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
