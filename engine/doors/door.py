"""The door for signals. It is the busiest of all, so it stands before the framework: a bare ASGI application that knows
two paths. What it does between a body and its answer takes no task of its own, for `engine/doors/lane.py`.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.appender import Appender, Outcome
from engine.doors import keys as api_keys
from engine.doors.heads import Heads
from engine.doors.keys import ApiKey, Keys
from engine.doors.limits import RateLimit
from engine.doors.problem import Problem, response_to
from engine.doors.web import Caller, authenticate, away, permitted, read_body
from engine.intake import Intake, Reports
from engine.log import SignalLog
from engine.signals import SignalKind

logger = logging.getLogger(__name__)

PATHS: Mapping[str, SignalKind] = {f"/v1/{kind}": kind for kind in SignalKind}
"""Their bodies are decoded here, in one pass, and may be as large as a batch is."""
Answer = bytes | Response
"""The body of a 202, or a problem."""
_JSON = (b"content-type", b"application/json")


class SignalDoor:
    """ASGI: serves the two paths of signals itself, and hands everything else to the application behind it."""

    def __init__(
        self,
        app: ASGIApp,
        intake: Intake,
        log: SignalLog,
        keys: Keys,
        limit: RateLimit,
        body_limit_bytes: int,
    ) -> None:
        self.app = app
        self._intake = intake
        self._appender = Appender(log)
        self._keys = keys
        self._limit = limit
        self.body_limit_bytes = body_limit_bytes
        self.heads = Heads()
        self._asking = asyncio.Lock()
        """One request asks a store about its key at a time; those that waited find what it has learned."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        kind = PATHS.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if kind is None:
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        try:
            body = await read_body(receive, self.body_limit_bytes, headers)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001  # the door is the outermost: nobody behind it would answer
            await response_to_error(error)(scope, receive, send)
            return
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.serve(kind, Caller.of(headers.get(b"authorization", b"")), body, answered.set_result)
        answer = await asyncio.shield(answered)
        if isinstance(answer, Response):
            await answer(scope, receive, send)
        else:
            length = (b"content-length", b"%d" % len(answer))
            await send({"type": "http.response.start", "status": 202, "headers": [_JSON, length]})
            await send({"type": "http.response.body", "body": answer})

    def serve(self, kind: SignalKind, caller: Caller, body: bytes, then: Callable[[Answer], None]) -> None:
        """Take a body in, and call `then` with the answer: at once, or when its signals are in the log."""
        try:
            key = self._known(caller)
        except Problem as problem:
            then(response_to(problem))
            return
        if key is not None:
            self.take(kind, body, then, key.devices)
            return
        task = asyncio.get_running_loop().create_task(self._ask(kind, caller, body, then))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _known(self, caller: Caller) -> ApiKey | None:
        """The key, if the request may be taken without asking a store; counts it if so. Raises `Problem` 403."""
        key = self._trusted(caller)
        return key if key is not None and self._limit.spend_held(key.id) else None

    def _trusted(self, caller: Caller) -> ApiKey | None:
        key = self._keys.trusted(caller.hashed)
        return None if key is None else permitted(key, api_keys.Scope.INGEST)

    async def _ask(
        self, kind: SignalKind, caller: Caller, body: bytes, then: Callable[[Answer], None]
    ) -> None:
        """Take a body whose key, or whose permit, a store must be asked about."""
        try:
            async with self._asking:
                key = self._known(caller)
                if key is None:
                    key = self._trusted(caller)
                    if key is None:
                        key = await run_in_threadpool(
                            authenticate, self._keys, caller.authorization, api_keys.Scope.INGEST
                        )
                    await run_in_threadpool(self._limit.spend, key.id)
        except Exception as error:  # noqa: BLE001  # whatever it is, the sender is to hear of it
            then(response_to_error(error))
        else:
            self.take(kind, body, then, key.devices)

    def take(self, kind: SignalKind, body: bytes, then: Callable[[Answer], None], devices: str = "") -> None:
        """Take in a body whose sender is known and speaks of `devices` whose names begin so, and call `then` with the
        answer.
        """
        try:
            reports = self._intake.read(kind, body, devices)
        except Exception as error:  # noqa: BLE001  # as above
            then(response_to_error(error))
            return
        if reports.timely:
            self._appender.append(
                reports.received_at, reports.timely, lambda outcome: then(self._answer(reports, outcome))
            )
        else:
            then(self._answer(reports, {}))

    def _answer(self, reports: Reports, outcome: Outcome) -> Answer:
        try:
            if isinstance(outcome, Exception):
                raise outcome
            return self._intake.answer(reports, outcome)
        except Exception as error:  # noqa: BLE001  # as above
            return response_to_error(error)


def response_to_error(error: Exception) -> Response:
    """The problem that an error is to whoever called."""
    if isinstance(error, Problem):
        return response_to(error)
    # The type alone: a message may quote a value, and a value may be personal.
    logger.error("taking signals in failed: %s", type(error).__name__)
    failed = Problem(500, "internal_error", "something went wrong on our side; it was logged")
    return response_to(away(error) or failed)
