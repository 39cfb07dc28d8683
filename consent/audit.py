"""Proves the whole consent log from what is stored, or names the first place where it does not hold.

Every leaf is worked out anew from what it commits to, the tree from the leaves, and its roots are held against every
signed checkpoint. An entry that is gone counts as erased only if an erasure that is in the log names its place.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import SQLAlchemyError

from consent.checkpoint import Checkpoint, read
from consent.log import SPAN, SPAN_BITS
from consent.log_tables import consent_checkpoints, consent_log, consent_tree
from consent.merkle import HASH_BYTES, Frontier, root_of
from consent.raw_rows import ERASURE, KINDS, between, leaves_of, raw, rows_of, strays
from consent.signing import KeyRing, NotTrusted

PORTION = 64 * SPAN
"""Leaves that are worked out at once."""

NOWHERE = bytes(HASH_BYTES)
"""Stands in the tree for a leaf that is missing."""


@dataclass(frozen=True, slots=True, order=True)
class Flaw:
    """Something that does not hold. `place` is that of the first leaf that it may concern, from 1."""

    place: int
    what: str


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit found. `flaws` are in the order of their places; none: everything holds."""

    size: int
    root: bytes
    erased: int
    checkpoints: int
    flaws: tuple[Flaw, ...]


def audit(
    conn: Connection, ring: KeyRing, elsewhere: Sequence[str] = (), progress: Callable[[int], object] = abs
) -> Report:
    """Go through all of the log, in one transaction that sees one moment of it. `elsewhere` are notes of checkpoints
    that were kept outside of the database; `progress` is told how many more leaves have been gone through.
    """
    try:
        return _audit(conn, ring, elsewhere, progress)
    except SQLAlchemyError as error:
        flaw = Flaw(1, f"the ledger's tables cannot be read ({type(error).__name__})")
        return Report(size=0, root=NOWHERE, erased=0, checkpoints=0, flaws=(flaw,))


def _audit(
    conn: Connection, ring: KeyRing, elsewhere: Sequence[str], progress: Callable[[int], object]
) -> Report:
    findings = _Findings()
    size = conn.scalar(select(func.count()).where(consent_tree.c.level == 0)) or 0
    kept = _kept_checkpoints(conn, ring, findings)
    _check_head(conn, size, len(kept), findings)
    claims = [*(each for each in kept if each), *_given_checkpoints(ring, elsewhere, findings)]
    building = _Building(sorted(claims, key=lambda claim: claim.size), findings)
    reading = _Reading(conn, findings, _erased_places(conn, size))
    for first in range(0, size, PORTION):
        leaves = reading.leaves(first, min(first + PORTION, size))
        for start in range(0, len(leaves), SPAN):
            building.add(leaves[start : start + SPAN])
        progress(len(leaves))
    building.finish()
    for kind in KINDS:
        findings.flaws += [Flaw(place, what) for place, what in strays(conn, kind, size)]
    _check_nodes(conn, building.nodes, findings)
    return Report(size, building.tree.root(), len(reading.erased), len(claims), findings.told())


@dataclass(slots=True)
class _Findings:
    """`doubts` are flaws of what stands for many leaves, the last of which is named: they are told only where none of
    those leaves is to blame itself.
    """

    flaws: list[Flaw] = field(default_factory=list)
    doubts: list[tuple[Flaw, int]] = field(default_factory=list)

    def say(self, place: int, what: str) -> None:
        self.flaws.append(Flaw(place, what))

    def doubt(self, first: int, last: int, what: str) -> None:
        self.doubts.append((Flaw(first, what), last))

    def told(self) -> tuple[Flaw, ...]:
        told = list(self.flaws)
        for doubt, last in self.doubts:
            if not any(doubt.place <= flaw.place <= last for flaw in self.flaws):
                told.append(doubt)
        return tuple(sorted(set(told)))


def _check_head(conn: Connection, size: int, checkpoints: int, findings: _Findings) -> None:
    """The log's own row must be there once, and count what is there."""
    columns = [raw(conn, column) for column in consent_log.columns]
    heads = [tuple(row) for row in conn.execute(select(*columns))]
    if [head[:1] for head in heads] != [(1,)]:
        findings.say(size + 1, "the log's own row, which tells its size, is missing or not alone")
        return
    [(_, told, kept)] = heads
    if told != size:
        place = min(told, size) + 1 if isinstance(told, int) else size + 1
        findings.say(place, f"{size} leaves are here, the log says {told}: it was cut back or added to")
    if kept != checkpoints:
        findings.say(size + 1, f"{checkpoints} checkpoints are here, the log says {kept}")


