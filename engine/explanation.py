"""Tells an operator whether the rules of countries let an offer go; if not, which rule holds it back, and until when."""

from datetime import datetime
from zoneinfo import ZoneInfo

from campaigns.country_rules import store_of
from consent.countries.hours import day_and_time, local_time
from consent.countries.pack import rules_in_force
from consent.countries.place import Anywhere, Origin, concerned
from consent.countries.rule import Reach, SendingCap
from consent.countries.ruling import holds_by_hours, next_opening
from consent.entry import Channel
from geofences.geofence import Geofence


def explain(
    where: Geofence | Anywhere, origin: Origin | None, at: datetime, channel: Channel, reach: Reach
) -> tuple[list[str], bool]:
    """Lines to print, and whether an offer may go, by the hours of all who are concerned. Caps that count are told."""
    who = concerned(where if isinstance(where, Anywhere) else store_of(where), origin)
    own = "UTC" if isinstance(where, Anywhere) else where.timezone
    holds = list(holds_by_hours(who, at, channel, reach))
    clocks = [f"{zone} {day_and_time(local)}" for zone in who.zones if (local := local_time(at, zone))]
    lines = [
        f"{'no' if holds else 'yes'}, at {at.isoformat()}",
        f"rules of: {', '.join(sorted(who.areas)) or 'nobody knows'}",
        f"clocks:   {', '.join(clocks) or 'nobody knows'}",
    ]
    lines += [
        f"held by   {hold.name}: {hold.because}" + (f" ({hold.zone}, {hold.local_time})" if hold.zone else "")
        for hold in holds
    ]
    if holds:
        again = next_opening(who, at, channel, reach)
        lines.append(f"next:     {again.astimezone(ZoneInfo(own)).isoformat() if again else 'never soon'}")
    day = (local_time(at, who.zones[0] if who.zones else own) or at).date()
    for rule in rules_in_force(who.areas, day, channel):
        if isinstance(rule.content, SendingCap):
            lines.append(f"cap:      {rule.name}: {rule.content.max} in {rule.content.per_seconds} seconds")
    return lines, not holds
