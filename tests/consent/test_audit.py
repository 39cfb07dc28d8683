"""Whatever is done to the ledger behind its back, straight in the SQL file, the audit finds and places it."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st

from consent import checkpoint, ledger, store
from consent.audit import audit
from consent.commitment import EntryLine, leaf_of
from consent.entry import Purpose
from consent.log_tables import metadata
from consent.merkle import root_of
from consent.notice import Notice, publish
from consent.sealing import seal_entries
from consent.signing import KeyRing
from consent.subject import Subject
from engine.records import open_records
from engine.schema import upgrade
from tests.consent.cast import grant, minute, withdraw

RING = KeyRing.new("chaland/test")
TABLES = sorted(name for name in metadata.tables if name.startswith("consent_"))
SUBJECTS = [f"s-{number}" for number in range(8)]
SIZE = 700
ERASED = "s-3"


def say(records, first, last):
    entries = [
        (withdraw if place % 5 == 0 else grant)(
            minute(place),
            id=f"e-{place}",
            subject=SUBJECTS[place % 8],
            purpose=Purpose.LOCATION if place % 3 else Purpose.MARKETING,
            recorded_at=minute(place + 1),
        )
        for place in range(first, last + 1)
    ]
    with records.writes.begin() as connection:
        ledger.record_all(connection, entries)


def sign(records, at):
    with records.writes.begin() as connection:
        return checkpoint.take(connection, RING, minute(at)).note


def build(records):
    """700 leaves: entries, two notices, one erasure; checkpoints at 100, 256, 420 and 690."""
    upgrade(records)
    with records.writes.begin() as connection:
        for subject in SUBJECTS:
            store.put_subject(connection, Subject(id=subject), minute(0))
        publish(
            connection, Notice("offers-1-fr", "fr", "J'accepte.\nSTOP arrête.", None, minute(0), "key:dpo")
        )
    say(records, 2, 100)
    notes = [sign(records, 100)]
    say(records, 101, 256)
    notes.append(sign(records, 256))
    with records.writes.begin() as connection:
        publish(
            connection,
            Notice("offers-2-fr", "fr", "J'accepte encore.", "offers-1-fr", minute(257), "key:dpo"),
        )
    say(records, 258, 400)
    with records.writes.begin() as connection:
        assert seal_entries(connection, ERASED, "key:dpo", minute(401)) > 40
    say(records, 402, 420)
    notes.append(sign(records, 420))
    say(records, 421, 690)
    notes.append(sign(records, 690))
    say(records, 691, SIZE)
    return notes


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A ledger in an SQLite file, and the notes of its checkpoints."""
    file = tmp_path_factory.mktemp("audit") / "records.sqlite"
    records = open_records(f"sqlite:///{file}", file.with_name("vault.keys"))
    notes = build(records)
    records.close()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    return file, notes


@pytest.fixture
def copy(whole, tmp_path: Path) -> Path:
    return shutil.copy(whole[0], tmp_path / "copy.sqlite")


@contextmanager
def raw(file: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(file)) as connection:
        connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
        yield connection
        connection.commit()


def flaws_of(file: Path, elsewhere=(), ring=RING):
    records = open_records(f"sqlite:///{file}", file.with_name("vault.keys"))
    try:
        with records.reads.connect() as connection:
            return audit(connection, ring, elsewhere).flaws
    finally:
        records.close()


def test_an_untouched_ledger_holds(records):
    notes = build(records)
    with records.reads.connect() as connection:
        report = audit(connection, RING, notes)
    assert report.flaws == ()
    assert (report.size, report.checkpoints) == (SIZE, len(notes) * 2)
    assert report.erased == sum(1 for place in range(2, 401) if place % 8 == 3 and place != 257)


def test_an_empty_ledger_holds(records):
    with records.reads.connect() as connection:
        assert audit(connection, RING).flaws == ()


# ---- random edits, straight in the file ----

