from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.arbitration import Because, Winner
from campaigns.audience.audience import parse_audience
from campaigns.campaign import Campaign, CampaignState
from campaigns.country_rules import COUNTRY_RULES
from campaigns.decide import Outcome, compose, decide, decision_json, may_still_send
from campaigns.delivery.breaker import Breaker, BreakerState
from campaigns.gates import GateName, Reason, Verdict, fits
from campaigns.limits.account import NO_LIMITS, Account
from campaigns.limits.budget import Key, Limit, What
from campaigns.limits.cap import Cap, CapScope
from campaigns.message import MessageState, message_id
from campaigns.triggers.trigger import Deed, Trigger, VisitNumber
from consent.countries.hours import window_from_json
from consent.entry import Channel, Purpose
from geofences.event import EventKind, Revision
from geofences.visit import Visit
from tests.campaigns.cast import (
    ANA,
    BAKERY,
    BREAD,
    NEVER_ASKED,
    event,
    granted,
    moment,
    not_carried,
    sent,
    withdrawn,
)
from tests.conftest import MONDAY_NINE

NOW = MONDAY_NINE
TODAY = Visit("v", "bakery", NOW, None, NOW + timedelta(hours=4))
GOLD, _ = parse_audience({"attribute": "tier", "in": ["gold"]})
OFFICE_HOURS = (window_from_json({"days": ["mon"], "from": "09:00", "to": "18:00"}),)


WINNER = Winner("cake", "an event", Because.PRIORITY)
FULL = Limit(Key("account", "2026-11-23"), What.MESSAGES, 3, 3)


def gate(decision, name):
    return next(gate for gate in decision.gates if gate.gate is name)


def test_when_everything_is_as_it_should_be_there_is_a_message():
    decision = decide(BREAD, moment(), NOW)
    assert (decision.outcome, decision.reason) == (Outcome.MESSAGE, Reason.OK)
    assert [gate.gate for gate in decision.gates] == list(GateName)
    assert {gate.verdict for gate in decision.gates} == {Verdict.PASS}
    message = compose(decision, BREAD, moment())
    assert message.text == "Ana, fresh bread until ten"
    assert (message.id, message.state) == (message_id(event().id, "bread"), MessageState.DUE)
    assert message.valid_until == NOW + timedelta(seconds=900)
    assert "fresh bread" not in repr(message)


def test_the_text_gate_tells_the_size_and_never_the_text():
    told = gate(decide(BREAD, moment(), NOW), GateName.TEXT)
    assert told.input == {"characters": 26, "encoding": "GSM-7", "segments": 1, "max_segments": 4}
    long = replace(BREAD, template="{{ first_name }}, " * 3, max_segments=1)
    who = replace(ANA, attributes={"first_name": "Loïc " * 10})
    told = gate(decide(long, moment(recipient=who), NOW), GateName.TEXT)
    assert told.input == {
        "problem": "the text takes 3 SMS segments in UCS-2; max_segments allows 1",
        "lacks": "text",
    }


