"""The stored tree, held against the tree worked out from all leaves at once."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import delete, select

from consent import ledger, log, store
from consent.errors import EntryTaken, LedgerDamaged, SubjectNotFound
from consent.log_tables import consent_log, consent_tree
from consent.merkle import is_consistent, is_included, leaf_hash, root_of
from tests.consent.cast import ANA, BEN, grant, minute, withdraw

LEAVES = [leaf_hash(number.to_bytes(4, "big")) for number in range(70_000)]


def grow(records, *sizes):
    for size in sizes:
        with records.writes.begin() as connection:
            before = log.hold(connection)
            log.append(connection, before, LEAVES[before:size])


def test_roots_and_proofs_come_out_of_what_is_kept(records):
    grow(records, 1, 2, 255, 256, 257, 511, 700, 1024, 1025, 3000)
    with records.reads.connect() as connection:
        assert log.size_of(connection) == 3000
        for size in (0, 1, 2, 255, 256, 257, 512, 767, 768, 2999, 3000):
            assert log.root_at(connection, size) == root_of(LEAVES[:size])
        for index, size in (
            (0, 1),
            (0, 3000),
            (255, 256),
            (256, 3000),
            (2999, 3000),
            (700, 701),
            (1023, 2048),
        ):
            path, root = log.inclusion(connection, index, size), root_of(LEAVES[:size])
            assert is_included(LEAVES[index], index, size, path, root)
        for old, new in ((1, 3000), (256, 3000), (257, 512), (2999, 3000), (3000, 3000), (1000, 1001)):
            path = log.consistency(connection, old, new)
            assert is_consistent(old, root_of(LEAVES[:old]), new, root_of(LEAVES[:new]), path)


def test_a_long_log_has_a_third_level_and_is_read_by_few_rows(records):
    grow(records, 65_535, 65_536, 70_000)
    with records.reads.connect() as connection:
        levels = set(connection.scalars(select(consent_tree.c.level).distinct()))
        assert levels == {0, 1, 2}
        root = root_of(LEAVES)
        assert log.root_at(connection, len(LEAVES)) == root
        path = log.inclusion(connection, 65_536, len(LEAVES))
        assert is_included(LEAVES[65_536], 65_536, len(LEAVES), path, root)


def test_a_log_whose_rows_are_gone_gives_no_root(records):
    grow(records, 10)
    with records.writes.begin() as connection:
        connection.execute(delete(consent_tree).where(consent_tree.c.position == 3))
        with pytest.raises(LedgerDamaged):
            log.root_at(connection, 10)
        connection.execute(delete(consent_log))
        with pytest.raises(LedgerDamaged):
            log.hold(connection)


@pytest.fixture
def people(records):
    with records.writes.begin() as connection:
        store.put_subject(connection, ANA, minute(0))
        store.put_subject(connection, BEN, minute(0))
    return records


def test_many_entries_are_recorded_in_one_call_all_or_none(people):
    many = [grant(minute(n), id=f"m-{n}", subject="ana" if n % 2 else "ben") for n in range(600)]
    with people.writes.begin() as connection:
        kept = ledger.record_all(connection, [*many, many[3]])
    assert [each.seq for each in kept] == [*range(1, 601), 4]
    for wrong, error in (
        (grant(minute(0), subject="nobody"), SubjectNotFound),
        (withdraw(minute(0), id="m-0", subject="ben"), EntryTaken),
    ):
        with pytest.raises(error), people.writes.begin() as connection:
            ledger.record_all(connection, [grant(minute(0), id="new"), wrong])
    with people.reads.connect() as connection:
        assert log.size_of(connection) == 600


def test_places_are_dense_whoever_writes_at_once(people):
    def say(number):
        with people.writes.begin() as connection:
            return ledger.record(
                connection, grant(minute(number), subject="ana" if number % 2 else "ben")
            ).seq

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(say, range(40))) == list(range(1, 41))
    with people.reads.connect() as connection:
        assert log.size_of(connection) == 40


def test_what_was_rolled_back_leaves_no_gap(people):
    with people.writes.connect() as connection:
        ledger.record(connection, grant(minute(0)))
        connection.rollback()
    with people.writes.begin() as connection:
        assert ledger.record(connection, grant(minute(1))).seq == 1
