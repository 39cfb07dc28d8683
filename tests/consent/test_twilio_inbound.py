from urllib.parse import urlencode

import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from twilio.request_validator import RequestValidator

from consent import ledger, store
from consent.desk import Desk
from consent.entry import Channel, Purpose
from consent.errors import ConsentError, StillSending
from consent.inbound import InboundPolicy
from consent.routes import router
from consent.twilio_inbound import TwilioInbound
from engine.clock import SetClock
from tests.consent.cast import ANA, ANAS_PHONE, grant, minute

PATH = "/v1/twilio/inbound"
PUBLIC = "https://offers.example"
POLICY = InboundPolicy(brand="Bread & Co", contact="01 99 00 00 01")
TEXT = {
    "MessageSid": "SM00000000000000000000000000000001",
    "AccountSid": "AC1",
    "From": ANAS_PHONE,
    "To": "+33199000001",
    "Body": "STOP",
    "FromCity": "",
    "NumMedia": "0",
}


class Line:
    """Twilio's side of the webhook."""

    def __init__(self, records, tokens=("t0ken",), policy=POLICY):
        self.records = records
        self.told = []
        self.settled = []
        self.under_way = False
        app = FastAPI()
        desk = Desk(
            reads=records.reads,
            writes=records.writes,
            now=SetClock(minute(5)),
            withdrawing=lambda subject: self.told.append(("withdrawing", subject)),
            changed=lambda subject: self.told.append(("changed", subject, self.allowed())),
            settle=self.settle,
            records_of={},
            on_erasure=[],
            forget_devices=lambda _: None,
            settle_erasures=lambda: None,
        )
        twilio = None if tokens is None else TwilioInbound(PUBLIC, tokens, policy)
        app.include_router(router(desk, export=lambda _: {}, twilio=twilio))

        @app.exception_handler(ConsentError)
        def answer(_, error):
            return JSONResponse({"code": error.code}, error.status)

        self.http = TestClient(app, base_url="http://10.0.0.7:8000", follow_redirects=False)

    def post(self, form, *, token="t0ken", signed_url=PUBLIC + PATH, path=PATH, headers=None, body=None):
        signature = RequestValidator(token).compute_signature(signed_url, form)
        sent = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}
        content = urlencode(form) if body is None else body
        return self.http.post(path, content=content, headers=sent | (headers or {}))

    def settle(self, subject):
        self.settled.append((subject, self.allowed()))
        if self.under_way:
            raise StillSending

    def allowed(self):
        with self.records.reads.connect() as connection:
            return ledger.standing_of(connection, "ana", Purpose.MARKETING, Channel.SMS, minute(9)).allowed


@pytest.fixture
def records(records):
    with records.writes.begin() as connection:
        store.put_subject(connection, ANA, minute(0))
        ledger.record(connection, grant(minute(0)))
    return records


@pytest.fixture
def line(records):
    return Line(records)


def test_a_signed_stop_is_in_force_when_it_is_answered(line):
    answer = line.post(TEXT)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/xml; charset=utf-8")
    assert "<Response><Message>Bread &amp; Co : c'est noté" in answer.text
    assert not line.allowed()
    assert line.told == [("changed", "ana", False)]


def test_twilios_second_try_gets_the_same_answer(line):
    assert line.post(TEXT).text == line.post(TEXT).text
    with line.records.reads.connect() as connection:
        assert len(ledger.entries_of(connection, "ana")) == 2


def test_the_providers_word_is_enough(line):
    answer = line.post(TEXT | {"Body": "", "OptOutType": "STOP"})
    assert answer.text.endswith("<Response></Response>")
    assert not line.allowed()


@pytest.mark.parametrize("replies_by", ["provider", "none"])
def test_silence_is_an_empty_response(records, replies_by):
    line = Line(records, policy=InboundPolicy("Bread", "desk", replies_by))
    answer = line.post(TEXT)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/xml; charset=utf-8")
    assert answer.text.endswith("<Response></Response>")
    assert not line.allowed()


def test_new_and_empty_fields_and_odd_letters_keep_the_signature(line):
    assert line.post(TEXT | {"Body": " Arrêt  👋 ", "Brand New": "", "é": "ö"}).status_code == 200
    assert not line.allowed()


def test_the_query_is_part_of_the_address(line):
    path = PATH + "?shop=a%20b&empty="
    assert line.post(TEXT, path=path, signed_url=PUBLIC + path).status_code == 200
    assert line.post(TEXT, path=path, signed_url=PUBLIC + PATH).status_code == 403


def test_both_tokens_are_accepted_while_one_is_rotated(records):
    line = Line(records, tokens=("new", "old"))
    assert line.post(TEXT, token="old").status_code == 200
    assert line.post(TEXT, token="new").status_code == 200
    assert line.post(TEXT, token="older").status_code == 403


@pytest.mark.parametrize("tokens", [None, (), ("",)])
def test_without_a_token_nobody_is_heard(records, tokens):
    line = Line(records, tokens=tokens)
    assert line.post(TEXT, token="").status_code == 403
    assert line.post(TEXT).status_code == 403
    assert line.allowed()


def test_a_wrong_signature_is_refused(line):
    for signature in [b"", b"x", b"\xe9", b"=" * 28, b"a" * 5000]:
        assert line.post(TEXT, headers={"X-Twilio-Signature": signature}).status_code == 403
        assert line.allowed()
        assert line.told == []


def test_no_signature_is_refused(line):
    assert line.http.post(PATH, data=TEXT).status_code == 403
    assert line.http.post(PATH).status_code == 403


def test_what_the_caller_says_of_the_host_plays_no_part(line):
    lies = {"Host": "offers.example", "X-Forwarded-Host": "offers.example", "X-Forwarded-Proto": "https"}
    assert line.post(TEXT, signed_url="http://10.0.0.7:8000" + PATH, headers=lies).status_code == 403
    assert line.post(TEXT, headers={"Host": "evil.example"}).status_code == 200


def test_anything_but_a_form_is_refused(line):
    for content_type in ("application/json", "multipart/form-data; boundary=x", "text/plain", ""):
        for body in (b'{"Body":"STOP"}', b"\xff\xfe", b"", b"--x\r\n"):
            answer = line.post({}, headers={"Content-Type": content_type}, body=body)
            assert answer.status_code == 403, (content_type, body)


def test_an_odd_form_is_refused_not_an_error(line):
    for body in [b"\xff\xfe=\x00&&&=&%zz", b"a" * 60000, b"&" * 3000, b"a=1&" * 3000]:
        assert 400 <= line.post({}, body=body).status_code < 500


def test_a_text_without_a_proper_id_is_refused(line):
    for sid in ["", "SM 1", "SM\x00", "S" * 65]:
        assert line.post(TEXT | {"MessageSid": sid}).status_code == 422


def test_a_tampered_form_is_refused(line):
    assert line.post(TEXT, body=urlencode(TEXT | {"Body": "START"})).status_code == 403
    assert line.allowed()


def test_an_opt_out_is_answered_when_nothing_is_being_handed_over_any_more(line):
    line.under_way = True
    assert line.post(TEXT).status_code == 503
    assert line.settled == [("ana", False)]
    line.under_way = False
    assert "c'est noté" in line.post(TEXT).text
    assert line.settled == [("ana", False)] * 2


def test_other_texts_wait_for_nothing(line):
    for number, body in enumerate(["HELP", "START", "hello"]):
        line.post(TEXT | {"Body": body, "MessageSid": f"SM{number}"})
    assert line.settled == []
