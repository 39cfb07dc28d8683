"""An offer by push, from due to shown: consent asked again, dead addresses buried, a driver left in peace."""

import json
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from threading import Event

import pytest

from campaigns.decide import compose, decide
from campaigns.decision_store import record_decision
from campaigns.delivery.channels.channel import Receipt
from campaigns.delivery.channels.push import Push
from campaigns.message import MessageState
from campaigns.message_store import messages_of
from campaigns.store import put_campaign
from consent.entry import Action, Channel, Entry, Purpose
from consent.ledger import entries_of, record
from consent.push import addresses_of, forget_address
from consent.store import put_subject
from consent.subject import Device, Subject
from engine.destination import Destinations, Targets
from engine.handover import open_handovers
from engine.outbound import Outbound
from engine.provider.provider import Provider
from engine.push_apps import InvalidPushApps, PushApps
from engine.sender import Sender
from geofences.event import EventKind
from geofences.store import add_events
from tests.campaigns.cast import ANA, BAKERY, BREAD, decided, event, moment
from tests.conftest import MONDAY_NINE
from tests.engine.test_sender import welcome

NOW = MONDAY_NINE
PUSHED = replace(BREAD, channel=Channel.PUSH)


@pytest.fixture(scope="module")
def shared():
    with Provider() as opened:
        yield opened


@pytest.fixture(scope="module")
def outbound():
    opened = Outbound(Destinations(Targets.ANY))
    yield opened
    opened.close()


@pytest.fixture
def provider(shared):
    shared.notifications.forget()
    return shared


@pytest.fixture
def sender(records, clock, provider, tmp_path, outbound):
    (tmp_path / "account.json").write_text(json.dumps(provider.fcm.account()))
    apps = tmp_path / "push.toml"
    apps.write_text(f'[fcm.default]\naccount = "account.json"\napi_url = "{provider.url}"\n')

    def bury(address, _code):
        with records.writes.begin() as connection:
            forget_address(connection, address)

    with closing(PushApps(str(apps), clock, outbound)) as opened:
        yield Sender(
            reads=records.reads,
            writes=records.writes,
            channels={Channel.PUSH: Push(opened.services, title="Bakery", bury=bury)},
            place_of=lambda connection, geofence: {"bakery": BAKERY}.get(geofence),
            handovers=open_handovers(records),
            now=clock,
        )


def say(connection, action, purpose, channel, at=NOW - timedelta(hours=1)):
    entry = Entry(
        id=f"{purpose}-{action}",
        subject="ana",
        purpose=purpose,
        channel=channel,
        action=action,
        source="test",
        text_version="v1",
        at=at,
        recorded_at=at,
        actor="test",
    )
    record(connection, entry)


def due(records, *tokens, happened=None):
    happened = happened or event()
    ana = replace(ANA, channels=frozenset({Channel.PUSH}))
    now = moment(event=happened, recipient=ana)
    decision = decide(PUSHED, now, NOW)
    message = compose(decision, PUSHED, now)
    with records.writes.begin() as connection:
        devices = [Device(f"phone-{each}", {"kind": "fcm_token", "token": each}) for each in tokens]
        put_subject(connection, Subject("ana", devices=tuple(devices)), NOW)
        say(connection, Action.GRANT, Purpose.LOCATION, None)
        say(connection, Action.GRANT, Purpose.MARKETING, Channel.PUSH)
        put_campaign(connection, PUSHED, NOW)
        add_events(connection, [(happened, "ana")], NOW)
        record_decision(connection, decision, message)


def outcome(records):
    with records.reads.connect() as connection:
        [message] = messages_of(connection, "ana")
        held = [each.value["token"] for each in addresses_of(connection, "ana")]
        entries = [each.action for each in entries_of(connection, "ana")]
    return message, held, entries


def test_an_offer_goes_to_every_device_and_a_dead_address_is_buried_but_no_consent(records, provider, sender):
    due(records, "good-1", "unregistered-1", "good-2")
    assert sender.run_once() == 1
    message, held, entries = outcome(records)
    assert message.state is MessageState.SENT
    assert [each.address for each in provider.notifications.shown()] == ["good-1", "good-2"]
    assert {(each.body, each.silent) for each in provider.notifications.shown()} == {(message.text, False)}
    assert held == ["good-1", "good-2"]
    assert entries == [Action.GRANT, Action.GRANT]


def test_a_push_service_that_hangs_holds_up_no_text(records, clock):
    pushing, texted, stop = Event(), Event(), Event()

    class Hanging:
        def send(self, _message):
            pushing.set()
            heard.append(texted.wait(20))
            stop.set()
            return Receipt("push-1")

    class Texts:
        def send(self, _message):
            heard.append(pushing.wait(20))
            texted.set()
            return Receipt("text-1")

    heard = []
    due(records, "good-1")
    cake = replace(BREAD, id="cake")
    with records.writes.begin() as connection:
        welcome(connection, "ben")
        put_campaign(connection, cake, NOW)
        record_decision(connection, *decided("fix-2", campaign=cake, subject="ben"))
    Sender(
        reads=records.reads,
        writes=records.writes,
        channels={Channel.PUSH: Hanging(), Channel.SMS: Texts()},
        place_of=lambda connection, geofence: {"bakery": BAKERY}.get(geofence),
        handovers=open_handovers(records),
        now=clock,
        workers=1,
    ).run(stop)
    assert heard == [True, True]
    with records.reads.connect() as connection:
        sent = [messages_of(connection, subject)[0].state for subject in ("ana", "ben")]
    assert sent == [MessageState.SENT] * 2


def test_a_driver_is_not_disturbed(records, provider, sender):
    due(records, "good-1", happened=event(kind=EventKind.ENTER, evidence={"vehicle": 0.8}))
    sender.run_once()
    assert [each.silent for each in provider.notifications.shown()] == [True]


def test_a_withdrawal_in_between_ends_message_and_address(records, provider, sender):
    due(records, "good-1")
    with records.writes.begin() as connection:
        say(connection, Action.WITHDRAW, Purpose.MARKETING, Channel.PUSH, NOW)
    sender.run_once()
    message, held, _ = outcome(records)
    assert (message.state, message.reason) == (MessageState.CANCELLED, "consent_withdrawn")
    assert (provider.notifications.shown(), held) == ([], [])


def test_without_an_address_nothing_is_sent(records, provider, sender):
    due(records)
    sender.run_once()
    message, _, _ = outcome(records)
    assert (message.state, message.reason) == (MessageState.CANCELLED, "no_address")


@pytest.mark.parametrize(
    ("told", "named"),
    [
        ("[pager.x]\n", "pager"),
        ("[fcm.default]\n", "account"),
        ('[fcm.default]\naccount = "nowhere.json"\n', "nowhere.json"),
        ('[fcm]\ndefault = "x"\n', "fcm.default"),
        ("no toml", "push.toml"),
    ],
)
def test_a_file_of_apps_that_cannot_be_is_refused_by_name(tmp_path, clock, outbound, told, named):
    (tmp_path / "push.toml").write_text(told)
    with pytest.raises(InvalidPushApps, match=named):
        PushApps(str(tmp_path / "push.toml"), clock, outbound)


def test_without_a_file_there_is_no_app(clock, outbound):
    assert PushApps("", clock, outbound).services == {}
