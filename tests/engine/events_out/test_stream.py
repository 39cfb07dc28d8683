"""Server-sent events, as an ASGI server would ask for them."""

import asyncio
import json

import pytest
from starlette.requests import Request

from consent.entry import Action
from engine.doors.keys import Scope
from engine.doors.web import requires_now
from engine.events_out import feed
from engine.events_out.stream import PORTION, EventStream, FeedReader, Pace
from engine.events_out.tables import changes
from tests.conftest import ADMIN_KEY
from tests.engine.events_out.shop import EVERYTHING, SECRET_WORDS, Shop

QUICK = Pace(poll_seconds=0.01, heartbeat_seconds=0.03, slow_seconds=0.2)


class Listener:
    """An ASGI server's side of one stream, which leaves once it has heard so much."""

    def __init__(self, until, takes=lambda message: asyncio.sleep(0)):
        self.until, self.takes = until, takes
        self.text, self.started, self.ended, self.left = "", None, False, asyncio.Event()

    async def receive(self):
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        await self.takes(message)
        if message["type"] == "http.response.start":
            self.started = message
            return
        self.text += message["body"].decode()
        self.ended = not message["more_body"]
        if self.until(self.text):
            self.left.set()

    @property
    def events(self):
        """What an EventSource would make of it: name, id and data."""
        found = []
        for block in self.text.split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if "data" in fields:
                found.append((fields["event"], fields.get("id"), json.loads(fields["data"])))
        return found


@pytest.fixture
def shop(records, clock):
    return Shop(records, clock)


@pytest.fixture
def reader(shop):
    return FeedReader(shop.records, shop.discretion, shop.courier.place, shop.clock)


def listens(reader, after, until, takes=None, *, gap=False, wanted=EVERYTHING, permitted=lambda: None):
    async def run():
        listener = Listener(until, takes or (lambda message: asyncio.sleep(0)))
        stream = EventStream(reader, wanted, after, permitted=permitted, gap=gap, pace=QUICK)
        async with asyncio.timeout(30):
            await stream({}, listener.receive, listener.send)
        return listener

    return asyncio.run(run())


def test_a_stream_tells_what_happens_and_is_taken_up_where_it_ended(shop, reader):
    shop.knows("ana")  # before anybody listened
    after, gap = reader.begin(None)
    assert (after, gap) == (0, False)
    visit = shop.visits("ana")
    shop.visits("ana", "by-the-chapel")
    shop.says("ana", Action.GRANT)
    first = listens(reader, after, lambda text: "consent.grant" in text)
    assert [(name, data["type"]) for name, _, data in first.events] == [
        ("event.enter", "event.enter"),
        ("consent.grant", "consent.grant"),
    ]
    assert first.events[0][2]["data"]["id"] == visit.id
    assert [each[1] for each in first.events] == ["1", "3"]
    assert "retry: " in first.text
    assert not [word for word in SECRET_WORDS if word in first.text]
    later = shop.visits("ana")
    resumed, gap = reader.begin(3)
    assert (resumed, gap) == (3, False)
    second = listens(reader, resumed, lambda text: "event.enter" in text)
    assert [data["data"]["id"] for _, _, data in second.events] == [later.id]
    assert reader.open_streams == 0


def test_a_quiet_stream_beats_and_says_how_far_it_is(shop, reader):
    after, _ = reader.begin(None)
    shop.knows("ana")
    heard = listens(reader, after, lambda text: text.count(": heartbeat") == 2, wanted=_only("message"))
    assert heard.events == []
    assert "id: 1\n\n" in heard.text
    assert heard.started["status"] == 200
    assert dict(heard.started["headers"])[b"content-type"].startswith(b"text/event-stream")


