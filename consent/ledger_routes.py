"""HTTP calls about the ledger itself: the texts shown, proofs and receipts, and the log for whoever audits it."""

from base64 import b64encode
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, JsonValue, StringConstraints
from sqlalchemy import Engine
from starlette.responses import PlainTextResponse

from consent import checkpoint, log, store
from consent.bodies import ID_PATTERN, STRICT, Instant, StandingAnswer, standing_answer
from consent.entry import TEXT_VERSION_LIMIT_CHARS, Channel, Purpose
from consent.errors import FieldError, InvalidConsent, SubjectNotFound
from consent.notice import TEXT_LIMIT_CHARS, Notice, get_notice, notices, publish
from consent.proof import proof, receipt_by_id
from consent.signing import KeyRing

NOTICES_PER_PAGE = 50

_NOTICE: dict[str, JsonValue] = {
    "language": "fr-FR",
    "text": "J'accepte de recevoir par SMS les offres de la boulangerie. Je peux arrêter à tout moment : STOP.",
    "renews": "offers-2025-01-fr",
}

SubjectId = Annotated[str, Path(alias="id", pattern=ID_PATTERN, description="The subject's id.")]
Version = Annotated[
    str,
    Path(
        min_length=1, max_length=TEXT_VERSION_LIMIT_CHARS, description="What grants name as `text_version`."
    ),
]


class NoticeBody(BaseModel):
    """A text that shoppers are shown. Where it says something materially different from an older one, `renews` is that
    one's version: grants under it no longer carry until they are given again.
    """

    model_config = ConfigDict(**STRICT, json_schema_extra={"examples": [_NOTICE]})

    language: Annotated[str, StringConstraints(max_length=35)]
    text: Annotated[str, StringConstraints(min_length=1, max_length=TEXT_LIMIT_CHARS)]
    renews: Annotated[str, StringConstraints(min_length=1, max_length=TEXT_VERSION_LIMIT_CHARS)] | None = None


class NoticeAnswer(BaseModel):
    """A published text; `text_hash` is the SHA-256 of the text, in hex, and `seq` its place in the log."""

    model_config = ConfigDict(from_attributes=True)

    version: str
    language: str
    text: str
    text_hash: str
    renews: str | None
    published_at: datetime
    actor: str
    seq: int


class NoticesAnswer(BaseModel):
    """A page of texts, in the order they were published."""

    items: list[NoticeAnswer]
    next: int | None


class ProofAnswer(BaseModel):
    """What stood at `at`, and the receipt of the entry that decided: entry, text, and proof that the log holds it."""

    subject: str
    at: datetime
    standing: StandingAnswer
    receipt: dict[str, Any] | None


class ConsistencyAnswer(BaseModel):
    """What proves that the log of `size` leaves begins with that of `old` leaves: hashes in base64 (RFC 9162)."""

    old: int
    size: int
    path: list[str]
    checkpoint: str


def ledger_router(
    *,
    reads: Engine,
    writes: Engine,
    now: Callable[[], datetime],
    ring: KeyRing,
    renewed: Callable[[], object],
) -> APIRouter:
    """The calls, built from what they serve. `renewed` is called after a text was published that renews another."""
    api = APIRouter(tags=["consent"])
    api.include_router(_notice_calls(reads, writes, now, renewed))
    api.include_router(_proof_calls(reads, now, ring))
    api.include_router(_log_calls(reads, now, ring))
    return api


def _notice_calls(
    reads: Engine, writes: Engine, now: Callable[[], datetime], renewed: Callable[[], object]
) -> APIRouter:
    api = APIRouter(prefix="/v1/notices")

    @api.put("/{version}", operation_id="putNotice", summary="Publish a text; a version is never changed")
    def put_notice(version: Version, body: NoticeBody, request: Request) -> NoticeAnswer:
        actor = str(getattr(request.state, "actor", "unknown"))
        notice = Notice(version, body.language, body.text, body.renews, now(), actor)
        with writes.begin() as conn:
            stands = publish(conn, notice)
        if stands.renews is not None:
            renewed()
        return NoticeAnswer.model_validate(stands)

    @api.get("/{version}", operation_id="getNotice", summary="A text that was published")
    def read_notice(version: Version) -> NoticeAnswer:
        with reads.connect() as conn:
            return NoticeAnswer.model_validate(get_notice(conn, version))

    @api.get("", operation_id="listNotices", summary="The texts that were published")
    def list_notices(after: Annotated[int, Query(ge=0)] = 0) -> NoticesAnswer:
        with reads.connect() as conn:
            page = [NoticeAnswer.model_validate(each) for each in notices(conn, after, NOTICES_PER_PAGE + 1)]
        more = len(page) > NOTICES_PER_PAGE
        page = page[:NOTICES_PER_PAGE]
        return NoticesAnswer(items=page, next=page[-1].seq if more else None)

    return api


def _proof_calls(reads: Engine, now: Callable[[], datetime], ring: KeyRing) -> APIRouter:
    api = APIRouter(prefix="/v1/subjects/{id}")

    @api.get("/proof", operation_id="proveConsent", summary="What stood at an instant, and the proof of it")
    def prove(
        subject: SubjectId, purpose: Purpose, channel: Channel | None = None, at: Instant | None = None
    ) -> ProofAnswer:
        if (channel is None) == (purpose is Purpose.MARKETING):
            said = "goes with marketing, and with nothing else"
            raise InvalidConsent("invalid_question", [FieldError("channel", said)])
        asked = at or now()
        with reads.connect() as conn:
            if store.get_subject(conn, subject) is None:
                raise SubjectNotFound
            stands, receipt = proof(conn, ring, subject, purpose, channel, asked, now())
        return ProofAnswer(
            subject=subject, at=asked, standing=standing_answer(stands, purpose, channel), receipt=receipt
        )

    @api.get("/consents/{entry}/receipt", operation_id="getReceipt", summary="The receipt of an entry")
    def get_receipt(subject: SubjectId, entry: Annotated[str, Path(pattern=ID_PATTERN)]) -> dict[str, Any]:
        with reads.connect() as conn:
            if store.get_subject(conn, subject) is None:
                raise SubjectNotFound
            return receipt_by_id(conn, ring, subject, entry, now())

    return api


def _log_calls(reads: Engine, now: Callable[[], datetime], ring: KeyRing) -> APIRouter:
    api = APIRouter(prefix="/v1/consent-log")

    @api.get(
        "/checkpoint",
        operation_id="getCheckpoint",
        summary="Sign what the log is now (C2SP checkpoint)",
        response_class=PlainTextResponse,
    )
    def get_checkpoint() -> str:
        with reads.connect() as conn:
            return checkpoint.current(conn, ring, now()).note

    @api.get(
        "/keys",
        operation_id="getLogKeys",
        summary="The public keys that check checkpoints and receipts",
        response_class=PlainTextResponse,
    )
    def get_keys() -> str:
        return "".join(f"{key}\n" for key in ring.public)

    @api.get("/consistency", operation_id="proveConsistency", summary="Prove that nothing old was changed")
    def prove_consistency(
        old: Annotated[int, Query(ge=1, description="An older size.")],
    ) -> ConsistencyAnswer:
        with reads.connect() as conn:
            signed = checkpoint.current(conn, ring, now())
            if old > signed.size:
                said = f"must be at most {signed.size}, the log's size"
                raise InvalidConsent("invalid_question", [FieldError("old", said)])
            path = [b64encode(step).decode() for step in log.consistency(conn, old, signed.size)]
        return ConsistencyAnswer(old=old, size=signed.size, path=path, checkpoint=signed.note)

    return api
