"""The health of beacons as the API lists it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from geofences.beacon import Beacon
from geofences.fleet import NOTHING_HEARD, Figures, Finding, Verdict, judge, shown_phones
from geofences.paging import write_cursor

SCANNED_AT_ONCE = 200
SCAN_LIMIT = 2000
"""So many beacons are looked at for one page; with a filter it may be short, and `next` goes on."""

Findings = tuple[Finding, ...]
Health = tuple[Beacon, Figures, Findings]

HEALTH_EXAMPLE = {
    "id": "bakery-till",
    "geofence": "bakery",
    "verdicts": [
        {
            "verdict": "battery_low",
            "reason": "its battery is at 2210 mV; below 2400 mV it is to be changed",
            "evidence": {"battery_mv": 2210},
        }
    ],
    "hearings": 812,
    "hours_heard": 37,
    "quiet_hours": 0,
    "first_heard_at": "2026-11-20T08:00:00+00:00",
    "last_heard_at": "2026-11-24T08:01:00+00:00",
    "battery_mv": 2210,
    "phones": 41,
    "near_phones": 38,
    "far_phones": None,
    "far_m": None,
}


def judged(beacons: Sequence[Beacon], figures: Mapping[str, Figures]) -> list[Health]:
    """Each beacon with its figures and what is wrong with it."""
    known = [(beacon, figures.get(beacon.id, NOTHING_HEARD)) for beacon in beacons]
    return [(beacon, each, judge(each)) for beacon, each in known]


def health_page(
    page: Callable[[str | None, int], tuple[list[Beacon], str | None]],
    figures_of: Callable[[Sequence[Beacon]], Mapping[str, Figures]],
    cursor: str | None,
    limit: int,
    verdict: Verdict | None = None,
) -> tuple[list[Health], str | None]:
    """Up to `limit` beacons, those with this verdict if one is asked for, and the cursor of the next page."""
    found: list[Health] = []
    size = limit if verdict is None else SCANNED_AT_ONCE
    for _ in range(SCAN_LIMIT // size):
        beacons, cursor = page(cursor, size)
        for each in judged(beacons, figures_of(beacons)):
            if verdict is None or any(finding.verdict is verdict for finding in each[2]):
                found.append(each)
            if len(found) == limit and each[0] is not beacons[-1]:
                return found, write_cursor(each[0].id)
        if cursor is None or len(found) == limit:
            break
    return found, cursor


def health_json(beacon: Beacon, figures: Figures, findings: Findings) -> dict[str, Any]:
    """One beacon's health as the API writes it: times to the minute, no number of phones below the least."""
    far_phones = shown_phones(figures.far_phones)
    return {
        "id": beacon.id,
        "geofence": beacon.geofence,
        "verdicts": [
            {"verdict": each.verdict.value, "reason": each.reason, "evidence": dict(each.evidence)}
            for each in findings
        ],
        "hearings": figures.hearings,
        "hours_heard": figures.hours,
        "quiet_hours": figures.quiet_hours,
        "first_heard_at": _minute(figures.first_at),
        "last_heard_at": _minute(figures.last_at),
        "battery_mv": None if figures.battery_mv is None else round(figures.battery_mv),
        "phones": shown_phones(figures.phones),
        "near_phones": shown_phones(figures.near_phones),
        "far_phones": far_phones,
        "far_m": None if far_phones is None or figures.far_m is None else round(figures.far_m),
    }


def _minute(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at // 60 * 60, UTC).isoformat()
