"""Whose rules count where there is no store: the country of the number, in all of it."""

from datetime import UTC, datetime

import pytest

from consent.countries.pack import packs
from consent.countries.place import Anywhere, Concerned, concerned
from consent.countries.rule import Reach
from consent.countries.ruling import hold_by_hours
from consent.entry import Channel
from consent.phone import origin_of


def of(phone: str | None, country: str | None = None) -> Concerned:
    return concerned(Anywhere(country), origin_of(phone) if phone else None)


@pytest.mark.parametrize(
    ("phone", "zones", "areas"),
    [
        ("+33639981234", {"Europe/Paris"}, {"FR", "FR-57", "FR-67", "FR-68"}),
        ("+262692123456", {"Indian/Reunion", "Indian/Mayotte"}, {"FR", "FR-974", "FR-976"}),
        ("+34600123456", {"Europe/Madrid", "Atlantic/Canary", "Africa/Ceuta"}, {"ES", "ES-CT", "ES-CN"}),
        ("+12025550143", {"America/New_York", "Pacific/Honolulu", "America/Adak"}, {"US", "US-FL", "US-KY"}),
        ("+16715550143", {"Pacific/Guam"}, {"US", "US-GU"}),
    ],
)
def test_a_number_tells_its_country_and_not_where_in_it(phone, zones, areas):
    who = of(phone)
    assert who.unknown is None
    assert zones <= set(who.zones)
    assert areas <= who.areas
    assert not {"Pacific/Noumea", "America/Puerto_Rico"} & set(who.zones), "they have numbers of their own"
    assert ("US-FL" in who.areas) == (phone.startswith("+1202")), "an area code is no place"


def test_without_a_telling_number_the_campaign_says_where_and_else_nobody():
    assert of(None).unknown == of("+8613812345678").unknown == "no_country"
    assert of(None, "DE").areas >= {"DE", "DE-BY"}
    assert of("+8613812345678", "DE").areas >= {"DE", "DE-BY"}
    assert set(of("+8613812345678", "DE").zones) >= {"Asia/Shanghai", "Europe/Berlin"}
    assert of("+34600123456", "DE") == of("+34600123456"), "the number knows better"
    assert of("+883510012345").unknown == "no_zone_for_number"
    assert concerned(None, origin_of("+33639981234")).unknown == "no_store", (
        "a place that is gone is no nowhere"
    )


@pytest.mark.parametrize("country", [pack.country for pack in packs()])
def test_every_country_has_hours_in_which_something_may_go(country):
    who = of(None, country)
    noons = (datetime(2026, 12, 9, hour, 30, tzinfo=UTC) for hour in range(24))
    assert any(hold_by_hours(who, at, Channel.SMS, Reach.DEFAULT) is None for at in noons)