def test_what_is_kept_no_longer_is_a_gap(shop, reader):
    after, _ = reader.begin(None)
    shop.knows("ana")
    shop.visits("ana")
    reader.read(after)
    with shop.records.writes.begin() as conn:
        conn.execute(changes.delete().where(changes.c.position == 1))
    assert reader.begin(0) == (1, True)
    heard = listens(reader, 1, lambda text: "event.enter" in text, gap=True)
    assert [name for name, _, _ in heard.events] == ["gap", "event.enter"]
    assert reader.begin(99) == (2, False)  # a number that was never given


def test_a_listener_that_takes_nothing_is_ended_with_a_word(shop, reader):
    after, _ = reader.begin(None)
    shop.knows("ana")
    stuck = []

    async def takes(message):
        if b"consent.grant" in message.get("body", b"") and not stuck:
            stuck.append(message)
            await asyncio.sleep(3600)

    heard = listens(reader, after, lambda _: False, takes)
    assert (heard.ended, heard.events) == (True, [("end", None, {"reason": "too_slow"})])
    assert reader.open_streams == 0
    assert PORTION == 100  # and no more than that is ever held for it


def test_a_stream_ends_with_a_word_when_the_server_stops(reader):
    async def run():
        listener = Listener(lambda _: False)
        stream = EventStream(reader, EVERYTHING, 0, permitted=lambda: None, gap=False, pace=QUICK)
        task = asyncio.create_task(stream({}, listener.receive, listener.send))
        await asyncio.sleep(0.1)
        task.cancel()
        await task
        return listener

    heard = asyncio.run(run())
    assert (heard.ended, heard.events) == (True, [("end", None, {"reason": "closing"})])


def test_a_stream_ends_when_its_key_is_revoked(reader, engine):
    made, secret = engine.keys.create("ops", [Scope.SUBSCRIBE])
    ask = requires_now(engine.keys, Scope.SUBSCRIBE)
    request = Request({"type": "http", "headers": [(b"authorization", f"Bearer {secret}".encode())]})
    beats = []

    def permitted():
        ask(request)
        beats.append(1)
        if len(beats) == 2:
            engine.keys.revoke(made.id)

    heard = listens(reader, 0, lambda _: False, permitted=permitted)
    assert heard.events == [("end", None, {"reason": "unauthorized"})]
    assert (heard.ended, len(beats), reader.open_streams) == (True, 2, 0)


def test_the_door_checks_the_key_and_the_header_and_then_streams(engine, client):
    for path, headers, status, said in (
        ("/v1/stream?kinds=event", {"Authorization": ""}, 401, "unauthorized"),
        ("/v1/stream?kinds=event", {"Last-Event-ID": "x"}, 422, "invalid_last_event_id"),
        ("/v1/stream?kinds=sms", {}, 422, "unknown_kind"),
        ("/v1/stream?kinds=,", {}, 422, "unknown_kind"),
        ("/v1/stream", {}, 422, "invalid_body"),
    ):
        answer = client.get(path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (status, said)

    async def run():
        listener = Listener(lambda text: "gap" in text or "consent.grant" in text)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "path": "/v1/stream",
            "raw_path": b"/v1/stream",
            "root_path": "",
            "scheme": "https",
            "query_string": b"kinds=consent,event",
            "headers": [(b"authorization", f"Bearer {ADMIN_KEY}".encode()), (b"last-event-id", b"0")],
            "client": ("127.0.0.1", 1),
            "server": ("offers.example.org", 443),
        }
        async with asyncio.timeout(30):
            await engine.web()(scope, listener.receive, listener.send)
        return listener

    with engine.records.writes.begin() as conn:
        feed.want(conn, engine.now())
    client.put("/v1/subjects/ana", json={"phone": "+33639980001"}).raise_for_status()
    said = {"purpose": "location", "action": "grant", "source": "app", "text_version": "v1"}
    client.post("/v1/subjects/ana/consents", json=said).raise_for_status()
    heard = asyncio.run(run())
    assert (heard.started["status"], [name for name, _, _ in heard.events]) == (200, ["consent.grant"])


def _only(*kinds):
    from engine.events_out.change import Wanted

    return Wanted(frozenset(kinds))
