"""Apple's service, over HTTP/2 with the real client against the local provider."""

from contextlib import closing
from datetime import timedelta

import httpx2
import pytest

from campaigns.delivery.channels.push import Came, Notice, collapse_key
from campaigns.delivery.channels.push_apns import ApnsKey, ApnsPush
from consent.push import Environment, PushAddress, PushKind, push_address
from engine.destination import Destinations
from engine.outbound import Outbound
from engine.provider.apns_api import KEY_ID, TEAM_ID, TOPIC
from engine.provider.fault import Fault
from engine.provider.provider import Provider
from engine.push_apps import InvalidPushApps, PushApps
from tests.conftest import MONDAY_NINE

SANDBOX = Environment.SANDBOX


@pytest.fixture
def provider(clock):
    with Provider(now=clock, apns_port=0) as opened:
        yield opened


@pytest.fixture(scope="module")
def outbound():
    opened = Outbound(Destinations())
    yield opened
    opened.close()


@pytest.fixture
def file(provider, tmp_path):
    (tmp_path / "key.p8").write_text(provider.apns.key_file())
    file = tmp_path / "push.toml"
    file.write_text(
        f'[apns."{TOPIC}"]\nkey = "key.p8"\nkey_id = "{KEY_ID}"\nteam_id = "{TEAM_ID}"\napi_url = "{provider.apns_url}"\n'
    )
    return file


@pytest.fixture
def service(file, clock, outbound):
    with closing(PushApps(str(file), clock, outbound)) as apps:
        yield apps.services[PushKind.APNS, TOPIC]


def device(token="ab12", environment=Environment.PRODUCTION, since=MONDAY_NINE):
    return PushAddress("row", since, PushKind.APNS, TOPIC, environment, {"token": token})


def notice(text="Fresh bread until ten", *, silent=False):
    return Notice("0" * 32, "bread", "Bakery", text, collapse_key("bread"), 900, silent)


def test_a_newer_offer_takes_the_place_of_an_older_one_and_a_driver_hears_nothing(provider, service):
    first = service.push(device(), notice("Bread until ten"))
    second = service.push(device(), notice("Bread until noon", silent=True))
    assert (first.came, second.came) == (Came.TAKEN, Came.TAKEN)
    assert first.provider_id
    [shown] = provider.notifications.shown()
    assert (shown.body, shown.silent, shown.valid_seconds) == ("Bread until noon", True, 900)


def test_each_environment_has_its_own_tokens(provider, service):
    assert service.push(device("5a01", SANDBOX), notice()).came is Came.TAKEN
    assert service.push(device("5a01"), notice()).came is Came.DEAD
    # Where nobody said of which environment a token is, the wrong one may have been asked.
    assert service.push(device("5a01", None), notice()).came is Came.REFUSED
    assert service.push(device("ab12", None), notice()).came is Came.TAKEN


@pytest.mark.parametrize(
    ("ended", "since", "came"),
    [
        (timedelta(minutes=1), MONDAY_NINE, Came.DEAD),
        (timedelta(0), MONDAY_NINE, Came.REFUSED),
        (timedelta(minutes=-1), MONDAY_NINE, Came.REFUSED),
        (timedelta(minutes=1), None, Came.REFUSED),
    ],
)
def test_a_token_is_dead_only_if_it_ended_after_it_was_told(provider, service, ended, since, came):
    provider.apns.ended_at_ms = int((MONDAY_NINE + ended).timestamp() * 1000)
    result = service.push(device("dead01", since=since), notice())
    assert (result.came, result.code) == (came, "Unregistered")


@pytest.mark.parametrize(
    ("fault", "came"),
    [
        (Fault(403, body=b'{"reason": "ExpiredProviderToken"}'), Came.SHUT_OUT),
        (Fault(400, body=b'{"reason": "DeviceTokenNotForTopic"}'), Came.REFUSED),
        (Fault(410), Came.REFUSED),
        (Fault(404), Came.REFUSED),
        (Fault(429, body=b'{"reason": "TooManyRequests"}', retry_after_seconds=20), Came.RETRY),
        (Fault(429, body=b'{"reason": "TooManyProviderTokenUpdates"}'), Came.RETRY),
        (Fault(503, body=b'{"reason": "Shutdown"}'), Came.RETRY),
        (Fault(500, body=b'{"reason": "InternalServerError"}'), Came.UNKNOWN),
        (Fault(drop=True, accept=True), Came.UNKNOWN),
    ],
)
def test_each_answer_is_told_apart(provider, service, fault, came):
    provider.fail_next(fault)
    result = service.push(device(), notice())
    assert result.came is came
    assert result.retry_after_seconds == (20 if fault.retry_after_seconds else None)
    assert result.busy is (result.code == "TooManyProviderTokenUpdates"), (
        "too many to one device is about that device"
    )
    assert service.push(device(), notice()).came is Came.TAKEN


def test_a_hanging_service_frees_the_worker(provider, service, monkeypatch):
    monkeypatch.setattr("campaigns.delivery.channels.service_call.TIMEOUT", httpx2.Timeout(0.3))
    provider.fail_next(Fault(hang=True))
    assert service.push(device(), notice()).came is Came.UNKNOWN
    assert service.push(device(), notice()).came is Came.TAKEN


def test_a_key_that_is_not_the_teams_shuts_the_app_out(provider, clock):
    with httpx2.Client(http1=False, http2=True) as client:
        stranger = ApnsPush(
            TOPIC,
            ApnsKey(KEY_ID, "STRANGER", provider.apns.key_file()),
            client,
            clock,
            {Environment.PRODUCTION: provider.apns_url},
        )
        assert stranger.push(device(), notice()).came is Came.SHUT_OUT


def test_the_provider_token_is_kept_for_forty_minutes(service, clock):
    tokens = []
    for minutes in (0, 39, 1):
        clock.advance(minutes=minutes)
        service.push(device(), notice())
        tokens.append(service._token)
    assert tokens[0] == tokens[1] != tokens[2]


def test_a_file_that_holds_no_key_is_refused(file, clock, outbound):
    (file.parent / "key.p8").write_text("no key")
    with pytest.raises(InvalidPushApps, match="key"):
        PushApps(str(file), clock, outbound)


def test_the_environment_is_known_only_if_it_was_told():
    assert push_address("row", None, {"kind": "apns", "token": "ab12"}).environment is None
    told = push_address("row", None, {"kind": "apns", "token": "ab12", "environment": "sandbox"})
    assert told.environment is SANDBOX