VALUES = st.one_of(
    st.none(),
    st.integers(-3, SIZE + 3),
    st.text(max_size=6),
    st.binary(max_size=33),
    st.sampled_from(["grant", "withdraw", "s-1", "marketing", "2026-11-23 08:00:00.000000", "offers-1-fr"]),
)


def contents(connection):
    return {
        table: sorted(
            map(repr, connection.execute(f"SELECT *, {types(connection, table)} FROM {table}").fetchall())
        )
        for table in TABLES
    }


def columns(connection, table):
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]


def types(connection, table):
    return ", ".join(f"typeof({name})" for name in columns(connection, table))


def keys(table):
    return {
        "consent_tree": ("level", "position"),
        "consent_log": ("id",),
        "consent_checkpoints": ("number",),
    }.get(table, ("seq",))


class Hand:
    """Somebody's hand in a table: one row, another one, and one of its columns."""

    def __init__(self, draw, connection):
        self.draw, self.connection = draw, connection
        self.table = draw(st.sampled_from(TABLES))
        self.names, self.key = columns(connection, self.table), keys(self.table)
        rows = connection.execute(f"SELECT * FROM {self.table} ORDER BY {', '.join(self.key)}").fetchall()
        assume(rows)
        self.one, self.other = (dict(zip(self.names, draw(st.sampled_from(rows)), strict=True)) for _ in "12")
        self.name = draw(st.sampled_from(self.names))

    def write(self, expression, *values, row=None):
        here = " AND ".join(f"{name} IS ?" for name in self.key)
        at = [(row or self.one)[name] for name in self.key]
        self.connection.execute(f"UPDATE {self.table} SET {expression} WHERE {here}", [*values, *at])

    def any_value(self):
        self.write(f"{self.name} = ?", self.draw(VALUES))

    def value_of_another_row(self):
        self.write(f"{self.name} = ?", self.other[self.name])

    def other_bytes(self):
        """The same characters as a BLOB, or as text that is none."""
        as_blob = f"CAST({self.name} AS BLOB)"
        kept = self.draw(st.sampled_from([as_blob, f"CAST(X'ff' || {as_blob} AS TEXT)"]))
        self.write(f"{self.name} = {kept}")

    def delete(self):
        here = " AND ".join(f"{name} IS ?" for name in self.key)
        at = [self.one[name] for name in self.key]
        self.connection.execute(f"DELETE FROM {self.table} WHERE {here}", at)

    def double(self):
        row = self.one | {self.key[-1]: self.draw(st.integers(-2, SIZE + 5))}
        if self.table in ("consent_entries", "consent_notices"):
            row |= {"id" if "id" in row else "version": "another"}
        marks = ", ".join("?" * len(row))
        self.connection.execute(f"INSERT INTO {self.table} VALUES ({marks})", list(row.values()))

    def swap(self):
        last = self.key[-1]
        self.write(f"{last} = -7")
        self.write(f"{last} = ?", self.one[last], row=self.other)
        self.write(f"{last} = ?", self.other[last], row=self.one | {last: -7})

    def cut(self):
        """The end of one table, or of all leaves."""
        last = self.draw(st.integers(0, SIZE - 1))
        self.connection.execute(f"DELETE FROM {self.table} WHERE {self.key[-1]} > ?", [last])
        if self.draw(st.booleans()):
            for table in ("consent_entries", "consent_notices", "consent_erasures"):
                self.connection.execute(f"DELETE FROM {table} WHERE seq > ?", [last])
            self.connection.execute("DELETE FROM consent_tree WHERE level = 0 AND position >= ?", [last])


EDITS = (
    Hand.any_value,
    Hand.value_of_another_row,
    Hand.other_bytes,
    Hand.delete,
    Hand.double,
    Hand.swap,
    Hand.cut,
)


