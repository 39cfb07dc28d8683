"""Held against the published vectors of RFC 6962's reference log, and against the definitions, written out."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_ranges,
    inclusion_ranges,
    is_consistent,
    is_included,
    joined,
    leaf_hash,
    node_hash,
    root_of,
    subtrees,
)

# The inputs and roots of the reference implementation's tests (certificate-transparency, merkletree).
INPUTS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}

LEAVES = [leaf_hash(data) for data in INPUTS]
MANY = [leaf_hash(number.to_bytes(4, "big")) for number in range(70)]


def mth(leaves):
    """MTH of RFC 9162, 2.1.1, word for word, over leaf hashes."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m, leaves):
    """PATH of 2.1.3.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def proof(m, leaves, *, whole=True):
    """SUBPROOF of 2.1.4.1."""
    n = len(leaves)
    if m == n:
        return [] if whole else [mth(leaves)]
    k = split(n)
    if m <= k:
        return [*proof(m, leaves[:k], whole=whole), mth(leaves[k:])]
    return [*proof(m - k, leaves[k:], whole=False), mth(leaves[:k])]


def split(n):
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def hashed(ranges, leaves):
    """The hashes of ranges, each joined from its complete subtrees, as a store that keeps those does."""
    return [
        joined([mth(leaves[place << level : (place + 1) << level]) for level, place in subtrees(*each)])
        for each in ranges
    ]


def test_the_published_roots_come_out():
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    for size, root in enumerate(ROOTS, start=1):
        assert root_of(LEAVES[:size]).hex() == root


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_the_published_inclusion_proofs_come_out(index, size):
    found = hashed(inclusion_ranges(index, size), LEAVES)
    assert [each.hex() for each in found] == INCLUSION[index, size]
    assert is_included(LEAVES[index], index, size, found, bytes.fromhex(ROOTS[size - 1]))


@pytest.mark.parametrize(("old", "new"), CONSISTENCY)
def test_the_published_consistency_proofs_come_out(old, new):
    found = hashed(consistency_ranges(old, new), LEAVES)
    assert [each.hex() for each in found] == CONSISTENCY[old, new]
    assert is_consistent(old, bytes.fromhex(ROOTS[old - 1]), new, bytes.fromhex(ROOTS[new - 1]), found)


def test_every_tree_of_up_to_seventy_leaves_is_as_defined():
    grown = Frontier()
    for size in range(1, len(MANY) + 1):
        leaves = MANY[:size]
        grown.add(leaves[-1])
        root = mth(leaves)
        assert root_of(leaves) == grown.root() == root
        for index in range(size):
            steps = hashed(inclusion_ranges(index, size), leaves)
            assert steps == path(index, leaves)
            assert is_included(leaves[index], index, size, steps, root)
            assert not is_included(leaves[index], index + 1, size, steps, root)
        for old in range(1, size + 1):
            steps = hashed(consistency_ranges(old, size), leaves)
            assert steps == proof(old, leaves)
            assert is_consistent(old, mth(leaves[:old]), size, root, steps)


@given(st.data())
def test_nothing_else_passes_for_a_proof(data):
    size = data.draw(st.integers(2, len(MANY)))
    leaves, root = MANY[:size], mth(MANY[:size])
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size - 1))
    for steps, holds in (
        (path(index, leaves), lambda some: is_included(leaves[index], index, size, some, root)),
        (proof(old, leaves), lambda some: is_consistent(old, mth(leaves[:old]), size, root, some)),
    ):
        assert holds(steps)
        place = data.draw(st.integers(0, len(steps) - 1))
        flipped = bytearray(steps[place])
        flipped[data.draw(st.integers(0, 31))] ^= 1 << data.draw(st.integers(0, 7))
        assert not holds([*steps[:place], bytes(flipped), *steps[place + 1 :]])
        assert not holds(steps[:-1])
        assert not holds([*steps, node_hash(root, root)])
    assert not is_included(leaves[index] + b"x", index, size, path(index, leaves), root)


@given(st.integers(0, 6), st.integers(0, 60))
def test_a_frontier_takes_whole_subtrees(level, more):
    grown = Frontier()
    width = 1 << level
    grown.add(mth(MANY[:width]), level)
    for leaf in MANY[width : width + more]:
        grown.add(leaf)
    assert (grown.size, grown.root()) == (len(MANY[: width + more]), mth(MANY[: width + more]))
