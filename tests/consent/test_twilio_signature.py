import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import FormData
from twilio.request_validator import RequestValidator

from consent.twilio_signature import Algorithm, is_signed, public_address

URL = "https://offers.example/v1/twilio/inbound"
TOKEN = "t0ken"
FORM = {"Body": "STOP", "From": "+33639980001", "FromCity": "", "New": "é"}


def signature(url=URL, form=FORM, token=TOKEN):
    return RequestValidator(token).compute_signature(url, form)


def test_what_twilio_signed_is_signed():
    assert is_signed(URL, FORM, signature(), [TOKEN])
    assert is_signed(URL, FormData(FORM), signature(), [TOKEN])


def test_two_tokens_are_accepted_while_one_is_rotated():
    assert is_signed(URL, FORM, signature(token="old"), ["new", "old"])
    assert is_signed(URL, FORM, signature(token="new"), ["new", "old"])
    assert not is_signed(URL, FORM, signature(token="older"), ["new", "old"])


def test_where_sha256_is_demanded_the_shared_secret_counts_and_nothing_less():
    secret = "shared-secret"
    strong = RequestValidator(secret).compute_signature(URL, FORM, Algorithm.SHA256)
    weak = RequestValidator(secret).compute_signature(URL, FORM)
    assert is_signed(URL, FORM, strong, [secret], Algorithm.SHA256)
    assert is_signed(URL, FORM, strong, ["new", secret], Algorithm.SHA256)
    assert not is_signed(URL, FORM, weak, [secret], Algorithm.SHA256)
    assert not is_signed(URL, FORM, strong, [TOKEN], Algorithm.SHA256)
    assert not is_signed(URL, FORM, strong, [secret])


def test_without_a_token_nothing_is_signed():
    assert not is_signed(URL, FORM, signature(), [])
    assert not is_signed(URL, FORM, RequestValidator("").compute_signature(URL, FORM), [""])


@pytest.mark.parametrize("field", list(FORM))
def test_every_field_counts_the_empty_ones_too(field):
    assert not is_signed(URL, {**FORM, field: "other"}, signature(), [TOKEN])
    assert not is_signed(URL, FORM | {"Body": "STOP "}, signature(), [TOKEN])


def test_another_address_is_not_signed():
    assert not is_signed(URL + "?a=b", FORM, signature(), [TOKEN])
    assert not is_signed(URL.replace("offers", "evil"), FORM, signature(), [TOKEN])


@pytest.mark.parametrize(
    "given_", [None, "", "é", "a", "=" * 28, signature()[:-1], signature() + "=", "\x00" * 28]
)
def test_a_malformed_signature_is_no_signature(given_):
    assert is_signed(URL, FORM, given_, [TOKEN]) is False


@pytest.mark.parametrize(
    "form", [{"a": ["x"]}, {"a": None}, {"a": 1}, b"body", "body", {"a": "\ud800"}, {1: "x", "a": "y"}]
)
def test_a_malformed_form_is_not_signed(form):
    assert is_signed(URL, form, signature(), [TOKEN]) is False


def test_a_malformed_address_is_not_signed():
    assert is_signed("https://host:port/", FORM, signature(), [TOKEN]) is False


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(st.dictionaries(names, names, max_size=5), names)
def test_whatever_is_posted_only_its_own_signature_fits(form, extra):
    signed = signature(form=form)
    assert is_signed(URL, form, signed, [TOKEN])
    if extra not in form:
        assert not is_signed(URL, {**form, extra: "x"}, signed, [TOKEN])


def test_the_address_is_the_configured_one_with_path_and_query_untouched():
    address = public_address("https://offers.example/", b"/v1/twilio/in%20bound", b"a=%7E&b=")
    assert address == "https://offers.example/v1/twilio/in%20bound?a=%7E&b="
    assert public_address("https://offers.example", b"/v1/x?a=1", b"a=1") == "https://offers.example/v1/x?a=1"
    assert public_address("https://offers.example", b"/v1/x", b"") == "https://offers.example/v1/x"
