import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent import checkpoint
from consent.signing import InvalidKey, KeyRing, NotTrusted, PublicKey, SigningKey
from tests.conftest import MONDAY_NINE

RING = KeyRing.new("chaland/test")
NOTE = checkpoint.sign(RING, 7, bytes(range(32)), MONDAY_NINE).note

# The example of https://pkg.go.dev/golang.org/x/mod/sumdb/note, another implementation of the same form.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETERS_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_a_note_of_another_implementation_is_opened():
    ring = KeyRing.parse(PETER)
    assert ring.open(PETERS_NOTE) == PETERS_NOTE.partition("\n\n")[0] + "\n"
    with pytest.raises(NotTrusted):
        ring.open(PETERS_NOTE.replace("answer", "Answer"))


def test_a_ring_is_read_as_it_was_written_and_hides_its_secret():
    ring = KeyRing.parse(RING.text)
    assert ring == RING
    assert ring.signing.line not in repr(ring)
    public = KeyRing.parse("# published\n" + "\n".join(map(str, ring.public)))
    assert (public.signing, public.public) == (None, ring.public)
    with pytest.raises(InvalidKey):
        public.sign("x\n")


def test_old_keys_still_check_after_a_rotation():
    ring = KeyRing.parse(RING.rotated().rotated().text)
    assert len(ring.public) == 3
    assert checkpoint.read(ring, NOTE).size == 7
    with pytest.raises(NotTrusted):
        checkpoint.read(RING, checkpoint.sign(ring, 8, bytes(32), MONDAY_NINE).note)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing",
        "chaland/test",
        str(RING.public[0]).replace("test", "best"),
        str(RING.public[0])[:-4],
        RING.text + SigningKey.new("chaland/test").line,
        RING.text + str(SigningKey.new("other").public),
        RING.text.replace("PRIVATE+KEY+", "PRIVATE+KEY"),
    ],
    ids=("empty", "comment", "name", "another name", "short", "two private", "another log", "misspelt"),
)
def test_what_is_no_ring_is_refused(text):
    with pytest.raises(InvalidKey):
        KeyRing.parse(text)


@given(place=st.integers(0, len(NOTE) - 1), char=st.characters(codec="utf-8"))
def test_no_changed_note_is_trusted(place, char):
    changed = NOTE[:place] + char + NOTE[place + 1 :]
    if changed != NOTE:
        with pytest.raises(NotTrusted):
            checkpoint.read(RING, changed)


@given(st.text())
def test_anything_else_is_no_note_and_no_key(text):
    with pytest.raises(NotTrusted):
        checkpoint.read(RING, text)
    with pytest.raises(InvalidKey):
        PublicKey.parse(text)


def test_a_signed_text_that_is_no_checkpoint_is_told_from_one():
    for text in (
        "chaland/test\n1\n\n",
        "other\n1\n" + "A" * 43 + "=\n2026-11-23 08:00:00.000000Z\n",
        "hello\n",
    ):
        with pytest.raises(NotTrusted):
            checkpoint.read(RING, RING.sign(text))
