"""Stands before the console: nobody sees its page, loads its parts or opens its socket without a session."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.console.session import COOKIE, Sessions
from engine.doors.problem import response_to
from engine.doors.web import away

SIGN_IN, SIGN_OUT = "/sign-in", "/sign-out"
PAGE = "/"
PARTS = "/_nicegui"
"""Below it lies all that the page is made of, its socket included."""


class ConsoleGate:
    """ASGI: lets requests for the console through that bring the cookie of a session, and all others."""

    def __init__(self, app: ASGIApp, sessions: Sessions) -> None:
        self._app = app
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or turn it away."""
        is_console = scope["type"] in ("http", "websocket") and _is_console(scope["path"])
        if not is_console:
            await self._app(scope, receive, send)
            return
        try:
            key = await run_in_threadpool(self._sessions.find, token_in(scope))
        except Exception as error:
            if (problem := away(error)) is None:
                raise
            await _turn_away(scope, receive, send, response_to(problem))
            return
        if key is None:
            at_page = scope["path"] == PAGE
            answer = RedirectResponse(SIGN_IN, 303) if at_page else Response(status_code=401)
            await _turn_away(scope, receive, send, answer)
            return
        await self._app(scope, receive, send)


def token_in(scope: Scope) -> str:
    """The token that a request's cookie carries; "" when it carries none. Other cookies of the host may be written as they
    like, as browsers let them.
    """
    for name, value in scope["headers"]:
        if name == b"cookie" and (token := cookie_parser(value.decode("latin-1")).get(COOKIE)):
            return token
    return ""


def _is_console(path: str) -> bool:
    return path == PAGE or path.startswith(PARTS)


async def _turn_away(scope: Scope, receive: Receive, send: Send, answer: Response) -> None:
    if scope["type"] == "http":
        await answer(scope, receive, send)
        return
    await receive()  # that it wants to connect; closed before it may, it is told 403
    await send({"type": "websocket.close", "code": 1008})
