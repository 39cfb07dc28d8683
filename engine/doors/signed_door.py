"""The door for signals that an app's server signs: ``POST /v1/apps/{key id}/pings`` (or ``sightings``). The body is that of the
open door; the call is proved by its signature (`engine/doors/signed_call.py`), and counts once however often it comes.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from datetime import datetime

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.doors import keys as api_keys
from engine.doors.door import Answer, response_to_error
from engine.doors.keys import Keys
from engine.doors.problem import Problem
from engine.doors.signed_call import TOLERANCE_SECONDS, shared_key, signed_id
from engine.doors.web import read_body
from engine.live import Live
from engine.signals import SignalKind

PATH = re.compile(r"/v1/apps/([A-Za-z0-9]{1,32})/(pings|sightings)")
BEGUN, DONE = b"begun", b"done"
BEGUN_MS = 15_000
"""A call that has been under way for longer was left by a process that died."""
DONE_MS = 2 * TOLERANCE_SECONDS * 1000
"""Later, its time is over in any case."""
REPEATED = b'{"accepted":0,"rejected":[],"repeated":true}'

Take = Callable[[SignalKind, bytes, Callable[[Answer], None], str], None]
"""Takes a body in from a key of these devices, and tells the answer: a 202's body, or a problem."""


class SignedDoor:
    """ASGI: serves the signed paths, and hands everything else to the application behind it."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        take: Take,
        keys: Keys,
        spend: Callable[[str], None],
        live: Live,
        masters: Sequence[bytes],
        now: Callable[[], datetime],
        body_limit_bytes: int,
    ) -> None:
        self._app = app
        self._take = take
        self._keys = keys
        self._spend = spend
        self._live = live
        self._masters = masters
        self._now = now
        self._body_limit_bytes = body_limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path = (
            PATH.fullmatch(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        )
        if path is None:
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        try:
            body = await read_body(receive, self._body_limit_bytes, headers)
            answer = await self._serve(path[1], SignalKind(path[2]), headers, body)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001  # the door is the outermost: nobody behind it would answer
            answer = response_to_error(error)
        if not isinstance(answer, Response):
            answer = Response(answer, 202, media_type="application/json")
        await answer(scope, receive, send)

    async def _serve(self, app: str, kind: SignalKind, headers: dict[bytes, bytes], body: bytes) -> Answer:
        # As much is done for a known app as for a stranger, so that neither answer nor time tells them apart.
        live = await run_in_threadpool(self._keys.of_app, app)
        known = {key.id: key for key in live if api_keys.Scope.INGEST in key.scopes}
        names = [key.id for key in live] + [app] * (api_keys.LIVE_KEYS_OF_APP - len(live))
        now = self._now()
        calls = [
            (name, signed_id(headers, body, [shared_key(master, name) for master in self._masters], now))
            for name in names
        ]
        key, call = next(((known[name], call) for name, call in calls if call and name in known), (None, ""))
        if key is None:
            raise Problem(
                401,
                "not_signed",
                "sign the call with the app's secret, at the time of the call; see docs/signed-calls.md",
            )
        self._keys.used(key)
        await run_in_threadpool(self._spend, key.id)
        name = f"signed:{{{app}}}:{call}"
        if (state := await run_in_threadpool(self._begin, name)) == DONE:
            return REPEATED
        if state == BEGUN:
            raise Problem(
                503, "call_under_way", "this call is just being taken in", headers={"Retry-After": "1"}
            )
        answer = await self._taken(kind, body, key.devices)
        await run_in_threadpool(self._end, name, isinstance(answer, Response))
        return answer

    async def _taken(self, kind: SignalKind, body: bytes, devices: str) -> Answer:
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._take(kind, body, answered.set_result, devices)
        return await asyncio.shield(answered)

    def _begin(self, name: str) -> bytes | None:
        """None if this call is the first of its id; else how far that one is."""
        if self._live.client.set(name, BEGUN, px=BEGUN_MS, nx=True):
            return None
        state = self._live.client.get(name)
        return state if isinstance(state, bytes) else BEGUN

    def _end(self, name: str, refused: bool) -> None:  # noqa: FBT001  # run in another thread
        """What was not taken may come again, put right, under the same id."""
        if refused:
            self._live.client.delete(name)
        else:
            self._live.client.set(name, DONE, px=DONE_MS)
