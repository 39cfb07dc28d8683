"""A provider that cannot be reached for an hour: signals are taken in and decided on all the same, nothing is sent too late."""

import socket
from dataclasses import replace
from datetime import datetime

import pytest
from fastapi.testclient import TestClient

from campaigns.delivery.breaker import BreakerState
from consent.entry import Channel
from engine.app import Engine
from tests.engine.test_worker import LAT, LON, WALK_IN, items, put_bakery, put_campaign
from tests.support.twilio_api import ACCOUNT_SID, AUTH_TOKEN, TwilioApi

STEP_SECONDS = 30
EVERY_SECONDS = 180
HOUR_SECONDS = 3600
SHELF_LIFE_SECONDS = 900


@pytest.fixture
def port():
    """One on which nobody listens yet."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def engine(settings, clock, port):
    over_twilio = {
        "sms_channel": "twilio",
        "twilio_account_sid": ACCOUNT_SID,
        "twilio_auth_token": AUTH_TOKEN,
        "twilio_from": "36111",
        "twilio_api_url": f"http://127.0.0.1:{port}",
    }
    opened = Engine(replace(settings, **over_twilio), clock)
    opened.open()
    yield opened
    opened.close()


def walk_in(client, clock, number):
    """One more shopper, who allows it all and enters the bakery."""
    who = {"phone": f"+3363998{number:04d}", "devices": [{"device": f"phone-{number}"}]}
    client.put(f"/v1/subjects/s{number}", json=who).raise_for_status()
    for consent in ({"purpose": "location"}, {"purpose": "marketing", "channel": "sms"}):
        entry = consent | {"action": "grant", "source": "app", "text_version": "v1"}
        client.post(f"/v1/subjects/s{number}/consents", json=entry).raise_for_status()
    now = clock().timestamp()
    spot = {"device": f"phone-{number}", "lat": LAT, "lon": LON, "accuracy": 8}
    answer = client.post("/v1/pings", json={"pings": [spot | {"at": now - age} for age in WALK_IN]})
    assert (answer.status_code, answer.json()["accepted"]) == (202, len(WALK_IN))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_hour_without_the_provider(engine, client: TestClient, clock, port, tell):
    put_bakery(client)
    put_campaign(client, "bread", "enter", "Fresh bread")
    breakers, seconds, calls = set(), 0, 0
    people = HOUR_SECONDS // EVERY_SECONDS
    while seconds < HOUR_SECONDS:
        if seconds % EVERY_SECONDS == 0:
            walk_in(client, clock, seconds // EVERY_SECONDS)
        engine.settle()
        breakers.add(engine.lines.breakers()[Channel.SMS].state)
        clock.advance(seconds=STEP_SECONDS)
        seconds += STEP_SECONDS
    decisions = items(client, "/v1/decisions")
    assert [each["outcome"] for each in decisions] == ["message"] * people
    assert BreakerState.OPEN in breakers
    calls = sum(engine.lines.counted(Channel.SMS, outcome) for outcome in ("retry", "failed", "unknown"))
    figures = client.get("/metrics").text
    assert 'chaland_line_good{channel="sms"} 0.0' in figures
    assert f'chaland_provider_calls{{channel="sms",outcome="retry"}} {calls}.0' in figures
    assert any("calls over sms fail" in each for each in client.get("/readyz").json()["attention"])
    assert calls < people * 5, "the line was left alone most of the time"
    with TwilioApi(port=port, now=clock) as twilio:
        for _ in range(SHELF_LIFE_SECONDS // STEP_SECONDS + 1):
            engine.settle()
            clock.advance(seconds=STEP_SECONDS)
        by_state: dict[str, int] = {}
        for message in items(client, "/v1/messages"):
            by_state[message["state"]] = by_state.get(message["state"], 0) + 1
            if message["state"] == "sent":
                assert datetime.fromisoformat(message["sent_at"]) < datetime.fromisoformat(
                    message["valid_until"]
                )
            else:
                assert message["reason"] in ("too_late", "retries_exhausted")
        sent = len(twilio.messages)
    assert by_state.get("sent") == sent > 0
    assert set(by_state) <= {"sent", "expired", "failed"}
    assert engine.lines.breakers()[Channel.SMS].state is BreakerState.CLOSED
    tell(f"an hour without the provider: {people} decisions, {calls} calls in vain, then {by_state}")
