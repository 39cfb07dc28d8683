from datetime import timedelta

from consent.entry import Action, Channel, Entry, Purpose
from consent.ledger import record
from consent.push import (
    IDLE_KINDS,
    PushKind,
    addresses_of,
    forget_address,
    forget_idle,
)
from consent.store import get_subject, put_subject
from consent.subject import Device, Subject
from tests.consent.cast import minute, withdraw

DAY = timedelta(days=1)


def phone(name="phone-1", token="t-1", kind="fcm_token"):
    return Device(name, {"kind": kind, "token": token})


def put(connection, *devices, at=0):
    put_subject(connection, Subject("ana", devices=devices), minute(at))


def tokens(connection):
    return [address.value["token"] for address in addresses_of(connection, "ana")]


def say(connection, action, channel, at):
    entry = Entry(
        id=f"{action}-{channel}-{at}",
        subject="ana",
        purpose=Purpose.MARKETING,
        channel=channel,
        action=action,
        source="app",
        text_version="v1",
        at=minute(at),
        recorded_at=minute(at),
        actor="test",
    )
    record(connection, entry)


def test_an_address_keeps_its_age_for_as_long_as_it_stays_the_same(records):
    with records.writes.begin() as connection:
        put(connection, phone(), phone("phone-2", "t-2", "apns"), Device("phone-3"))
        put(connection, phone(), phone("phone-2", "t-3", "apns"), at=5)
        found = [(each.kind, each.value["token"], each.since) for each in addresses_of(connection, "ana")]
    assert found == [(PushKind.FCM_TOKEN, "t-1", minute(0)), (PushKind.APNS, "t-3", minute(5))]


def test_a_dead_address_goes_unless_the_device_has_given_another_since(records):
    with records.writes.begin() as connection:
        put(connection, phone(), phone("phone-2", "t-2"))
        first, second = addresses_of(connection, "ana")
        put(connection, phone(), phone("phone-2", "t-9"), at=5)
        assert forget_address(connection, first)
        assert not forget_address(connection, second)
        assert tokens(connection) == ["t-9"]
        assert [each.device for each in get_subject(connection, "ana").devices] == ["phone-1", "phone-2"]


def test_a_withdrawal_of_offers_by_push_ends_the_addresses_and_no_other_does(records):
    with records.writes.begin() as connection:
        put(connection, phone())
        say(connection, Action.GRANT, Channel.PUSH, 1)
        say(connection, Action.WITHDRAW, Channel.SMS, 2)
        assert tokens(connection) == ["t-1"]
        say(connection, Action.GRANT, Channel.PUSH, 9)
        say(connection, Action.WITHDRAW, Channel.PUSH, 10)
        assert tokens(connection) == []
        assert get_subject(connection, "ana").devices == (Device("phone-1"),)


def test_a_withdrawal_of_every_channel_ends_the_addresses_and_one_of_location_does_not(records):
    with records.writes.begin() as connection:
        put(connection, phone())
        say(connection, Action.GRANT, Channel.PUSH, 1)
        record(connection, withdraw(minute(2), purpose=Purpose.LOCATION))
        say(connection, Action.GRANT, Channel.PUSH, 9)
        record(connection, withdraw(minute(5), channel=None, recorded_at=minute(10)))  # before the grant
        assert tokens(connection) == ["t-1"]
        say(connection, Action.WITHDRAW, None, 11)
        assert tokens(connection) == []


def test_an_address_of_firebase_that_no_app_has_told_of_for_long_is_ended(records):
    with records.writes.begin() as connection:
        put(connection, phone(), phone("phone-2", "t-2", "apns"))
        assert forget_idle(connection, IDLE_KINDS, minute(0) - DAY) == 0
        put(connection, phone(), phone("phone-2", "t-2", "apns"), at=5)
        assert forget_idle(connection, IDLE_KINDS, minute(5)) == 0
        assert forget_idle(connection, IDLE_KINDS, minute(6)) == 1
        assert tokens(connection) == ["t-2"]
