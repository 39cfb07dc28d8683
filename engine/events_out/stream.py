"""The feed as server-sent events. Each stream reads the feed itself, a portion at a time, and reads the next one only when
the last has gone out: a slow listener costs no memory, and is ended once it is too slow.
"""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from engine.doors.problem import FieldProblem, Problem
from engine.events_out import feed
from engine.events_out.change import Change, Wanted
from engine.events_out.payload import Discretion, payloads
from engine.events_out.routes import wanted_of
from engine.records import Records

STREAMS_LIMIT = 50
"""Open streams of one process."""
PORTION = 100
POLL_SECONDS = 0.5
HEARTBEAT_SECONDS = 15.0
SLOW_SECONDS = 10.0
"""A listener that does not take a portion within this is too slow."""
RECONNECT_MS = 3000


@dataclass(frozen=True, slots=True)
class Pace:
    """How a stream goes; tests take other figures."""

    poll_seconds: float = POLL_SECONDS
    heartbeat_seconds: float = HEARTBEAT_SECONDS
    slow_seconds: float = SLOW_SECONDS


class FeedReader:
    """Reads the feed for the streams of one process."""

    def __init__(
        self, records: Records, discretion: Discretion, place: Callable[[], int], now: Callable[[], datetime]
    ) -> None:
        self._records = records
        self._discretion = discretion
        self._place = place
        self._now = now
        self.open_streams = 0

    def begin(self, last_event_id: int | None) -> tuple[int, bool]:
        """Where a stream begins: behind the last event it has had, or now. True: some of what came since is not kept."""
        self._note()
        with self._records.reads.connect() as connection:
            before, last = feed.ends(connection)
        if last_event_id is None:
            return last, False
        return max(min(last_event_id, last), before), last_event_id < before

    def read(self, after: int) -> tuple[Sequence[Change], dict[int, dict[str, Any]]]:
        """The next portion, and what may be told of it."""
        self._note()
        self._place()
        with self._records.reads.connect() as connection:
            found = feed.read(connection, after, PORTION)
            return found, payloads(connection, found, self._discretion, self._now())

    def _note(self) -> None:
        now = self._now()
        with self._records.reads.connect() as connection:
            noted = feed.is_noted(connection, now)
        if not noted:
            with self._records.writes.begin() as connection:
                feed.want(connection, now)


class _NotPermitted(Exception):
    """The listener may not hear this any more."""


