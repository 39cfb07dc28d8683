from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.errors import LinkExpired, LinkUnknown
from consent.preference_link import Holder, LinkKind, PreferenceLinks
from tests.consent.cast import ANAS_PHONE, minute

NOW = minute(6)
LINKS = PreferenceLinks("https://offers.example.org/", (b"k" * 32,), timedelta(days=30), timedelta(days=400))
ANA = Holder("ana", minute(0), ANAS_PHONE)
KNOWN = {"ana": ANA, "ben": Holder("ben", minute(0), "+447700900123")}


def token(holder=ANA, kind=LinkKind.PREFERENCES, links=LINKS):
    return links.to(holder, kind, minute(5)).url.rpartition("/")[2]


def read(text, kind=LinkKind.PREFERENCES, at=NOW, known=KNOWN, links=LINKS):
    return links.holder(text, kind, known.get, at)


def test_a_link_leads_to_its_subject():
    link = LINKS.to(ANA, LinkKind.PREFERENCES, minute(5))
    assert link.url.startswith("https://offers.example.org/p/")
    assert link.expires_at == minute(5) + timedelta(days=30)
    assert read(token()) == ANA
    assert LINKS.until(token()) == link.expires_at


def test_a_link_says_no_number_and_its_secret_is_not_shown():
    assert ANAS_PHONE.encode() not in urlsafe_b64decode(token() + "==")
    assert "kkkk" not in repr(LINKS)
    assert ANAS_PHONE not in repr(ANA)


def test_a_link_ends_to_the_second():
    end = minute(5) + timedelta(days=30)
    assert read(token(), at=end) == ANA
    with pytest.raises(LinkExpired):
        read(token(), at=end + timedelta(seconds=1))


def test_a_link_to_unsubscribe_opens_nothing_else_and_the_other_way_round():
    for made, used in [
        (LinkKind.UNSUBSCRIBE, LinkKind.PREFERENCES),
        (LinkKind.PREFERENCES, LinkKind.UNSUBSCRIBE),
    ]:
        assert read(token(kind=made), made) == ANA
        with pytest.raises(LinkUnknown):
            read(token(kind=made), used)


@pytest.mark.parametrize(
    "now_known",
    [
        {},
        {"ana": replace(ANA, phone="+33639980009")},
        {"ana": replace(ANA, phone=None)},
        {"ana": replace(ANA, created_at=minute(1))},
    ],
    ids=["erased", "number changed", "number gone", "known anew"],
)
def test_a_link_dies_with_whom_it_was_made_for(now_known):
    with pytest.raises(LinkUnknown):
        read(token(), known=now_known)


def test_a_key_is_replaced_without_a_gap():
    rotated = replace(LINKS, keys=(b"n" * 32, b"k" * 32))
    assert read(token(), links=rotated) == ANA
    with pytest.raises(LinkUnknown):
        read(token(links=rotated))
    with pytest.raises(LinkUnknown):
        read(token(), links=replace(LINKS, keys=(b"n" * 32,)))


def test_no_byte_of_a_link_can_be_changed():
    whole = urlsafe_b64decode(token() + "=" * (-len(token()) % 4))
    for place in range(len(whole)):
        for bit in range(8):
            forged = bytearray(whole)
            forged[place] ^= 1 << bit
            with pytest.raises(LinkUnknown):
                read(urlsafe_b64encode(bytes(forged)).rstrip(b"=").decode())


def test_a_link_made_over_for_somebody_else_is_refused():
    whole = urlsafe_b64decode(token() + "=" * (-len(token()) % 4))
    with pytest.raises(LinkUnknown):
        read(urlsafe_b64encode(whole.replace(b"ana", b"ben")).rstrip(b"=").decode())


@given(st.text(max_size=400))
def test_nonsense_is_refused_and_never_an_error_of_ours(text):
    with pytest.raises(LinkUnknown):
        read(text)
