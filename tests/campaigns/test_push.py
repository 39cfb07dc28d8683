"""The push channel and Firebase's service, by the real HTTP client against the local provider."""

import json
from datetime import timedelta

import httpx2
import pytest

from campaigns.delivery.channels.channel import DeliveryError, Outgoing
from campaigns.delivery.channels.push import (
    CALL_SECONDS,
    PAUSE_SECONDS,
    PAUSES_LIMIT,
    START_WITHIN_SECONDS,
    Came,
    Notice,
    Push,
    PushResult,
    collapse_key,
)
from campaigns.delivery.channels.push_fcm import QUOTA_PAUSE_SECONDS, FcmPush, ServiceAccount
from campaigns.delivery.driving import is_driving
from consent.push import Environment, PushAddress, PushKind, push_address
from engine.handover import WAIT_LIMIT_SECONDS
from engine.provider.fault import Fault
from engine.provider.provider import Provider
from geofences.event import EventKind
from tests.conftest import MONDAY_NINE

TEXT = "Fresh bread until ten"


class Ticks:
    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture(scope="module")
def shared():
    with Provider() as opened:
        yield opened


@pytest.fixture
def provider(shared):
    shared.notifications.forget()
    return shared


@pytest.fixture
def ticks():
    return Ticks()


@pytest.fixture
def fcm(provider, tmp_path, clock, ticks):
    file = tmp_path / "account.json"
    file.write_text(json.dumps(provider.fcm.account()))
    with httpx2.Client() as client:
        yield FcmPush(ServiceAccount.read(file), client, clock, api_url=provider.url, ticks=ticks)


def token(value="phone-1", kind=PushKind.FCM_TOKEN, app="default"):
    return PushAddress(f"row-{value}", MONDAY_NINE, kind, app, Environment.PRODUCTION, {"token": value})


def notice(text=TEXT, campaign="bread", *, silent=False):
    return Notice("0" * 32, campaign, "Bakery", text, collapse_key(campaign), 900, silent)


def offer(*addresses, text=TEXT):
    return Outgoing("0" * 32, "bread", to="", text=text, valid_seconds=900, addresses=addresses)


@pytest.fixture
def buried():
    return []


@pytest.fixture
def channel(fcm, buried, ticks):
    services = {(PushKind.FCM_TOKEN, "default"): fcm, (PushKind.FCM_FID, "default"): fcm}
    return Push(
        services, title="Bakery", bury=lambda address, code: buried.append((address, code)), ticks=ticks
    )


def test_a_newer_offer_takes_the_place_of_an_older_one(provider, channel):
    first = channel.send(offer(token(), text="Bread until ten"))
    second = channel.send(offer(token(), token("the-fid", PushKind.FCM_FID), text="Bread until noon"))
    assert first.provider_id.startswith("projects/")
    assert second.provider_id != first.provider_id
    shown = provider.notifications.shown()
    assert [(each.address, each.body) for each in shown] == [
        ("phone-1", "Bread until noon"),
        ("the-fid", "Bread until noon"),
    ]
    assert {(each.title, each.valid_seconds, each.silent) for each in shown} == {("Bakery", 900, False)}
    assert len({each.tag for each in shown}) == 1


def test_a_driver_hears_nothing(provider, fcm):
    assert fcm.push(token(), notice(silent=True)).came is Came.TAKEN
    assert [each.silent for each in provider.notifications.shown()] == [True]


@pytest.mark.parametrize(
    ("kind", "evidence", "drives"),
    [
        (EventKind.STUCK, {}, True),
        (EventKind.CROSS, {}, True),
        (EventKind.APPROACH, {"vehicle": 0.9}, True),
        (EventKind.APPROACH, {"walking": 0.9}, False),
        (EventKind.NEARBY, {"vehicle": 0.4}, False),
        (EventKind.ENTER, {"accuracy_m": 8.0}, False),
    ],
)
def test_who_is_at_the_wheel(kind, evidence, drives):
    assert is_driving(kind, evidence) is drives


@pytest.mark.parametrize(
    ("value", "came", "code"),
    [
        ("unregistered-1", Came.DEAD, "UNREGISTERED"),
        ("mismatch-1", Came.REFUSED, "SENDER_ID_MISMATCH"),
        ("invalid-1", Came.REFUSED, "INVALID_ARGUMENT"),
        ("busy-1", Came.RETRY, "QUOTA_EXCEEDED"),
    ],
)
def test_each_word_of_firebase_is_told_apart(fcm, value, came, code):
    result = fcm.push(token(value), notice())
    assert (result.came, result.code) == (came, code)


