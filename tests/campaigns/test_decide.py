from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.audience import parse_audience
from campaigns.breaker import Breaker, BreakerState
from campaigns.campaign import CampaignState, Trigger
from campaigns.country_rules import COUNTRY_RULES
from campaigns.decide import Outcome, compose, decide, decision_json, may_still_send
from campaigns.gates import GateName, Reason, Verdict, fits
from campaigns.message import MessageState, message_id
from consent.countries.hours import window_from_json
from consent.entry import Channel, Purpose
from geofences.event import EventKind
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
GOLD, _ = parse_audience({"attribute": "tier", "in": ["gold"]})
OFFICE_HOURS = (window_from_json({"days": ["mon"], "from": "09:00", "to": "18:00"}),)


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
    assert told.input == {"problem": "the text takes 3 SMS segments in UCS-2; max_segments allows 1"}


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
        (GateName.SHELF_LIFE, Reason.TOO_LATE, {}, {}, 900),
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
    assert told.input == {"channel": "sms", "breaker": state.value, "until": until.isoformat()}


def test_a_stranger_is_asked_nothing_personal():
    decision = decide(BREAD, moment(recipient=None), NOW)
    skipped = {gate.gate for gate in decision.gates if gate.verdict is Verdict.SKIP}
    assert skipped == {
        GateName.LOCATION_CONSENT,
        GateName.CONSENT,
        GateName.SUPPRESSION,
        GateName.AUDIENCE,
        GateName.COUNTRY_HOURS,
        GateName.CAP,
        GateName.COUNTRY_CAP,
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
    assert gate(decision, GateName.AUDIENCE).input == {"attributes": ["tier"], "missing": []}
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
        "has_address": True,
        "now": NOW,
    }
    campaign = changes.pop("campaign", BREAD)
    return may_still_send(message, campaign, **(usual | changes))


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
    ],
)
def test_the_second_judgement_stops_what_has(changes, reason):
    assert judge(**changes).reason is reason
