"""Signing in to the console and out of it: a plain form that takes an API key, and a cookie that no script can read. The
demo invites by a link instead.
"""

import hmac
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse

from consent.preference_page import headers
from engine.console.gate import PAGE, SIGN_IN, SIGN_OUT, token_in
from engine.console.session import COOKIE, SCOPE, SESSION_SECONDS, Sessions
from engine.doors.keys import Keys, hash_of
from engine.doors.limits import RateLimit
from engine.doors.problem import Problem
from engine.doors.web import read_body

BODY_LIMIT_BYTES = 4096
TRIES_PER_SECOND = 5
"""Of one address."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link's token that signs in with the key of this secret, for as long as the process lives."""

    token: str
    secret: str

    @property
    def path(self) -> str:
        """Where the link leads."""
        return f"{SIGN_IN}?invitation={self.token}"


class _Refused(Exception):
    """Why somebody is not let in, in words, with the status that says so."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


@dataclass(frozen=True, slots=True)
class SignIn:
    """What the pages are made from; `limit` counts tries by address."""

    sessions: Sessions
    keys: Keys
    limit: RateLimit
    invitation: Invitation | None = None

    def routes(self) -> APIRouter:
        """The pages; they are no part of the API's document."""
        pages = APIRouter(include_in_schema=False)
        pages.add_api_route(SIGN_IN, self.show, methods=["GET"])
        pages.add_api_route(SIGN_IN, self.take, methods=["POST"])
        pages.add_api_route(SIGN_OUT, self.leave, methods=["POST"])
        return pages

    async def show(self, request: Request) -> Response:
        """The form; or what an invitation leads to."""
        given = request.query_params.get("invitation", "")
        if self.invitation is None or not given:
            return self._page()
        try:
            if not hmac.compare_digest(given.encode(), self.invitation.token.encode()):
                raise _Refused(401, "This link is of a demo that has ended.")
            token = await run_in_threadpool(self._enter, request, self.invitation.secret)
        except _Refused as refused:
            return self._page(refused)
        return _with_cookie(HTMLResponse(_ON_TO_THE_PAGE, headers=_headers()), request, token)

    async def take(self, request: Request) -> Response:
        """A key from the form."""
        try:
            body = await read_body(request.receive, BODY_LIMIT_BYTES, dict(request.scope["headers"]))
            [secret, *_] = parse_qs(body.decode("utf-8", "replace")).get("key", [""])
            token = await run_in_threadpool(self._enter, request, secret.strip())
        except _Refused as refused:
            return self._page(refused)
        return _with_cookie(RedirectResponse(PAGE, 303), request, token)

    async def leave(self, request: Request) -> Response:
        """The end of a session."""
        if token := token_in(request.scope):
            await run_in_threadpool(self.sessions.close, token)
        answer = RedirectResponse(SIGN_IN, 303)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    def _enter(self, request: Request, secret: str) -> str:
        """The token of a new session. Raises _Refused."""
        address = hash_of(request.client.host if request.client else "")[:16]
        try:
            self.limit.spend(f"sign-in-{address}")
        except Problem:
            raise _Refused(429, "Too many tries; wait a second.") from None
        key = self.keys.find(secret) if secret else None
        if key is None:
            raise _Refused(401, "This is no key of this installation, or it was revoked.")
        if SCOPE not in key.scopes:
            raise _Refused(403, f"This key lacks the scope {SCOPE.value}.")
        return self.sessions.open(key, secret)

    def _page(self, refused: _Refused | None = None) -> HTMLResponse:
        wrong = f'<p class="alarm" role="alert">{escape(refused.why)}</p>' if refused else ""
        hint = _OF_A_DEMO if self.invitation else _OF_KEYS
        answer = HTMLResponse(
            _document(f"{_INTRO}{wrong}{_FORM}<p>{hint}</p>"),
            refused.status if refused else 200,
            headers=_headers(),
        )
        if refused and refused.status == 429:
            answer.headers["Retry-After"] = "1"
        return answer


def _with_cookie(answer: Response, request: Request, token: str) -> Response:
    scheme = request.headers.get("x-forwarded-proto", request.url.scheme)
    answer.set_cookie(
        COOKIE,
        token,
        max_age=SESSION_SECONDS,
        secure=scheme == "https",  # whoever sets the header untruly harms no one else
        httponly=True,
        samesite="strict",
    )
    answer.headers["Cache-Control"] = "no-store"
    return answer


_INTRO = (
    "<h1>Chaland</h1><p>The console shows what single shoppers did, so it asks for an API key with the scope "
    f"<code>{SCOPE.value}</code>.</p>"
)
_FORM = (
    f'<form method="post" action="{SIGN_IN}"><label for="key">API key</label>'
    '<input id="key" name="key" type="password" required autofocus autocomplete="current-password" maxlength="500">'
    "<button>Sign in</button></form>"
)
_OF_A_DEMO = "The demo has printed a link that opens this page without a key."
_OF_KEYS = (
    f"<code>chaland keys create NAME --scope {SCOPE.value}</code> makes one; in development the first is in "
    "<code>development.key</code> of the data directory."
)


def _document(content: str, head: str = "") -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Chaland: sign in</title>{head}'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_style()}</style></head><body><main>{content}</main></body></html>"
    )


def _headers() -> dict[str, str]:
    digest = b64encode(sha256(_style().encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    return headers() | {"Content-Security-Policy": policy}


@cache
def _style() -> str:
    return files("engine.console").joinpath("sign_in.css").read_text("utf-8").strip()


# A redirect from a link in a mail would not bring the cookie along, as it began on another site; a step of our own does.
_ON_TO_THE_PAGE = _document(
    f'<p><a href="{PAGE}">On to the console</a></p>', f'<meta http-equiv="refresh" content="0;url={PAGE}">'
)