THIRD_PARTY = json.dumps(
    {
        "error": {
            "details": [
                {
                    "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError",
                    "errorCode": "THIRD_PARTY_AUTH_ERROR",
                }
            ]
        }
    }
).encode()
BARE = b'{"error": {"code": 404, "message": "Not found", "status": "NOT_FOUND"}}'
OTHER = json.dumps(
    {
        "error": {
            "details": [{"@type": "type.googleapis.com/google.rpc.BadRequest", "errorCode": "UNREGISTERED"}]
        }
    }
).encode()


@pytest.mark.parametrize(
    ("fault", "came"),
    [
        (Fault(404, body=BARE), Came.REFUSED),
        (Fault(404, body=OTHER), Came.REFUSED),
        (Fault(404, body=b"<html>"), Came.REFUSED),
        (Fault(404, body=b'{"error": {"details": ["UNREGISTERED"]}}'), Came.REFUSED),
        (Fault(400, body=b"{}"), Came.REFUSED),
        (Fault(401, body=b"{}"), Came.SHUT_OUT),
        (Fault(401, body=THIRD_PARTY), Came.REFUSED),
        (Fault(403, body=b"{}"), Came.SHUT_OUT),
        (Fault(500, body=b"{}"), Came.UNKNOWN),
        (Fault(503, body=b"{}"), Came.RETRY),
        (Fault(drop=True, accept=True), Came.UNKNOWN),
    ],
)
def test_nothing_but_firebases_own_word_ends_an_address(provider, fcm, fault, came):
    fcm.push(token(), notice())
    provider.fail_next(fault)
    assert fcm.push(token(), notice()).came is came


@pytest.mark.parametrize(
    ("status", "said_seconds", "seconds", "busy"),
    [(429, 37, 37, True), (429, 0, QUOTA_PAUSE_SECONDS, True), (503, 9, 9, True), (503, 0, None, False)],
)
def test_retry_after_is_told(provider, fcm, status, said_seconds, seconds, busy):
    provider.fail_next(Fault(status, body=b"{}", retry_after_seconds=said_seconds))
    result = fcm.push(token(), notice())
    assert (result.retry_after_seconds, result.busy) == (seconds, busy)


def test_a_hanging_service_frees_the_worker(provider, fcm, monkeypatch):
    monkeypatch.setattr("campaigns.delivery.channels.service_call.TIMEOUT", httpx2.Timeout(0.2))
    fcm.push(token(), notice())
    provider.fail_next(Fault(hang=True))
    assert fcm.push(token(), notice()).came is Came.UNKNOWN


def test_an_access_token_is_kept_while_it_is_good(provider, fcm, ticks):
    assert fcm.push(token(), notice()).came is Came.TAKEN
    provider.fcm.end_access()
    assert fcm.push(token(), notice()).came is Came.SHUT_OUT  # and is forgotten
    assert fcm.push(token(), notice()).came is Came.TAKEN
    provider.fcm.end_access()
    ticks.seconds += 3600
    assert fcm.push(token(), notice()).came is Came.TAKEN


def test_a_wrong_account_pauses_its_app_and_ends_no_address(provider, clock, ticks, buried):
    wrong = provider.fcm.account() | {"client_email": "stranger@example.org"}
    account = ServiceAccount(
        wrong["project_id"], wrong["client_email"], wrong["private_key"], wrong["token_uri"]
    )
    with httpx2.Client() as client:
        service = FcmPush(account, client, clock, api_url=provider.url, ticks=ticks)
        channel = Push({(PushKind.FCM_TOKEN, "default"): service}, title="B", bury=buried.append, ticks=ticks)
        codes = []
        for _ in range(2):
            with pytest.raises(DeliveryError) as raised:
                channel.send(offer(token()))
            codes.append((raised.value.permanent, raised.value.outcome_unknown, raised.value.code))
            ticks.seconds += 100
    assert codes == [(False, False, "invalid_grant"), (False, False, "paused")]
    assert (raised.value.retry_after_seconds, raised.value.busy) == (PAUSE_SECONDS - 100, False)
    assert channel.paused() == ((PushKind.FCM_TOKEN, "default"),)
    ticks.seconds += PAUSE_SECONDS
    assert channel.paused() == ()
    assert buried == []


def browser(host):
    return PushAddress("row", None, PushKind.WEBPUSH, "site", None, {"endpoint": f"https://{host}/x"})


