import tomllib
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files

import pytest

from consent.age import AgePolicy, country_of, digital_age, is_too_young
from consent.subject import Subject

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
FRENCH = AgePolicy("FR")


def child(phone: str | None = "+33639980001", locale: str | None = None, **attributes) -> Subject:
    return Subject(id="kid", phone=phone, locale=locale, attributes=attributes)


@pytest.mark.parametrize(
    ("attributes", "young"),
    [
        ({"birth_date": "2011-11-23"}, False),
        ({"birth_date": "2011-11-24"}, True),
        ({"birth_year": 2010}, False),
        ({"birth_year": 2011}, True),  # perhaps born on 31 December
        ({"birth_year": "2005"}, False),
        ({"minor": True}, True),
        ({"minor": True, "birth_date": "1970-01-01"}, True),
        ({"minor": False}, False),
        ({"birth_date": "yesterday"}, False),
        ({"birth_date": "yesterday", "birth_year": 2020}, True),
        ({}, False),
    ],
)
def test_the_age_follows_from_what_is_held(attributes, young):
    assert is_too_young(child(**attributes), FRENCH, NOON) is young


@pytest.mark.parametrize(
    ("attributes", "young"),
    [({}, True), ({"minor": False}, False), ({"birth_year": 1990}, False), ({"birth_date": "?"}, True)],
)
def test_where_the_age_must_be_known_unknown_is_too_young(attributes, young):
    assert is_too_young(child(**attributes), AgePolicy("FR", must_be_known=True), NOON) is young


def test_each_country_has_its_age_and_an_unknown_one_the_strictest():
    assert [digital_age(country) for country in ("FR", "DE", "GB", "ZZ")] == [15, 16, 13, 16]
    fourteen = {"birth_date": "2012-06-01"}
    assert is_too_young(child("+33639980001", **fourteen), FRENCH, NOON)
    assert not is_too_young(child("+447700900123", **fourteen), FRENCH, NOON)


def test_the_country_is_that_of_the_number_then_of_the_locale():
    assert country_of(child("+4915123456789", "fr-FR"), "ES") == "DE"
    assert country_of(child(None, "fr_BE"), "ES") == "BE"
    assert country_of(child(None, "fr"), "ES") == "ES"
    assert country_of(child(None, "zh-Hans-CN"), "ES") == "CN"
    assert country_of(child(None), "ES") == "ES"


def test_somebody_born_on_29_february_is_of_age_on_1_march():
    leap = child(birth_date="2012-02-29")
    turned = [
        is_too_young(leap, FRENCH, datetime(2027, 2, 28, tzinfo=UTC) + timedelta(days=n)) for n in (0, 1)
    ]
    assert turned == [True, False]


def test_the_ages_are_reviewed_in_time():
    read = tomllib.loads(files("consent").joinpath("ages.toml").read_text("utf-8"))
    assert isinstance(read["review_before"], date)
    assert all(13 <= years <= 16 for years in read["years"].values())
