from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from campaigns.campaign import campaign_from_json, campaign_json, campaign_problems
from campaigns.experiments.experiment import Experiment, Switchback
from campaigns.triggers.form import ScheduleForm
from campaigns.triggers.occasion import Timed
from campaigns.triggers.schedule import Once, Weekly, latest
from campaigns.triggers.trigger import Trigger
from consent.countries.hours import Day
from geofences.event import EventKind
from tests.campaigns.cast import BREAD

AT = datetime(2026, 11, 27, 16, 0, tzinfo=UTC)
FRIDAYS = Weekly(frozenset({Day.FRI}), 17 * 60, "Europe/Paris")
NIGHTLY = Weekly(frozenset(Day), 2 * 60 + 30, "Europe/Paris")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "now", "expected"),
    [
        (Once(AT), "2026-11-27 15:59:59", None),
        (Once(AT), "2026-11-27 16:00", "2026-11-27 16:00"),
        (Once(AT), "2027-11-27 16:00", "2026-11-27 16:00"),
        (FRIDAYS, "2026-11-27 15:59:59", "2026-11-20 16:00"),
        (FRIDAYS, "2026-11-27 16:00", "2026-11-27 16:00"),
        (FRIDAYS, "2026-12-03 23:00", "2026-11-27 16:00"),
        (FRIDAYS, "2026-07-03 15:00", "2026-07-03 15:00"),  # the wall clock, in summer
        (NIGHTLY, "2026-10-25 02:00", "2026-10-25 00:30"),  # shown twice that night
        (NIGHTLY, "2026-03-29 00:59", "2026-03-28 01:30"),
        (NIGHTLY, "2026-03-29 01:30", "2026-03-29 01:30"),  # skipped that night: half past three
        (replace(FRIDAYS, timezone="Mars/Olympus"), "2026-11-27 16:00", None),
    ],
)
def test_when_it_went_last(schedule, now, expected):
    assert latest(schedule, utc(now)) == (utc(expected) if expected else None)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"at": "2026-11-27T17:00:00+01:00"}, Once(AT)),
        ({"days": ["fri"], "time": "17:00", "timezone": "Europe/Paris"}, FRIDAYS),
        ({"time": "02:30", "timezone": "Europe/Paris"}, NIGHTLY),
        ({}, None),
        ({"at": "2026-11-27T17:00:00"}, None),
        ({"at": "2026-11-27T17:00:00+01:00", "time": "17:00"}, None),
        ({"time": "17:00"}, None),
        ({"time": "24:00", "timezone": "Europe/Paris"}, None),
        ({"time": "17:00", "timezone": "Mars/Olympus"}, None),
        ({"days": [], "time": "17:00", "timezone": "Europe/Paris"}, None),
    ],
)
def test_what_a_form_says_and_what_it_may_not(said, meant):
    if meant is None:
        with pytest.raises(ValidationError):
            ScheduleForm.model_validate(said)
        return
    assert ScheduleForm.model_validate(said).schedule() == meant
    campaign = replace(BREAD, trigger=Trigger(Timed.BROADCAST, schedule=meant))
    assert campaign_from_json(campaign_json(campaign)) == campaign


def test_nonsense_is_named():
    def fields(**changes) -> list[str]:
        trigger = replace(Trigger(Timed.BROADCAST, schedule=FRIDAYS), **changes)
        return [each.field for each in campaign_problems(replace(BREAD, trigger=trigger))]

    assert fields() == fields(geofences=("bakery",)) == []
    assert fields(schedule=None) == ["trigger.schedule"]
    assert fields(geofences=("a", "b")) == fields(any=True) == fields(tags=("a",)) == ["trigger.geofences"]
    assert fields(event=EventKind.ENTER, any=True) == ["trigger.schedule"]
    switching = replace(BREAD, experiment=Experiment("x", switchback=Switchback(3600, 60)))
    timed = replace(switching, trigger=Trigger(Timed.BROADCAST, schedule=FRIDAYS))
    assert campaign_problems(switching) == ()
    assert [each.field for each in campaign_problems(timed)] == ["experiment.switchback"]
    sure = replace(timed, experiment=None, min_confidence=0.9, max_fix_age_seconds=60)
    assert [each.field for each in campaign_problems(sure)] == ["min_confidence", "max_fix_age_seconds"]
