"""The HTTP edge: who may call, how much they may send, and what an error looks like. Domains know none of it."""

import logging
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from redis.exceptions import RedisError
from sqlalchemy.exc import OperationalError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as AsgiScope

from campaigns.errors import CampaignError
from consent.errors import ConsentError
from engine.doors import strict_json
from engine.doors.keys import ApiKey, Keys, Scope, hash_of
from engine.doors.problem import FieldProblem, Problem, problem_response, response_to
from geofences.errors import GeofenceError

logger = logging.getLogger(__name__)

SIGNED_PATHS = ("/v1/twilio/", "/p/", "/u/")
"""A provider's callbacks and a shopper's links carry a signature in place of a key; their routes check it."""
GUARDED_PATHS = ("/v1/", "/p/", "/u/")
"""What takes bodies."""
DomainError = GeofenceError | ConsentError | CampaignError


def requires(keys: Keys, scope: Scope) -> Callable[[Request], Any]:
    """A route dependency: the caller's key must hold `scope`. Leaves the caller's name in ``request.state.actor``, and
    in ``request.state.devices`` how the names of the devices begin that it may speak of.
    """

    async def check(request: Request) -> None:
        if request.url.path.startswith(SIGNED_PATHS):
            return
        key = await run_in_threadpool(authenticate, keys, request.headers.get("authorization"), scope)
        request.state.actor = f"key:{key.id}"
        request.state.devices = key.devices

    return check


def requires_now(keys: Keys, scope: Scope) -> Callable[[Request], None]:
    """For a call that turns out to need one more scope: raises `Problem` unless the caller's key holds it."""

    def check(request: Request) -> None:
        authenticate(keys, request.headers.get("authorization"), scope)

    return check


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request, by its Authorization header, and the hash of the secret in it, "" when there is none."""

    authorization: str
    hashed: str

    @classmethod
    def of(cls, authorization: bytes) -> "Caller":
        """From the header as it came."""
        text = authorization.decode("latin-1")
        secret = secret_in(text)
        return cls(text, hash_of(secret) if secret else "")


def secret_in(authorization: str | None) -> str:
    """The secret that an Authorization header carries; "" when it carries none of ours."""
    kind, _, secret = (authorization or "").partition(" ")
    return secret.strip() if kind.lower() == "bearer" else ""


def authenticate(keys: Keys, authorization: str | None, scope: Scope) -> ApiKey:
    """The key that an Authorization header names. Raises `Problem` 401 (no valid key) or 403 (not for this)."""
    secret = secret_in(authorization)
    return permitted(keys.find(secret) if secret else None, scope)


def permitted(key: ApiKey | None, scope: Scope) -> ApiKey:
    """The key, if there is one and it holds the scope. Raises `Problem` 401 or 403."""
    if key is None:
        raise Problem(
            401,
            "unauthorized",
            "send a valid key as `Authorization: Bearer KEY`; `chaland keys create` makes one",
            headers={"WWW-Authenticate": "Bearer"},
        )
    if scope not in key.scopes:
        raise Problem(403, "forbidden", f"this key lacks the scope {scope.value!r}")
    return key


FORM_PATHS = frozenset({"/v1/twilio/inbound", "/v1/twilio/status"})
"""They take no JSON, whatever a call without a type is taken for, and say 403 themselves."""


class BodyGuard:
    """Reads a request's body under `GUARDED_PATHS` within its limit, unzips it, and refuses JSON that breaks the contract."""

    def __init__(self, app: ASGIApp, limit_of: Callable[[str], int]) -> None:
        self._app = app
        self._limit_of = limit_of

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if (
            scope["type"] != "http"
            or not scope["path"].startswith(GUARDED_PATHS)
            or scope["method"] in ("GET", "HEAD")
        ):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        try:
            body = await read_body(receive, self._limit_of(scope["path"]), headers)
            is_json = headers.get(b"content-type", b"application/json").split(b";")[0].endswith(b"json")
            if body and is_json and scope["path"] not in FORM_PATHS:
                strict_json.loads(body)
        except Problem as problem:
            await response_to(problem)(scope, receive, send)
            return
        except ClientDisconnect:
            return
        scope["headers"] = [
            (name, str(len(body)).encode() if name == b"content-length" else value)
            for name, value in scope["headers"]
            if name != b"content-encoding"
        ]
        await self._app(scope, _replay(body, receive), send)


