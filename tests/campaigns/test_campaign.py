from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.audience.audience import parse_audience
from campaigns.campaign import (
    Action,
    CampaignState,
    PerVisit,
    campaign_from_json,
    campaign_json,
    campaign_problems,
    due_state,
    next_state,
)
from campaigns.errors import StateConflict
from campaigns.limits.budget import Budget
from campaigns.limits.cap import Cap, CapScope
from campaigns.triggers.trigger import Deed, Trigger, VisitNumber
from consent.countries.hours import Day, Window
from consent.entry import Channel
from geofences.event import EventKind
from tests.campaigns.cast import BREAD
from tests.conftest import MONDAY_NINE

NOW = MONDAY_NINE
HOUR = timedelta(hours=1)
YOUNGER = (
    "max_segments",
    "min_gap_seconds",
    "budget",
    "value",
    "per_visit",
    "min_confidence",
    "max_fix_age_seconds",
)
"""Fields that campaigns from before them lack."""
DRAFT, IN_REVIEW, APPROVED, SCHEDULED, ACTIVE, PAUSED, ENDED = CampaignState


@pytest.mark.parametrize(
    ("state", "action", "expected"),
    [
        (DRAFT, Action.ACTIVATE, ACTIVE),
        (DRAFT, Action.PAUSE, None),
        (DRAFT, Action.RESUME, None),
        (DRAFT, Action.END, ENDED),
        (IN_REVIEW, Action.ACTIVATE, None),
        (IN_REVIEW, Action.PAUSE, None),
        (IN_REVIEW, Action.RESUME, None),
        (IN_REVIEW, Action.END, ENDED),
        (APPROVED, Action.ACTIVATE, ACTIVE),
        (APPROVED, Action.PAUSE, None),
        (APPROVED, Action.RESUME, None),
        (APPROVED, Action.END, ENDED),
        (ACTIVE, Action.ACTIVATE, ACTIVE),
        (ACTIVE, Action.PAUSE, PAUSED),
        (ACTIVE, Action.RESUME, ACTIVE),
        (ACTIVE, Action.END, ENDED),
        (PAUSED, Action.ACTIVATE, ACTIVE),
        (PAUSED, Action.PAUSE, PAUSED),
        (PAUSED, Action.RESUME, ACTIVE),
        (PAUSED, Action.END, ENDED),
        (ENDED, Action.ACTIVATE, None),
        (ENDED, Action.PAUSE, None),
        (ENDED, Action.RESUME, None),
        (ENDED, Action.END, ENDED),
    ],
)
def test_every_action_in_every_state(state, action, expected):
    campaign = replace(BREAD, state=state)
    if expected is None:
        with pytest.raises(StateConflict, match="bread cannot"):
            next_state(campaign, action, NOW)
    else:
        assert next_state(campaign, action, NOW) is expected


@pytest.mark.parametrize("action", [Action.ACTIVATE, Action.RESUME])
def test_a_later_start_is_waited_for(action):
    campaign = replace(BREAD, state=PAUSED, starts_at=NOW + HOUR)
    assert next_state(campaign, action, NOW) is SCHEDULED
    assert next_state(campaign, action, NOW + HOUR) is ACTIVE


def test_what_has_passed_its_end_is_not_activated():
    over = replace(BREAD, state=DRAFT, ends_at=NOW)
    with pytest.raises(StateConflict, match="ends_at"):
        next_state(over, Action.ACTIVATE, NOW)
    assert next_state(over, Action.ACTIVATE, NOW - HOUR) is ACTIVE


def test_the_clock_moves_a_campaign_at_its_start_and_its_end():
    campaign = replace(BREAD, state=SCHEDULED, starts_at=NOW, ends_at=NOW + HOUR)
    second = timedelta(seconds=1)
    assert due_state(campaign, NOW - second) is SCHEDULED
    assert due_state(campaign, NOW) is ACTIVE
    assert due_state(campaign, NOW + HOUR - second) is ACTIVE
    assert due_state(campaign, NOW + HOUR) is ENDED


def test_the_clock_wakes_no_paused_campaign_and_touches_no_draft():
    times = {"starts_at": NOW - HOUR, "ends_at": NOW + HOUR}
    assert due_state(replace(BREAD, state=PAUSED, **times), NOW) is PAUSED
    assert due_state(replace(BREAD, state=PAUSED, **times), NOW + HOUR) is ENDED
    assert due_state(replace(BREAD, state=DRAFT, **times), NOW + HOUR) is DRAFT


