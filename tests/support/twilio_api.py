"""A local server that speaks Twilio's Messages API, for tests with the real client: no test leaves this machine.

Shapes as in Twilio's published OpenAPI document (twilio/twilio-oai, spec/json/twilio_api_v2010.json).
"""

import json
import re
import socket
import struct
import threading
from base64 import b64decode
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

ACCOUNT_SID = "AC" + "a" * 32
AUTH_TOKEN = "0123456789abcdef0123456789abcdef"
WHEN = "Mon, 23 Nov 2026 08:00:00 +0000"

_COLLECTION = re.compile(r"^/2010-04-01/Accounts/(AC[0-9a-f]{32})/Messages\.json$")
_ITEM = re.compile(r"^/2010-04-01/Accounts/(AC[0-9a-f]{32})/Messages/(SM[0-9a-f]{32})\.json$")


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one POST. `accept` says whether the message is created all the same."""

    status: int = 0
    code: int = 0
    body: bytes | None = None
    hang: bool = False
    drop: bool = False
    accept: bool = False
    problem_json: bool = False
    retry_after: str = ""


@dataclass
class TwilioApi:
    """The server: `requests` holds every form that was posted, `messages` what was created, by sid."""

    requests: list[dict[str, str]] = field(default_factory=list)
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: deque[Fault] = field(default_factory=deque)

    def __enter__(self) -> Self:
        self._sids = (f"SM{number:032x}" for number in count(1))
        self._released = threading.Event()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
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
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def fail_next(self, *faults: Fault) -> None:
        """Let the coming POSTs fail so, one each."""
        self.faults.extend(faults)

    def wait_for_release(self) -> None:
        """Hang until the server closes, or for ten seconds: the peer's own timeout should end the call sooner."""
        self._released.wait(10)

    def create(self, form: dict[str, str]) -> dict[str, Any]:
        sid = next(self._sids)
        uri = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages/{sid}"
        self.messages[sid] = {
            "account_sid": ACCOUNT_SID,
            "api_version": "2010-04-01",
            "body": form["Body"],
            "date_created": WHEN,
            "date_sent": None,
            "date_updated": WHEN,
            "direction": "outbound-api",
            "error_code": None,
            "error_message": None,
            "from": form.get("From"),
            "messaging_service_sid": form.get("MessagingServiceSid"),
            "num_media": "0",
            "num_segments": "0" if "MessagingServiceSid" in form else "1",
            "price": None,
            "price_unit": None,
            "sid": sid,
            "status": "accepted" if "MessagingServiceSid" in form else "queued",
            "subresource_uris": {"media": f"{uri}/Media.json"},
            "to": form["To"],
            "uri": f"{uri}.json",
        }
        return self.messages[sid]


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # joined on close, so that nothing outlives a test

    def __init__(self, api: TwilioApi) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.api = api


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"
    retry_after = ""
    protocol_version = "HTTP/1.0"  # one request a connection, so that closing waits for nobody

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        form = {name: values[-1] for name, values in parse_qs(body.decode(), keep_blank_values=True).items()}
        if not self._authorised() or not _COLLECTION.match(self.path):
            return
        self.server.api.requests.append(form)
        fault = self.server.api.faults.popleft() if self.server.api.faults else None
        if fault is not None:
            self._fail(fault, form)
        elif not form.get("To") or not form.get("Body"):
            self._error(400, 21604 if not form.get("To") else 21602)
        elif not form.get("From") and not form.get("MessagingServiceSid"):
            self._error(400, 21603)
        else:
            self._answer(201, self.server.api.create(form))

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if not self._authorised():
            return
        if found := _ITEM.match(parts.path):
            message = self.server.api.messages.get(found[2])
            self._answer(200, message) if message else self._error(404, 20404)
        elif _COLLECTION.match(parts.path):
            wanted = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            items = [m for m in self.server.api.messages.values() if wanted.get("To") in (None, m["to"])]
            self._answer(200, _page(self.path, items))
        else:
            self._error(404, 20404)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing on stderr."""

    def _authorised(self) -> bool:
        scheme, _, value = self.headers.get("Authorization", "").partition(" ")
        right = scheme == "Basic" and b64decode(value).decode() == f"{ACCOUNT_SID}:{AUTH_TOKEN}"
        if not right:
            self._error(401, 20003)
        return right

    def _fail(self, fault: Fault, form: dict[str, str]) -> None:
        if fault.accept:
            self.server.api.create(form)
        if fault.hang:
            self.server.api.wait_for_release()
        elif fault.drop:
            # Linger 0 makes the close a reset, as a connection that breaks does.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif fault.body is not None:
            self._send(fault.status, fault.body)
        elif fault.problem_json:
            kind = f"https://www.twilio.com/docs/api/errors/{fault.code}"
            told = {"type": kind, "title": "Refused", "status": fault.status, "code": fault.code}
            self._answer(fault.status, {**told, "detail": f"To {form.get('To')} is not good"})
        else:
            self.retry_after = fault.retry_after
            self._error(fault.status, fault.code, form.get("To", ""))

    def _error(self, status: int, code: int, to: str = "") -> None:
        more = f"https://www.twilio.com/docs/errors/{code}"
        words = f"The 'To' number {to} is not good"
        self._answer(status, {"code": code, "message": words, "more_info": more, "status": status})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        self._send(status, json.dumps(body).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.retry_after:
            self.send_header("Retry-After", self.retry_after)
        self.end_headers()
        self.wfile.write(body)


def _page(path: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "end": max(0, len(items) - 1),
        "first_page_uri": path,
        "messages": items,
        "next_page_uri": None,
        "page": 0,
        "page_size": 50,
        "previous_page_uri": None,
        "start": 0,
        "uri": path,
    }
