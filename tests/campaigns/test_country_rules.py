from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from campaigns.country_rules import LONGEST_CAP, CountryRules, store_of
from campaigns.decide import compose, decide, may_still_send
from campaigns.gates import GateName, Reason, Verdict
from campaigns.limits.account import NO_LIMITS
from consent.countries.pack import all_rules
from consent.countries.rule import Reach, SendingCap
from consent.entry import Purpose
from consent.phone import origin_of
from geofences.geofence import Circle
from tests.campaigns.cast import ANA, BAKERY, BREAD, event, granted, moment, sent
from tests.conftest import MONDAY_NINE

FRENCH = replace(ANA, origin=origin_of("+33639980001"))
FLORIDIAN = replace(ANA, origin=origin_of("+13055550123"))
MIAMI = replace(BAKERY, shape=Circle(-80.19, 25.76, 30), timezone="America/New_York")
STRASBOURG = replace(BAKERY, shape=Circle(7.75, 48.58, 30))
NOON_IN_MIAMI = datetime(2026, 11, 24, 17, tzinfo=UTC)


def decided(at, *, recipient=FRENCH, geofence=BAKERY, campaign=BREAD, **more):
    return decide(campaign, moment(event=event(at), recipient=recipient, geofence=geofence, **more), at)


def gate(decision, name):
    return next(gate for gate in decision.gates if gate.gate is name)


def test_a_message_that_is_held_back_names_the_rule_its_version_and_the_next_opening():
    decision = decided(datetime(2026, 11, 28, 19, 0, tzinfo=UTC))  # Saturday, 20:00 in Paris
    assert decision.reason is Reason.COUNTRY_HOURS
    assert gate(decision, GateName.COUNTRY_HOURS).input == {
        "zones": ["Europe/Paris"],
        "areas": ["FR"],
        "rule": "fr.hours",
        "version": "2024-09-01",
        "because": "outside its hours",
        "zone": "Europe/Paris",
        "local_time": "sat 20:00",
        "open_again": "2026-11-30T07:00:00+00:00",
    }


def test_the_second_before_goes():
    assert decided(datetime(2026, 11, 28, 18, 59, 59, tzinfo=UTC)).reason is Reason.OK


def test_a_holiday_of_the_region_counts_for_a_store_that_may_lie_in_it():
    boxing_day = datetime(2026, 12, 26, 10, tzinfo=UTC)
    assert decided(boxing_day).reason is Reason.OK
    held = gate(decided(boxing_day, geofence=STRASBOURG), GateName.COUNTRY_HOURS).input
    assert (held["rule"], held["because"]) == ("fr.holidays", "a holiday: Saint Stephen's Day")
    in_paris = replace(STRASBOURG, properties={"jurisdiction": "FR-75"})
    assert decided(boxing_day, geofence=in_paris).reason is Reason.OK


def test_the_latest_hours_are_used_where_they_are_set():
    late = datetime(2026, 11, 24, 20, 59, 59, tzinfo=UTC)  # 21:59:59 in Paris
    assert decided(late).reason is Reason.COUNTRY_HOURS
    assert decided(late, rules=CountryRules(reach=Reach.LATEST)).reason is Reason.OK
    ten = late + timedelta(seconds=1)
    assert decided(ten, rules=CountryRules(reach=Reach.LATEST)).reason is Reason.COUNTRY_HOURS


def test_rules_that_are_off_hold_nothing_back_and_say_so():
    decision = decided(datetime(2026, 11, 29, 2, tzinfo=UTC), rules=CountryRules(enforced=False))
    assert decision.reason is Reason.OK
    assert gate(decision, GateName.COUNTRY_HOURS).input == {"rule": None, "enforced": False}


