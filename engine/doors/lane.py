"""The short way for signals through the HTTP server. uvicorn's protocol parses each request, and gives it a task and
an ASGI cycle, which cost more than a body with one ping. Plain bodies of signals go from its parser straight to the
door, and their answers straight back; whatever is unusual about a request sends it the usual way.
"""

import asyncio
from typing import Any

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from engine.doors.door import PATHS, Answer, SignalDoor
from engine.signals import SignalKind

KINDS = {path.encode(): kind for path, kind in PATHS.items()}
UNUSUAL = frozenset((b"transfer-encoding", b"content-encoding", b"expect", b"upgrade"))
LENGTH_DIGITS = 9


class _Body(RequestResponseCycle):
    """A body of signals under way, in the place where the protocol keeps its request; uvicorn's own runs an
    application, this one does not.
    """

    def __init__(self, kind: SignalKind, authorization: bytes, *, keep_alive: bool) -> None:
        self.kind = kind
        self.authorization = authorization
        self.keep_alive = keep_alive
        self.body = bytearray()
        self.response_complete = False
        self.disconnected = False
        self.message_event = _NOBODY_WAITS


class SignalLane(HttpToolsProtocol):
    """uvicorn's HTTP protocol, with the short way."""

    cycle: Any  # uvicorn's own; None before the first request, which it does not say

    def __init__(self, *args: Any, door: SignalDoor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._door = door

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
        if kind is None or self.parser.get_method() != b"POST" or self.flow.write_paused:
            return None
        if self.cycle is not None and not self.cycle.response_complete:
            return None
        headers = dict(self.headers)
        length = headers.get(b"content-length", b"")
        if not UNUSUAL.isdisjoint(headers) or not length.isdigit() or len(length) > LENGTH_DIGITS:
            return None
        if int(length) > self._door.body_limit_bytes:
            return None
        keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        return _Body(kind, headers.get(b"authorization", b""), keep_alive=keep_alive)

    def on_body(self, body: bytes) -> None:
        """Take a part of a body; one that goes the short way is within its limit."""
        if isinstance(self.cycle, _Body):
            self.cycle.body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Hand a whole body in."""
        request = self.cycle
        if isinstance(request, _Body):
            self._door.serve(
                request.kind, request.authorization, bytes(request.body), lambda it: self._tell(request, it)
            )
        else:
            super().on_message_complete()

    def _tell(self, request: _Body, answer: Answer) -> None:
        request.response_complete = True
        if request.disconnected or self.transport.is_closing():
            return
        self.transport.write(self._written(request, answer))
        if not request.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _written(self, request: _Body, answer: Answer) -> bytes:
        """The answer as it goes over the wire."""
        lines = [b"%b: %b\r\n" % header for header in self.server_state.default_headers]
        if not request.keep_alive:
            lines.append(b"connection: close\r\n")
        if isinstance(answer, Response):
            lines += [b"%b: %b\r\n" % header for header in answer.raw_headers]
            return b"".join([STATUS_LINE[answer.status_code], *lines, b"\r\n", bytes(answer.body)])
        lines.append(b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(answer))
        return b"".join([STATUS_LINE[202], *lines, answer])


_NOBODY_WAITS = asyncio.Event()
