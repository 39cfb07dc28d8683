"""The Merkle tree of RFC 6962 and RFC 9162, section 2.1: hashes, paths, and what proves what. Pure.

A leaf is hashed behind a zero byte, a pair of nodes behind a one. A range of leaves is told as (start, end), the end
not included; every range named here is the whole of a subtree of the tree over its first `end` leaves.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()

Range = tuple[int, int]


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf that holds `data`."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of the node above two others."""
    return sha256(b"\x01" + left + right).digest()


def root_of(nodes: Sequence[bytes]) -> bytes:
    """The root over nodes that stand side by side, each for equally many leaves (the last may stand for fewer)."""
    level = list(nodes)
    while len(level) > 1:
        pairs = iter(level)
        above = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=False)]
        if len(level) % 2:
            above.append(level[-1])
        level = above
    return level[0] if level else EMPTY_ROOT


def subtrees(start: int, end: int) -> Iterator[tuple[int, int]]:
    """The largest complete subtrees that make up a range, from the left: (level, position), of 2**level leaves each."""
    while start < end:
        level = (end - start).bit_length() - 1
        yield level, start >> level
        start += 1 << level


def joined(hashes: Sequence[bytes]) -> bytes:
    """The hash of a range from those of its `subtrees`."""
    if not hashes:
        return EMPTY_ROOT
    whole = hashes[-1]
    for left in reversed(hashes[:-1]):
        whole = node_hash(left, whole)
    return whole


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """The ranges whose hashes prove that leaf `index` is among the first `size`, from the leaf upwards."""
    start, end, path = 0, size, list[Range]()
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
    return path[::-1]


def consistency_ranges(old: int, new: int) -> list[Range]:
    """The ranges whose hashes prove that the first `new` leaves begin with the first `old` (1 <= old <= new)."""
    start, end, path = 0, new, list[Range]()
    while end > old:
        middle = start + _split(end - start)
        if old <= middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
    return path[::-1] if start == 0 else [(start, end), *path[::-1]]


def is_included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `path` proves that the leaf stands at `index` in the tree of `size` leaves with this root (RFC 9162,
    2.1.3.2).
    """
    if not 0 <= index < size:
        return False
    place, last, found = index, size - 1, leaf
    for step in path:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = node_hash(step, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, step)
        place, last = place >> 1, last >> 1
    return last == 0 and found == root


def is_consistent(old: int, old_root: bytes, new: int, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether `path` proves that the tree of `new` leaves begins with that of `old` leaves (RFC 9162, 2.1.4.2)."""
    if old == new:
        return not path and old_root == new_root
    if not 1 <= old < new or not path:
        return False
    steps = iter(path if old & (old - 1) else (old_root, *path))
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    was = now = next(steps)
    for step in steps:
        if last == 0:
            return False
        if place & 1 or place == last:
            was, now = node_hash(step, was), node_hash(step, now)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            now = node_hash(now, step)
        place, last = place >> 1, last >> 1
    return last == 0 and was == old_root and now == new_root


class Frontier:
    """A tree that grows at its right edge, known by its complete subtrees only: adding and the root take O(log n)."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def add(self, node: bytes, level: int = 0) -> None:
        """Append a complete subtree of 2**level leaves; the size so far must be a multiple of that."""
        place = self.size >> level
        while place & 1:
            node = node_hash(self._peaks.pop(), node)
            place >>= 1
        self._peaks.append(node)
        self.size += 1 << level

    def copy(self) -> "Frontier":
        """The same tree, to grow apart."""
        other = Frontier()
        other.size, other._peaks = self.size, [*self._peaks]
        return other

    def root(self) -> bytes:
        """The root over all leaves so far."""
        return joined(self._peaks)


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)
