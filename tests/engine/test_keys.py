"""Keys: two of one app while it changes from one to the other, and when each was last used."""

from contextlib import closing

import pytest
from sqlalchemy import text

from engine.doors.keys import LIVE_KEYS_OF_APP, USED_EVERY, Keys, Scope


@pytest.fixture
def keys(records, clock):
    return Keys(records, "admin-secret", clock)


def last_used(keys, key):
    keys.close()
    return {each.id: each.last_used_at for each in keys.all()}[key.id]


def test_when_a_key_was_last_used_is_kept_as_exactly_as_said(records, clock, keys):
    key, secret = keys.create("shop", [Scope.INGEST])
    unused, _ = keys.create("other", [Scope.INGEST])
    first = clock()
    keys.find(secret)
    clock.advance(seconds=USED_EVERY.total_seconds() - 1)
    keys.find(secret)
    assert last_used(keys, key) == first
    clock.advance(seconds=2)
    with closing(Keys(records, "", clock)) as other:
        other.find(secret)
        other.find("ck_00000000_wrong")
        other.find(f"{secret}x")
    assert last_used(other, key) == clock()
    assert last_used(other, unused) is None


def test_an_older_use_that_is_told_later_changes_nothing(records, clock, keys):
    key, secret = keys.create("shop", [Scope.INGEST])
    clock.advance(hours=1)
    newest = clock()
    keys.find(secret)
    clock.advance(hours=-1)
    with closing(Keys(records, "", clock)) as behind:
        behind.find(secret)
    assert last_used(keys, key) == newest


def test_a_store_that_does_not_take_it_keeps_nobody_out(records, clock, keys, caplog):
    key, secret = keys.create("shop", [Scope.INGEST])
    with records.writes.begin() as connection:
        connection.execute(text("ALTER TABLE api_keys RENAME COLUMN last_used_at TO away"))
    keys.used(key)
    keys.close()
    with records.writes.begin() as connection:
        connection.execute(text("ALTER TABLE api_keys RENAME COLUMN away TO last_used_at"))
    assert "not written down" in caplog.text
    assert secret not in caplog.text
    with closing(Keys(records, "", clock)) as again:
        assert again.find(secret) == key


def test_an_app_has_two_live_keys_and_no_third(keys, clock):
    first, old = keys.create("shop", [Scope.INGEST])
    clock.advance(seconds=1)
    second, new = keys.create("shop, new", [Scope.INGEST], first.id)
    assert {keys.find(each).app for each in (old, new)} == {first.id}
    assert [key.id for key in keys.of_app(first.id)] == [second.id, first.id]
    assert len(keys.of_app(first.id)) == LIVE_KEYS_OF_APP
    with pytest.raises(ValueError, match="revoke the old one"):
        keys.create("third", [Scope.INGEST], first.id)
    keys.revoke(first.id)
    assert keys.find(old) is None
    assert [key.id for key in keys.of_app(first.id)] == [second.id]
    third, _ = keys.create("third", [Scope.INGEST], first.id)
    assert third.app == first.id
    for stranger in ("nobody", second.id):
        assert keys.of_app(stranger) == []
        with pytest.raises(ValueError, match="no app"):
            keys.create("x", [Scope.INGEST], stranger)


def test_both_keys_of_an_app_speak_of_the_same_devices_and_may_do_nothing_else(keys):
    first, secret = keys.create("shop", [Scope.INGEST], devices="shop:")
    second, _ = keys.create("shop, new", [Scope.INGEST], first.id)
    assert (keys.find(secret).devices, second.devices) == ("shop:", "shop:")
    keys.revoke(second.id)
    with pytest.raises(ValueError, match="other devices"):
        keys.create("x", [Scope.INGEST], first.id, "rival:")
    for scopes, devices in (
        ([Scope.INGEST, Scope.PRIVACY], "shop:"),
        ([Scope.MARKETING], "s"),
        ([Scope.INGEST], "x" * 65),
        ([Scope.INGEST], "shop/"),
    ):
        with pytest.raises(ValueError, match=r"alone|at most"):
            keys.create("x", scopes, devices=devices)
