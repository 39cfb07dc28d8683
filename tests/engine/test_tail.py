import msgspec
import pytest

from engine.beliefs import Beliefs, Sign
from engine.tail import KEPT_EVERY, Tail


def sign(number, geofences=1):
    near = tuple((f"place-{number}-{each}", -1.5 * each) for each in range(geofences))
    return Sign(1000.0 + 10 * number, "", near, 2.35, 48.85, 8.0)


def after(number):
    return Beliefs(order=(1000.0 + 10 * number, ""))


def tail_of(count, geofences=1):
    tail = Tail()
    for number in range(count):
        tail = tail.longer(sign(number, geofences), after(number))
    return tail


def read_back(tail):
    return Tail.decoded(msgspec.Raw(bytes(tail.encoded())))


@pytest.mark.parametrize("count", [0, 1, 15, 16, 40])
@pytest.mark.parametrize("geofences", [1, 20, 3000])
def test_a_tail_is_stored_as_an_array_of_packed_signals(count, geofences):
    tail = tail_of(count, geofences)
    assert tail.signs == [sign(number, geofences) for number in range(count)]
    packed = msgspec.msgpack.decode(tail.encoded(), type=list[bytes])
    assert [msgspec.msgpack.decode(each, type=Sign) for each in packed] == tail.signs
    assert bytes(tail.encoded()) == msgspec.msgpack.encode(packed)
    assert read_back(tail).signs == tail.signs


def test_beliefs_are_kept_after_every_eighth_signal():
    tail = tail_of(20)
    for place in range(20):
        kept = place // KEPT_EVERY * KEPT_EVERY
        assert tail.last_kept(place) == ((kept, after(kept - 1)) if kept else None)
        assert tail.last_kept(0, sign(place - 1).at) == tail.last_kept(place)


def test_nothing_is_known_of_what_was_read_back_until_eight_more_have_come():
    tail = read_back(tail_of(20))
    assert tail.last_kept(19) is None
    for number in range(20, 40):
        tail = tail.longer(sign(number), after(number))
    assert tail.last_kept(23) is None
    assert tail.last_kept(24) == (24, after(23))


@pytest.mark.parametrize("geofences", [1, 20, 3000])
@pytest.mark.parametrize("gone", [1, 7, 8, 9, 19])
def test_the_oldest_go_wherever_the_cut_is(gone, geofences):
    whole = tail_of(20, geofences)
    for tail in (whole.without(gone), read_back(whole).without(gone)):
        assert tail.signs == whole.signs[gone:]
        assert read_back(tail).signs == tail.signs
    assert whole.without(gone).last_kept(15 - gone) == ((8 - gone, after(7)) if gone < 8 else None)


def test_what_is_gone_through_again_is_kept_after_each():
    whole = tail_of(12)
    again = [(sign(number + 0.5), after(number + 0.5)) for number in range(8, 13)]
    tail = whole.redone(8, again)
    assert tail.signs == [*whole.signs[:8], *(each for each, _ in again)]
    assert [tail.last_kept(place) for place in (8, 9, 11)] == [
        (8, after(7)),
        (9, after(8.5)),
        (11, after(10.5)),
    ]
    assert read_back(tail).signs == tail.signs
    assert tail.longer(sign(20), after(20)).last_kept(13) == (12, after(11.5))
