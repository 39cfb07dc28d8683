"""Both keys are rotated by the command, in a process of its own, while others look up, send and write."""

import json
import os
import random
import threading
import time
from itertools import count

import pytest

from consent import rotation, store
from consent.data_keys import KeyState, ids_in_state, key_of, keys_in_use, vault_of
from consent.errors import DeviceTaken
from consent.keyring import KeyKind, KeyMissing
from consent.subject import Device, Subject
from consent.tables import subject_keys
from consent.vault import Unsealable
from tests.consent.cast import ANA, ANAS_PHONE, BEN, minute
from tests.support.command import chaland_process

SUBJECTS = int(os.environ.get("ROTATED_SUBJECTS", "500"))
"""`make rotation` asks for 100,000."""
READERS = 2


def phone(number):
    return f"+3363{number:08d}"


def someone(number):
    push = {"kind": "fcm_token", "token": f"t-{number}"}
    return Subject(
        id=f"s{number}", phone=phone(number), attributes={"n": number}, devices=(Device(f"d{number}", push),)
    )


@pytest.fixture
def crowd(records):
    """Many subjects, written as `put_subject` does, but a thousand rows at a time."""
    with records.writes.begin() as connection:
        vault, in_use = vault_of(connection), keys_in_use(connection)
        for start in range(0, SUBJECTS, 1000):
            rows = [rows_of(vault, in_use, number) for number in range(start, min(start + 1000, SUBJECTS))]
            for table, of_table in zip(
                (subject_keys, store.subjects, store.devices), zip(*rows, strict=True), strict=True
            ):
                connection.execute(table.insert(), list(of_table))
    with records.reads.connect() as connection:
        last = SUBJECTS - 1
        assert store.get_subject(connection, f"s{last}") == someone(last)
    return records


def rows_of(vault, in_use, number):
    subject = someone(number)
    [device] = subject.devices
    key = vault.new_data_key(subject.id)
    return (
        {
            "subject": subject.id,
            "master": in_use.master,
            "wrapped": key.wrapped(vault.keyring.key(in_use.master)),
        },
        {
            "id": subject.id,
            "attributes": key.seal("attributes", json.dumps(subject.attributes)),
            "created_at": minute(0),
            "updated_at": minute(0),
            **store._sealed_phone(vault, in_use, key, subject.phone),
        },
        {
            "device": vault.fingerprint(in_use.index, "device", device.device),
            "name": key.seal("device", device.device),
            "subject": subject.id,
            "position": 0,
            "push": key.seal("push", json.dumps(device.push)),
        },
    )


class Traffic(threading.Thread):
    """Looks subjects up by phone and device, and unseals them, until told to stop; notes what it did not find."""

    def __init__(self, records, seed):
        super().__init__()
        self.records, self.random, self.stop = records, random.Random(seed), threading.Event()
        self.lookups, self.failed, self.slowest = 0, [], 0.0

    def run(self):
        while not self.stop.is_set():
            number, began = self.random.randrange(SUBJECTS), time.perf_counter()
            try:
                with self.records.reads.connect() as connection:
                    found = (
                        store.subjects_with_phone(connection, phone(number)),
                        store.subject_of_device(connection, f"d{number}"),
                        store.phone_of(connection, f"s{number}"),
                        store.reachable(connection, [f"s{number}"])[f"s{number}"].attributes,
                    )
            except Exception as error:  # noqa: BLE001  # a failed lookup, whatever failed
                found = repr(error)
            if found != ([f"s{number}"], f"s{number}", phone(number), {"n": number}):
                self.failed.append((number, found))
            self.lookups += 4
            self.slowest = max(self.slowest, time.perf_counter() - began)


class Writing(threading.Thread):
    """Changes subjects, makes new ones known and tries to take others' devices, until told to stop."""

    def __init__(self, records):
        super().__init__()
        self.records, self.stop, self.writes, self.failed = records, threading.Event(), 0, []

    def run(self):
        chosen = random.Random(7)
        for new in count(SUBJECTS):
            if self.stop.is_set():
                return
            thief = Subject(id=f"thief{new}", devices=(Device(f"d{chosen.randrange(SUBJECTS)}"),))
            try:
                with self.records.writes.begin() as connection:
                    store.put_subject(connection, someone(chosen.randrange(SUBJECTS)), minute(1))
                    store.put_subject(connection, someone(new), minute(1))
                with self.records.reads.connect() as connection:
                    found = store.subjects_with_phone(connection, phone(new))
                    owner = store.subject_of_device(connection, f"d{new}")
                if (found, owner) != ([f"s{new}"], f"s{new}"):
                    self.failed.append(new)
                with self.records.writes.begin() as connection:
                    store.put_subject(connection, thief, minute(1))
            except DeviceTaken:
                self.writes += 3
            except Exception as error:  # noqa: BLE001
                self.failed.append(repr(error))
            else:
                self.failed.append(thief)


def rotate_by_command(records, tmp_path):
    url = records.writes.url.render_as_string(hide_password=False)
    return chaland_process("vault", "rotate", data_dir=tmp_path, CHALAND_DATABASE_URL=url)


