"""Erasures passed on to processors, over HTTP to a real server of our own."""

import hmac
import json
import threading
from base64 import b64decode
from datetime import timedelta
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from consent import processor_store
from consent.processor import InvalidProcessors, Processor, read_processors
from consent.processor_call import Courier
from consent.processor_store import PAUSES_SECONDS, NoticeState
from engine.clock import SetClock
from tests.consent.cast import minute

DECLARED = """
[[processor]]
name = "printer"
task = "prints loyalty cards"
data = "name"
country = "FR"
url = "{url}"
secret_file = "{secret}"

[[processor]]
name = "call centre"
task = "answers calls"
data = "phone number"
country = "MA"
safeguard = "standard contractual clauses"
"""


class Answering(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.heard.append((dict(self.headers), body))
        status = self.server.answers.pop(0) if self.server.answers else 200
        self.send_response(status)
        if status in (301, 307):
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
        self.end_headers()
        self.wfile.write(b"gone")

    def log_message(self, *_):
        pass


@pytest.fixture
def company():
    """A processor's server; `answers` are the statuses it gives next, `heard` what it was told."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    server.answers, server.heard = [], []
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def printer(company):
    url = f"http://127.0.0.1:{company.server_port}/erasures"
    return Processor("printer", "prints", "name", "FR", url=url, secret=b"s" * 32)


class Desk:
    """The courier of one test, and what the queue says."""

    def __init__(self, records, processors):
        self.records, self.clock = records, SetClock(minute(0))
        self.courier = Courier(records.writes, self.clock, processors)
        with records.writes.begin() as conn:
            told = [(each.name, bool(each.url)) for each in processors]
            processor_store.notify(conn, "ana", told, minute(0))

    def notices(self):
        with self.records.reads.connect() as conn:
            return processor_store.notices_of(conn, "ana")


def test_an_erasure_is_told_once_signed_and_proven(records, company):
    desk = Desk(records, [printer(company)])
    assert desk.courier.run_once() == 1
    desk.clock.advance(days=1)
    assert desk.courier.run_once() == 0
    [(headers, body)] = company.heard
    assert json.loads(body) == {
        "type": "subject.erased",
        "timestamp": minute(0).isoformat(),
        "data": {"subject": "ana"},
    }
    [notice] = desk.notices()
    signed = f"{notice.id}.{headers['webhook-timestamp']}.".encode() + body
    version, code = headers["webhook-signature"].split(",")
    assert (version, b64decode(code)) == ("v1", hmac.digest(b"s" * 32, signed, sha256))
    assert (headers["webhook-id"], int(headers["webhook-timestamp"])) == (
        notice.id,
        int(minute(0).timestamp()),
    )
    assert (notice.state, notice.calls, notice.last_answer) == (NoticeState.DONE, 1, "200")
    assert notice.proof == f"sha256:{sha256(b'gone').hexdigest()}"
    assert notice.done_at == minute(0)


def test_a_processor_that_fails_is_told_again_after_growing_pauses_then_a_person(records, company):
    company.answers[:] = [500] * 4 + [301, 307] + [404] * 9
    desk = Desk(records, [printer(company)])
    for pause in PAUSES_SECONDS:
        assert desk.courier.run_once() == 0
        assert desk.notices()[0].state is NoticeState.DUE
        desk.clock.advance(seconds=pause - 1)
        calls = desk.notices()[0].calls
        desk.courier.run_once()
        assert desk.notices()[0].calls == calls, "not before its time"
        desk.clock.advance(seconds=1)
    desk.courier.run_once()
    [notice] = desk.notices()
    assert (notice.state, notice.calls, notice.last_answer) == (
        NoticeState.MANUAL,
        len(PAUSES_SECONDS) + 1,
        "404",
    )
    assert len(company.heard) == notice.calls, "no redirect was followed"
    desk.clock.advance(days=30)
    desk.courier.run_once()
    assert len(company.heard) == notice.calls
    with records.writes.begin() as conn:
        assert processor_store.done_by_hand(conn, notice.id, "key:dpo", desk.clock())
        assert not processor_store.done_by_hand(conn, notice.id, "key:dpo", desk.clock())
    assert desk.notices()[0].proof == "said by key:dpo"


def test_a_processor_that_is_away_or_not_declared_any_more_is_kept_waiting(records, company):
    away = printer(company)
    company.server_close()
    desk = Desk(records, [away])
    assert desk.courier.run_once() == 0
    assert desk.notices()[0].last_answer == "ConnectError"
    forgotten = Courier(records.writes, SetClock(minute(10)), [])
    assert forgotten.run_once() == 0
    assert desk.notices()[0].last_answer == "not configured any more"


def test_one_without_an_address_waits_for_a_person_from_the_start(records):
    desk = Desk(records, [Processor("call centre", "answers", "phone", "MA")])
    assert desk.courier.run_once() == 0
    assert desk.notices()[0].state is NoticeState.MANUAL
    with records.reads.connect() as conn:
        told = processor_store.pressure(conn, minute(0) + timedelta(hours=1))
    assert told == {NoticeState.DUE: (0, 0.0), NoticeState.MANUAL: (1, 3600.0)}


def test_several_couriers_share_the_queue(records, company):
    desk = Desk(records, [printer(company)])
    couriers = [Courier(records.writes, desk.clock, [printer(company)]) for _ in range(4)]
    threads = [threading.Thread(target=each.run_once) for each in couriers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(company.heard) == 1


def declared(tmp_path, text):
    file, secret = tmp_path / "processors.toml", tmp_path / "secret"
    secret.write_text("top secret\n")
    file.write_text(text.replace("{secret}", str(secret)))
    return file


def test_processors_are_read_from_a_file(tmp_path):
    file = declared(tmp_path, DECLARED.replace("{url}", "https://printer.example/erasures"))
    first, second = read_processors(file, plain_http_to_loopback=False)
    assert (first.name, first.url, first.secret) == (
        "printer",
        "https://printer.example/erasures",
        b"top secret",
    )
    assert (second.safeguard, second.url) == ("standard contractual clauses", "")
    assert "top secret" not in repr(first)
    assert read_processors(None, plain_http_to_loopback=False) == ()


def test_every_flaw_of_the_file_is_named(tmp_path):
    http = DECLARED.replace("{url}", "http://127.0.0.1:1/")
    assert len(read_processors(declared(tmp_path, http), plain_http_to_loopback=True)) == 2
    for text, said in [
        (http, "processor 1: url: must start with https://"),
        (DECLARED.replace("{url}", "http://printer.example/"), "processor 1: url: must start with https://"),
        (DECLARED.replace("{url}", "https://p.example").replace("{secret}", "/none"), "secret_file: a file"),
        (DECLARED.replace("call centre", "printer").replace("{url}", "https://p.example"), "have one name"),
        (DECLARED + 'phone = "x"\n', "processor 2: phone: not known here"),
        (DECLARED + "email = 1\n", "processor 2: email: not known here"),
        ("[[processor]]\nname = 1\n", "processor 1: name: must be text"),
        ("[[processor]]\n", "processor 1: country: is missing"),
        ("[other]\n", "other: not known here"),
        ("nonsense", "processors.toml"),
    ]:
        with pytest.raises(InvalidProcessors, match=said):
            read_processors(declared(tmp_path, text), plain_http_to_loopback=said == "none")
    with pytest.raises(InvalidProcessors):
        read_processors(tmp_path / "none.toml", plain_http_to_loopback=True)
