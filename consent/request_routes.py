"""HTTP calls about shoppers' requests: what came in, by when it is due, how it ended, and which processors know."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from typing import Annotated, Self
from uuid import uuid4

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from consent import processor_store, request_store
from consent.bodies import ID_PATTERN, STRICT, Id, Instant
from consent.entry import occurred
from consent.errors import FieldError, InvalidConsent, RequestNotFound
from consent.request import (
    MEANS_LIMIT_CHARS,
    TEXT_LIMIT_CHARS,
    Outcome,
    PrivacyRequest,
    RequestKind,
    closed,
    extended,
    received,
)
from consent.rights import Rights

RequestId = Annotated[str, Path(alias="id", pattern=ID_PATTERN, description="The request's id.")]
NoticeId = Annotated[str, Path(pattern=ID_PATTERN, description="The notice's id.")]
Words = Annotated[str, StringConstraints(min_length=1, max_length=TEXT_LIMIT_CHARS)]
NOTICES_LIMIT = 200

_EXAMPLE: dict[str, JsonValue] = {
    "subject": "ana",
    "kind": "access",
    "means": "e-mail to the desk",
    "identity_check": "answered from the address on file",
}


class RequestBody(BaseModel):
    """A request that came in. `received_at` is now if not given."""

    model_config = ConfigDict(**STRICT, json_schema_extra={"examples": [_EXAMPLE]})

    subject: Id
    kind: Annotated[RequestKind, Field(strict=False)]
    means: Annotated[str, StringConstraints(min_length=1, max_length=MEANS_LIMIT_CHARS)]
    identity_check: Words | None = None
    received_at: Instant | None = None


class ExtensionBody(BaseModel):
    """Why a request takes longer; the subject is to be told of it."""

    model_config = ConfigDict(
        **STRICT, json_schema_extra={"examples": [{"reason": "records of three brands"}]}
    )

    reason: Words


class ClosingBody(BaseModel):
    """How a request ended; a refusal says why."""

    model_config = ConfigDict(**STRICT, json_schema_extra={"examples": [{"outcome": "done"}]})

    outcome: Annotated[Outcome, Field(strict=False)]
    note: Words | None = None


class RequestAnswer(BaseModel):
    """A request, and whether it is overdue now."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    subject: str
    kind: RequestKind
    means: str
    identity_check: str | None
    received_at: datetime
    due_at: datetime
    extended_at: datetime | None
    extension_reason: str | None
    closed_at: datetime | None
    outcome: Outcome | None
    note: str | None
    actor: str
    overdue: bool = False

    @classmethod
    def of(cls, request: PrivacyRequest, now: datetime) -> Self:
        """The answer for a request."""
        return cls.model_validate(request).model_copy(update={"overdue": request.is_overdue(now)})


class RequestsAnswer(BaseModel):
    """A page of requests, those due first on top."""

    items: list[RequestAnswer]
    next: str | None


