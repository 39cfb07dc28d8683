"""A socket that speaks HTTP/2 without TLS to clients that know it does: Apple's service has no other language."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, Event, RequestReceived, StreamEnded
from h2.exceptions import ProtocolError

from engine.provider.exchange import Answer, Manner, Request

READ_BYTES = 65_536
BODY_LIMIT_BYTES = 65_536


class Http2Server:
    """Listens on a port of this machine as soon as it is entered; a thread for each connection."""

    def __init__(self, answer: Callable[[Request], Answer], host: str = "127.0.0.1", port: int = 0) -> None:
        self._answer = answer
        self._address = (host, port)
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._listener = socket.create_server(self._address)
        self._accepting = threading.Thread(target=self._accept, name="local provider, HTTP/2")
        self._accepting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # or the other thread waits on
        self._listener.close()
        self._accepting.join()
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self._listener.getsockname()[:2]
        return f"http://{host}:{port}"

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,))
            with self._lock:
                self._open.add(client)
                self._threads = [each for each in self._threads if each.is_alive()] + [thread]
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        connection = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        bodies: dict[int, bytearray] = {}
        heads: dict[int, dict[str, str]] = {}
        try:
            client.sendall(connection.data_to_send())
            while data := client.recv(READ_BYTES):
                for event in connection.receive_data(data):
                    if not self._heed(client, connection, event, heads, bodies):
                        return
                client.sendall(connection.data_to_send())
        except (OSError, ProtocolError):
            pass
        finally:
            with self._lock:
                self._open.discard(client)
            client.close()

    def _heed(
        self,
        client: socket.socket,
        connection: H2Connection,
        event: Event,
        heads: dict[int, dict[str, str]],
        bodies: dict[int, bytearray],
    ) -> bool:
        """Whether the connection goes on."""
        match event:
            case RequestReceived(stream_id=stream, headers=headers):
                heads[stream], bodies[stream] = (
                    {str(name): str(value) for name, value in headers},
                    bytearray(),
                )
            case DataReceived(stream_id=stream, data=data, flow_controlled_length=length):
                bodies[stream] += data[: BODY_LIMIT_BYTES - len(bodies[stream])]
                connection.acknowledge_received_data(length, stream)
            case StreamEnded(stream_id=stream):
                answer = self._answer(_request(heads.pop(stream), bytes(bodies.pop(stream))))
                if answer.manner is Manner.DROP:
                    # Linger 0 makes the close a reset, as a connection that breaks does.
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return False
                if answer.manner is Manner.ANSWER:  # one that hangs is simply never answered
                    _give(connection, stream, answer)
            case ConnectionTerminated():
                return False
        return True


def _request(head: dict[str, str], body: bytes) -> Request:
    path, _, query = head[":path"].partition("?")
    headers = {name: value for name, value in head.items() if not name.startswith(":")}
    return Request(head[":method"], path, query, headers, body)


def _give(connection: H2Connection, stream: int, answer: Answer) -> None:
    headers = [
        (":status", str(answer.status)),
        *((name.lower(), value) for name, value in answer.headers.items()),
    ]
    if answer.body:
        headers.append(("content-type", answer.content_type))
    connection.send_headers(stream, headers, end_stream=not answer.body)
    if answer.body:
        connection.send_data(stream, answer.body, end_stream=True)
