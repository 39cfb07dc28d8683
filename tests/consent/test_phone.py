import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.errors import InvalidConsent
from consent.phone import country_of, normalise, region_of, takes_texts

ANA = "+33639980001"


@pytest.mark.parametrize(
    "written",
    [
        "+33639980001",
        "06 39 98 00 01",
        "06.39.98.00.01",
        "0033639980001",
        "+33 (0)6 39 98 00 01",
        "tel:+33-6-39-98-00-01",
        "０６３９９８０００１",
        " 0639980001\n",
    ],
)
def test_one_number_written_many_ways_is_one_value(written):
    assert normalise(written, "FR") == ANA


@given(
    digits=st.from_regex(r"[67][0-9]{8}", fullmatch=True),
    prefix=st.sampled_from(["+33", "0033", "0", "+33 (0)", "tel:+33"]),
    gap=st.sampled_from(["", " ", ".", "-", "\u00a0"]),
)
def test_prefix_and_gaps_change_nothing(digits, prefix, gap):
    assert normalise(prefix + gap.join(digits), "FR") == f"+33{digits}"


@given(st.from_regex(r"\+33[1-9][0-9]{8}|\+1[2-9][0-9]{9}|\+4917[0-9]{8}", fullmatch=True))
def test_a_normal_number_stays_as_it_is_in_every_region(e164):
    assert {normalise(e164, region) for region in ("FR", "US", "DE")} == {e164}


def test_a_number_without_a_country_belongs_to_the_region():
    assert normalise("(202) 555-0123", "US") == "+12025550123"


@pytest.mark.parametrize(
    "written",
    [
        "36111",
        "3631",
        "112",
        "+33 36 11 1",
        "+3336111",
        "+4936111",
        "06 39 98 00 01 ext 5",
        "06 39 98 00 01 x5",
        "06 39 98 00 01 poste 5",
        "06 39 98 00 01 #5",
        "0639980001;ext=5",
        "0639980001,,5",
        "0639980001/0639980002",
        "+1 800 FLOWERS",
        "call 0639980001",
        "Bakery",
        "",
        "+",
        "+999639980001",
        "06 39 98 00",
        "06 39 98 00 01 01",
        "+33" + "6" * 60,
        "\x00",
    ],
)
def test_what_is_not_one_whole_number_is_refused(written):
    with pytest.raises(InvalidConsent) as refused:
        normalise(written, "FR")
    assert refused.value.errors[0].field == "phone"


@given(st.text(max_size=50))
def test_any_text_is_a_number_or_refused(text):
    try:
        assert normalise(normalise(text)) == normalise(text)
    except InvalidConsent as refused:
        assert refused.status == 422


def test_the_refusal_does_not_repeat_the_number():
    with pytest.raises(InvalidConsent) as refused:
        normalise("06 12 34 56 78 ext 99", "FR")
    assert "12 34" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_short_codes_are_refused_in_every_region():
    for region in ("FR", "US", "DE", "GB", "ES", "IT", "NL", "PT", "AT", "CH"):
        with pytest.raises(InvalidConsent):
            normalise("36111", region)


def test_the_region_of_a_number_is_its_country_codes():
    assert [region_of(phone) for phone in (ANA, "+12025550123", "+447700900123")] == ["FR", "US", "GB"]
    assert region_of("36111") == "ZZ"


def test_a_country_code_of_several_countries_tells_them_apart():
    phones = ("+18765551234", "+12025550123", ANA, "+447700900123", "36111", "+999123456789")
    assert [country_of(phone) for phone in phones] == ["JM", "US", "FR", "GB", "ZZ", "ZZ"]


def test_numbers_that_can_be_no_mobile_take_no_texts():
    assert [takes_texts(phone) for phone in (ANA, "+12025550123", "+491799999999")] == [True] * 3
    fixed, premium, free = "+33139980001", "+33899701234", "+33800123456"
    assert [takes_texts(phone) for phone in (fixed, premium, free, "36111")] == [False] * 4