def _kept_checkpoints(conn: Connection, ring: KeyRing, findings: _Findings) -> list[Checkpoint | None]:
    """The checkpoints in the database, in order; None for one that does not hold."""
    number = consent_checkpoints.c.number
    query = select(*(raw(conn, column) for column in consent_checkpoints.columns))
    last = conn.scalar(select(func.max(number))) or 0
    rows, unreadable = between(conn, query, number, min(0, last), last)
    count = conn.scalar(select(func.count()).select_from(consent_checkpoints)) or 0
    found, before = list[Checkpoint | None](), 0
    for place, (told, note) in enumerate(rows, start=1):
        claim = _read(ring, note, f"checkpoint {told}", before + 1, findings)
        if told != place or (claim and place > 1 and claim.size <= before):
            findings.say(before + 1, f"checkpoint {told} is out of order")
        before = max(before, claim.size if claim else 0)
        found.append(claim)
    if unreadable or count != len(rows):
        findings.say(before + 1, "a checkpoint cannot be read")
    return found


def _given_checkpoints(ring: KeyRing, notes: Iterable[str], findings: _Findings) -> list[Checkpoint]:
    read_ones = [_read(ring, note, "a checkpoint from elsewhere", 1, findings) for note in notes]
    return [each for each in read_ones if each]


def _read(ring: KeyRing, note: object, name: str, place: int, findings: _Findings) -> Checkpoint | None:
    try:
        if not isinstance(note, str):
            raise NotTrusted("this is no signed note")
        return read(ring, note)
    except NotTrusted as error:
        findings.say(place, f"{name}: {error}")
        return None


def _erased_places(conn: Connection, size: int) -> set[int]:
    """The places that erasures name which are themselves in the log, each only among those before it."""
    rows, _ = rows_of(conn, ERASURE, 1, size)
    stored = dict[int, object]()
    for row in rows:
        at = (consent_tree.c.level == 0) & (consent_tree.c.position == row[0] - 1)
        stored[row[0]] = conn.scalar(select(raw(conn, consent_tree.c.hash)).where(at))
    places = set[int]()
    for row, leaf in zip(rows, leaves_of(ERASURE, rows), strict=True):
        if leaf is not None and stored[row[0]] == leaf:
            entries = row[1 + ERASURE.fields.index("entries")]
            places |= {int(place) for place in entries.split(" ") if int(place) < row[0]}
    return places


@dataclass(slots=True)
class _Reading:
    """Works the leaves out anew, and holds them against those that are stored."""

    conn: Connection
    findings: _Findings
    erased: set[int]

    def leaves(self, first: int, end: int) -> list[bytes]:
        """The leaves from `first` (from 0) to before `end`."""
        columns = [raw(self.conn, consent_tree.c[name]) for name in ("position", "hash")]
        query = select(*columns).where(consent_tree.c.level == 0)
        stored, unreadable = between(self.conn, query, consent_tree.c.position, first, end - 1)
        written = []
        for kind in KINDS:
            rows, illegible = rows_of(self.conn, kind, first + 1, end)
            written.append((kind.name, [row[0] for row in rows], leaves_of(kind, rows)))
            written.append((kind.name, illegible, [None] * len(illegible)))
        hashes = [row[1] for row in stored]
        if len(hashes) == end - first and self._all_hold(first, hashes, written):
            return hashes
        kept = {row[0] + 1: row[1] for row in stored} | dict.fromkeys(place + 1 for place in unreadable)
        found = defaultdict[int, list[tuple[str, bytes | None]]](list)
        for name, places, leaves in written:
            for place, leaf in zip(places, leaves, strict=True):
                found[place].append((name, leaf))
        return [self._leaf(place, kept.get(place), found[place]) for place in range(first + 1, end + 1)]

    def _all_hold(
        self, first: int, hashes: list[Any], written: list[tuple[str, list[int], list[bytes | None]]]
    ) -> bool:
        """Whether each place is either erased or holds one thing, which is what its leaf commits to."""
        places = [place for _, some, _ in written for place in some]
        worked_out = [leaf for _, _, some in written for leaf in some]
        gone = self.erased.intersection(range(first + 1, first + 1 + len(hashes)))
        return (
            len(places) == len(hashes) - len(gone)
            and len(gone.union(places)) == len(hashes)
            and [hashes[place - first - 1] for place in places] == worked_out
            and all(_is_hash(hashes[place - first - 1]) for place in gone)
        )

    def _leaf(self, place: int, kept: object, found: Sequence[tuple[str, bytes | None]]) -> bytes:
        """The leaf to build upon; says what is wrong with it."""
        name, leaf = found[0] if found else ("entry", None)
        flaw = _flaw(kept, found, is_erased=place in self.erased)
        if flaw:
            self.findings.say(place, f"{name} {place} {flaw}")
        return kept if _is_hash(kept) else leaf or NOWHERE