async def read_body(receive: Receive, limit_bytes: int, headers: dict[bytes, bytes]) -> bytes:
    """A request's whole body, unzipped. Raises `Problem` 413, 415 or 400, and `ClientDisconnect`."""
    encoding = headers.get(b"content-encoding", b"identity").lower()
    if encoding not in (b"identity", b"gzip"):
        raise Problem(415, "unsupported_encoding", "Content-Encoding: gzip or none is understood")
    if (
        headers.get(b"content-length", b"0").isdigit()
        and int(headers.get(b"content-length", b"0")) > limit_bytes
    ):
        raise _too_large(limit_bytes)
    unzip = zlib.decompressobj(wbits=31) if encoding == b"gzip" else None
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += _unzipped(message.get("body", b""), unzip, limit_bytes + 1 - len(body))
        if len(body) > limit_bytes:
            raise _too_large(limit_bytes)
        if not message.get("more_body", False):
            break
    if unzip and not unzip.eof and body:
        raise Problem(400, "malformed_gzip", "the gzip body ends too early")
    return bytes(body)


def _unzipped(chunk: bytes, unzip: Any, room: int) -> bytes:
    if unzip is None:
        return chunk
    try:
        return bytes(unzip.decompress(chunk, room))
    except zlib.error:
        raise Problem(400, "malformed_gzip", "Content-Encoding says gzip, but the body is not gzip") from None


def _too_large(limit_bytes: int) -> Problem:
    return Problem(
        413, "body_too_large", f"the body may hold at most {limit_bytes} bytes here; send it in parts"
    )


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def speak_problem_json(app: FastAPI) -> None:
    """Answer every error of this application as problem+json."""
    app.add_exception_handler(Problem, _on_problem)
    for kind in (GeofenceError, ConsentError, CampaignError):
        app.add_exception_handler(kind, _on_domain_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RedisError, _on_store_away)
    app.add_exception_handler(OperationalError, _on_store_away)
    app.add_exception_handler(Exception, _on_bug)


def _on_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return response_to(error)


def _on_domain_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, DomainError)
    return problem_response(error.status, error.code, error.detail, error.errors)


def _on_invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = [FieldProblem(_field(each["loc"]), _allowed(each)) for each in error.errors()]
    detail = f"{errors[0].field}: {errors[0].detail}" if errors else "the request is not valid"
    return problem_response(422, "invalid_body", detail, errors[:20])


def _field(location: tuple[Any, ...]) -> str:
    """``("body", "pings", 3, "lat")`` as ``pings[3].lat``."""
    inner = (
        location[1:] if len(location) > 1 and location[0] in ("body", "query", "path", "header") else location
    )
    parts = [f"[{each}]" if isinstance(each, int) else f".{each}" for each in inner]
    return "".join(parts).lstrip(".") or "body"


def _allowed(error: dict[str, Any]) -> str:
    """Pydantic's message, which says what was expected and never repeats the value."""
    message = str(error["msg"])
    return "this field is not known here" if error["type"] == "extra_forbidden" else message


def _on_http_exception(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    codes = {404: "not_found", 405: "method_not_allowed"}
    return problem_response(
        error.status_code,
        codes.get(error.status_code, "http_error"),
        str(error.detail),
        headers=error.headers,
    )


def away(error: Exception) -> Problem | None:
    """What to tell a caller when a store does not answer, or cannot take anything for now; None for other errors."""
    if not isinstance(error, RedisError | OperationalError):
        return None
    store = "live" if isinstance(error, RedisError) else "records"
    return Problem(
        503,
        f"{store}_store_unavailable",
        f"the {store} store does not answer for now; try again",
        headers={"Retry-After": "1"},
    )


def _on_store_away(request: Request, error: Exception) -> Response:
    problem = away(error)
    assert problem
    logger.warning("%s %s: %s", request.method, request.scope["path"], problem.code)
    return response_to(problem)


def _on_bug(request: Request, error: Exception) -> Response:
    # The type alone: a message may quote a value, and a value may be personal.
    path = getattr(
        request.scope.get("route"), "path", "?"
    )  # as the route is written, without what a caller put in it
    logger.error("%s %s failed: %s", request.method, path, type(error).__name__)
    return problem_response(500, "internal_error", "something went wrong on our side; it was logged")
