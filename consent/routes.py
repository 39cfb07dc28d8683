"""HTTP calls about subjects and their consents."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from consent.bodies import (
    ID_PATTERN,
    AskedAnswer,
    ConsentBody,
    ConsentsAnswer,
    EntryAnswer,
    SubjectAnswer,
    SubjectBody,
    standings,
)
from consent.desk import Desk
from consent.entry import Entry, occurred
from consent.errors import FieldError, InvalidConsent
from consent.twilio_inbound import TwilioInbound, twilio_router

SubjectId = Annotated[
    str, Path(alias="id", pattern=ID_PATTERN, description="The subject's id, chosen by you.")
]

_EXPORT_EXAMPLE = {
    "exported_at": "2026-11-23T08:00:00Z",
    "subject": {"id": "ana", "phone": "+33639980001", "devices": [{"device": "phone-1", "push": None}]},
    "consents": [{"purpose": "location", "action": "grant", "source": "app", "text_version": "loc-3-fr"}],
    "standing": [{"purpose": "location", "channel": None, "allowed": True, "reason": "granted"}],
    "texts": [],
    "messages": [],
}


def router(
    desk: Desk,
    *,
    export: Callable[[str], dict[str, Any]],
    twilio: TwilioInbound | None,
    default_region: str = "FR",
    complete_grants: bool = False,
) -> APIRouter:
    """The consent calls at one desk. `export` gathers everything held about a subject; `default_region` (ISO 3166) reads
    a phone number without a country code; `complete_grants` refuses a grant that does not bring all that proves it.
    """
    api = APIRouter()
    api.include_router(_subject_calls(desk, export, default_region))
    api.include_router(_consent_calls(desk, complete_grants=complete_grants))
    api.include_router(twilio_router(desk, twilio))
    return api


def _subject_calls(desk: Desk, export: Callable[[str], dict[str, Any]], region: str) -> APIRouter:
    api = APIRouter(prefix="/v1/subjects/{id}", tags=["consent"])

    @api.put(
        "",
        operation_id="putSubject",
        summary="Make a subject known, or replace what is held about it",
        responses={201: {"model": SubjectAnswer, "description": "The subject is new."}},
    )
    def put_subject(subject: SubjectId, body: SubjectBody, response: Response) -> SubjectAnswer:
        meant = body.subject(subject, region)
        response.status_code = 201 if desk.put(meant) else 200
        return SubjectAnswer.of(meant)

    @api.get("", operation_id="getSubject", summary="What is held about a subject")
    def get_subject(subject: SubjectId) -> SubjectAnswer:
        return SubjectAnswer.of(desk.subject(subject))

    @api.delete("", operation_id="eraseSubject", summary="Erase a subject", status_code=204)
    def erase_subject(subject: SubjectId, request: Request) -> None:
        desk.erase(subject, _actor(request))

    @api.get(
        "/export",
        operation_id="exportSubject",
        summary="Everything held about a subject, in one call",
        responses={200: {"content": {"application/json": {"example": _EXPORT_EXAMPLE}}}},
    )
    def export_subject(subject: SubjectId) -> dict[str, Any]:
        return export(subject)

    return api


def _consent_calls(desk: Desk, *, complete_grants: bool) -> APIRouter:
    api = APIRouter(prefix="/v1/subjects/{id}/consents", tags=["consent"])

    @api.post(
        "",
        operation_id="recordConsent",
        summary="Grant or withdraw one purpose",
        status_code=201,
        response_model=EntryAnswer,
        responses={202: {"model": AskedAnswer, "description": "The number itself is asked first."}},
    )
    def record_consent(subject: SubjectId, body: ConsentBody, request: Request) -> Any:
        now = desk.now()
        entry = Entry(
            id=uuid4().hex,
            subject=subject,
            purpose=body.purpose,
            channel=body.channel,
            action=body.action,
            source=body.source,
            text_version=body.text_version,
            at=occurred(body.at, now),
            recorded_at=now,
            actor=_actor(request),
            evidence=body.evidence,
            jurisdiction=body.jurisdiction,
            partner=body.partner,
        )
        if complete_grants:
            desk.demand_complete(entry)
        if (until := desk.ask_first(entry)) is not None:
            asked = AskedAnswer(state="asked", answer_until=until)
            return JSONResponse(asked.model_dump(mode="json"), status_code=202)
        return EntryAnswer.model_validate(desk.record(entry))

    @api.get("", operation_id="listConsents", summary="What a subject said, and what stands")
    def list_consents(
        subject: SubjectId,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(max_length=64)] = None,
    ) -> ConsentsAnswer:
        entries = desk.entries(subject)
        after = _seq(cursor)
        rest = [EntryAnswer.model_validate(entry) for entry in entries if (entry.seq or 0) > after]
        page = rest[:limit]
        following = _cursor(page[-1].seq) if len(rest) > limit else None
        return ConsentsAnswer(items=page, standing=standings(entries, desk.now()), next=following)

    return api


def _actor(request: Request) -> str:
    return str(getattr(request.state, "actor", "unknown"))


def _cursor(seq: int) -> str:
    return urlsafe_b64encode(str(seq).encode()).decode()


def _seq(cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        return int(urlsafe_b64decode(cursor.encode()))
    except ValueError:
        raise InvalidConsent(
            "invalid_cursor", [FieldError("cursor", "must be the `next` of an earlier page")]
        ) from None