@pytest.mark.parametrize(
    ("name", "reason", "campaign", "changes", "later"),
    [
        (GateName.CAMPAIGN_ACTIVE, Reason.CAMPAIGN_NOT_ACTIVE, {"state": CampaignState.PAUSED}, {}, 0),
        (GateName.CAMPAIGN_ACTIVE, Reason.CAMPAIGN_NOT_ACTIVE, {"state": CampaignState.DRAFT}, {}, 0),
        (GateName.CAMPAIGN_ACTIVE, Reason.CAMPAIGN_NOT_ACTIVE, {"ends_at": NOW}, {}, 0),
        (
            GateName.CAMPAIGN_ACTIVE,
            Reason.CAMPAIGN_NOT_ACTIVE,
            {"starts_at": NOW + timedelta(seconds=1)},
            {},
            0,
        ),
        (GateName.TRIGGER, Reason.TRIGGER_MISMATCH, {"trigger": Trigger(EventKind.EXIT, ("bakery",))}, {}, 0),
        (GateName.TRIGGER, Reason.TRIGGER_MISMATCH, {"trigger": Trigger(EventKind.ENTER, ("other",))}, {}, 0),
        (GateName.TRIGGER, Reason.TRIGGER_MISMATCH, {"trigger": Trigger(EventKind.ENTER, (), ("x",))}, {}, 0),
        (GateName.SUBJECT, Reason.UNKNOWN_SUBJECT, {}, {"recipient": None}, 0),
        (GateName.LOCATION_CONSENT, Reason.NO_LOCATION_CONSENT, {}, {"location": NEVER_ASKED}, 0),
        (GateName.LOCATION_CONSENT, Reason.NO_LOCATION_CONSENT, {}, {"location": None}, 0),
        (
            GateName.LOCATION_CONSENT,
            Reason.LOCATION_CONSENT_WITHDRAWN,
            {},
            {"location": withdrawn(Purpose.LOCATION)},
            0,
        ),
        (GateName.CONSENT, Reason.NO_CONSENT, {}, {"marketing": NEVER_ASKED}, 0),
        (GateName.CONSENT, Reason.NO_CONSENT, {}, {"marketing": None}, 0),
        (GateName.CONSENT, Reason.CONSENT_WITHDRAWN, {}, {"marketing": withdrawn()}, 0),
        (GateName.CONSENT, Reason.CONSENT_NEEDS_RENEWAL, {}, {"marketing": not_carried("needs_renewal")}, 0),
        (GateName.CONSENT, Reason.CONSENT_UNPROVEN, {}, {"marketing": not_carried("unproven")}, 0),
        (
            GateName.AUDIENCE,
            Reason.NOT_IN_AUDIENCE,
            {"audience": GOLD},
            {"recipient": replace(ANA, attributes={"tier": "silver"})},
            0,
        ),
        (GateName.FIX, Reason.FIX_TOO_OLD, {"max_fix_age_seconds": 59}, {}, 60),
        (GateName.FIX, Reason.NOT_SURE_ENOUGH, {"min_confidence": 0.95}, {}, 0),
        (GateName.SHELF_LIFE, Reason.TOO_LATE, {}, {}, 900),
        (GateName.BUDGET, Reason.BUDGET_SPENT, {}, {"budgets": (FULL,)}, 0),
        (GateName.ARBITRATION, Reason.LOST_TO, {}, {"winner": WINNER}, 0),
        (
            GateName.ARBITRATION,
            Reason.LOST_TO,
            {},
            {"around": frozenset({"v1"}), "sent": (sent(NOW - timedelta(days=2), visit="v1"),)},
            0,
        ),
        (
            GateName.TRIGGER,
            Reason.EVENT_RETRACTED,
            {},
            {"event": event(revision=Revision.RETRACTED)},
            0,
        ),
        (GateName.WINDOW, Reason.OUTSIDE_WINDOW, {"windows": OFFICE_HOURS}, {}, -1),
        (GateName.COUNTRY_HOURS, Reason.COUNTRY_HOURS, {}, {"geofence": None}, 0),
        (GateName.CAP, Reason.CAP_REACHED, {}, {"sent": (sent(NOW - timedelta(hours=23)),)}, 0),
        (GateName.ADDRESS, Reason.NO_ADDRESS, {}, {"recipient": replace(ANA, channels=frozenset())}, 0),
        (GateName.ADDRESS, Reason.NO_ADDRESS, {"channel": Channel.PUSH}, {}, 0),
        (
            GateName.SUPPRESSION,
            Reason.SUPPRESSED,
            {},
            {"recipient": replace(ANA, suppressed=frozenset({Channel.SMS}))},
            0,
        ),
        (
            GateName.TEXT,
            Reason.TEXT_REFUSED,
            {"template": "{{ first_name }}"},
            {"recipient": replace(ANA, attributes={})},
            0,
        ),
        (
            GateName.TEXT,
            Reason.TEXT_REFUSED,
            {"template": "{{ first_name }}" * 3, "max_segments": 1},
            {"recipient": replace(ANA, attributes={"first_name": "ç" * 30})},
            0,
        ),
    ],
)
def test_each_gate_fails_alone_and_is_the_reason(name, reason, campaign, changes, later):
    now = NOW + timedelta(seconds=later)
    decision = decide(replace(BREAD, **campaign), moment(**changes), now)
    failing = [gate.gate for gate in decision.gates if gate.verdict is Verdict.FAIL]
    assert failing == [name]
    assert (decision.outcome, decision.reason) == (Outcome.REFUSED, reason)
    assert [gate.gate for gate in decision.gates] == list(GateName)
    assert compose(decision, BREAD, moment(**changes)) is None


