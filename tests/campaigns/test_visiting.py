from datetime import UTC, datetime, timedelta

import pytest

from campaigns.triggers.trigger import Trigger, VisitNumber
from campaigns.triggers.visiting import visit_told, visit_wanted
from geofences.event import EventKind
from geofences.visit import Stay, Visit, visits

PARIS = "Europe/Paris"


def been(*days: str) -> list[Visit]:
    """Visits of an hour that began at these instants (UTC)."""
    began = [datetime.fromisoformat(day).replace(tzinfo=UTC) for day in days]
    return visits("bakery", [Stay(f"{at:%d%H}", at, at + timedelta(hours=1)) for at in began])


def told(several: list[Visit], zone: str | None = PARIS, **asked) -> tuple[dict, bool]:
    at = several[-1].entered_at + timedelta(minutes=3)
    trigger = Trigger(EventKind.ENTER, any=True, **asked)
    what = visit_told(trigger, several, at, zone)
    wanted, fits = visit_wanted(trigger, what)
    return what | wanted, fits


def test_nothing_asked_is_nothing_told():
    assert told(been("2026-11-02 09:00")) == ({}, True)


@pytest.mark.parametrize(
    ("days", "per", "number"),
    [
        (["2026-11-02 09:00"], None, 1),
        (["2026-11-02 09:00", "2026-11-10 09:00", "2026-11-20 09:00"], None, 3),
        (["2026-10-31 09:00", "2026-11-10 09:00"], None, 1),
        (["2026-10-31 22:30", "2026-10-31 23:30"], None, 1),  # half past midnight of the first, in Paris
        (["2026-10-31 09:00", "2026-11-10 09:00"], 30, 2),
        (["2026-10-10 09:00", "2026-11-10 09:00"], 30, 1),
    ],
)
def test_visits_are_counted_in_the_month_on_the_places_clock_or_in_days(days, per, number):
    for wanted in (1, 2, 3):
        asked, fits = told(been(*days), visit=VisitNumber(wanted, per))
        assert (asked["number"], fits) == (number, wanted == number)


def test_nobody_counts_by_the_month_where_the_clock_is_unknown():
    assert told(been("2026-11-02 09:00"), zone=None, visit=VisitNumber(1, None))[1] is False


def test_an_absence_is_between_two_visits():
    assert told(been("2026-10-02 09:00", "2026-11-01 10:00"), absent_days=30) == (
        {"visiting": True, "absent_seconds": 2_592_000, "absent_days": 30.0, "wanted_days": 30},
        True,
    )
    assert told(been("2026-10-02 09:00", "2026-11-01 09:59"), absent_days=30)[1] is False
    new, fits = told(been("2026-11-01 09:00"), absent_days=30)
    assert (new["absent_days"], fits) == (None, False)


def test_an_instant_outside_of_every_visit_is_none():
    trigger = Trigger(EventKind.ENTER, any=True, visit=VisitNumber(1, None))
    what = visit_told(trigger, been("2026-11-01 09:00"), datetime(2026, 11, 3, tzinfo=UTC), PARIS)
    assert visit_wanted(trigger, what)[1] is False