def test_a_fourth_offer_of_any_campaign_within_a_day_is_too_many_in_florida():
    def at_miami(*hours_ago):
        recent = [sent(NOON_IN_MIAMI - timedelta(hours=ago), campaign=f"c-{ago}") for ago in hours_ago]
        return decided(NOON_IN_MIAMI, recipient=FLORIDIAN, geofence=MIAMI, sent=recent)

    assert at_miami(1, 2, 24).reason is Reason.OK
    held = at_miami(1, 2, 23.99)
    assert held.reason is Reason.COUNTRY_CAP
    assert gate(held, GateName.COUNTRY_CAP).input["rule"] == "us.fl.cap"
    elsewhere = replace(MIAMI, properties={"jurisdiction": "US-NY"})
    new_yorker = replace(ANA, origin=origin_of("+12125550123"))
    recent = [sent(NOON_IN_MIAMI - timedelta(hours=1), campaign="cake")] * 9
    there = decided(NOON_IN_MIAMI, recipient=new_yorker, geofence=elsewhere, sent=recent)
    assert there.reason is Reason.OK


def test_no_cap_reaches_further_back_than_is_read():
    caps = [rule.content for rule in all_rules() if isinstance(rule.content, SendingCap)]
    assert caps
    assert all(timedelta(seconds=cap.per_seconds) <= LONGEST_CAP for cap in caps)


def test_a_forbidden_sender_is_refused_where_rules_are_strict_and_told_elsewhere():
    mobile = CountryRules(strict=True, sender="+33644000001", brand="Bread")
    held = decided(MONDAY_NINE, rules=mobile)
    assert held.reason is Reason.COUNTRY_SENDER
    assert gate(held, GateName.COUNTRY_SENDER).input["rule"] == "fr.sender"
    told = gate(decided(MONDAY_NINE, rules=replace(mobile, strict=False)), GateName.COUNTRY_SENDER)
    assert told.verdict is Verdict.PASS
    assert (told.input["rule"], told.input["enforced"]) == ("fr.sender", False)


@pytest.mark.parametrize(
    ("sender", "text", "missing"),
    [
        ("36111", "Chaland: bread. STOP", None),
        ("36111", "Chaland: bread. Stop.", None),
        ("36111", "Chaland: bread, non-stopping", "the text lacks a way to refuse further offers"),
        ("36111", "bread. STOP", "the text lacks the advertiser's name"),
        ("CHALAND", "bread. STOP au 36111", None),
        ("CHALAND", "Chaland: bread. Reply STOP", "the text lacks a number to write STOP to"),
        ("CHALAND", "Chaland: bread. STOP au 06 12 34", "the text lacks a number to write STOP to"),
        (
            "36111",
            "bread",
            "the text lacks the advertiser's name and a way to refuse further offers",
        ),
    ],
)
def test_an_offer_holds_the_words_that_the_sender_calls_for(sender, text, missing):
    rules = CountryRules(strict=True, sender=sender, brand="Chaland")
    decision = decided(MONDAY_NINE, rules=rules, campaign=replace(BREAD, template=text))
    assert decision.reason is (Reason.COUNTRY_WORDS if missing else Reason.OK)
    words = gate(decision, GateName.COUNTRY_WORDS).input
    assert words.get("because") == missing


def test_what_is_held_at_the_moment_of_sending_names_the_rule_too():
    now = moment(recipient=FRENCH)
    message = compose(decide(BREAD, now, MONDAY_NINE), BREAD, now)
    answer = may_still_send(
        replace(message, valid_until=MONDAY_NINE + timedelta(days=1)),
        BREAD,
        marketing=granted(),
        location=granted(Purpose.LOCATION),
        suppressed=False,
        geofence=BAKERY,
        origin=FRENCH.origin,
        earlier=(),
        account=NO_LIMITS,
        has_address=True,
        rules=CountryRules(),
        now=MONDAY_NINE + timedelta(hours=11),
    )
    assert (answer.reason, answer.input["rule"]) == (Reason.COUNTRY_HOURS, "fr.hours")


def test_a_jurisdiction_that_is_no_text_is_as_none():
    assert store_of(replace(BAKERY, properties={"jurisdiction": 67})).region is None
