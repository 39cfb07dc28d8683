"""The local provider as a whole: its callbacks to the engine, the pretend phone, and the calls that steer it."""

import socket

import httpx2
import pytest
from typer.testing import CliRunner

from engine import cli
from engine.provider.provider import Provider
from tests.conftest import MONDAY_NINE

ANA, SHOP = "+33639980001", "+33939000001"
PUBLIC = "https://offers.example.org"


@pytest.fixture
def provider(clock):
    with Provider(now=clock) as opened:
        yield opened


@pytest.fixture
def posted():
    return []


@pytest.fixture
def beside(clock, posted):
    """A provider whose callbacks are only written down."""

    def post(url, form, headers):
        posted.append((url, form["MessageStatus"], headers["X-Twilio-Signature"]))
        return 204, ""

    with Provider(now=clock, public_url=PUBLIC, callback_url="http://127.0.0.1:8000", post=post) as opened:
        yield opened


def test_reports_come_in_order_and_go_where_the_engine_listens(beside, posted):
    callback = f"{PUBLIC}/v1/twilio/status?message=m1#rc=3"
    beside.twilio.create({"To": ANA, "From": SHOP, "Body": "Bread", "StatusCallback": callback})
    assert beside.deliver() == [204, 204, 204]
    assert {url for url, _, _ in posted} == {"http://127.0.0.1:8000/v1/twilio/status?message=m1"}
    assert [status for _, status, _ in posted] == ["queued", "sent", "delivered"]
    assert beside.deliver() == []
    assert beside.twilio.counts()["by_id"] == {"m1": 1}


def test_the_engine_takes_what_the_provider_signs(engine, client, clock):
    def post(url, form, headers):
        answer = client.post(url, data=form, headers=headers)
        return answer.status_code, answer.text

    token = engine.settings.twilio_auth_token
    with Provider(now=clock, token=token, public_url=PUBLIC, post=post) as provider:
        status, twiml = provider.text(ANA, SHOP, "STOP")
        assert status == 200
        assert [each.direction for each in provider.twilio.texts()] == ["inbound", "outbound-reply"]
        assert provider.twilio.texts()[1].body in twiml
        callback = f"{PUBLIC}/v1/twilio/status?message={'0' * 32}"
        provider.twilio.create({"To": ANA, "From": SHOP, "Body": "x", "StatusCallback": callback})
        provider.deliver()
        assert set(provider.called) == {204}


def test_the_phone_shows_what_arrived_and_answers(provider):
    provider.twilio.create({"To": ANA, "From": SHOP, "Body": "Bread <b>&</b> butter"})
    page = httpx2.get(provider.url).text
    assert "Bread &lt;b&gt;&amp;&lt;/b&gt; butter" in page
    assert ANA in page
    sent = httpx2.post(f"{provider.url}/phone/texts", data={"from": ANA, "to": SHOP, "body": "STOP"})
    assert (sent.status_code, sent.headers["location"]) == (303, "/")
    assert [each.body for each in provider.twilio.texts()] == ["Bread <b>&</b> butter", "STOP"]


def test_it_is_steered_over_http(provider):
    plan = {"429": 1.0, "seed": 3}
    assert httpx2.put(f"{provider.url}/control/faults", json=plan).json() == plan | {"latency_seconds": 1.0}
    told = httpx2.put(f"{provider.url}/control/faults", json={"fire": 1})
    assert (told.status_code, "fire" in told.json()["error"]) == (400, True)
    provider.twilio.create({"To": ANA, "From": SHOP, "Body": "Bread"})
    assert httpx2.get(f"{provider.url}/control").json() == {
        "faults": plan | {"latency_seconds": 1.0},
        "callbacks": {},
        "messages": 1,
        "pushes": 0,
        "counts": {"by_id": {}, "by_body": {"Bread": 1}},
    }
    assert httpx2.post(f"{provider.url}/control/texts", content=b"{").status_code == 400
    assert httpx2.delete(f"{provider.url}/control/messages").status_code == 204
    assert provider.twilio.texts() == []
    assert httpx2.get(f"{provider.url}/nowhere").status_code == 404


def test_it_hands_out_what_an_engine_needs_to_push_here(provider):
    account = httpx2.get(f"{provider.url}/control/fcm-account").json()
    assert account["token_uri"].startswith(provider.url)
    assert "BEGIN PRIVATE KEY" in httpx2.get(f"{provider.url}/control/apns-key").text
    assert httpx2.get(f"{provider.url}/control/webhook").json()["secret"].startswith("whsec_")
    browser = httpx2.post(f"{provider.url}/control/browsers", json={"name": "firefox"}).json()
    assert browser["endpoint"] == f"{provider.url}/web-push/firefox"
    assert httpx2.post(f"{provider.url}/control/browsers", json={"name": "../x"}).status_code == 400


def test_a_body_beyond_the_limit_is_not_read(provider):
    port = int(provider.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(b"POST /phone/texts HTTP/1.0\r\nContent-Length: 9999999\r\n\r\n")
        assert b" 413 " in client.recv(100)


@pytest.mark.parametrize(
    "words", [["--fault", "fire=1"], ["--fault", "429"], ["--fault", "429=2"], ["--dead", "x"]]
)
def test_the_command_says_what_a_fault_may_be(words):
    told = CliRunner().invoke(cli.app, ["provider", *words])
    assert told.exit_code == 2
    assert "--fault" in told.output


def test_the_clock_of_the_messages_is_the_one_given(provider):
    assert provider.twilio.create({"To": ANA, "From": SHOP, "Body": "x"}).created_at == MONDAY_NINE
