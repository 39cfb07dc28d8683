"""Whether a shopper is old enough to consent alone, from what is held about them; the ages live in `ages.toml`.

Three attributes say it: `birth_date` (1990-05-01), `birth_year`, and `minor` (true or false), the clearest first:
`minor` true is believed whatever the others say.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from importlib.resources import files

from consent.phone import region_of
from consent.subject import Attribute, Subject


@dataclass(frozen=True, slots=True)
class AgePolicy:
    """`default_region` (ISO 3166) is the country of a shopper of whom no other is known. Where `must_be_known`, one
    whose age is not known counts as too young.
    """

    default_region: str = "FR"
    must_be_known: bool = False


def is_too_young(subject: Subject, policy: AgePolicy, at: datetime) -> bool:
    """Whether the subject may not consent at `at`."""
    attributes = subject.attributes
    if attributes.get("minor") is True:
        return True
    reached = _has_reached(attributes, digital_age(country_of(subject, policy.default_region)), at.date())
    if reached is None:
        return policy.must_be_known and attributes.get("minor") is not False
    return not reached


def digital_age(country: str) -> int:
    """The years from which somebody in this country (ISO 3166) consents alone; the strictest where we do not know."""
    ages = _ages()
    return ages.get(country, ages["default"])


def country_of(subject: Subject, default_region: str) -> str:
    """The country of the number, else of the locale, else the default."""
    if subject.phone is not None:
        return region_of(subject.phone)
    *_, last = (subject.locale or "").replace("_", "-").split("-")
    return last.upper() if len(last) == 2 and last != subject.locale else default_region


def _has_reached(attributes: Mapping[str, Attribute], years: int, today: date) -> bool | None:
    """None when nothing that can be read says when the subject was born."""
    try:
        born = date.fromisoformat(str(attributes["birth_date"]))
        birthday = (born.year + years, born.month, born.day)
    except (KeyError, ValueError):
        try:
            birthday = (int(attributes["birth_year"]) + years, 12, 31)  # the last day that it may be
        except (KeyError, ValueError, OverflowError):
            return None
    return (today.year, today.month, today.day) >= birthday


@cache
def _ages() -> dict[str, int]:
    ages: dict[str, int] = tomllib.loads(files("consent").joinpath("ages.toml").read_text("utf-8"))["years"]
    return ages