@pytest.mark.parametrize(
    ("state", "seconds", "reason"),
    [
        (BreakerState.CLOSED, 0, Reason.OK),
        (BreakerState.HALF_OPEN, 5000, Reason.OK),
        (BreakerState.OPEN, 300, Reason.OK),
        (BreakerState.OPEN, BREAD.shelf_life_seconds, Reason.CHANNEL_DOWN),
    ],
)
def test_an_offer_waits_for_a_line_that_is_down_unless_it_would_be_too_late(state, seconds, reason):
    until = NOW + timedelta(seconds=seconds)
    decision = decide(BREAD, moment(breakers={Channel.SMS: Breaker(state, until)}), NOW)
    assert decision.reason is reason
    told = gate(decision, GateName.CHANNEL_HEALTH)
    assert told.input == {"channel": "sms", "breaker": state.value, "until": until.isoformat()} | (
        {"valid_until": "2026-11-23T08:15:00+00:00"} if state is BreakerState.OPEN else {}
    )


def test_an_offer_with_a_delay_waits_for_a_line_that_opens_before_it_is_too_late():
    delay_seconds, shelf_life_seconds = 3600, BREAD.shelf_life_seconds
    later, now = waiting(delay_seconds=delay_seconds), NOW + timedelta(seconds=delay_seconds)

    def reason(seconds):
        down = Breaker(BreakerState.OPEN, now + timedelta(seconds=seconds))
        return decide(later, moment(breakers={Channel.SMS: down}), now).reason

    assert reason(30) is reason(shelf_life_seconds - 1) is Reason.OK
    assert reason(shelf_life_seconds) is Reason.CHANNEL_DOWN


def test_a_stranger_is_asked_nothing_personal():
    decision = decide(BREAD, moment(recipient=None), NOW)
    skipped = {gate.gate for gate in decision.gates if gate.verdict is Verdict.SKIP}
    assert skipped == {
        GateName.LOCATION_CONSENT,
        GateName.CONSENT,
        GateName.SUPPRESSION,
        GateName.PROFILING,
        GateName.VISITS,
        GateName.CART,
        GateName.AUDIENCE,
        GateName.CANCEL_IF,
        GateName.COUNTRY_HOURS,
        GateName.CAP,
        GateName.COUNTRY_CAP,
        GateName.BUDGET,
        GateName.ARBITRATION,
        GateName.ADDRESS,
        GateName.COUNTRY_SENDER,
        GateName.TEXT,
        GateName.COUNTRY_WORDS,
        GateName.HOLDOUT,
    }
    assert decision.subject is None


def test_the_consent_gate_names_the_entry_that_decided():
    decision = decide(BREAD, moment(marketing=withdrawn()), NOW)
    assert gate(decision, GateName.CONSENT).input == {
        "purpose": "marketing",
        "channel": "sms",
        "entry": "marketing-withdraw-0755",
        "action": "withdraw",
        "since": "2026-11-23T07:55:00+00:00",
    }


def test_the_gates_hold_no_attribute_values():
    decision = decide(replace(BREAD, audience=GOLD), moment(), NOW)
    assert gate(decision, GateName.AUDIENCE).input == {
        "attributes": ["tier"],
        "missing": [],
        "held": [True],
    }
    assert "gold" not in str(decision_json(decision))


@pytest.mark.parametrize(("age", "reason"), [(0, Reason.OK), (899.9, Reason.OK), (900, Reason.TOO_LATE)])
def test_an_offer_keeps_for_its_shelf_life(age, reason):
    assert decide(BREAD, moment(event=event(NOW - timedelta(seconds=age))), NOW).reason is reason


def test_tags_and_any_geofence_trigger_too():
    by_tag = Trigger(EventKind.ENTER, (), ("city-centre",))
    anywhere = Trigger(EventKind.ENTER, any=True)
    assert fits(by_tag, event(), BAKERY)
    assert not fits(by_tag, event(), None)
    assert fits(anywhere, event(geofence="elsewhere"), None)
    assert not fits(anywhere, event(kind=EventKind.EXIT), BAKERY)


def test_ids_follow_from_event_and_campaign_alone():
    first = decide(BREAD, moment(), NOW)
    again = decide(replace(BREAD, name="Other"), moment(marketing=None), NOW + timedelta(hours=1))
    assert first.id == again.id
    assert first.id != decide(replace(BREAD, id="cake"), moment(), NOW).id
    assert first.id != message_id(first.event, "bread")
    assert message_id("a", "bc") != message_id("ab", "c")