@settings(
    max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much]
)
@given(data=st.data(), edits=st.integers(1, 3))
def test_no_edit_in_the_file_goes_unseen(data, edits, whole, tmp_path: Path):
    file = shutil.copy(whole[0], tmp_path / "edited.sqlite")
    with raw(file) as connection:
        before = contents(connection)
        try:
            for _ in range(edits):
                data.draw(st.sampled_from(EDITS))(Hand(data.draw, connection))
        except (sqlite3.IntegrityError, UnicodeEncodeError):
            reject()  # the database, or its driver, takes no such row
        assume(contents(connection) != before)
    assert flaws_of(file), "the edit went unseen"


# ---- what is found is named, and where ----


def change(file, *statements):
    with raw(file) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    ("statements", "place", "words"),
    [
        (["UPDATE consent_entries SET action = 'grant' WHERE seq = 15"], 15, "does not match its leaf"),
        (["UPDATE consent_entries SET recorded_at = at WHERE seq = 700"], 700, "does not match its leaf"),
        (["UPDATE consent_entries SET evidence = '' WHERE seq = 20"], 20, "does not match its leaf"),
        (["UPDATE consent_notices SET text = 'J''accepte tout.' WHERE seq = 1"], 1, "notice 1"),
        (["UPDATE consent_entries SET salt = x'00' WHERE seq = 300"], 300, "does not match its leaf"),
        (["DELETE FROM consent_entries WHERE seq IN (555, 600)"], 555, "no erasure names it"),
        (["DELETE FROM consent_erasures"], 3, "no erasure names it"),
        (["UPDATE consent_erasures SET entries = entries || ' 398'"], 3, "no erasure names it"),
        (
            [
                "UPDATE consent_entries SET seq = -1 WHERE seq = 8",
                "UPDATE consent_entries SET seq = 8 WHERE seq = 9",
                "UPDATE consent_entries SET seq = 9 WHERE seq = -1",
            ],
            8,
            "does not match its leaf",
        ),
        (["UPDATE consent_entries SET seq = 3 WHERE seq = 4"], 3, "was erased, and stands here"),
        (["UPDATE consent_entries SET seq = 900 WHERE seq = 700"], 700, "no erasure names it"),
        (["DELETE FROM consent_tree WHERE level = 0 AND position = 41"], 42, "no leaf"),
        (["UPDATE consent_tree SET hash = zeroblob(32) WHERE level = 0 AND position = 41"], 42, "its leaf"),
        (["UPDATE consent_tree SET hash = zeroblob(32) WHERE level = 0 AND position = 2"], 1, "leaves 1 to"),
        (
            ["UPDATE consent_tree SET hash = zeroblob(32) WHERE level = 1 AND position = 1"],
            257,
            "leaves 257 to 512",
        ),
        (
            ["DELETE FROM consent_entries WHERE seq > 650", "DELETE FROM consent_tree WHERE position >= 650"],
            651,
            "",
        ),
        (["UPDATE consent_log SET size = 701"], 701, "the log says 701"),
        (["DELETE FROM consent_log"], 701, "own row"),
        (["DELETE FROM consent_checkpoints WHERE number = 4"], 701, "3 checkpoints are here, the log says 4"),
        (["DELETE FROM consent_checkpoints WHERE number = 2"], 101, "checkpoint 3 is out of order"),
        (["UPDATE consent_checkpoints SET note = replace(note, '420', '419')"], 257, "no key"),
        (["DROP TABLE consent_erasures"], 1, "cannot be read"),
    ],
)
def test_the_first_bad_place_is_named(copy, statements, place, words):
    change(copy, *statements)
    flaws = flaws_of(copy)
    assert flaws[0].place == place
    assert any(words in flaw.what for flaw in flaws)