def _is_hash(value: object) -> TypeGuard[bytes]:
    return isinstance(value, bytes) and len(value) == HASH_BYTES


def _flaw(kept: object, found: Sequence[tuple[str, bytes | None]], *, is_erased: bool) -> str | None:
    if len(found) > 1:
        return "stands where another stands as well"
    if kept is None:
        return "has no leaf in the log"
    if not found:
        gone = "is gone, and no erasure names it"
        return gone if not is_erased else None if _is_hash(kept) else "has no leaf in the log"
    if is_erased:
        return "was erased, and stands here all the same"
    if found[0][1] != kept:
        return "is not what was written down: it does not match its leaf"
    return None


@dataclass(slots=True)
class _Building:
    """Builds the tree anew, and holds it against what checkpoints say of it, the smallest first."""

    claims: Sequence[Checkpoint]
    findings: _Findings
    tree: Frontier = field(default_factory=Frontier)
    nodes: list[bytes] = field(default_factory=list)
    waiting: deque[Checkpoint] = field(init=False)
    proven: int = 0

    def __post_init__(self) -> None:
        self.waiting = deque(self.claims)
        self._compare(self.tree)

    def add(self, leaves: Sequence[bytes]) -> None:
        """Append up to SPAN leaves; fewer only at the end."""
        is_whole = len(leaves) == SPAN
        inside = self.waiting and self.waiting[0].size < self.tree.size + len(leaves)
        grown = self.tree.copy()
        if inside or not is_whole:
            for leaf in leaves:
                grown.add(leaf)
                self._compare(grown)
        if is_whole:
            self.nodes.append(root_of(leaves))
            self.tree.add(self.nodes[-1], SPAN_BITS)
            self._compare(self.tree)
        else:
            self.tree = grown

    def finish(self) -> None:
        """Whatever is still claimed is of a log that was longer."""
        for claim in self.waiting:
            size = self.tree.size
            said = f"a checkpoint of {claim.at:%Y-%m-%d %H:%M} says {claim.size} leaves, {size} are here: it was cut back"
            self.findings.say(size + 1, said)

    def _compare(self, tree: Frontier) -> None:
        while self.waiting and self.waiting[0].size == tree.size:
            claim = self.waiting.popleft()
            if claim.root != tree.root():
                said = (
                    f"leaves up to {claim.size} are not those of the checkpoint of {claim.at:%Y-%m-%d %H:%M}"
                )
                self.findings.doubt(self.proven + 1, max(claim.size, self.proven + 1), said)
            else:
                self.proven = claim.size


def _check_nodes(conn: Connection, nodes: list[bytes], findings: _Findings) -> None:
    """Of the levels above the leaves, exactly the nodes that follow from them must be stored."""
    expected, level = dict[tuple[int, int], bytes](), 0
    while nodes:
        level += 1
        expected |= {(level, position): node for position, node in enumerate(nodes)}
        nodes = [root_of(nodes[start : start + SPAN]) for start in range(0, len(nodes) // SPAN * SPAN, SPAN)]
    columns = [raw(conn, column) for column in consent_tree.columns]
    stored = conn.execute(select(*columns).where(consent_tree.c.level != 0))
    kept = {(row[0], row[1]): row[2] for row in stored}
    for (height, position), node in expected.items():
        if kept.pop((height, position), None) != node:
            width = SPAN**height
            first, last = position * width + 1, (position + 1) * width
            findings.doubt(first, last, f"leaves {first} to {last} are not those that the log was built from")
    if kept:
        findings.say(1, f"{len(kept)} nodes of the tree stand where none belongs")
