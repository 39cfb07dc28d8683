"""The short way for signals through the HTTP server. uvicorn's protocol parses each request, and gives it a task and
an ASGI cycle, which cost more than a body with one ping. Plain bodies of signals go from its parser straight to the
door, and their answers straight back; whatever is unusual about a request sends it the usual way. One whose head came
before is not even parsed.
"""

import asyncio
from functools import partial
from typing import Any

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from engine.doors.door import PATHS, Answer, SignalDoor
from engine.doors.heads import Head
from engine.doors.web import Caller

KINDS = {path.encode(): kind for path, kind in PATHS.items()}
UNUSUAL = frozenset((b"transfer-encoding", b"content-encoding", b"expect", b"upgrade"))
LENGTH_DIGITS = 9


class _Body(RequestResponseCycle):
    """A body of signals under way, in the place where the protocol keeps its request; uvicorn's own runs an
    application, this one does not.
    """

    keep_alive = True
    response_complete = False
    disconnected = False
    message_event = asyncio.Event()
    """Nobody waits for it."""
    body: Any = b""
    """Of one whose head is known nothing is gathered; every other gets its own."""
    data = b""
    """All that came of it, if it came at once and may be so remembered."""

    def __init__(self, head: Head) -> None:
        self.head = head


class SignalLane(HttpToolsProtocol):
    """uvicorn's HTTP protocol, with the short way."""

    cycle: Any  # uvicorn's own; None before the first request, which it does not say

    def __init__(self, *args: Any, door: SignalDoor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._door = door
        self._between = True
        """Nothing of a next message has come to the parser, and another one may follow."""
        self._begun = 0
        """Messages in `_data`, the bytes that came last."""
        self._data = b""
        self._quiet_since = 0.0
        self._last_written: tuple[Any, Answer, bytes] = (None, b"", b"")

    def data_received(self, data: bytes) -> None:
        """Take what has come. A whole request whose head came before needs no parser."""
        if self._between and not self.flow.write_paused and self._is_free:
            known = self._door.heads.find(data)
            if known is not None:
                head, body = known
                self.cycle = request = _Body(head)
                self._door.serve(head.kind, head.caller, body, partial(self._tell, request))
                return
        self._data, self._begun = (data if self._between else b""), 0
        super().data_received(data)
        self._data = b""

    @property
    def _is_free(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def on_message_begin(self) -> None:
        """Count it."""
        self._between = False
        self._begun += 1
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Choose the way."""
        body = self._short_way()
        if body is None:
            super().on_headers_complete()
        else:
            self.cycle = body

    def _short_way(self) -> _Body | None:
        """A plain body of signals, when nothing is under way on this connection. None for any other request."""
        kind = KINDS.get(self.url)
        if kind is None or self.parser.get_method() != b"POST" or self.flow.write_paused or not self._is_free:
            return None
        headers = dict(self.headers)
        length = headers.get(b"content-length", b"")
        if not UNUSUAL.isdisjoint(headers) or not length.isdigit() or len(length) > LENGTH_DIGITS:
            return None
        if int(length) > self._door.body_limit_bytes:
            return None
        keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        request = _Body(Head(kind, Caller.of(headers.get(b"authorization", b"")), int(length)))
        request.keep_alive = keep_alive
        request.body = bytearray()
        return request

    def on_body(self, body: bytes) -> None:
        """Take a part of a body; one that goes the short way is within its limit."""
        if isinstance(self.cycle, _Body) and not self.cycle.response_complete:
            self.cycle.body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Hand a whole body in."""
        self._between = self.parser.should_keep_alive() and not self.parser.should_upgrade()
        request = self.cycle
        if isinstance(request, _Body) and not request.response_complete:
            if self._between and self._begun == 1:
                request.data = self._data
            head = request.head
            self._door.serve(head.kind, head.caller, bytes(request.body), partial(self._tell, request))
        else:
            super().on_message_complete()

    def _tell(self, request: _Body, answer: Answer) -> None:
        request.response_complete = True
        if request.disconnected or self.transport.is_closing():
            return
        self.transport.write(self._written(request, answer))
        if not request.keep_alive:
            self.transport.close()
        elif request.data and isinstance(answer, bytes):
            self._door.heads.remember(request.data, request.head)
        if self.pipeline or not request.keep_alive:
            self.on_response_complete()
        else:
            self._be_quiet()

    def _written(self, request: _Body, answer: Answer) -> bytes:
        """The answer as it goes over the wire."""
        headers, last, written = self._last_written
        if headers is self.server_state.default_headers and last == answer and request.keep_alive:
            return written
        lines = [b"%b: %b\r\n" % header for header in self.server_state.default_headers]
        if not request.keep_alive:
            lines.append(b"connection: close\r\n")
        if isinstance(answer, Response):
            lines += [b"%b: %b\r\n" % header for header in answer.raw_headers]
            return b"".join([STATUS_LINE[answer.status_code], *lines, b"\r\n", bytes(answer.body)])
        lines.append(b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(answer))
        written = b"".join([STATUS_LINE[202], *lines, answer])
        if request.keep_alive:
            self._last_written = self.server_state.default_headers, answer, written
        return written

    def _be_quiet(self) -> None:
        """What uvicorn does after an answer when nothing waits; but a timer that runs already is left to run, and finds
        out by itself how long it has been quiet.
        """
        self.server_state.total_requests += 1
        self._quiet_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._wait(self.timeout_keep_alive)

    def _wait(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that was quiet for too long."""
        self.timeout_keep_alive_task = None
        if self.transport.is_closing() or not self._is_free:
            return
        left = self._quiet_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._wait(left)
        else:
            super().timeout_keep_alive_handler()