def test_no_lookup_fails_while_both_keys_are_rotated(crowd, tmp_path, tell):
    with crowd.reads.connect() as connection:
        old = {kind: ids_in_state(connection, kind, KeyState.CURRENT) for kind in rotation.ROTATED}
    readers = [Traffic(crowd, seed) for seed in range(READERS)]
    threads = [*readers, writing := Writing(crowd)]
    for each in threads:
        each.start()
    began = time.perf_counter()
    done = rotate_by_command(crowd, tmp_path)
    took = time.perf_counter() - began
    for each in threads:
        each.stop.set()
        each.join()
    assert done.returncode == 0, done.stderr
    lookups, slowest = sum(each.lookups for each in readers), max(each.slowest for each in readers)
    tell(
        f"{crowd.writes.dialect.name}: {SUBJECTS} subjects rotated in {took:.1f} s while {lookups} lookups and "
        f"{writing.writes} writes went on; failed: {sum(len(each.failed) for each in threads)}; "
        f"the slowest four lookups took {slowest * 1000:.0f} ms together"
    )
    assert [each.failed for each in threads] == [[]] * len(threads)
    assert lookups > 100
    assert writing.writes > 0
    with crowd.reads.connect() as connection:
        for kind in rotation.ROTATED:
            assert ids_in_state(connection, kind, KeyState.RETIRED) == old[kind]
            assert not ids_in_state(connection, kind, KeyState.RETIRING)
        rows = connection.exec_driver_sql(
            "SELECT phone_index FROM subjects WHERE phone_index IS NOT NULL UNION ALL SELECT device FROM devices"
        ).scalars()
        assert {row.partition("$")[0] for row in rows} == set(
            ids_in_state(connection, KeyKind.INDEX, KeyState.CURRENT)
        )
        masters = set(connection.exec_driver_sql("SELECT master FROM subject_keys").scalars())
        assert masters == set(ids_in_state(connection, KeyKind.MASTER, KeyState.CURRENT))


def known(records):
    with records.reads.connect() as connection:
        return (
            store.get_subjects(connection, ["ana", "ben"]),
            store.subjects_with_phone(connection, ANAS_PHONE),
            store.subject_of_device(connection, "phone-2"),
        )


def put(records, *subjects):
    with records.writes.begin() as connection:
        for subject in subjects:
            store.put_subject(connection, subject, minute(0))


def test_an_interrupted_rotation_loses_nothing_and_is_taken_up_again(records, monkeypatch):
    monkeypatch.setattr(rotation, "PAGE", 1)
    put(records, ANA, BEN)
    before = known(records)
    total = sum(rotation.rotate(records.writes))
    for stops_after in range(total):
        steps = rotation.rotate(records.writes)
        for _ in range(stops_after + 1):
            next(steps)
        steps.close()
        assert known(records) == before
        with records.reads.connect() as connection:
            begun = ids_in_state(connection, KeyKind.INDEX, KeyState.CURRENT)
        assert sum(rotation.rotate(records.writes)) == total
        assert known(records) == before
        with records.reads.connect() as connection:
            assert ids_in_state(connection, KeyKind.INDEX, KeyState.CURRENT) == begun
            assert not ids_in_state(connection, KeyKind.INDEX, KeyState.RETIRING)


def test_a_retired_key_is_gone_from_the_file_and_older_backups_stay_shut(records):
    put(records, ANA, BEN)
    before = known(records)
    with records.reads.connect() as connection:
        backup = connection.exec_driver_sql("SELECT * FROM subject_keys WHERE subject = 'ana'").one()
        vault = vault_of(connection)
        assert vault.unwrap(*backup)
    list(rotation.rotate(records.writes))
    gone = rotation.retire(records.writes)
    assert len(gone) == 2
    assert known(records) == before
    assert not {key.id for key in vault.keyring.read()} & set(gone)
    with pytest.raises(KeyMissing):
        vault.unwrap(*backup)
    assert rotation.retire(records.writes) == []


def test_a_prepared_key_waits_for_the_rotation(records):
    put(records, ANA)
    prepared = rotation.prepare(records.writes)
    assert rotation.prepare(records.writes) == prepared
    with records.reads.connect() as connection:
        assert ids_in_state(connection, KeyKind.MASTER, KeyState.CURRENT) != (prepared[0],)
    list(rotation.rotate(records.writes))
    with records.reads.connect() as connection:
        now = [ids_in_state(connection, kind, KeyState.CURRENT) for kind in rotation.ROTATED]
        assert now == [(each,) for each in prepared]


def test_a_suppression_outlives_a_rotation(records):
    from consent import suppression

    with records.writes.begin() as connection:
        mark = suppression.mark_of(connection, ANAS_PHONE)
        suppression.suppress(connection, mark, suppression.Because.OPT_OUT, minute(0))
    list(rotation.rotate(records.writes))
    rotation.retire(records.writes)
    with records.reads.connect() as connection:
        again = suppression.mark_of(connection, ANAS_PHONE)
        assert suppression.suppression_of(connection, again) is not None


def test_a_destroyed_data_key_opens_nothing(records):
    put(records, ANA)
    with records.writes.begin() as connection:
        sealed = connection.exec_driver_sql("SELECT phone FROM subjects").scalar_one()
        assert key_of(connection, "ana").open("phone", sealed) == ANAS_PHONE
        store.delete_subject(connection, "ana")
        with pytest.raises(Unsealable):
            key_of(connection, "ana")
        store.put_subject(connection, ANA, minute(1))
        with pytest.raises(Unsealable):
            key_of(connection, "ana").open("phone", sealed)
