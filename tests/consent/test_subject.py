import pytest

from consent.errors import InvalidConsent
from consent.subject import Device, Subject


def flaws_of(**fields):
    with pytest.raises(InvalidConsent) as refused:
        Subject(**({"id": "ana"} | fields))
    return [flaw.field for flaw in refused.value.errors]


def test_a_subject_needs_no_more_than_an_id():
    assert Subject(id="crm:4711~a@b").devices == ()


def test_neither_phone_nor_attributes_nor_push_show_in_a_repr():
    shown = repr(
        Subject(
            id="ana",
            phone="+33639980001",
            attributes={"first_name": "Anaïs"},
            devices=(Device("phone-1", {"token": "s3cr3t"}),),
        )
    )
    assert "ana" in shown
    assert not any(secret in shown for secret in ("+336", "Anaïs", "s3cr3t"))


@pytest.mark.parametrize("odd", ["", "a b", "é", "a/b", "x" * 129, "ana\n"])
def test_an_id_of_another_shape_is_refused(odd):
    assert flaws_of(id=odd) == ["id"]
    assert flaws_of(devices=(Device(odd),)) == ["devices[0].device"]


@pytest.mark.parametrize("phone", ["0639980001", "+0639980001", "+33 6 39", "+33639980001\n"])
def test_a_phone_is_in_e164(phone):
    assert flaws_of(phone=phone) == ["phone"]


@pytest.mark.parametrize("timezone", ["Mars/Olympus", "../../etc/passwd", "Europe", ""])
def test_a_timezone_is_a_known_one(timezone):
    assert flaws_of(timezone=timezone) == ["timezone"]


@pytest.mark.parametrize("locale", ["", "f", "français", "fr FR", "fr\x00"])
def test_a_locale_is_a_language_tag(locale):
    assert flaws_of(locale=locale) == ["locale"]


@pytest.mark.parametrize(
    "attributes",
    [
        {f"k{number}": 1 for number in range(51)},
        {"": 1},
        {"k" * 65: 1},
        {"k\x00": 1},
        {"k": "v" * 501},
        {"k": float("nan")},
        {"k": float("inf")},
        {"k": 2**53 + 1},
        {"k": "\ud800"},
        {"k": "nul\x00"},
    ],
)
def test_attributes_have_limits(attributes):
    assert flaws_of(attributes=attributes) == ["attributes"]


def test_attributes_up_to_their_limits_are_kept():
    kept = Subject(id="ana", attributes={f"k{number}": "é" * 500 for number in range(50)})
    assert len(kept.attributes) == 50


def test_devices_have_limits():
    assert flaws_of(devices=tuple(Device(f"d{number}") for number in range(21))) == ["devices"]
    assert flaws_of(devices=(Device("a"), Device("a"))) == ["devices[1].device"]


@pytest.mark.parametrize("push", [{"t": "x" * 5000}, {"t": float("nan")}, {"t": "\x00"}, {"t": object()}])
def test_a_push_address_is_json_of_a_decent_size(push):
    assert flaws_of(devices=(Device("a", push),)) == ["devices[0].push"]