class NoticeAnswer(BaseModel):
    """An erasure that a processor is told of."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    processor: str
    subject: str
    created_at: datetime
    state: processor_store.NoticeState
    calls: int
    last_answer: str | None
    done_at: datetime | None
    proof: str | None


class NoticesAnswer(BaseModel):
    """Notices that are not done, oldest first."""

    items: list[NoticeAnswer]


def request_calls(rights: Rights) -> APIRouter:
    """The calls of the desk that answers shoppers."""
    api = APIRouter()
    for calls in (_request_calls(rights), _answer_calls(rights), _notice_calls(rights)):
        api.include_router(calls)
    return api


def _request_calls(rights: Rights) -> APIRouter:
    api, desk = APIRouter(tags=["consent"]), rights.desk

    @api.post(
        "/v1/privacy-requests",
        operation_id="receiveRequest",
        summary="A shopper asks for access, erasure, objection or rectification",
        description="Starts the clock of one month. An objection is in force before this answers; the others wait for "
        "whoever answers them.",
        status_code=201,
    )
    def receive_request(body: RequestBody, request: Request) -> RequestAnswer:
        now, actor = desk.now(), _actor(request)
        if body.kind is RequestKind.OBJECTION:
            return RequestAnswer.of(rights.object(body.subject, body.means, actor), now)
        desk.subject(body.subject)
        at = occurred(body.received_at, now)
        new = received(uuid4().hex, body.subject, body.kind, body.means, actor, at, body.identity_check)
        with desk.writes.begin() as conn:
            request_store.add(conn, new)
        return RequestAnswer.of(new, now)

    @api.get("/v1/privacy-requests", operation_id="listRequests", summary="Requests, those due first on top")
    def list_requests(
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(max_length=256)] = None,
        subject: Annotated[str | None, Query(pattern=ID_PATTERN)] = None,
        *,
        open: bool = True,  # noqa: A002  # the name that callers read
        overdue: bool = False,
    ) -> RequestsAnswer:
        now = desk.now()
        with desk.reads.connect() as conn:
            found = request_store.page(
                conn,
                overdue_at=now if overdue else None,
                open_only=open,
                subject=subject,
                after=_read_cursor(cursor),
                limit=limit + 1,
            )
        more = _write_cursor(found[limit - 1]) if len(found) > limit else None
        return RequestsAnswer(items=[RequestAnswer.of(each, now) for each in found[:limit]], next=more)

    return api


def _answer_calls(rights: Rights) -> APIRouter:
    api, desk = APIRouter(prefix="/v1/privacy-requests/{id}", tags=["consent"]), rights.desk

    @api.post(
        "/extend",
        operation_id="extendRequest",
        summary="Two more months, with the reason",
    )
    def extend_request(request_id: RequestId, body: ExtensionBody) -> RequestAnswer:
        now = desk.now()
        with desk.writes.begin() as conn:
            longer = extended(request_store.get(conn, request_id), body.reason, now)
            request_store.save(conn, longer)
        return RequestAnswer.of(longer, now)

    @api.post("/close", operation_id="closeRequest", summary="The request is answered")
    def close_request(request_id: RequestId, body: ClosingBody) -> RequestAnswer:
        now = desk.now()
        with desk.writes.begin() as conn:
            done = closed(request_store.get(conn, request_id), body.outcome, body.note, now)
            request_store.save(conn, done)
        return RequestAnswer.of(done, now)

    return api


def _notice_calls(rights: Rights) -> APIRouter:
    api, desk = APIRouter(prefix="/v1/erasure-notices", tags=["consent"]), rights.desk

    @api.get(
        "",
        operation_id="listErasureNotices",
        summary="Erasures that processors have not confirmed",
    )
    def list_notices() -> NoticesAnswer:
        with desk.reads.connect() as conn:
            waiting = processor_store.waiting(conn, NOTICES_LIMIT)
        return NoticesAnswer(items=[NoticeAnswer.model_validate(each) for each in waiting])

    @api.post(
        "/{notice}/done",
        operation_id="confirmErasureNotice",
        summary="A processor has erased, says a person",
        status_code=204,
    )
    def confirm_notice(notice: NoticeId, request: Request) -> None:
        with desk.writes.begin() as conn:
            if not processor_store.done_by_hand(conn, notice, _actor(request), desk.now()):
                raise RequestNotFound

    return api


def _actor(request: Request) -> str:
    return str(getattr(request.state, "actor", "unknown"))


def _write_cursor(last: PrivacyRequest) -> str:
    return urlsafe_b64encode(f"{last.due_at.isoformat()} {last.id}".encode()).decode()


def _read_cursor(cursor: str | None) -> tuple[datetime, str] | None:
    if cursor is None:
        return None
    try:
        at, _, last = urlsafe_b64decode(cursor.encode()).decode().partition(" ")
        read = datetime.fromisoformat(at)
        if read.tzinfo is not None:
            return read, last
    except ValueError:
        pass
    raise InvalidConsent("invalid_cursor", [FieldError("cursor", "must be the `next` of an earlier page")])