def test_one_push_service_of_browsers_that_refuses_our_key_pauses_no_other(ticks):
    called = []

    class Told:
        def push(self, address, _notice):
            called.append(address.value["endpoint"])
            return PushResult(Came.TAKEN if "fine" in called[-1] else Came.SHUT_OUT, "403")

    channel = Push({(PushKind.WEBPUSH, "site"): Told()}, title="B", bury=lambda *_: None, ticks=ticks)
    for _ in range(2):
        assert channel.send(offer(browser("Evil.example"), browser("fine.example")))
    assert called == [f"https://{host}/x" for host in ("Evil.example", "fine.example", "fine.example")]
    for number in range(PAUSES_LIMIT + 1):
        with pytest.raises(DeliveryError):
            channel.send(offer(browser(f"{number}.example")))
    assert len(channel._paused_until) <= PAUSES_LIMIT
    assert channel.paused() == ((PushKind.WEBPUSH, "site"),)


def test_of_several_devices_the_soonest_says_when_to_try_again():
    results = iter([PushResult(Came.RETRY, "a", retry_after_seconds=90), PushResult(Came.RETRY, "b")])

    class Told:
        def push(self, _address, _notice):
            return next(results)

    channel = Push({(PushKind.FCM_TOKEN, "default"): Told()}, title="B", bury=lambda *_: None)
    with pytest.raises(DeliveryError) as raised:
        channel.send(offer(token("1"), token("2")))
    assert (raised.value.code, raised.value.retry_after_seconds) == ("b", None)


def test_an_address_that_cannot_be_buried_keeps_no_other_device_from_the_offer(fcm, caplog):
    def bury(address, _code):
        raise RuntimeError(f"no room for {address.value}")

    channel = Push({(PushKind.FCM_TOKEN, "default"): fcm}, title="B", bury=bury)
    assert channel.send(offer(token("unregistered-1"), token())).provider_id
    assert "RuntimeError" in caplog.text
    assert "unregistered-1" not in caplog.text


@pytest.mark.parametrize(
    "key", ["", "-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----\n", None, 7]
)
def test_an_account_whose_key_cannot_sign_is_refused_at_once(provider, tmp_path, key):
    file = tmp_path / "account.json"
    file.write_text(json.dumps(provider.fcm.account() | {"private_key": key}))
    with pytest.raises(ValueError, match="private_key"):
        ServiceAccount.read(file)


def test_one_address_that_takes_it_is_enough_and_the_dead_are_buried(channel, buried):
    dead = token("unregistered-1")
    assert channel.send(offer(dead, token(), token("x", PushKind.APNS))).provider_id
    assert buried == [(dead, "UNREGISTERED")]


@pytest.mark.parametrize(
    ("came", "permanent", "unknown"),
    [
        ((Came.DEAD, Came.REFUSED), True, False),
        ((Came.DEAD, Came.RETRY), False, False),
        ((Came.REFUSED, Came.SHUT_OUT), False, False),
        ((Came.RETRY, Came.UNKNOWN, Came.DEAD), False, True),
        ((), True, False),
    ],
)
def test_a_message_is_as_well_off_as_the_best_of_its_addresses(came, permanent, unknown):
    results = iter(came)

    class Told:
        def push(self, _address, _notice):
            return PushResult(next(results))

    channel = Push({(PushKind.FCM_TOKEN, "default"): Told()}, title="B", bury=lambda *_: None)
    with pytest.raises(DeliveryError) as raised:
        channel.send(offer(*[token(str(number)) for number in range(len(came))]))
    assert (raised.value.permanent, raised.value.outcome_unknown) == (permanent, unknown)
    assert TEXT not in str(raised.value)


def test_no_call_begins_once_the_time_is_over(ticks):
    class Slow:
        def push(self, _address, _notice):
            ticks.seconds += START_WITHIN_SECONDS
            return PushResult(Came.UNKNOWN)

    channel = Push({(PushKind.FCM_TOKEN, "default"): Slow()}, title="B", bury=lambda *_: None, ticks=ticks)
    with pytest.raises(DeliveryError):
        channel.send(offer(*[token(str(number)) for number in range(20)]))
    assert ticks.seconds <= 2 * START_WITHIN_SECONDS
    assert START_WITHIN_SECONDS + CALL_SECONDS < WAIT_LIMIT_SECONDS, "or a withdrawal is answered too late"


@pytest.mark.parametrize(
    "raw",
    [
        None,
        {},
        {"token": "t"},
        {"kind": "pager", "token": "t"},
        {"kind": "webpush", "endpoint": "https://x"},
        [],
    ],
)
def test_what_is_no_address_is_none(raw):
    assert push_address("row", None, raw) is None


def test_an_address_says_of_which_app_and_environment_it_is_and_hides_its_value():
    read = push_address(
        "row", MONDAY_NINE, {"kind": "apns", "token": "ab12", "app": "org.x", "environment": "sandbox"}
    )
    assert (read.kind, read.app, read.environment) == (PushKind.APNS, "org.x", Environment.SANDBOX)
    assert "ab12" not in repr(read)
    assert read.since + timedelta(0) == MONDAY_NINE
