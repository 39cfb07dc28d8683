from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.answers import Answer, language_of, twiml, words_of

GSM_7 = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
LANGUAGES = ["fr", "en", "de", "es", "it", "nl", "pt"]
BRAND, CONTACT = "Boulangerie du Pont!", "bonjour@boulangerie-pont.test."


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("answer", [Answer.OPTED_OUT, Answer.OPTED_IN, Answer.HELP, Answer.OPT_IN_REQUEST])
def test_every_answer_is_one_plain_sms_that_names_the_brand(language, answer):
    text = words_of(answer, language, brand=BRAND, contact=CONTACT)
    assert BRAND in text
    assert set(text) <= GSM_7
    assert len(text) <= 160
    assert "{" not in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_help_names_the_contact_and_the_way_out(language):
    text = words_of(Answer.HELP, language, brand=BRAND, contact=CONTACT)
    assert CONTACT in text
    assert "STOP" in text


def test_silence_has_no_words():
    assert words_of(Answer.NONE, "fr", brand=BRAND, contact=CONTACT) is None


@pytest.mark.parametrize(
    ("locale", "phone", "language"),
    [
        ("it-CH", "+33639980001", "it"),
        ("pt_BR", None, "pt"),
        ("EN", "+33639980001", "en"),
        ("ja-JP", "+33639980001", "fr"),
        ("ja-JP", "+447700900123", "en"),
        (None, "+33639980001", "fr"),
        (None, "+4915112345678", "de"),
        (None, "+12025550123", "en"),
        (None, "+34612345678", "es"),
        (None, "+390612345678", "it"),
        (None, "+31612345678", "nl"),
        (None, "+351912345678", "pt"),
        (None, "+46701234567", "fr"),
        (None, None, "fr"),
    ],
)
def test_the_language_is_the_locales_else_the_numbers_else_french(locale, phone, language):
    assert language_of(locale, phone) == language


def test_silence_is_an_empty_response():
    assert twiml(None).endswith("<Response></Response>")


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=80))
def test_any_reply_is_one_message_of_well_formed_xml(reply):
    response = fromstring(twiml(reply))
    assert (response.tag, [child.tag for child in response], response[0].text) == (
        "Response",
        ["Message"],
        reply,
    )
