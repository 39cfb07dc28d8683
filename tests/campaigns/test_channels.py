import contextlib
import logging
import socket
import time

import pytest

from campaigns.delivery.channels.channel import (
    LONGEST_ASKED_SECONDS,
    DeliveryError,
    Outgoing,
    asked_pause_seconds,
)
from campaigns.delivery.channels.log import LogChannel
from campaigns.delivery.channels.sms_twilio import TwilioSms
from tests.support.twilio_api import ACCOUNT_SID, AUTH_TOKEN, Fault, TwilioApi

ANA = "+33639980001"
OFFER = Outgoing("0" * 32, "bread", to=ANA, text="Fresh bread until ten & more: +é☕", valid_seconds=900)


@pytest.fixture
def twilio():
    with TwilioApi() as api:
        yield api


def channel(api, **changes):
    settings = {"from_": "+33939000001", "api_url": api.url, "timeout_seconds": 5} | changes
    return TwilioSms(ACCOUNT_SID, settings.pop("auth_token", AUTH_TOKEN), **settings)


def test_a_text_message_is_created_as_the_api_wants_it(twilio):
    sms = channel(twilio, status_callback="https://offers.example/v1/twilio/status")
    receipt = sms.send(OFFER)
    assert twilio.requests == [
        {
            "To": ANA,
            "From": "+33939000001",
            "Body": OFFER.text,
            "ValidityPeriod": "900",
            "StatusCallback": f"https://offers.example/v1/twilio/status?message={OFFER.id}",
        }
    ]
    assert twilio.messages[receipt.provider_id]["body"] == OFFER.text


def test_a_messaging_service_sends_in_place_of_a_number(twilio):
    channel(twilio, from_=None, messaging_service_sid="MG" + "b" * 32).send(OFFER)
    [form] = twilio.requests
    assert form["MessagingServiceSid"] == "MG" + "b" * 32
    assert not {"From", "StatusCallback", "SendAt", "ScheduleType"} & form.keys()


@pytest.mark.parametrize("given", [{}, {"from_": "+33939000001", "messaging_service_sid": "MG"}])
def test_there_is_exactly_one_sender(given):
    with pytest.raises(ValueError, match="exactly one"):
        TwilioSms(ACCOUNT_SID, AUTH_TOKEN, **given)


@pytest.mark.parametrize(("seconds", "period"), [(0, "1"), (-5, "1"), (36_001, "36000"), (7, "7")])
def test_the_validity_stays_within_what_twilio_takes(twilio, seconds, period):
    channel(twilio).send(Outgoing("0" * 32, "bread", to=ANA, text="x", valid_seconds=seconds))
    assert twilio.requests[0]["ValidityPeriod"] == period


@pytest.mark.parametrize(
    ("fault", "permanent", "unknown", "code"),
    [
        (Fault(400, 21610), True, False, "21610"),
        (Fault(400, 21211), True, False, "21211"),
        (Fault(404, 20404), True, False, "20404"),
        (Fault(400, 21211, problem_json=True), True, False, "21211"),
        (Fault(429, 20429), False, False, "20429"),
        (Fault(429, 20429, problem_json=True), False, False, "20429"),
        (Fault(429, body=b"slow down"), False, False, "429"),
        (Fault(500, 20500), False, True, "20500"),
        (Fault(503, 20503, problem_json=True), False, True, "20503"),
        (Fault(502, body=b"<html>bad gateway</html>"), False, True, "502"),
        (Fault(302, body=b""), False, True, "302"),
        (Fault(201, body=b"<html>a proxy</html>", accept=True), False, True, None),
        (Fault(drop=True, accept=True), False, True, None),
    ],
)
def test_each_refusal_is_told_apart(twilio, fault, permanent, unknown, code):
    twilio.fail_next(fault)
    with pytest.raises(DeliveryError) as raised:
        channel(twilio).send(OFFER)
    error = raised.value
    assert (error.permanent, error.outcome_unknown, error.code) == (permanent, unknown, code)
    assert len(twilio.requests) == 1
    assert ANA not in str(error)
    assert error.__cause__ is None
    assert error.__suppress_context__


def test_a_wrong_token_is_permanent(twilio):
    with pytest.raises(DeliveryError) as raised:
        channel(twilio, auth_token="wrong").send(OFFER)
    assert (raised.value.permanent, raised.value.code) == (True, "20003")
    assert twilio.requests == []


def test_a_server_that_hangs_frees_the_worker_in_time(twilio):
    twilio.fail_next(Fault(hang=True))
    started = time.perf_counter()
    with pytest.raises(DeliveryError) as raised:
        channel(twilio, timeout_seconds=0.2).send(OFFER)
    assert time.perf_counter() - started < 2
    assert (raised.value.permanent, raised.value.outcome_unknown) == (False, True)


def test_where_nobody_listens_nothing_was_sent():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    sms = TwilioSms(ACCOUNT_SID, AUTH_TOKEN, from_="+33939000001", api_url=f"http://127.0.0.1:{port}")
    with pytest.raises(DeliveryError) as raised:
        sms.send(OFFER)
    assert (raised.value.permanent, raised.value.outcome_unknown) == (False, False)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("37", 37),
        ("999999999", LONGEST_ASKED_SECONDS),
        ("999999999999", None),
        ("9" * 5000, None),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("", None),
        (None, None),
    ],
)
def test_a_provider_may_ask_for_a_pause_within_reason(said, seconds):
    assert asked_pause_seconds(said) == seconds


def test_an_absurd_pause_is_passed_over(twilio):
    twilio.fail_next(Fault(429, 20429, retry_after_seconds=999_999_999_999))
    with pytest.raises(DeliveryError) as raised:
        channel(twilio).send(OFFER)
    assert (raised.value.busy, raised.value.retry_after_seconds) == (True, None)


def test_the_environment_does_not_move_the_address(twilio, monkeypatch):
    monkeypatch.setenv("TWILIO_EDGE", "sydney")
    monkeypatch.setenv("TWILIO_REGION", "au1")
    assert channel(twilio).send(OFFER).provider_id in twilio.messages


def test_the_log_channel_tells_neither_text_nor_address(caplog):
    with caplog.at_level(logging.DEBUG):
        assert LogChannel().send(OFFER).provider_id is None
    assert OFFER.id in caplog.text
    assert "bread" in caplog.text
    assert ANA not in caplog.text
    assert OFFER.text not in caplog.text


def test_what_goes_out_shows_neither_text_nor_address():
    assert ANA not in repr(OFFER)
    assert OFFER.text not in repr(OFFER)


@pytest.mark.parametrize(("exempt", "sent"), [("", 1), ("texts.example", 0)])
def test_a_proxy_of_the_environment_is_used(twilio, monkeypatch, exempt, sent):
    monkeypatch.setenv("http_proxy", twilio.url)
    monkeypatch.setenv("no_proxy", exempt)
    sms = channel(twilio, api_url="http://texts.example:1")
    with contextlib.suppress(DeliveryError):
        sms.send(OFFER)
    assert len(twilio.requests) == sent
