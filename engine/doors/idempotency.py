"""`Idempotency-Key`: a POST that creates or sends, sent again with the same key, gets the first answer again."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.doors.problem import Problem, response_to
from engine.records import Records
from engine.store import idempotent_answers

KEY_LIMIT_CHARS = 255
KEPT_FOR = timedelta(hours=24)
ABANDONED_AFTER = timedelta(minutes=1)
"""A request that began this long ago and has no answer died with its process."""
NEVER_KEPT = frozenset({401, 403, 409, 429})
EXEMPT = frozenset({"/v1/twilio/inbound", "/v1/twilio/status"})
"""Paths that are idempotent by their own content."""
READS = "/dry-run"
"""The end of paths whose POST does nothing: their answers are about a person, and are not kept."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A kept answer."""

    status: int
    media_type: str | None
    body: bytes
    no_store: bool = False
    """It says of itself that nobody is to keep it: it holds a secret."""


class Idempotency:
    """ASGI middleware; the records store keeps the answers, so that every process gives the same one."""

    def __init__(self, app: ASGIApp, records: Records, now: Callable[[], datetime]) -> None:
        self._app = app
        self._records = records
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "POST" or _is_exempt(scope["path"]):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        key = request.headers.get("idempotency-key")
        if key is None:
            await self._app(scope, receive, send)
            return
        body = await request.body()
        name = _name(scope["path"], request.headers.get("authorization", ""), key)
        try:
            kept = await run_in_threadpool(
                self._begin, name, key, hashlib.sha256(body).hexdigest(), _subject(scope["path"])
            )
        except Problem as problem:
            await response_to(problem)(scope, receive, send)
            return
        if kept:
            headers = {"Idempotency-Replayed": "true"}
            await Response(kept.body, kept.status, headers, kept.media_type)(scope, receive, send)
            return
        await self._serve(name, body, scope, send)

    async def _serve(self, name: str, body: bytes, scope: Scope, send: Send) -> None:
        parts: list[bytes] = []
        start: dict[str, Any] = {"status": 500, "headers": []}

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def record(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                parts.append(message.get("body", b""))
                if not message.get("more_body", False):  # kept before it is heard, so that a retry finds it
                    await run_in_threadpool(self._end, name, _answer(start, parts))
            await send(message)

        try:
            await self._app(scope, receive, record)
        except BaseException:
            await run_in_threadpool(self._forget, name)
            raise

    def purge(self) -> int:
        """Forget answers that are too old to be asked for. Answers how many."""
        with self._records.writes.begin() as connection:
            old = idempotent_answers.c.begun_at < self._now() - KEPT_FOR
            return connection.execute(delete(idempotent_answers).where(old)).rowcount

    def _begin(self, name: str, key: str, body_hash: str, subject: str | None) -> Answer | None:
        """Claim the key: None means serve the request; an answer means give it again."""
        if not 1 <= len(key) <= KEY_LIMIT_CHARS:
            raise Problem(
                422, "invalid_idempotency_key", f"Idempotency-Key: 1 to {KEY_LIMIT_CHARS} characters"
            )
        now = self._now()
        try:
            with self._records.writes.begin() as connection:
                connection.execute(
                    insert(idempotent_answers).values(
                        id=name, body_hash=body_hash, begun_at=now, subject=subject
                    )
                )
        except IntegrityError:
            return self._again(name, body_hash, now)
        return None

    def _again(self, name: str, body_hash: str, now: datetime) -> Answer | None:
        with self._records.writes.begin() as connection:
            row = connection.execute(
                select(idempotent_answers).where(idempotent_answers.c.id == name).with_for_update()
            ).one_or_none()
            if row is not None and row.body_hash != body_hash:
                raise Problem(
                    422,
                    "idempotency_key_reused",
                    "Idempotency-Key: it was used with another body; choose a new one",
                )
            if row is not None and row.status is not None:
                return Answer(row.status, row.media_type, row.body)
            if row is None or now - row.begun_at < ABANDONED_AFTER:
                raise Problem(
                    409,
                    "request_in_progress",
                    "the first request with this Idempotency-Key is still running; try again",
                    headers={"Retry-After": "1"},
                )
            connection.execute(
                update(idempotent_answers).where(idempotent_answers.c.id == name).values(begun_at=now)
            )
        return None

    def _end(self, name: str, answer: Answer) -> None:
        if answer.status >= 500 or answer.status in NEVER_KEPT or answer.no_store:
            self._forget(name)
            return
        with self._records.writes.begin() as connection:
            connection.execute(
                update(idempotent_answers)
                .where(idempotent_answers.c.id == name)
                .values(status=answer.status, media_type=answer.media_type, body=answer.body)
            )

    def _forget(self, name: str) -> None:
        with self._records.writes.begin() as connection:
            connection.execute(delete(idempotent_answers).where(idempotent_answers.c.id == name))


def _is_exempt(path: str) -> bool:
    return path in EXEMPT or path.endswith(READS)


def forget_subject(connection: Connection, subject: str) -> None:
    """Forget the answers of calls about a subject."""
    connection.execute(delete(idempotent_answers).where(idempotent_answers.c.subject == subject))


def _subject(path: str) -> str | None:
    """The subject that a path is about."""
    parts = path.split("/")
    return parts[3] if parts[:3] == ["", "v1", "subjects"] and len(parts) > 3 else None


def _name(path: str, authorization: str, key: str) -> str:
    """One caller's key for one path; hashed, so that no credential is kept."""
    return hashlib.sha256(f"{len(path)}:{path}{len(authorization)}:{authorization}{key}".encode()).hexdigest()


def _answer(start: dict[str, Any], parts: list[bytes]) -> Answer:
    media_type = next((value.decode() for name, value in start["headers"] if name == b"content-type"), None)
    no_store = (b"cache-control", b"no-store") in start["headers"]
    return Answer(start["status"], media_type, b"".join(parts), no_store)