def forge(connection, place):
    """What a forger who knows the code would do: another entry in place, and a leaf that fits it."""
    connection.execute("UPDATE consent_entries SET action = 'withdraw' WHERE seq = ?", [place])
    names = ", ".join(EntryLine.__struct_fields__)
    *row, salt = connection.execute(
        f"SELECT {names}, salt FROM consent_entries WHERE seq = ?", [place]
    ).fetchone()
    for name in ("at", "recorded_at"):
        row[EntryLine.__struct_fields__.index(name)] += "Z"
    leaf = leaf_of(salt, EntryLine(*row))
    connection.execute("UPDATE consent_tree SET hash = ? WHERE level = 0 AND position = ?", [leaf, place - 1])


def mend(connection):
    """And build every node above anew."""
    connection.execute("DELETE FROM consent_tree WHERE level > 0")
    leaves = [row[0] for row in connection.execute("SELECT hash FROM consent_tree ORDER BY position")]
    for start in range(0, len(leaves) // 256 * 256, 256):
        node = root_of(leaves[start : start + 256])
        connection.execute("INSERT INTO consent_tree VALUES (1, ?, ?)", [start // 256, node])


def test_a_forged_leaf_does_not_fit_the_tree(copy):
    with raw(copy) as connection:
        forge(connection, 333)
    [first, *_] = flaws_of(copy)
    assert (first.place, "leaves 257 to 512" in first.what) == (257, True)


def test_a_forged_tree_does_not_fit_the_checkpoint_behind_it(copy):
    with raw(copy) as connection:
        forge(connection, 333)
        mend(connection)
    [first, *_] = flaws_of(copy)
    assert (first.place, "leaves up to 420" in first.what) == (257, True)


def test_forged_checkpoints_do_not_fit_the_one_that_somebody_else_has(copy, whole):
    notes = whole[1]
    with raw(copy) as connection:
        forge(connection, 333)
        mend(connection)
        connection.execute("DELETE FROM consent_checkpoints WHERE number > 2")
        connection.execute("UPDATE consent_log SET checkpoints = 2")
    assert flaws_of(copy, notes[:2]) == ()  # neither of these two speaks of what was forged
    [first] = flaws_of(copy, [notes[3]])
    assert (first.place, "leaves up to 690" in first.what) == (257, True)


def test_a_log_that_was_cut_back_with_all_that_tells_is_short_of_a_checkpoint_elsewhere(copy, whole):
    change(
        copy,
        *(f"DELETE FROM {table} WHERE seq > 500" for table in ("consent_entries", "consent_notices")),
        "DELETE FROM consent_tree WHERE level = 0 AND position >= 500",
        "DELETE FROM consent_tree WHERE level = 1 AND position >= 1",
        "DELETE FROM consent_checkpoints WHERE number > 3",
        "UPDATE consent_log SET size = 500, checkpoints = 3",
    )
    assert flaws_of(copy) == ()  # nothing in the file tells; this is why a checkpoint is kept elsewhere
    [first] = flaws_of(copy, [whole[1][3]])
    assert (first.place, "says 690 leaves, 500 are here" in first.what) == (501, True)


def test_a_checkpoint_of_another_log_is_not_taken_for_one_of_this(copy):
    records = open_records(f"sqlite:///{copy}", copy.with_name("vault.keys"))
    with records.reads.connect() as connection:
        strange = checkpoint.sign(KeyRing.new("chaland/test"), 1, bytes(32), minute(0)).note
        [first] = audit(connection, RING, [strange]).flaws
        unknown = audit(connection, KeyRing.new("chaland/test")).flaws
    records.close()
    assert "no key" in first.what
    assert len(unknown) == 4


def test_after_a_rotation_old_and_new_checkpoints_hold(records):
    build(records)
    rotated = KeyRing.parse(RING.rotated().text)
    say(records, SIZE + 1, SIZE + 5)
    with records.writes.begin() as connection:
        checkpoint.take(connection, rotated, minute(800))
    with records.reads.connect() as connection:
        assert audit(connection, rotated).flaws == ()
        assert [flaw.what for flaw in audit(connection, RING).flaws] == [
            "checkpoint 5: no key that is known here has signed this"
        ]
