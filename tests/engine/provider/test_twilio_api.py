"""The local provider against Twilio's own document and Twilio's own client."""

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest
from twilio.base.exceptions import TwilioRestException, TwilioServiceException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from engine.provider.fault import Fault, Faults, InvalidPlan, Kind, Plan, plan_from_json, plan_json
from engine.provider.provider import Provider
from engine.provider.twilio_api import ACCOUNT_SID, AUTH_TOKEN
from tests.conftest import MONDAY_NINE
from tests.support.openapi import faults

ANA, BEA, SHOP = "+33639980001", "+33639980002", "+33939000001"
DATA = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[4] / "shared" / "data"))
DOCUMENT = DATA / "twilio" / "messages.openapi.json"
PATH = "/2010-04-01/Accounts/{AccountSid}/Messages"
OPERATIONS = {
    ("POST", "Messages.json"): ("post", f"{PATH}.json"),
    ("GET", "Messages.json"): ("get", f"{PATH}.json"),
    ("GET", ".json"): ("get", f"{PATH}/{{Sid}}.json"),
    ("POST", ".json"): ("post", f"{PATH}/{{Sid}}.json"),
    ("GET", "Media.json"): ("get", f"{PATH}/{{MessageSid}}/Media.json"),
}


class Recorder(TwilioHttpClient):
    """Twilio's transport, which keeps what came over it."""

    def __init__(self):
        super().__init__(timeout=5)
        self.answers = []

    def request(self, method, url, *more, **named):
        answer = super().request(method, url, *more, **named)
        self.answers.append((method, url.partition("?")[0], answer.status_code, answer.text))
        return answer


@pytest.fixture
def provider(clock):
    with Provider(now=clock, dead={BEA: 30003}) as opened:
        yield opened


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def client(provider, recorder):
    made = Client(ACCOUNT_SID, AUTH_TOKEN, http_client=recorder)
    made.api.base_url = provider.url
    return made


def send(client, to=ANA, body="Fresh bread", **more):
    return client.messages.create(to=to, body=body, **({"from_": SHOP} | more))


def go_through_every_shape(client, provider):
    """Every answer that the Messages API can give of a message."""
    sent = send(client, status_callback="http://127.0.0.1:9/")
    served = send(client, from_=None, messaging_service_sid="MG" + "b" * 32)
    send(client, BEA, body="é☕" * 80)
    cancelled = send(client)
    client.messages(cancelled.sid).update(status="canceled")
    provider.twilio.deliver()
    client.messages(sent.sid).update(body="")
    client.messages(sent.sid).media.list()
    provider.twilio.add(to=SHOP, from_=ANA, body="STOP", status="received", direction="inbound")
    listed = client.messages.list(page_size=2)
    return [client.messages(each.sid).fetch() for each in listed], served


def test_every_answer_is_as_twilios_own_document_says(client, provider, recorder):
    if not DOCUMENT.exists():
        pytest.skip("Twilio's OpenAPI document is not here; SHARED_DATA names the folder that holds it")
    go_through_every_shape(client, provider)
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    checked = set()
    for method, url, status, text in recorder.answers:
        tail = next(tail for tail in ("Messages.json", "Media.json", ".json") if url.endswith(tail))
        verb, path = OPERATIONS[method, tail]
        schema = document["paths"][path][verb]["responses"][str(status)]["content"]["application/json"][
            "schema"
        ]
        assert faults(json.loads(text), schema, document["components"]["schemas"]) == []
        checked.add((method, tail))
    assert checked == OPERATIONS.keys()


def test_the_check_of_the_document_finds_what_differs():
    schema = {
        "properties": {"a": {"type": "string", "pattern": "^x"}, "b": {"type": "integer"}},
        "type": "object",
    }
    assert faults({"a": "x", "b": 1}, schema, {}) == []
    assert sorted(faults({"a": "y", "b": "1", "c": 1}, schema, {})) == [
        "$.a: 'y'",
        "$.b: no integer",
        "$: c is not known",
    ]
    assert faults({"a": None}, schema, {}) == ["$: b is missing", "$.a: null"]


def test_the_real_client_parses_every_shape(client, provider):
    fetched, served = go_through_every_shape(client, provider)
    assert served.status == "accepted"
    assert served.num_segments == "0"
    told = [(each.direction, each.status, each.error_code, each.num_segments) for each in fetched]
    assert told == [
        ("inbound", "received", None, "1"),
        ("outbound-api", "canceled", None, "1"),
        ("outbound-api", "undelivered", 30003, "3"),
        ("outbound-api", "delivered", None, "1"),
        ("outbound-api", "delivered", None, "0"),
    ]
    assert fetched[-1].body == ""
    assert fetched[-1].date_sent == MONDAY_NINE


