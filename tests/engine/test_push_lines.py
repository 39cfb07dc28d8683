"""Pushes keep to the lines of their apps: breaker, pauses and rates, shared by all senders."""

import json
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import count

import pytest

from campaigns.decide import compose, decide
from campaigns.decision_store import record_decision
from campaigns.delivery.breaker import BreakerState
from campaigns.delivery.channels.push import PAUSE_SECONDS, Came, Push, PushResult
from campaigns.gates import Reason
from campaigns.message_store import messages_of
from campaigns.store import put_campaign
from consent.entry import Channel
from consent.ledger import record
from consent.push import PushAddress, PushKind
from consent.store import put_subject
from consent.subject import Device, Subject
from engine import pushing
from engine.destination import Destinations, Targets
from engine.handover import open_handovers
from engine.lines import Lines
from engine.outbound import Outbound
from engine.provider.fault import Fault
from engine.provider.provider import Provider
from engine.provider.webhook_api import PATH as WEBHOOK_PATH
from engine.provider.webhook_api import SECRET as WEBHOOK_SECRET
from engine.push_apps import AppRate, InvalidPushApps, PushApps
from engine.sender import Sender
from engine.sending_figures import troubles
from tests.campaigns.cast import ANA, BAKERY, event, moment
from tests.engine.test_push_sending import NOW, PUSHED
from tests.service.faults import GRANTED, granted_entry

FCM, WEBHOOK = "push.fcm.default", "push.webhook.default"
BUSY = Fault(503)


def address(kind=PushKind.FCM_TOKEN, app="default", **value):
    return PushAddress("row", NOW, kind, app, None, value or {"token": "good-1"})


@pytest.fixture(scope="module")
def shared():
    with Provider() as opened:
        yield opened


@pytest.fixture
def provider(shared):
    shared.notifications.forget()
    return shared


@pytest.fixture
def line_of_apps(live, clock):
    """`line_of_apps(per_second=3)`: what one more process knows of the lines of two apps, or of the kinds that are given."""

    def opened(per_second=1000.0, per_day=1000, kinds=(PushKind.FCM_TOKEN, PushKind.WEBHOOK)):
        rates = {(kind, "default"): AppRate(per_second, per_day) for kind in kinds}
        return Lines(live, pushing.limits_of(rates, 1, 1), clock)

    return opened


@pytest.fixture
def sender(records, clock, provider, tmp_path):
    (tmp_path / "account.json").write_text(json.dumps(provider.fcm.account()))
    apps = tmp_path / "push.toml"
    apps.write_text(
        f'[fcm.default]\naccount = "account.json"\napi_url = "{provider.url}"\n'
        f'[webhook.default]\nurl = "{provider.url}{WEBHOOK_PATH}"\nsecret = "{WEBHOOK_SECRET}"\n'
    )
    with ExitStack() as stack:
        outbound = Outbound(Destinations(Targets.ANY))
        stack.callback(outbound.close)
        services = PushApps(str(apps), clock, outbound)
        stack.callback(services.close)

        def made(lines, **more):
            push = Push(
                services.services,
                title="Bakery",
                bury=lambda _address, _code: None,
                heard=partial(pushing.heard, lines),
            )
            return Sender(
                reads=records.reads,
                writes=records.writes,
                channels={Channel.PUSH: push},
                place_of=lambda _connection, _geofence: BAKERY,
                handovers=open_handovers(records),
                now=clock,
                lines=lines,
                **more,
            )

        yield made


