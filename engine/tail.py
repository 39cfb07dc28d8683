"""The newest signals of a track, in order, so that the recent past can be gone through again: as they are, as the live
store keeps them, and here and there what was believed after them.
"""

import struct
from collections.abc import Sequence

import msgspec

from engine.beliefs import Beliefs, Sign

KEPT_EVERY = 8
"""Beliefs are kept after so many signals each, and after the newest; those between are found again when needed."""

_packer = msgspec.msgpack.Encoder()
_reader = msgspec.msgpack.Decoder(list[bytes])
_sign_reader = msgspec.msgpack.Decoder(Sign)


class Block(msgspec.Struct, frozen=True, gc=False):
    """Signals that follow each other, oldest first; `packed` are the same one after the other as the live store keeps
    them. `after` is what was believed after the last; None where that was not kept, and can be found again.
    """

    signs: tuple[Sign, ...]
    packed: bytes
    after: Beliefs | None


class Tail(msgspec.Struct, frozen=True, gc=False):
    """Blocks, oldest first, and how many signals are in them. One more signal makes the last block anew, and touches no
    other.
    """

    blocks: tuple[Block, ...] = ()
    count: int = 0

    @property
    def signs(self) -> list[Sign]:
        """The signals, oldest first."""
        return [sign for block in self.blocks for sign in block.signs]

    def longer(self, newest: Sign, after: Beliefs) -> "Tail":
        """With one more, and without the beliefs after the one before it, but for every eighth."""
        blocks, count = self.blocks, self.count
        if not count or (count % KEPT_EVERY == 0 and blocks[-1].after is not None):
            return Tail((*blocks, Block((newest,), _packed(newest), after)), count + 1)
        last = blocks[-1]
        last = Block((*last.signs, newest), last.packed + _packed(newest), after)
        return Tail((*blocks[:-1], last), count + 1)

    def last_kept(self, place: int, until: float = float("-inf")) -> tuple[int, Beliefs] | None:
        """The most signals after which the beliefs were kept, and these: at most `place`, or none measured after `until`
        (unix seconds).
        """
        number, found = 0, None
        for block in self.blocks:
            number += len(block.signs)
            if number > place and block.signs[-1].at > until:
                break
            if block.after is not None:
                found = number, block.after
        return found

    def without(self, count: int) -> "Tail":
        """The same but for so many of the oldest."""
        number, left = 0, self.count - count
        for place, block in enumerate(self.blocks):
            number += len(block.signs)
            if number > count:
                gone = len(block.signs) - (number - count)
                if not gone:
                    return Tail(self.blocks[place:], left)
                first = Block(block.signs[gone:], block.packed[_end(block.packed, gone) :], block.after)
                return Tail((first, *self.blocks[place + 1 :]), left)
        return Tail()

    def redone(self, known: int, taken: Sequence[tuple[Sign, Beliefs]]) -> "Tail":
        """As many as `last_kept` told, and then these, with what was believed after each."""
        blocks, number = [], 0
        for block in self.blocks:
            number += len(block.signs)
            if number > known:
                break
            blocks.append(block)
        blocks += [Block((sign,), _packed(sign), after) for sign, after in taken]
        return Tail(tuple(blocks), known + len(taken))

    def encoded(self) -> msgspec.Raw:
        """As the live store keeps it."""
        return msgspec.Raw(_heading(self.count) + b"".join([block.packed for block in self.blocks]))

    @classmethod
    def decoded(cls, data: msgspec.Raw) -> "Tail":
        """What `encoded` wrote."""
        signs = tuple([_sign_reader.decode(each) for each in _reader.decode(data)])
        packed = bytes(data)[len(_heading(len(signs))) :]
        return cls((Block(signs, packed, None),) if signs else (), len(signs))


def _packed(sign: Sign) -> bytes:
    """A signal as the live store keeps it. Away from roads and beacons what comes after the speed says nothing, is left
    out, and is read back as such.
    """
    if sign.by_road or sign.ahead or sign.crossed or sign.radio or sign.region:
        return _packer.encode(_packer.encode(sign))
    short = (sign.at, sign.beacon, sign.near, sign.lon, sign.lat, sign.accuracy_m, sign.speed_mps)
    return _packer.encode(_packer.encode(short))


def _heading(count: int) -> bytes:
    """What msgpack has before the elements of an array."""
    return bytes((0x90 | count,)) if count < 16 else struct.pack(">BH", 0xDC, count)


def _end(packed: bytes, count: int) -> int:
    """Where the first so many end. Before each stands how wide its length is (0xC4: one byte, 0xC5: two, ...), and it."""
    place = 0
    for _ in range(count):
        first = place + 1 + (1 << packed[place] - 0xC4)
        place = first + int.from_bytes(packed[place + 1 : first])
    return place