def test_the_cap_gate_tells_every_cap_and_the_one_that_is_full():
    account = Account(caps=(Cap(2, 3600, CapScope.ALL, Channel.PUSH),), min_gap_seconds=600)
    facts = moment(sent=(sent(NOW - timedelta(seconds=599), campaign="cake"),), account=account)
    decision = decide(BREAD, facts, NOW)
    assert decision.reason is Reason.CAP_REACHED
    full = {
        "max": 1,
        "per_seconds": 600,
        "scope": "all",
        "set_by": "account_min_gap_seconds",
        "counted": 1,
    }
    assert gate(decision, GateName.CAP).input == {
        "caps": [
            {"max": 1, "per_seconds": 86_400, "set_by": "campaign", "counted": 0},
            {
                "max": 2,
                "per_seconds": 3600,
                "scope": "all",
                "channel": "push",
                "set_by": "account",
                "counted": 0,
            },
            full,
        ],
        "full": full,
    }
    assert decide(BREAD, facts, NOW + timedelta(seconds=1)).reason is Reason.OK
    own = replace(BREAD, min_gap_seconds=600)
    assert decide(own, replace(facts, account=NO_LIMITS), NOW).reason is Reason.CAP_REACHED


@given(
    st.sampled_from(CampaignState),
    st.sampled_from([None, NEVER_ASKED, granted(), withdrawn()]),
    st.sampled_from([None, NEVER_ASKED, granted(Purpose.LOCATION), withdrawn(Purpose.LOCATION)]),
    st.booleans(),
    st.integers(-100, 2000),
    st.lists(st.integers(0, 200_000), max_size=3),
)
def test_there_is_never_a_message_without_both_consents(state, marketing, location, known, age, recent):
    facts = moment(
        event=event(NOW - timedelta(seconds=age)),
        recipient=ANA if known else None,
        marketing=marketing,
        location=location,
        sent=tuple(sent(NOW - timedelta(seconds=ago)) for ago in recent),
    )
    decision = decide(replace(BREAD, state=state), facts, NOW)
    assert [gate.gate for gate in decision.gates] == list(GateName)
    allowed = bool(marketing and marketing.allowed and location and location.allowed)
    if decision.outcome is Outcome.MESSAGE:
        assert allowed
        assert known
        assert state is not CampaignState.DRAFT
        assert age < 900
        assert all(ago >= 86_400 for ago in recent)
        assert compose(decision, BREAD, facts) is not None
    else:
        first = next(gate for gate in decision.gates if gate.verdict is Verdict.FAIL)
        assert decision.reason is not Reason.OK
        assert first is not None
    assert (decision.reason is Reason.OK) == all(gate.verdict is Verdict.PASS for gate in decision.gates)


def judge(**changes):
    message = compose(decide(BREAD, moment(), NOW), BREAD, moment())
    usual = {
        "marketing": granted(),
        "location": granted(Purpose.LOCATION),
        "suppressed": False,
        "geofence": BAKERY,
        "origin": None,
        "earlier": (),
        "rules": COUNTRY_RULES,
        "account": NO_LIMITS,
        "has_address": True,
        "now": NOW,
    }
    campaign = changes.pop("campaign", BREAD)
    return may_still_send(message, campaign, **(usual | changes))


def waiting(**further) -> Campaign:
    return replace(BREAD, trigger=Trigger(EventKind.ENTER, ("bakery",), **further))


def test_a_moment_with_a_delay_is_held_and_judged_when_it_is_over():
    later = waiting(delay_seconds=3600)
    decision = decide(later, moment(), NOW)
    assert (decision.outcome, decision.reason) == (Outcome.HELD, Reason.DELAYED)
    assert compose(decision, later, moment()) is None
    closed = replace(later, windows=OFFICE_HOURS)
    assert decide(
        closed, moment(event=event(NOW - timedelta(hours=1))), NOW - timedelta(minutes=1)
    ).reason is (Reason.DELAYED), "the window is asked of the time at which it goes"
    over = NOW + timedelta(seconds=3600)
    assert decide(later, moment(), over - timedelta(seconds=1)).outcome is Outcome.HELD
    released = decide(later, moment(), over)
    assert (released.outcome, released.id) == (Outcome.MESSAGE, decision.id)
    message = compose(released, later, moment())
    assert message is not None
    assert message.valid_until == over + timedelta(seconds=900)
    assert decide(later, moment(), over + timedelta(seconds=900)).reason is Reason.TOO_LATE


