from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from consent import ledger, store
from consent.entry import Channel, Purpose, Reason
from consent.errors import EntryTaken, SubjectNotFound
from tests.consent.cast import ANA, BEN, grant, minute, withdraw

MARKETING, SMS = Purpose.MARKETING, Channel.SMS


@pytest.fixture
def records(records):
    with records.writes.begin() as connection:
        store.put_subject(connection, ANA, minute(0))
        store.put_subject(connection, BEN, minute(0))
    return records


def record(records, *entries):
    with records.writes.begin() as connection:
        return [ledger.record(connection, entry) for entry in entries]


def entries_of(records, subject="ana"):
    with records.reads.connect() as connection:
        return ledger.entries_of(connection, subject)


def test_an_entry_is_kept_as_it_was_with_its_place(records):
    location = grant(minute(1), purpose=Purpose.LOCATION, recorded_at=minute(2))
    kept = record(records, grant(minute(0)), location)
    assert entries_of(records) == tuple(kept)
    assert replace(kept[1], seq=None) == location
    assert kept[0].seq < kept[1].seq


def test_the_same_entry_twice_is_written_once(records):
    once = grant(minute(0), id="e-1")
    assert record(records, once) == record(records, replace(once, recorded_at=minute(9)))
    assert len(entries_of(records)) == 1


def test_an_id_is_not_given_twice_for_different_things(records):
    record(records, grant(minute(0), id="e-1"))
    for other in (withdraw(minute(0), id="e-1"), grant(minute(0), id="e-1", subject="ben")):
        with pytest.raises(EntryTaken):
            record(records, other)
    assert len(entries_of(records)) == 1


def test_an_unknown_subject_says_nothing(records):
    with pytest.raises(SubjectNotFound):
        record(records, grant(minute(0), subject="nobody"))
    assert entries_of(records, "nobody") == ()


def test_the_standing_is_folded_from_what_is_stored(records):
    with records.reads.connect() as connection:
        assert ledger.standing_of(connection, "ana", MARKETING, SMS, minute(9)).reason is Reason.NEVER_ASKED
    record(records, withdraw(minute(5)), grant(minute(1), recorded_at=minute(6)))
    with records.reads.connect() as connection:
        assert ledger.standing_of(connection, "ana", MARKETING, SMS, minute(3)).allowed
        assert ledger.standing_of(connection, "ana", MARKETING, SMS, minute(9)).reason is Reason.WITHDRAWN


def test_many_subjects_are_read_in_one_call(records):
    record(records, grant(minute(0)), grant(minute(1), subject="ben"), withdraw(minute(2)))
    with records.reads.connect() as connection:
        found = ledger.entries_of_many(connection, ["ana", "ben", "nobody"])
    assert {subject: len(entries) for subject, entries in found.items()} == {"ana": 2, "ben": 1, "nobody": 0}


def test_the_ledger_outlives_the_subject(records):
    kept = record(records, grant(minute(0)))
    with records.writes.begin() as connection:
        store.delete_subject(connection, "ana")
    assert entries_of(records) == tuple(kept)


def test_grants_and_a_withdrawal_at_once_end_withdrawn(records):
    at_once = [grant(minute(1)), withdraw(minute(2)), grant(minute(2)), grant(minute(0))] * 2
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda entry: record(records, entry), at_once))
    with records.reads.connect() as connection:
        assert len(ledger.entries_of(connection, "ana")) == 4
        assert not ledger.standing_of(connection, "ana", MARKETING, SMS, minute(3)).allowed


def test_the_door_only_appends():
    doors = {
        name
        for name, value in vars(ledger).items()
        if callable(value) and value.__module__ == ledger.__name__
    }
    assert {name for name in doors if not name.startswith("_")} == {
        "count_granted",
        "entries_of",
        "entries_of_many",
        "record",
        "record_all",
        "standing_of",
        "withdrawals_recorded",
    }
