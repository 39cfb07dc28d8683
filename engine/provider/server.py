"""The socket in front of the pretended services: a thread for each connection, one request on each."""

import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from engine.provider.exchange import Answer, Manner, Request

BODY_LIMIT_BYTES = 1_048_576
HANG_LIMIT_SECONDS = 60.0
"""The longest that a hanging answer holds its thread; the client's own timeout should end the call sooner."""

Answering = Callable[[Request], Answer]


class LocalServer:
    """Listens on a port of this machine as soon as it is entered, until it is left."""

    def __init__(self, answer: Answering, host: str = "127.0.0.1", port: int = 0) -> None:
        self._answer = answer
        self._address = (host, port)
        self._released = threading.Event()

    def __enter__(self) -> Self:
        self._server = _Server(self._address, self._answer, self._released)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="local provider"
        )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # joined on close, so that nothing outlives a test
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], answer: Answering, released: threading.Event) -> None:
        super().__init__(address, _Handler)
        self.answer = answer
        self.released = released


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.0"  # one request a connection, so that closing waits for nobody
    timeout = 10  # seconds for a client to say what it wants

    def _exchange(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > BODY_LIMIT_BYTES:
            self._give(Answer(413))
            return
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, parts.path, parts.query, headers, self.rfile.read(int(length)))
        self._give(self.server.answer(request))

    do_GET = do_POST = do_PUT = do_DELETE = _exchange  # noqa: N815  # as the library calls them

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # as the library names it
        """Say nothing on stderr."""

    def _give(self, answer: Answer) -> None:
        if answer.delay_seconds:
            self.server.released.wait(answer.delay_seconds)
        if answer.manner is Manner.HANG:
            self.server.released.wait(HANG_LIMIT_SECONDS)
            answer = replace(answer, manner=Manner.DROP)
        if answer.manner is Manner.DROP:
            # Linger 0 makes the close a reset, as a connection that breaks does.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            return
        try:
            self.send_response(answer.status)
            if answer.body:
                self.send_header("Content-Type", answer.content_type)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)
        except OSError:
            self.close_connection = True  # the client did not wait