@pytest.fixture
def due(records):
    """`due(3)`: three shoppers with a phone and a message each; by `kinds`, with a device of each kind."""

    def made(shoppers, *kinds, token="good"):
        with records.writes.begin() as connection:
            put_campaign(connection, PUSHED, NOW)
            for number in range(shoppers):
                name = f"s{number}"
                devices = [
                    Device(f"{name}-{kind}", {"kind": kind, "token": f"{token}-{number}"})
                    for kind in kinds or ("fcm_token",)
                ]
                put_subject(connection, Subject(name, devices=tuple(devices)), NOW)
                for purpose in GRANTED:
                    entry = granted_entry(number, purpose, NOW)
                    record(connection, replace(entry, channel=Channel.PUSH if entry.channel else None))
                ana = replace(ANA, id=name, channels=frozenset({Channel.PUSH}))
                now = moment(event=event(cause=name), recipient=ana)
                decision = decide(PUSHED, now, NOW)
                record_decision(connection, decision, compose(decision, PUSHED, now))
        return [f"s{number}" for number in range(shoppers)]

    return made


def states(records, names):
    with records.reads.connect() as connection:
        return [messages_of(connection, name)[0].state.value for name in names]


@pytest.mark.parametrize(
    ("to", "line"),
    [
        (address(), FCM),
        (address(PushKind.FCM_FID), FCM),
        (address(PushKind.APNS, "org.example.offers"), "push.apns.org.example.offers"),
        (address(PushKind.WEBPUSH, endpoint="https://fcm.googleapis.com/fcm/send/x"), "push.webpush.default.google"),
        (
            address(PushKind.WEBPUSH, endpoint="https://updates.push.services.mozilla.com/wpush/v2/x"),
            "push.webpush.default.mozilla",
        ),
        (address(PushKind.WEBPUSH, endpoint="https://notify.windows.com.evil.example/x"), "push.webpush.default.other"),
        (address(PushKind.WEBPUSH, endpoint="https://[broken"), "push.webpush.default.other"),
    ],
)  # fmt: skip
def test_which_line_an_address_goes_over(to, line):
    assert pushing.line_of(to) == line
    assert line in pushing.limits_of({(to.kind, to.app): AppRate()}, 1, 1)


def test_a_service_that_fails_is_left_alone_until_one_push_gets_through(
    records, clock, provider, sender, due, line_of_apps
):
    names, lines = due(8), line_of_apps(kinds=[PushKind.FCM_TOKEN])
    own = sender(lines)
    provider.fail_next(*[BUSY] * 5)
    own.run_once()
    assert lines.breakers()[Channel.PUSH].state is BreakerState.OPEN
    assert troubles(lines) == [f"calls over {FCM} fail; the next is tried at 08:00:30 UTC"]
    assert (own.run_once(), provider.notifications.received) == (0, 0)
    assert states(records, names) == ["due"] * 8
    clock.advance(seconds=31)
    provider.fail_next(BUSY)
    own.run_once()
    assert (own.run_once(), provider.notifications.received) == (0, 0), "the probe failed: twice as long"
    clock.advance(seconds=61)
    while own.run_once():
        clock.advance(seconds=1)
    assert states(records, names) == ["sent"] * 8
    assert provider.notifications.received == 8


def test_a_quota_s_pause_holds_for_all_processes_and_the_message_waits_as_long(
    records, clock, provider, sender, due, line_of_apps
):
    names, lines = due(2), line_of_apps()
    own, other = sender(lines), sender(line_of_apps())
    provider.fail_next(Fault(429, body=b"{}", retry_after_seconds=40))
    own.run_once()
    assert (other.run_once(), provider.notifications.received) == (0, 0)
    assert troubles(lines) == [f"nothing is called over {FCM} before 08:00:40 UTC"]
    clock.advance(seconds=39)
    assert (other.run_once(), provider.notifications.received) == (0, 0)
    clock.advance(seconds=2)
    while other.run_once():
        clock.advance(seconds=1)
    assert states(records, names) == ["sent"] * 2


def test_refused_credentials_pause_the_app_for_all_and_use_up_no_attempt(
    records, clock, provider, sender, due, line_of_apps
):
    names, lines = due(3), line_of_apps()
    provider.fail_next(Fault(403, body=b"{}"))
    sender(lines).run_once()
    assert states(records, names) == ["due"] * 3
    clock.advance(seconds=PAUSE_SECONDS - 1)
    assert line_of_apps().grant(FCM, 1).count == 0
    clock.advance(seconds=2)
    assert line_of_apps().grant(FCM, 1).count == 1


