"""One value for one phone number, however it was written."""

import unicodedata

from phonenumbers import (
    NumberParseException,
    PhoneNumber,
    PhoneNumberFormat,
    PhoneNumberType,
    ValidationResult,
    format_number,
    is_possible_number_with_reason,
    number_type,
    parse,
    region_code_for_country_code,
    region_code_for_number,
)
from phonenumbers.timezone import UNKNOWN_TIMEZONE, time_zones_for_geographical_number, time_zones_for_number

from consent.countries.place import Origin, areas_of_number, regions_apart
from consent.errors import FieldError, InvalidConsent

WRITTEN_LIMIT_CHARS = 40
SHORTEST_E164_CHARS = 9
"""A plus and eight digits. Below that some numbering plans cannot tell a short code from a number."""

_EXTENSION_MARKS = frozenset(";#,*")


def normalise(phone: str, region: str = "FR", field: str = "phone") -> str:
    """The number in E.164. One written without a country code belongs to `region` (ISO 3166).

    It is judged by its shape, not by whether its range is handed out already: ranges move faster than a library, and
    those reserved for fiction must serve in tests. Raises InvalidConsent, which names `field` and never the number,
    for extensions, short codes, letters and anything that is not one whole number.
    """
    written = unicodedata.normalize("NFKC", phone).strip().removeprefix("tel:")
    if len(phone) > WRITTEN_LIMIT_CHARS or any(
        char.isalpha() or char in _EXTENSION_MARKS for char in written
    ):
        raise _refused(field)
    try:
        number = parse(written, region)
    except NumberParseException:
        raise _refused(field) from None  # its message may hold the number
    e164 = format_number(number, PhoneNumberFormat.E164)
    possible = is_possible_number_with_reason(number) == ValidationResult.IS_POSSIBLE
    if number.extension or not possible or len(e164) < SHORTEST_E164_CHARS:
        raise _refused(field)
    return e164


def region_of(phone: str) -> str:
    """The main region (ISO 3166) of an E.164 number's country code; ``ZZ`` when there is none."""
    try:
        return region_code_for_country_code(parse(phone).country_code or 0)
    except NumberParseException:
        return "ZZ"


def country_of(phone: str) -> str:
    """The country (ISO 3166) that an E.164 number is of, or else the main one of its country code; ``ZZ`` without any.

    One country code may be of many countries, some of them dear: +1 is of the Caribbean too.
    """
    try:
        return region_code_for_number(parse(phone)) or region_of(phone)
    except NumberParseException:
        return "ZZ"


def takes_texts(phone: str) -> bool:
    """Whether an E.164 number may be somebody's mobile. A number of no known kind may: ranges move faster than a library."""
    try:
        return number_type(parse(phone)) in _TEXTABLE
    except NumberParseException:
        return False


_TEXTABLE = frozenset({PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE, PhoneNumberType.UNKNOWN})


def origin_of(phone: str) -> Origin:
    """What an E.164 number tells of where its holder may be: every zone that its range, or its first digits, suggest."""
    try:
        number = parse(phone)
    except NumberParseException:
        return Origin((), frozenset())
    zones = _zones(number)
    return Origin(zones, areas_of_number(phone, zones), regions_apart(phone))


def _zones(number: PhoneNumber) -> tuple[str, ...]:
    found = (*time_zones_for_number(number), *time_zones_for_geographical_number(number))
    return tuple(sorted(set(found) - {UNKNOWN_TIMEZONE}))


def _refused(field: str) -> InvalidConsent:
    said = (
        "must be one whole phone number, with a plus and its country code, or as it is dialled at home:"
        f" at most {WRITTEN_LIMIT_CHARS} characters, no extension, no short code, no letters"
    )
    return InvalidConsent("invalid_phone", [FieldError(field, said)])