class EventStream(Response):
    """One stream, from its start to its end."""

    def __init__(
        self,
        reader: FeedReader,
        wanted: Wanted,
        after: int,
        *,
        permitted: Callable[[], None],
        gap: bool,
        pace: Pace,
    ) -> None:
        """`permitted` raises `Problem` once the listener may not hear this any more."""
        super().__init__(
            media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
        del self.headers["content-length"]
        self._reader = reader
        self._wanted = wanted
        self._after = after
        self._permitted = permitted
        self._gap = gap
        self._pace = pace

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the stream until its listener goes, is too slow, or loses its key."""
        if self._reader.open_streams >= STREAMS_LIMIT:
            raise Problem(503, "too_many_streams", f"{STREAMS_LIMIT} streams are open here; close one")
        self._reader.open_streams += 1
        gone = asyncio.create_task(_gone(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._tell_all(send, gone)
        except _NotPermitted:
            await self._end(send, "unauthorized")
        except TimeoutError:
            await self._end(send, "too_slow")
        except asyncio.CancelledError:  # the server stops; this task ends here in any case
            await self._end(send, "closing")
        finally:
            self._reader.open_streams -= 1
            gone.cancel()

    async def _tell_all(self, send: Send, gone: "asyncio.Task[None]") -> None:
        await self._send(send, f"retry: {RECONNECT_MS}\n\n")
        if self._gap:
            await self._send(send, _block("gap", self._after, {"reason": "older changes are not kept"}))
        said_at = asked_at = time.monotonic()
        while not gone.done():
            if time.monotonic() - asked_at >= self._pace.heartbeat_seconds:
                await self._ask()
                asked_at = time.monotonic()
            found, said = await run_in_threadpool(self._reader.read, self._after)
            told = [
                _block(change.type, change.position, said[change.seq])
                for change in found
                if self._wanted.has(change) and change.seq in said
            ]
            if found:
                self._after = found[-1].position
            if not told and time.monotonic() - said_at >= self._pace.heartbeat_seconds:
                told = [f": heartbeat\nid: {self._after}\n\n"]
            if told:
                await self._send(send, "".join(told))
                said_at = time.monotonic()
            if len(found) < PORTION:
                await asyncio.wait([gone], timeout=self._pace.poll_seconds)

    async def _ask(self) -> None:
        """Raises _NotPermitted when the listener's key was revoked, or lost its scope."""
        try:
            await run_in_threadpool(self._permitted)
        except Problem as problem:
            raise _NotPermitted from problem

    async def _send(self, send: Send, text: str) -> None:
        """Raises TimeoutError when the listener does not take it."""
        async with asyncio.timeout(self._pace.slow_seconds):
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})

    async def _end(self, send: Send, reason: str) -> None:
        """Say that it is over, as far as it is still heard. What was sent last may not have arrived, so no id is given."""
        body = f"event: end\ndata: {json.dumps({'reason': reason})}\n\n"
        try:
            async with asyncio.timeout(self._pace.slow_seconds):
                await send({"type": "http.response.body", "body": body.encode(), "more_body": False})
        except TimeoutError:
            return


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _block(event: str, position: int, data: dict[str, Any]) -> str:
    return f"event: {event}\nid: {position}\ndata: {json.dumps(data)}\n\n"


def stream_call(
    reader: FeedReader,
    permitted: Callable[[Request], None],
    consent_permitted: Callable[[Request], None],
    pace: Pace | None = None,
) -> APIRouter:
    """The call that opens a stream. `permitted` raises `Problem` unless the caller may listen, and `consent_permitted`
    unless it may hear of consent; both are asked again while a stream is open.
    """
    api = APIRouter(tags=["events out"])
    example = (
        'retry: 3000\n\nevent: event.enter\nid: 17\ndata: {"type": "event.enter", "position": 17, ...}\n\n'
    )

    @api.get(
        "/v1/stream",
        operation_id="streamChanges",
        summary="What happens, as server-sent events; Last-Event-ID goes on where a stream ended",
        response_class=Response,
        responses={200: {"content": {"text/event-stream": {"example": example}}}},
    )
    def stream(
        request: Request,
        kinds: Annotated[str, Query(min_length=1, max_length=1000, examples=["event,message.delivered"])],
        last_event_id: Annotated[str | None, Header(max_length=40)] = None,
    ) -> EventStream:
        wanted = wanted_of([each for each in kinds.replace(",", " ").split() if each])
        if not wanted.kinds:
            said = "at least one kind, such as event or message.delivered"
            raise Problem(422, "unknown_kind", f"kinds: {said}", [FieldProblem("kinds", said)])

        def still_permitted() -> None:
            permitted(request)
            if wanted.concerns_consent:
                consent_permitted(request)

        still_permitted()
        after, gap = reader.begin(_position(last_event_id))
        return EventStream(reader, wanted, after, permitted=still_permitted, gap=gap, pace=pace or Pace())

    return api


def _position(last_event_id: str | None) -> int | None:
    if not last_event_id:
        return None
    if not (last_event_id.isascii() and last_event_id.isdecimal() and len(last_event_id) <= 18):
        said = "repeat the id of the last event that you have had, a whole number"
        raise Problem(
            422, "invalid_last_event_id", f"Last-Event-ID: {said}", [FieldProblem("Last-Event-ID", said)]
        )
    return int(last_event_id)
