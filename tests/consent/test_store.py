from concurrent.futures import ThreadPoolExecutor

import pytest

from consent import store
from consent.errors import DeviceTaken
from consent.subject import Device, Subject
from tests.consent.cast import ANA, ANAS_PHONE, BEN, minute


def put(records, *subjects):
    with records.writes.begin() as connection:
        return [store.put_subject(connection, subject, minute(0)) for subject in subjects]


def test_a_subject_comes_back_as_it_was_put(records):
    full = Subject(
        id="ana",
        phone=ANAS_PHONE,
        locale="fr-FR",
        timezone="Europe/Paris",
        attributes={"first_name": "Anaïs", "visits": 3, "spent": 12.5, "vip": True},
        devices=(Device("z", {"kind": "fcm_token", "token": "t"}), Device("a")),
    )
    assert put(records, full) == [True]
    with records.reads.connect() as connection:
        assert store.get_subject(connection, "ana") == full
        assert store.get_subject(connection, "ben") is None


def test_putting_again_replaces_everything_but_the_day_of_creation(records):
    put(records, ANA)
    with records.writes.begin() as connection:
        assert not store.put_subject(connection, Subject(id="ana", devices=(Device("phone-9"),)), minute(5))
    with records.reads.connect() as connection:
        assert store.get_subject(connection, "ana") == Subject(id="ana", devices=(Device("phone-9"),))
        assert store.dates_of_subject(connection, "ana") == (minute(0), minute(5))
        assert store.subject_of_device(connection, "phone-1") is None


def test_devices_and_phones_lead_to_their_subjects(records):
    put(records, ANA, BEN, Subject(id="anas-work", phone=ANAS_PHONE))
    with records.reads.connect() as connection:
        assert store.subject_of_device(connection, "phone-1") == "ana"
        found = store.subjects_of_devices(connection, ["phone-2", "phone-1", "nobodys"])
        assert found == {"phone-1": "ana", "phone-2": "ben"}
        assert store.subjects_with_phone(connection, ANAS_PHONE) == ["ana", "anas-work"]
        assert store.get_subjects(connection, ["ben", "nobody"]) == {"ben": BEN}


def test_thousands_of_devices_are_looked_up_in_one_call(records):
    put(records, ANA)
    with records.reads.connect() as connection:
        names = [f"d{number}" for number in range(1500)] + ["phone-1"]
        assert store.subjects_of_devices(connection, names) == {"phone-1": "ana"}


def test_subjects_are_paged_by_id(records):
    put(records, ANA, BEN, Subject(id="cem"))
    with records.reads.connect() as connection:
        first = store.subject_ids_after(connection, None, 2)
        assert first == ["ana", "ben"]
        assert store.subject_ids_after(connection, first[-1], 2) == ["cem"]


def test_a_device_belongs_to_one_subject(records):
    put(records, ANA)
    with pytest.raises(DeviceTaken) as refused:
        put(records, Subject(id="ben", devices=(Device("phone-2"), Device("phone-1"))))
    assert refused.value.status == 409
    assert [flaw.field for flaw in refused.value.errors] == ["devices[1].device"]
    with records.reads.connect() as connection:
        assert store.get_subject(connection, "ben") is None


def test_a_deleted_subject_leaves_no_row(records):
    put(records, ANA)
    with records.writes.begin() as connection:
        store.add_inbound(connection, store.Inbound("SM1", "help", "none", "fr", minute(0)))
        store.settle_inbound(connection, "SM1", "help", ["ana"])
        assert store.delete_subject(connection, "ana")
        assert not store.delete_subject(connection, "ana")
    with records.reads.connect() as connection:
        assert store.subjects_with_phone(connection, ANAS_PHONE) == []
        assert store.subject_of_device(connection, "phone-1") is None
        assert store.get_inbound(connection, "SM1") == (
            store.Inbound("SM1", "help", "help", "fr", minute(0)),
            (),
        )


def test_only_a_known_subject_can_be_locked(records):
    put(records, ANA)
    with records.writes.begin() as connection:
        assert store.lock_subject(connection, "ana")
        assert not store.lock_subject(connection, "ben")


def test_two_who_make_the_same_subject_known_at_once_create_it_once(records):
    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(lambda _: put(records, ANA)[0], range(8)))
    assert sorted(created) == [False] * 7 + [True]


def test_of_many_who_claim_one_device_at_once_one_gets_it(records):
    def claim(number):
        try:
            return put(records, Subject(id=f"s{number}", devices=(Device("x"), Device("y"))))[0]
        except DeviceTaken:
            return False

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(claim, range(6))) == 1