def test_a_device_is_reached_while_the_other_one_s_service_is_down(
    records, provider, sender, due, line_of_apps
):
    names, lines = due(1, "fcm_token", "webhook"), line_of_apps()
    for _ in range(5):
        lines.heard(FCM, well=False)
    sender(lines).run_once()
    assert [each.service for each in provider.notifications.shown()] == ["webhook"]
    assert states(records, names) == ["sent"]
    assert lines.breakers()[Channel.PUSH].state is BreakerState.CLOSED, "one line is good"


def test_rates_hold_for_all_senders_together_and_leave_no_device_out(
    clock, provider, sender, due, line_of_apps
):
    due(5, "fcm_token", "fcm_fid")
    several = [sender(line_of_apps(per_second=5)) for _ in range(2)]
    received = []
    for _ in range(3):
        for each in several:
            each.run_once()
        received.append(provider.notifications.received)
        clock.advance(seconds=1.01)
    assert received == [4, 8, 10]


def test_a_rate_below_the_devices_of_one_shopper_still_lets_offers_go(
    records, provider, sender, due, line_of_apps
):
    names = due(1, "fcm_token", "fcm_fid")
    sender(line_of_apps(per_second=0.5)).run_once()
    assert (states(records, names), provider.notifications.received) == (["sent"], 1)


def test_a_day_s_messages_end_and_a_claim_that_got_too_old_uses_up_none(
    records, clock, provider, sender, due, line_of_apps
):
    names, lines = due(2), line_of_apps(per_day=1)
    sender(lines, ticks=count(step=10).__next__).run_once(limit=1)
    assert provider.notifications.received == 0
    clock.advance(seconds=10)
    while sender(lines).run_once():
        pass
    assert sorted(states(records, names)) == ["due", "sent"]
    assert troubles(lines) == [
        "nothing is left today of the messages for push; what is due waits, and may expire"
    ]


def test_a_device_is_reached_while_the_other_one_s_app_has_none_left_today(
    records, provider, sender, due, line_of_apps
):
    names, lines = due(1, "fcm_token", "webhook"), line_of_apps(per_day=1)
    assert lines.grant(FCM, 1).count == 1
    sender(lines).run_once()
    assert [each.service for each in provider.notifications.shown()] == ["webhook"]
    assert states(records, names) == ["sent"]


def test_a_decision_is_told_that_no_push_gets_through(line_of_apps):
    lines = line_of_apps()
    assert lines.breakers()[Channel.PUSH].state is BreakerState.CLOSED
    for _ in range(5):
        pushing.heard(lines, address(), PushResult(Came.UNKNOWN, "no_answer"))
    late = replace(PUSHED, shelf_life_seconds=20)
    refused = decide(late, replace(moment(), recipient=replace(ANA, channels=frozenset({Channel.PUSH})),
                                   breakers=lines.breakers()), NOW)  # fmt: skip
    assert refused.reason is Reason.CHANNEL_DOWN
    lines.heard(WEBHOOK, well=True)
    assert lines.breakers()[Channel.PUSH].state is BreakerState.CLOSED


@pytest.mark.parametrize("told", ["0", "-1", "true", '"many"', "1e99", "nan"])
def test_a_rate_that_is_none_is_refused_by_name(tmp_path, clock, told):
    (tmp_path / "push.toml").write_text(
        f'[webhook.x]\nurl = "https://example.org/x"\nsecret = "{WEBHOOK_SECRET}"\nper_second = {told}\n'
    )
    outbound = Outbound(Destinations(Targets.ANY))
    with pytest.raises(InvalidPushApps, match="per_second"):
        PushApps(str(tmp_path / "push.toml"), clock, outbound)
    outbound.close()
