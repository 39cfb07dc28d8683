"""The door for signals. It is the busiest of all, so it stands before the framework: a bare ASGI application that knows
two paths.
"""

import asyncio
import logging
from collections.abc import Mapping

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from engine import keys as api_keys
from engine.appender import Appender
from engine.intake import Intake
from engine.keys import ApiKey, Keys
from engine.limits import RateLimit
from engine.log import SignalLog
from engine.problem import Problem, response_to
from engine.signals import SignalKind
from engine.web import authenticate, permitted, read_body, secret_in

logger = logging.getLogger(__name__)

PATHS: Mapping[str, SignalKind] = {f"/v1/{kind}": kind for kind in SignalKind}
"""Their bodies are decoded here, in one pass, and may be as large as a batch is."""
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
        self._app = app
        self._intake = intake
        self._appender = Appender(log)
        self._keys = keys
        self._limit = limit
        self._body_limit_bytes = body_limit_bytes
        self._asking = asyncio.Lock()
        """One request asks a store about its key at a time; those that waited find what it has learned."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        kind = PATHS.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if kind is None:
            await self._app(scope, receive, send)
            return
        try:
            body = await self._take(kind, dict(scope["headers"]), receive)
        except Problem as problem:
            await response_to(problem)(scope, receive, send)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001  # the door is the outermost: nobody behind it would answer
            # The type alone: a message may quote a value, and a value may be personal.
            logger.error("%s failed: %s", scope["path"], type(error).__name__)  # noqa: TRY400
            failed = Problem(500, "internal_error", "something went wrong on our side; it was logged")
            await response_to(failed)(scope, receive, send)
        else:
            length = (b"content-length", b"%d" % len(body))
            await send({"type": "http.response.start", "status": 202, "headers": [_JSON, length]})
            await send({"type": "http.response.body", "body": body})

    async def _take(self, kind: SignalKind, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        body = await read_body(receive, self._body_limit_bytes, headers)
        key = await self._key(headers.get(b"authorization", b"").decode("latin-1"))
        if not self._limit.spend_held(key.id):
            async with self._asking:
                if not self._limit.spend_held(key.id):
                    await run_in_threadpool(self._limit.spend, key.id)
        reports = self._intake.read(kind, body)
        timely = reports.timely
        verdicts = await self._appender.append(reports.received_at, timely) if timely else {}
        return self._intake.answer(reports, verdicts)

    async def _key(self, authorization: str) -> ApiKey:
        secret = secret_in(authorization)
        known = self._keys.trusted(secret) if secret else None
        if known is None:
            async with self._asking:
                known = self._keys.trusted(secret) if secret else None
                if known is None:
                    return await run_in_threadpool(
                        authenticate, self._keys, authorization, api_keys.Scope.INGEST
                    )
        return permitted(known, api_keys.Scope.INGEST)
