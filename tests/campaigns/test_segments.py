import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.content.segments import (
    ALONE,
    GSM_BASIC,
    GSM_EXTENSION,
    JOINED,
    Encoding,
    SmsSize,
    outside_gsm,
    sms_size,
)

GSM, UCS = Encoding.GSM_7, Encoding.UCS_2


def test_the_alphabet_has_all_its_places():
    assert len(GSM_BASIC) == 127  # and the escape
    assert len(GSM_EXTENSION) == 10
    assert not GSM_BASIC & GSM_EXTENSION


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("", SmsSize(GSM, 0, 0)),
        ("a", SmsSize(GSM, 1, 1)),
        ("a" * 160, SmsSize(GSM, 160, 1)),
        ("a" * 161, SmsSize(GSM, 161, 2)),
        ("a" * 306, SmsSize(GSM, 306, 2)),
        ("a" * 307, SmsSize(GSM, 307, 3)),
        ("a" * 1530, SmsSize(GSM, 1530, 10)),
        ("a" * 1531, SmsSize(GSM, 1531, 11)),
        ("€" * 80, SmsSize(GSM, 160, 1)),
        ("€" * 80 + "a", SmsSize(GSM, 161, 2)),
        ("a" * 152 + "€" + "a" * 152, SmsSize(GSM, 306, 3)),  # the sign moves to the second segment
        ("a" * 151 + "€" + "a" * 153, SmsSize(GSM, 306, 2)),
        ("ç" + "a" * 69, SmsSize(UCS, 70, 1)),
        ("ç" + "a" * 70, SmsSize(UCS, 71, 2)),
        ("ç" * 134, SmsSize(UCS, 134, 2)),
        ("ç" * 135, SmsSize(UCS, 135, 3)),
        ("🥐" * 35, SmsSize(UCS, 70, 1)),
        ("🥐" * 36, SmsSize(UCS, 72, 2)),
        ("a" * 66 + "🥐" + "a" * 66, SmsSize(UCS, 134, 3)),  # the pair moves to the second segment
        ("a" * 65 + "🥐" + "a" * 67, SmsSize(UCS, 134, 2)),
        ("€" * 35 + "ç", SmsSize(UCS, 36, 1)),  # one unit each once it is UCS-2
    ],
)
def test_the_size_of_a_text(text, size):
    assert sms_size(text) == size


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Croissant à 1€ [été] @ Ö", ""),
        ("Ça va? ça va, ê ê", "çê"),
        ("it’s “warm” – now…", "’“”–…"),
        ("a\N{NO-BREAK SPACE}b\tc", "\N{NO-BREAK SPACE}\t"),
        ("🥐 Ж", "🥐Ж"),
        ("\x1b", "\x1b"),
    ],
)
def test_what_is_outside_the_alphabet(text, found):
    assert "".join(outside_gsm(text)) == found


@given(st.text(st.sampled_from("a€ç🥐^ \n"), max_size=900))
def test_a_greedy_cut_finds_the_same(text):
    size = sms_size(text)
    gsm = size.encoding is GSM
    assert gsm == all(each not in "ç🥐" for each in text)
    wide = "€^" if gsm else "🥐"
    parts, filled = [], 0
    for each in text:
        width = 2 if each in wide else 1
        if not parts or filled + width > JOINED[size.encoding]:
            parts.append("")
            filled = 0
        parts[-1] += each
        filled += width
    assert size.units == sum(2 if each in wide else 1 for each in text)
    assert size.segments == (min(1, len(text)) if size.units <= ALONE[size.encoding] else len(parts))


@given(st.text(max_size=300))
def test_any_text_has_a_size(text):
    size = sms_size(text)
    if size.encoding is UCS:
        assert size.units == len(text.encode("utf-16-le", "surrogatepass")) // 2
    room = ALONE[size.encoding] if size.segments <= 1 else size.segments * JOINED[size.encoding]
    assert size.units <= room
