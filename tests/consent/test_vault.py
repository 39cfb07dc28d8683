import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent import store
from consent.data_keys import register_keys
from consent.keyring import Key, KeyKind, KeyMissing, Keyring, UnreadableKeys
from consent.phone import normalise
from consent.subject import Device, Subject
from consent.vault import DataKey, Unsealable, Vault
from tests.consent.cast import ANA, ANAS_PHONE, minute

ANAS = DataKey("ana", bytes(range(32)))


@pytest.fixture
def keyring(tmp_path):
    return Keyring(tmp_path / "keys" / "vault.keys")


@given(st.text())
def test_what_is_sealed_opens_and_looks_different_each_time(text):
    first, second = ANAS.seal("phone", text), ANAS.seal("phone", text)
    assert first != second
    assert ANAS.open("phone", first) == ANAS.open("phone", second) == text
    alike = ANAS.seal_alike("device", text)
    assert alike == ANAS.seal_alike("device", text)
    assert ANAS.open_alike("device", alike) == text


def test_sealed_for_one_place_it_opens_nowhere_else():
    sealed, alike = ANAS.seal("phone", ANAS_PHONE), ANAS.seal_alike("device", "phone-1")
    other, namesake = DataKey("ana", bytes(32)), DataKey("ben", bytes(range(32)))
    for attempt in (
        lambda: ANAS.open("push", sealed),
        lambda: namesake.open("phone", sealed),
        lambda: other.open("phone", sealed),
        lambda: ANAS.open("phone", sealed[:-2] + ("AA" if sealed[-2:] != "AA" else "BB")),
        lambda: ANAS.open("phone", ANAS_PHONE),
        lambda: ANAS.open("phone", "$1$"),
        lambda: ANAS.open_alike("event", alike),
        lambda: namesake.open_alike("device", alike),
        lambda: ANAS.open_alike("device", sealed),
    ):
        with pytest.raises(Unsealable):
            attempt()


def test_a_wrapped_key_opens_for_its_subject_and_master_only(keyring):
    first, second = keyring.add([KeyKind.MASTER, KeyKind.MASTER])
    vault, wrapped = Vault(keyring), ANAS.wrapped(first)
    sealed = ANAS.seal("phone", ANAS_PHONE)
    assert vault.unwrap("ana", first.id, wrapped).open("phone", sealed) == ANAS_PHONE
    for subject, master in (("ben", first.id), ("ana", second.id)):
        with pytest.raises(Unsealable):
            vault.unwrap(subject, master, wrapped)


def test_a_number_written_in_six_ways_has_one_fingerprint(keyring):
    [key] = keyring.add([KeyKind.INDEX])
    ways = ["+33639980001", "06 39 98 00 01", "0033639980001", "tel:+33639980001", "+33 (0)6 39 98 00 01"]
    ways.append("０６３９９８０００１")
    found = {Vault(keyring).fingerprint(key.id, "phone", normalise(way)) for way in ways}
    assert len(found) == 1
    assert found.pop().startswith(f"{key.id}$")
    assert Vault(keyring).fingerprint(key.id, "device", ANAS_PHONE) not in found


def test_the_file_of_keys_is_for_its_owner_only_and_is_read_again(keyring):
    [key] = keyring.add([KeyKind.INDEX])
    assert stat.S_IMODE(keyring.path.stat().st_mode) == 0o600
    elsewhere = Keyring(keyring.path)
    assert elsewhere.key(key.id) == key
    [added] = keyring.add([KeyKind.MASTER])
    assert elsewhere.key(added.id) == added
    keyring.drop([key.id])
    assert elsewhere.read() == [added]
    with pytest.raises(KeyMissing, match=key.id):
        elsewhere.key(key.id)


@pytest.mark.parametrize("line", ["master", "master m-1 short", f"pass m-1 {'A' * 43}=", "\xff"])
def test_a_file_that_holds_something_else_is_refused_by_its_line(keyring, line):
    keyring.add([KeyKind.MASTER])
    with keyring.path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(UnreadableKeys) as refused:
        keyring.read()
    assert "A" * 40 not in str(refused.value)


def test_a_key_shows_no_secret():
    assert "secret" not in repr(Key(KeyKind.MASTER, "m-1", b"secret"))


def test_a_database_refuses_to_work_with_the_keys_of_another(records, tmp_path):
    path = tmp_path / "vault.keys"
    kept = path.read_text()
    with records.writes.begin() as connection:
        register_keys(connection)
    for wrong in ("", kept.replace(kept.rsplit(" ", 1)[1][:6], "AAAAAA")):
        path.write_text(wrong)
        with pytest.raises(KeyMissing), records.writes.begin() as connection:
            register_keys(connection)
    path.write_text(kept)
    with records.writes.begin() as connection:
        register_keys(connection)


def test_nothing_stands_in_clear_in_the_tables(records):
    full = Subject(
        id="ana",
        phone=ANAS_PHONE,
        attributes={"first_name": "Anaïs"},
        devices=(Device("phone-1", {"kind": "fcm_token", "token": "t0k3n"}),),
    )
    with records.writes.begin() as connection:
        store.put_subject(connection, full, minute(0))
        rows = [
            str(row)
            for table in ("subjects", "devices", "subject_keys", "vault_keys")
            for row in connection.exec_driver_sql(f"SELECT * FROM {table}")
        ]
    assert rows
    for value in (ANAS_PHONE[1:], "Ana", "phone-1", "t0k3n"):
        assert not [row for row in rows if value in row]


def test_a_value_that_was_moved_to_another_row_does_not_open(records):
    with records.writes.begin() as connection:
        store.put_subject(connection, ANA, minute(0))
        store.put_subject(connection, Subject(id="eve", phone="+33639980009"), minute(0))
        connection.exec_driver_sql(
            "UPDATE subjects SET phone = (SELECT phone FROM subjects WHERE id = 'ana') WHERE id = 'eve'"
        )
        with pytest.raises(Unsealable):
            store.phone_of(connection, "eve")
        assert store.phone_of(connection, "ana") == ANAS_PHONE
