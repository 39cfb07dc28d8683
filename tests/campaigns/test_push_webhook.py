"""Offers by Standard Webhooks, against the local provider and over the client that keeps us out of our own network."""

import json
from contextlib import closing

import pytest

from campaigns.delivery.channels.push import Came, Notice, collapse_key
from campaigns.delivery.channels.push_webhook import WebhookPush, WebhookTarget
from consent.push import PushAddress, PushKind
from engine.destination import Destinations, Targets
from engine.outbound import Outbound
from engine.provider.fault import Fault
from engine.provider.provider import Provider
from engine.provider.webhook_api import PATH, SECRET
from engine.push_apps import InvalidPushApps, PushApps, posting
from tests.conftest import MONDAY_NINE


@pytest.fixture(scope="module")
def shared():
    with Provider() as opened:
        yield opened


@pytest.fixture
def provider(shared):
    shared.notifications.forget()
    return shared


@pytest.fixture(scope="module")
def outbound():
    with closing(Outbound(Destinations(Targets.ANY), timeout_seconds=1)) as opened:
        yield opened


@pytest.fixture
def service(provider, outbound, clock):
    return WebhookPush(WebhookTarget.read(f"{provider.url}{PATH}", SECRET), posting(outbound), clock)


def device(to="pager-7"):
    return PushAddress(f"row-{to}", MONDAY_NINE, PushKind.WEBHOOK, "default", None, {"token": to})


def notice(message="0" * 32, *, silent=False):
    return Notice(message, "bread", "Bakery", "Fresh bread é☕", collapse_key("bread"), 900, silent)


def test_an_offer_arrives_signed_and_a_repeat_is_recognised(provider, service, clock):
    first = service.push(device(), notice())
    clock.advance(seconds=5)
    assert service.push(device(), notice()) == first
    assert service.push(device("pager-8"), notice(silent=True)).provider_id != first.provider_id
    shown = [(each.address, each.body, each.silent) for each in provider.notifications.shown()]
    assert shown == [("pager-7", "Fresh bread é☕", False), ("pager-8", "Fresh bread é☕", True)]
    assert provider.notifications.received == 2


@pytest.mark.parametrize(
    ("fault", "came"),
    [
        (Fault(202), Came.TAKEN),
        (Fault(301), Came.REFUSED),
        (Fault(400), Came.REFUSED),
        (Fault(404), Came.REFUSED),
        (Fault(401), Came.SHUT_OUT),
        (Fault(410), Came.SHUT_OUT),
        (Fault(429, retry_after_seconds=9), Came.RETRY),
        (Fault(500), Came.UNKNOWN),
        (Fault(drop=True, accept=True), Came.UNKNOWN),
        (Fault(hang=True), Came.UNKNOWN),
    ],
)
def test_each_answer_is_told_apart_and_none_ends_an_address(provider, service, fault, came):
    provider.fail_next(fault)
    result = service.push(device(), notice())
    assert result.came is came
    assert result.retry_after_seconds == (9 if fault.retry_after_seconds else None)


def test_another_secret_shuts_us_out(provider, outbound, clock):
    target = WebhookTarget.read(f"{provider.url}{PATH}", "whsec_" + "A" * 32)
    assert WebhookPush(target, posting(outbound), clock).push(device(), notice()).came is Came.SHUT_OUT


def test_it_does_not_reach_our_own_network(provider, clock):
    with closing(Outbound(Destinations())) as guarded:
        target = WebhookTarget.read(f"{provider.url}{PATH}", SECRET)
        result = WebhookPush(target, posting(guarded), clock).push(device(), notice())
    assert (result.came, result.code) == (Came.REFUSED, "refused_url")


@pytest.mark.parametrize("secret", ["A" * 40, "whsec_short", "whsec_" + "A" * 200, "whsec_é"])
def test_a_secret_that_is_none_is_refused(tmp_path, clock, outbound, secret):
    file = tmp_path / "push.toml"
    file.write_text(f'[webhook.x]\nurl = "https://shop.example.org/x"\nsecret = {json.dumps(secret)}\n')
    with pytest.raises(InvalidPushApps, match="whsec_"):
        PushApps(str(file), clock, outbound)


def test_a_url_that_is_never_called_is_refused_at_once(tmp_path, clock):
    file = tmp_path / "push.toml"
    file.write_text(f'[webhook.x]\nurl = "http://127.0.0.1/x"\nsecret = "{SECRET}"\n')
    with closing(Outbound(Destinations())) as guarded, pytest.raises(InvalidPushApps, match="https"):
        PushApps(str(file), clock, guarded)