def test_the_list_is_filtered_by_number_and_by_the_second_and_the_day(client, provider, clock):
    for minute in range(3):
        send(client, body=f"at {minute}")
        send(client, BEA, from_="+33939000002", body="another")
        provider.twilio.deliver()
        clock.advance(minutes=1)
    send(client, body="not sent yet")

    def listed(**asked):
        return [each.body for each in client.messages.list(**asked)]

    assert listed(to=ANA) == ["not sent yet", "at 2", "at 1", "at 0"]
    assert listed(from_="+33939000002") == ["another"] * 3
    second = MONDAY_NINE + timedelta(minutes=1)
    assert listed(to=ANA, date_sent_after=second) == ["at 2", "at 1"]
    assert listed(to=ANA, date_sent_before=second) == ["at 1", "at 0"]
    assert listed(to=ANA, date_sent=second) == ["at 1"]
    assert listed(to=ANA, date_sent=MONDAY_NINE.date().isoformat()) == ["at 2", "at 1", "at 0"]
    assert listed(date_sent_after="2026-11-24") == []
    with pytest.raises(Exception, match="Unable to fetch page"):
        listed(date_sent="yesterday")


def test_pages_follow_each_other_though_new_messages_come(client):
    for number in range(7):
        send(client, body=str(number))
    pages = [client.messages.page(page_size=3)]
    send(client, body="new")
    while (page := pages[-1].next_page()) is not None:
        pages.append(page)
    assert [[each.body for each in page] for page in pages] == [["6", "5", "4"], ["3", "2", "1"], ["0"]]
    assert [each.body for each in pages[2].previous_page()] == ["3", "2", "1"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"to": "+15005550001"}, 21211),
        ({"to": "+15005550002"}, 21612),
        ({"to": "+15005550003"}, 21408),
        ({"to": "+15005550004"}, 21610),
        ({"to": "+15005550009"}, 21614),
        ({"from_": "+15005550001"}, 21212),
        ({"from_": "+15005550007"}, 21606),
        ({"from_": "+15005550008"}, 21611),
        ({"to": "the baker"}, 21211),
        ({"to": ""}, 21604),
        ({"body": ""}, 21602),
        ({"from_": ""}, 21603),
        ({"body": "x" * 1601}, 21617),
    ],
)
def test_magic_numbers_and_unfit_messages_are_refused_with_twilios_codes(client, provider, changes, code):
    with pytest.raises(TwilioRestException) as raised:
        send(client, **changes)
    assert (raised.value.status, raised.value.code) == (400, code)
    assert provider.twilio.messages == {}


def test_both_shapes_of_an_error_reach_the_client(client, provider):
    provider.fail_next(Fault(429, 20429), Fault(429, 20429, problem_json=True))
    raised = []
    for _ in range(2):
        with pytest.raises((TwilioRestException, TwilioServiceException)) as error:
            send(client)
        raised.append((type(error.value), int(error.value.status), error.value.code))
    assert raised == [(TwilioRestException, 429, 20429), (TwilioServiceException, 429, 20429)]


def test_a_message_is_deleted_once_it_has_ended(client, provider):
    sent = send(client)
    with pytest.raises(TwilioRestException) as raised:
        client.messages(sent.sid).delete()
    assert (raised.value.status, raised.value.code) == (409, 20009)
    provider.twilio.deliver()
    assert client.messages(sent.sid).delete()
    with pytest.raises(TwilioRestException) as raised:
        client.messages(sent.sid).fetch()
    assert (raised.value.status, raised.value.code) == (404, 20404)


def test_a_get_fails_on_request_too(client, provider):
    sent = send(client)
    provider.fail_next(Fault(500, 20500), method="GET")
    with pytest.raises(TwilioRestException):
        client.messages(sent.sid).fetch()
    assert client.messages(sent.sid).fetch().sid == sent.sid


def test_a_plan_of_faults_repeats_itself_from_its_seed():
    plan = Plan(
        {Kind.TOO_MANY: 0.2, Kind.DROP: 0.1, Kind.ERROR: 0.1, Kind.HANG: 0.05, Kind.LATENCY: 0.1}, seed=7
    )
    first, second = Faults(plan), Faults(plan)
    drawn = [first.of_call("POST") for _ in range(2000)]
    assert drawn == [second.of_call("POST") for _ in range(2000)]
    too_many = sum(fault is not None and fault.status == 429 for fault in drawn)
    dropped = [fault for fault in drawn if fault is not None and fault.drop]
    assert 250 < too_many < 420
    assert 140 < len(dropped) < 250
    assert all(fault.accept for fault in dropped)
    assert not any(fault and fault.accept for fault in drawn if fault and fault.status == 429)
    assert any(fault and fault.delay_seconds for fault in drawn)


def test_callbacks_are_doubled_lost_and_shuffled():
    steps = ["queued", "sent", "delivered"]
    assert Faults().of_callbacks(steps) == steps
    assert Faults(Plan({Kind.DUPLICATE: 1.0})).of_callbacks(steps) == [
        each for each in steps for _ in range(2)
    ]
    assert Faults(Plan({Kind.MISSING: 1.0})).of_callbacks(steps) == []
    shuffled = Faults(Plan({Kind.SHUFFLE: 1.0}))
    assert len({tuple(shuffled.of_callbacks(steps)) for _ in range(60)}) == 6


@pytest.mark.parametrize("raw", [[], {"429": 2}, {"429": "0.1"}, {"fire": 0.1}, {"latency_seconds": -1}])
def test_a_plan_that_cannot_be_is_refused(raw):
    with pytest.raises(InvalidPlan):
        plan_from_json(raw)


def test_a_plan_goes_through_json():
    plan = Plan({Kind.TOO_MANY: 0.2, Kind.SHUFFLE: 0.5}, seed=7, latency_seconds=0.5)
    assert plan_from_json(plan_json(plan)) == plan