@pytest.mark.parametrize(
    ("trigger", "changes", "reason"),
    [
        ({"delay_seconds": 60}, {"marketing": withdrawn()}, Reason.CONSENT_WITHDRAWN),
        ({"delay_seconds": 60, "cancel_if": (Deed.EXIT,)}, {"done": frozenset(Deed)}, Reason.CALLED_OFF),
        ({"cancel_if": (Deed.EXIT,)}, {"done": frozenset({Deed.EXIT})}, Reason.CALLED_OFF),
        ({"visit": VisitNumber(1, None)}, {"profiling": NEVER_ASKED}, Reason.NO_PROFILING_CONSENT),
        ({"visit": VisitNumber(1, None)}, {"profiling": withdrawn()}, Reason.PROFILING_CONSENT_WITHDRAWN),
        ({"visit": VisitNumber(1, None)}, {"profiling": granted()}, Reason.NOT_THIS_VISIT),
        ({"opening_hours": True}, {}, Reason.PLACE_CLOSED),
        ({"opening_hours": True}, {"geofence": replace(BAKERY, opening_hours="Mo off")}, Reason.PLACE_CLOSED),
        (
            {"opening_hours": True},
            {"geofence": replace(BAKERY, opening_hours="at times")},
            Reason.PLACE_CLOSED,
        ),
        ({"opening_hours": True}, {"geofence": replace(BAKERY, opening_hours="Mo 09:00-09:01")}, Reason.OK),
        ({"visit": VisitNumber(1, None)}, {"profiling": granted(), "visits": (TODAY,)}, Reason.OK),
    ],
)
def test_what_a_trigger_asks_beyond_its_event_is_a_gate(trigger, changes, reason):
    assert decide(waiting(**trigger), moment(**changes), NOW).reason is reason


def test_a_zone_event_is_asked_for_its_zone():
    at_the_till = replace(BREAD, trigger=Trigger(EventKind.ZONE, ("bakery",), zones=("till",)))
    for zone, outcome in (("till", Outcome.MESSAGE), ("wine", Outcome.REFUSED), (None, Outcome.REFUSED)):
        there = moment(event=event(kind=EventKind.ZONE, zone=zone))
        assert decide(at_the_till, there, NOW).outcome is outcome


def test_a_dwell_of_the_campaigns_own_begins_with_the_enter():
    lingering = replace(BREAD, trigger=Trigger(EventKind.DWELL, ("bakery",), dwell_minutes=20))
    assert decide(lingering, moment(), NOW).outcome is Outcome.HELD
    assert decide(lingering, moment(event=event(kind=EventKind.DWELL)), NOW).reason is Reason.TRIGGER_MISMATCH
    over = NOW + timedelta(minutes=20)
    assert decide(lingering, moment(), over).outcome is Outcome.MESSAGE
    assert decide(lingering, moment(done=frozenset({Deed.EXIT})), over).reason is Reason.CALLED_OFF


def test_the_second_judgement_lets_go_what_has_not_changed():
    assert judge().reason is Reason.OK


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"now": NOW + timedelta(seconds=900)}, Reason.TOO_LATE),
        ({"campaign": None}, Reason.CAMPAIGN_NOT_ACTIVE),
        ({"campaign": replace(BREAD, state=CampaignState.PAUSED)}, Reason.CAMPAIGN_NOT_ACTIVE),
        ({"location": withdrawn(Purpose.LOCATION)}, Reason.LOCATION_CONSENT_WITHDRAWN),
        ({"marketing": NEVER_ASKED}, Reason.NO_CONSENT),
        ({"marketing": withdrawn()}, Reason.CONSENT_WITHDRAWN),
        ({"campaign": replace(BREAD, windows=OFFICE_HOURS), "geofence": None}, Reason.OUTSIDE_WINDOW),
        ({"geofence": None}, Reason.COUNTRY_HOURS),
        (
            {
                "campaign": replace(BREAD, windows=OFFICE_HOURS),
                "geofence": replace(BAKERY, timezone="America/New_York"),
            },
            Reason.OUTSIDE_WINDOW,
        ),
        ({"earlier": (sent(NOW - timedelta(hours=1)),)}, Reason.CAP_REACHED),
        ({"suppressed": True}, Reason.SUPPRESSED),
        ({"has_address": False}, Reason.NO_ADDRESS),
        ({"campaign": waiting(cancel_if=(Deed.EXIT,)), "done": frozenset(Deed)}, Reason.CALLED_OFF),
        ({"campaign": waiting(opening_hours=True)}, Reason.PLACE_CLOSED),
        ({"campaign": waiting(absent_days=30), "profiling": withdrawn()}, Reason.PROFILING_CONSENT_WITHDRAWN),
    ],
)
def test_the_second_judgement_stops_what_has(changes, reason):
    assert judge(**changes).reason is reason
