from dataclasses import replace
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import phonenumbers
import pytest
from phonenumbers import geocoder

from consent.countries.pack import all_rules, overdue, pack_from_toml, pack_of, pack_with_zone, packs
from consent.countries.place import REGION_CODE
from consent.countries.rule import Hours, Words
from engine.clock import wall_clock

COUNTRIES = set("BE CA CH DE ES FR GB IT LU MC NL PT US".split())
STATES = {
    "Florida": "FL", "Oklahoma": "OK", "Maryland": "MD", "Washington State": "WA", "Connecticut": "CT", "Texas": "TX",
    "New Jersey": "NJ", "Mississippi": "MS", "Louisiana": "LA", "Alabama": "AL", "Massachusetts": "MA",
    "Rhode Island": "RI", "Kentucky": "KY",
}  # fmt: skip
RULE = """
country = "XX"
name = "Nowhere"
zones = ["Europe/Paris"]

[[rule]]
id = "xx.words"
kind = "words"
from = 2024-01-01
until = {until}
advertiser = true
opt_out = ["stop"]
source = "here"
basis = "house"
reviewed = 2026-01-01
review_by = 2026-06-01

[[rule]]
id = "xx.words"
kind = "words"
from = {since}
advertiser = true
opt_out = ["stop"]
source = "here"
basis = "house"
reviewed = 2026-01-01
review_by = {review}
"""


def test_every_country_has_hours_and_words_in_force_and_every_rule_its_source():
    assert {pack.country for pack in packs()} == COUNTRIES
    today = wall_clock().date()
    for pack in packs():
        national = [rule for rule in pack.rules if rule.area == pack.country and rule.in_force(today)]
        assert any(isinstance(rule.content, Hours) for rule in national)
        assert any(isinstance(rule.content, Words) for rule in national)
        for rule in pack.rules:
            assert rule.source
            assert rule.id.startswith(pack.country.lower() + ".")
            assert REGION_CODE.fullmatch(rule.area)
            assert rule.area == pack.country or rule.area in pack.regions
            if isinstance(rule.content, Hours):
                _later_hours_hold_the_default_ones(rule.content)
        for zone in pack.zones:
            ZoneInfo(zone)
        for region in pack.regions.values():
            assert region.zones <= pack.zones
            assert REGION_CODE.fullmatch(region.code)


def _later_hours_hold_the_default_ones(hours):
    for window, latest in zip(hours.windows, hours.latest, strict=True):
        assert latest.closes_minute >= window.closes_minute
        assert replace(latest, closes_minute=window.closes_minute) == window


def test_france_is_open_from_eight_to_eight_on_working_days_and_never_after_ten():
    [hours] = [
        rule.content
        for rule in pack_of("FR").rules
        if isinstance(rule.content, Hours) and rule.in_force(date(2026, 11, 25))
    ]
    assert hours.closed_on_holidays
    [window], [latest] = hours.windows, hours.latest
    assert (window.opens_minute, window.closes_minute, latest.closes_minute) == (480, 1200, 1320)
    assert {day.value for day in window.days} == set("mon tue wed thu fri sat".split())


def test_no_zone_is_kept_by_two_countries():
    zones = [zone for pack in packs() for zone in pack.zones]
    assert len(zones) == len(set(zones))


@pytest.mark.parametrize(
    ("zone", "country"),
    [
        ("US/Eastern", "US"),
        ("America/Louisville", "US"),
        ("GB", "GB"),
        ("Europe/Belfast", "GB"),
        ("Europe/Monaco", "MC"),
        ("Europe/Luxembourg", "LU"),
        ("Europe/Vaduz", None),
        ("America/Nassau", None),
        ("Asia/Tokyo", None),
        ("Mars/Olympus", None),
    ],
)
def test_a_zone_leads_to_its_country_by_its_old_name_too(zone, country):
    pack = pack_with_zone(zone)
    assert (pack.country if pack else None) == country


def test_no_rule_is_past_its_review():
    """Fails once a rule is to be reviewed: look its source up again, then mend the rule or set the dates anew."""
    assert [rule.name for rule in overdue(wall_clock().date())] == []


def test_a_rule_is_overdue_from_the_day_after_its_review_date():
    rule = next(all_rules())
    assert rule not in overdue(rule.review_by)
    assert rule in overdue(rule.review_by + timedelta(days=1))


def test_a_rule_that_is_out_of_force_needs_no_review():
    old = next(rule for rule in all_rules() if rule.end is not None)
    assert old not in overdue(old.review_by + timedelta(days=1))


def test_area_codes_are_those_that_the_library_of_numbers_knows():
    """All 800 possible codes, against its geocoder, which the product does not load."""
    known: dict[str, set[str]] = {state: set() for state in STATES.values()}
    for code in range(200, 1000):
        said = geocoder.description_for_number(phonenumbers.parse(f"+1{code}5550123"), "en")
        state = STATES.get(said) or said[-2:]
        if state in known and (said in STATES or said[-4:-2] == ", "):
            known[state].add(f"+1{code}")
    regions = pack_of("US").regions
    assert {state: set(regions[f"US-{state}"].prefixes) for state in known} == known


def test_two_versions_of_a_rule_are_never_in_force_at_once():
    fine = pack_from_toml(RULE.format(until="2025-01-01", since="2025-01-01", review="2026-06-01"))
    assert [rule.version for rule in fine.rules] == ["2024-01-01", "2025-01-01"]
    with pytest.raises(ValueError, match="in force at once"):
        pack_from_toml(RULE.format(until="2025-01-02", since="2025-01-01", review="2026-06-01"))


@pytest.mark.parametrize(("until", "review"), [("2023-01-01", "2026-06-01"), ("2025-01-01", "2025-06-01")])
def test_dates_that_make_no_sense_are_refused(until, review):
    with pytest.raises(ValueError, match=r"xx\.words"):
        pack_from_toml(RULE.format(until=until, since="2025-01-01", review=review))
