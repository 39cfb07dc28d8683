"""The short way must answer as the usual one does, and leave to that one what it does not understand."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest
import uvicorn
from uvicorn.server import ServerState

from engine.app import Engine
from engine.clock import SetClock
from engine.doors.keys import Scope
from engine.doors.lane import SignalLane
from engine.live import gate_key, partition_of
from tests.conftest import ADMIN_KEY

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture
def body(engine: Engine, clock: SetClock) -> bytes:
    """One ping of a phone that may be heard."""
    engine.live.client.hset(gate_key(partition_of("ana", engine.live.partitions)), "ana", "1")
    ping = {"device": "ana", "at": clock().timestamp(), "lat": 48.8, "lon": 2.2, "accuracy": 9}
    return json.dumps({"pings": [ping]}).encode()


def request(body: bytes, *more: str, path: str = "/v1/pings", key: str = ADMIN_KEY, version="1.1") -> bytes:
    framing = (
        [] if any(each.startswith("Transfer-Encoding") for each in more) else [f"Content-Length: {len(body)}"]
    )
    lines = [f"POST {path} HTTP/{version}", "Host: door", f"Authorization: Bearer {key}", *framing, *more]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def answer(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    return int(head[0].split()[1]), headers, await reader.readexactly(int(headers["content-length"]))


@asynccontextmanager
async def served(
    engine: Engine, *, quiet_seconds: float = 5
) -> AsyncIterator[Callable[[], Awaitable[Streams]]]:
    door = engine.web()
    config = uvicorn.Config(
        door, log_level="warning", lifespan="off", timeout_keep_alive=cast("int", quiet_seconds)
    )
    state = ServerState()
    state.default_headers = [(b"server", b"test")]

    def connection() -> SignalLane:
        return SignalLane(config=config, server_state=state, app_state={}, door=door)

    server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
    async with server:
        yield lambda: asyncio.open_connection(*server.sockets[0].getsockname())


def talk(engine: Engine, said: bytes, answers: int, cut: int = 1 << 30) -> list[Answer]:
    """What is answered on one connection to all that is said on it, sent in pieces of `cut` bytes."""

    async def run() -> list[Answer]:
        async with served(engine) as connect:
            reader, writer = await connect()
            for start in range(0, len(said), cut):
                writer.write(said[start : start + cut])
                await writer.drain()
                await asyncio.sleep(0)
            found = [await asyncio.wait_for(answer(reader), 20) for _ in range(answers)]
            writer.close()
            return found

    return asyncio.run(run())


def test_a_body_is_taken_in_and_the_connection_stays_open(engine: Engine, body: bytes):
    found = talk(engine, request(body) * 3, 3)
    assert [(status, json.loads(said)) for status, _, said in found] == [
        (202, {"accepted": 1, "rejected": []})
    ] * 3
    assert found[0][1]["content-type"] == "application/json"
    assert found[0][1]["server"] == "test"
    assert sum(len(entry.signals) for entry in _logged(engine)) == 3


def test_a_body_in_many_pieces_is_one_body(engine: Engine, body: bytes):
    assert [status for status, _, _ in talk(engine, request(body), 1, cut=7)] == [202]


def test_requests_sent_ahead_are_answered_in_their_order(engine: Engine, body: bytes):
    other = b"GET /healthz HTTP/1.1\r\nHost: door\r\n\r\n"
    said = [request(body), other, request(b"{}"), request(body), other, request(body, key="wrong")]
    statuses = [status for status, _, _ in talk(engine, b"".join(said), 6)]
    assert statuses == [202, 200, 422, 202, 200, 401]


def test_a_head_that_came_before_means_the_same_with_another_body(engine: Engine, body: bytes):
    other = body.replace(b"48.8", b"48.9")
    unknown = body.replace(b"ana", b"bob")
    wrong = body.replace(b"48.8", b"98.8")

    async def run() -> list[int]:
        async with served(engine) as connect:
            statuses = []
            for _ in range(2):
                reader, writer = await connect()
                for said in (body, body, other, unknown, wrong, body):
                    writer.write(request(said))
                    statuses.append((await asyncio.wait_for(answer(reader), 20))[0])
                writer.close()
            return statuses

    assert asyncio.run(run()) == [202, 202, 202, 422, 422, 202] * 2
    latitudes = [lat for entry in _logged(engine) for lat in entry.signals.columns[2].tolist()]
    assert latitudes == [48.8, 48.8, 48.9, 48.8] * 2


def test_what_follows_a_head_that_is_known_is_understood_whatever_it_is(engine: Engine, body: bytes):
    other = b"GET /healthz HTTP/1.1\r\nHost: door\r\n\r\n"
    plain, parting = request(body), request(body, "Connection: close")

    async def run() -> list[int]:
        async with served(engine) as connect:
            reader, writer = await connect()
            statuses = []
            for said, answers in [
                (plain, 1),
                (plain * 3, 3),
                (other, 1),
                (plain, 1),
                (b"\r\n" + plain, 1),
                (plain + other + plain[:30], 2),
                (plain[30:], 1),
                (plain[:-5], 0),
                (plain[-5:] + parting, 2),
            ]:
                writer.write(said)
                await writer.drain()
                statuses += [(await asyncio.wait_for(answer(reader), 20))[0] for _ in range(answers)]
            assert await asyncio.wait_for(reader.read(), 20) == b""
            writer.close()
            return statuses

    assert asyncio.run(run()) == [202, *[202] * 3, 200, 202, 202, 202, 200, 202, 202, 202]


def test_a_key_that_is_revoked_opens_no_more_although_the_head_is_known(engine: Engine, body: bytes):
    key, secret = engine.keys.create("app", [Scope.INGEST])
    said = request(body, key=secret)

    async def run() -> list[int]:
        async with served(engine) as connect:
            reader, writer = await connect()
            statuses = []
            for number in range(4):
                if number == 3:
                    engine.keys.revoke(key.id)
                writer.write(said)
                statuses.append((await asyncio.wait_for(answer(reader), 20))[0])
            writer.close()
            return statuses

    assert asyncio.run(run()) == [202, 202, 202, 401]


def test_a_quiet_connection_is_closed_and_not_before_it_was_quiet(engine: Engine, body: bytes):
    async def run() -> None:
        async with served(engine, quiet_seconds=0.3) as connect:
            reader, writer = await connect()
            loop = asyncio.get_running_loop()
            began = last = loop.time()
            while last < began + 0.4:
                writer.write(request(body))
                assert (await asyncio.wait_for(answer(reader), 20))[0] == 202
                last = loop.time()
            assert await asyncio.wait_for(reader.read(), 20) == b""
            assert loop.time() > last + 0.25
            writer.close()

    asyncio.run(run())


def test_a_change_of_protocol_takes_no_body_in_twice(engine: Engine, body: bytes):
    upgrade = (
        b"GET /v1/pings HTTP/1.1\r\nHost: door\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )

    async def run() -> None:
        async with served(engine) as connect:
            reader, writer = await connect()
            writer.write(request(body))
            assert (await asyncio.wait_for(answer(reader), 20))[0] == 202
            writer.write(upgrade)
            assert b"403" in await asyncio.wait_for(reader.readline(), 20)
            writer.close()

    asyncio.run(run())
    assert sum(len(entry.signals) for entry in _logged(engine)) == 1


def test_a_sender_that_waits_for_a_go_ahead_gets_it(engine: Engine, body: bytes):
    async def run() -> None:
        async with served(engine) as connect:
            reader, writer = await connect()
            head, _, _ = request(body, "Expect: 100-continue").partition(b"{")
            writer.write(head)
            assert (
                await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20) == b"HTTP/1.1 100 Continue\r\n\r\n"
            )
            writer.write(body)
            assert (await asyncio.wait_for(answer(reader), 20))[0] == 202
            writer.close()

    asyncio.run(run())


def test_a_query_changes_nothing(engine: Engine, body: bytes):
    assert [status for status, _, _ in talk(engine, request(body, path="/v1/pings?source=app"), 1)] == [202]


def test_packed_and_chunked_bodies_are_understood(engine: Engine, body: bytes):
    packed = gzip.compress(body)
    chunked = b"5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (body[:5], len(body) - 5, body[5:])
    said = request(packed, "Content-Encoding: gzip") + request(chunked, "Transfer-Encoding: chunked")
    assert [status for status, _, _ in talk(engine, said, 2)] == [202, 202]


def test_a_body_beyond_the_limit_is_refused(engine: Engine):
    length = engine.settings.bulk_body_limit_bytes + 1
    head = request(b"", f"X-Padding: {length}").replace(b"Content-Length: 0", b"Content-Length: %d" % length)
    [(status, headers, said)] = talk(engine, head, 1)
    assert (status, headers["content-type"]) == (413, "application/problem+json")
    assert json.loads(said)["code"] == "body_too_large"


def test_a_wrong_field_is_named(engine: Engine, body: bytes):
    [(status, headers, said)] = talk(engine, request(body.replace(b"48.8", b"98.8")), 1)
    assert (status, headers["content-type"]) == (422, "application/problem+json")
    assert json.loads(said)["errors"][0]["field"] == "pings[0].lat"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_whoever_asks_for_it_is_parted_from_after_the_answer(engine: Engine, body: bytes, version: str):
    async def run() -> None:
        async with served(engine) as connect:
            reader, writer = await connect()
            more = ["Connection: close"] if version == "1.1" else []
            writer.write(request(body, *more, version=version))
            status, headers, _ = await asyncio.wait_for(answer(reader), 20)
            assert (status, headers["connection"]) == (202, "close")
            assert await asyncio.wait_for(reader.read(), 20) == b""
            writer.close()

    asyncio.run(run())


def test_a_sender_that_leaves_before_its_answer_costs_nobody_else_theirs(engine: Engine, body: bytes):
    async def run() -> None:
        async with served(engine) as connect:
            gone = [await connect() for _ in range(3)]
            reader, writer = await connect()
            for _, each in gone:
                each.write(request(body))
            writer.write(request(body))
            for _, each in gone:
                each.transport.abort()
            assert (await asyncio.wait_for(answer(reader), 20))[0] == 202
            writer.write(request(body))
            assert (await asyncio.wait_for(answer(reader), 20))[0] == 202
            writer.close()

    asyncio.run(run())


def _logged(engine: Engine):
    cursors = dict.fromkeys(range(engine.live.partitions), b"0-0")
    return [entry for entries in engine.log.read(cursors, 1000, 1).values() for entry in entries]
