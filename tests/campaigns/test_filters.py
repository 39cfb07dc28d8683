import pytest

from campaigns.content.template import check_template, render

NINE = "2026-11-24T08:15:00+00:00"


def told(
    expression: str, locale: str | None = "fr", zone: str | None = "Europe/Paris", **values: object
) -> str:
    template = f"{{{{ {expression} }}}}!"
    assert check_template(template) == ()
    return render(template, values, locale=locale, zone=zone)[:-1]


@pytest.mark.parametrize(
    ("value", "locale", "text"),
    [
        (1234.5, "fr", "1 234,50 €"),
        (1234.5, "de-AT", "€ 1.234,50"),
        ("12.5", "en-GB", "€12.50"),
        (3, "xx-YY", "€3.00"),
        (3, None, "€3.00"),
        (True, "fr", "free"),
        ("a lot", "fr", "free"),
        ("nan", "fr", "free"),
        ("1e999999999", "fr", "free"),
        (10**15, "fr", "free"),
        ("9" * 30, "fr", "free"),
        (None, "fr", "free"),
    ],
)
def test_an_amount_of_money(value, locale, text):
    assert told("price | money: 'EUR' | default: 'free'", locale, price=value) == text


@pytest.mark.parametrize(
    ("form", "value", "text"),
    [
        ("time", NINE, "09:15"),
        ("day", NINE, "24 novembre"),
        ("weekday", NINE, "mardi"),
        ("long", NINE, "24 novembre 2026"),
        ("short", "2026-11-24", "24/11/2026"),
        ("day", "2026-11-24T23:30:00+00:00", "25 novembre"),
        ("time", "2026-11-24", ""),
        ("day", "tomorrow", ""),
        ("day", 12, ""),
        ("day", "9999-99-99", ""),
        ("short", "9999-12-31T23:59:59Z", ""),
        ("time", "0001-01-01T00:00:00+02:00", ""),
    ],
)
def test_a_date_is_told_by_the_clock_of_the_place(form, value, text):
    assert told(f"valid_until | date: '{form}'", valid_until=value) == text


def test_the_clock_is_that_of_the_geofence_and_without_one_the_worlds():
    assert told("valid_until | date: 'time'", zone="America/New_York", valid_until=NINE) == "03:15"
    assert told("valid_until | date: 'time'", zone=None, valid_until=NINE) == "08:15"


def test_amounts_and_times_leave_a_text_in_the_alphabet_of_an_sms():
    text = told("price | default: 1 | money: 'EUR'", "fr", price=1234) + told(
        "valid_until | date: 'time'", "en", valid_until=NINE
    )
    assert "\u00a0" not in text
    assert "\u202f" not in text


def test_a_text_is_cut_short():
    assert told("geofence | truncate: 8", geofence="The bakery") == "The b..."
    assert told("geofence | truncatewords: 1, '…'", geofence="The bakery") == "The…"
    assert told("first_name | downcase | capitalize", first_name="ANA") == "Ana"