@given(
    st.sampled_from(CampaignState),
    st.lists(st.sampled_from(Action), max_size=8),
    st.integers(-2, 6),
    st.integers(-2, 6),
)
def test_an_ended_campaign_never_lives_again(state, actions, start, end):
    campaign = replace(BREAD, state=state, starts_at=NOW + start * HOUR, ends_at=NOW + end * HOUR)
    ended = False
    for hour, action in enumerate(actions):
        now = NOW + hour * HOUR
        try:
            campaign = replace(campaign, state=next_state(campaign, action, now))
        except StateConflict:
            campaign = replace(campaign, state=due_state(campaign, now))
        assert not ended or campaign.state is ENDED
        ended = campaign.state is ENDED
        if campaign.state is ACTIVE:
            assert NOW + start * HOUR <= now < NOW + end * HOUR


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"trigger": Trigger(EventKind.ENTER)}, "trigger"),
        ({"trigger": Trigger(EventKind.ENTER, ("bakery",), any=True)}, "trigger.any"),
        ({"starts_at": NOW, "ends_at": NOW}, "ends_at"),
        ({"template": "{{ tier }}"}, "template"),
    ],
)
def test_a_broken_rule_is_named(changes, field):
    assert [problem.field for problem in campaign_problems(replace(BREAD, **changes))] == [field]


def test_the_cast_breaks_no_rule():
    assert campaign_problems(BREAD) == ()
    assert campaign_problems(replace(BREAD, trigger=Trigger(EventKind.EXIT, any=True))) == ()


def test_what_is_written_is_read_back():
    full = replace(
        BREAD,
        trigger=Trigger(EventKind.STUCK, (), ("city-centre",)),
        audience=parse_audience({"all": [{"attribute": "tier", "in": ["gold"]}]})[0],
        windows=(Window(frozenset({Day.MON, Day.SAT}), 480, 1440),),
        caps=(Cap(2, 3600), Cap(5, 86_400, CapScope.GEOFENCE, Channel.PUSH)),
        min_gap_seconds=60,
        budget=Budget(messages=9, messages_per_day=3, spend=1_000_000, spend_per_day=80_000),
        value=2.5,
        per_visit=PerVisit.MANY,
        min_confidence=0.8,
        max_fix_age_seconds=60,
        starts_at=NOW,
        ends_at=NOW + HOUR,
        max_segments=2,
    )
    assert campaign_from_json(campaign_json(full)) == full
    assert campaign_from_json(campaign_json(BREAD)) == BREAD


@pytest.mark.parametrize(
    "further",
    [
        {"visit": VisitNumber(3, None), "absent_days": 30, "opening_hours": True},
        {"visit": VisitNumber(2, 60), "delay_seconds": 600, "cancel_if": (Deed.EXIT,)},
        {"event": EventKind.DWELL, "dwell_minutes": 20},
        {"event": EventKind.ZONE, "zones": ("till", "wine")},
    ],
)
def test_a_trigger_is_read_back_and_says_only_what_is_set(further):
    trigger = Trigger(**({"event": EventKind.ENTER, "any": True} | further))
    campaign = replace(BREAD, trigger=trigger)
    assert campaign_problems(campaign) == ()
    assert campaign_from_json(campaign_json(campaign)) == campaign
    assert set(campaign_json(campaign)["trigger"]) == {"event", "geofences", "tags", "any", *further}


@pytest.mark.parametrize(
    ("trigger", "field"),
    [
        ({"zones": ("till",)}, "trigger.zones"),
        ({"dwell_minutes": 5}, "trigger.dwell_minutes"),
        ({"event": EventKind.STUCK, "visit": VisitNumber(1, None)}, "trigger.visit"),
        ({"event": EventKind.NEARBY, "absent_days": 3}, "trigger.absent_days"),
        ({"event": EventKind.EXIT, "cancel_if": (Deed.EXIT,)}, "trigger.cancel_if"),
    ],
)
def test_conditions_go_with_the_event_that_they_are_about(trigger, field):
    broken = replace(BREAD, trigger=Trigger(**({"event": EventKind.ENTER, "any": True} | trigger)))
    assert [problem.field for problem in campaign_problems(broken)] == [field]


def test_a_campaign_of_before_some_fields_were_known_is_read_back():
    stored = campaign_json(BREAD)
    for name in YOUNGER:
        del stored[name]
    assert campaign_from_json(stored) == BREAD


def test_a_naive_time_is_refused():
    with pytest.raises(ValueError, match="naive"):
        replace(BREAD, starts_at=datetime(2026, 11, 24))  # noqa: DTZ001
