"""The consent log as it is stored: a Merkle tree over leaves in the order they were written.

Kept are the leaves and, of the nodes above them, every eighth level: a node stands for 256 of the level below. An append
reads and writes O(1) rows, amortised; a root or a proof needs at most 256 hashes of each level.

Whoever appends holds the log until its transaction ends, so that places are dense and in order. Who appends for several
subjects locks all of them first, then the log; nobody locks a subject while holding the log.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, insert, select, update

from consent.errors import LedgerDamaged
from consent.log_tables import consent_log, consent_tree
from consent.merkle import (
    Range,
    consistency_ranges,
    inclusion_ranges,
    joined,
    root_of,
    subtrees,
)

SPAN_BITS = 8
SPAN = 1 << SPAN_BITS
"""Nodes that one of the next level stands for."""


def hold(conn: Connection) -> int:
    """Hold the log until the transaction ends; answers its size. Raises LedgerDamaged."""
    held = conn.execute(select(consent_log.c.size).where(consent_log.c.id == 1).with_for_update()).first()
    if held is None:
        raise LedgerDamaged
    return int(held.size)


def size_of(conn: Connection) -> int:
    """How many leaves there are. Raises LedgerDamaged."""
    found = conn.execute(select(consent_log.c.size).where(consent_log.c.id == 1)).first()
    if found is None:
        raise LedgerDamaged
    return int(found.size)


def append(conn: Connection, size: int, leaves: Sequence[bytes]) -> None:
    """Put leaves behind the first `size` of the log, which is held."""
    if not leaves:
        return
    _grow(conn, 0, size, leaves)
    conn.execute(update(consent_log).where(consent_log.c.id == 1).values(size=size + len(leaves)))


def root_at(conn: Connection, size: int) -> bytes:
    """The root over the first `size` leaves."""
    return _range_hash(conn, (0, size))


def inclusion(conn: Connection, index: int, size: int) -> list[bytes]:
    """What proves that leaf `index` (from 0) is among the first `size`."""
    return [_range_hash(conn, each) for each in inclusion_ranges(index, size)]


def consistency(conn: Connection, old: int, new: int) -> list[bytes]:
    """What proves that the first `new` leaves begin with the first `old`."""
    return [_range_hash(conn, each) for each in consistency_ranges(old, new)]


def _grow(conn: Connection, level: int, size: int, nodes: Sequence[bytes]) -> None:
    rows = [
        {"level": level, "position": position, "hash": node}
        for position, node in enumerate(nodes, start=size)
    ]
    conn.execute(insert(consent_tree), rows)
    first, last = size >> SPAN_BITS, (size + len(nodes)) >> SPAN_BITS
    if first == last:
        return
    whole = [*_nodes(conn, level, first << SPAN_BITS, size), *nodes]
    above = [root_of(whole[start : start + SPAN]) for start in range(0, (last - first) << SPAN_BITS, SPAN)]
    _grow(conn, level + 1, first, above)


def _range_hash(conn: Connection, wanted: Range) -> bytes:
    return joined([_subtree(conn, level, place) for level, place in subtrees(*wanted)])


def _subtree(conn: Connection, level: int, place: int) -> bytes:
    kept, below = divmod(level, SPAN_BITS)
    return root_of(_nodes(conn, kept, place << below, (place + 1) << below))


def _nodes(conn: Connection, level: int, start: int, end: int) -> list[bytes]:
    if start == end:
        return []
    found = conn.scalars(
        select(consent_tree.c.hash)
        .where(consent_tree.c.level == level, consent_tree.c.position >= start, consent_tree.c.position < end)
        .order_by(consent_tree.c.position)
    ).all()
    if len(found) != end - start:
        raise LedgerDamaged
    return list(found)
