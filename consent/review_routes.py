"""HTTP calls about texts in doubt: which there are, and what somebody who read one says of it."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from sqlalchemy import Engine

from consent import review
from consent.bodies import STRICT, EntryAnswer
from consent.review import Decision

_TEXT: dict[str, JsonValue] = {
    "sid": "SM00000000000000000000000000000001",
    "words": "if I reply stop, do I keep my card?",
    "language": "en",
    "received_at": "2026-11-23T08:00:00Z",
    "subjects": ["ana"],
}


class TextInDoubtAnswer(BaseModel):
    """A text that withdrew, although it may not have meant to."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [_TEXT]})

    sid: str
    words: str
    language: str
    received_at: datetime
    subjects: tuple[str, ...]


class TextsInDoubtAnswer(BaseModel):
    """A page of them, by sid."""

    items: list[TextInDoubtAnswer]
    next: str | None


class ReviewBody(BaseModel):
    """`confirm`: it was an opt-out. `reinstate`: it was none, and what was granted before stands again."""

    model_config = ConfigDict(**STRICT, json_schema_extra={"examples": [{"decision": "confirm"}]})

    decision: Annotated[Decision, Field(strict=False)]


class ReviewAnswer(BaseModel):
    """The grants that stand again."""

    entries: list[EntryAnswer]


def review_router(reads: Engine, writes: Engine, now: Callable[[], datetime]) -> APIRouter:
    """The calls, built from what they serve."""
    api = APIRouter(prefix="/v1/reviews", tags=["consent"])

    @api.get("", operation_id="listReviews", summary="Texts in doubt that wait to be read")
    def list_reviews(
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(max_length=64)] = None,
    ) -> TextsInDoubtAnswer:
        with reads.connect() as conn:
            page = review.waiting(conn, limit + 1, cursor)
        following = page[limit - 1].sid if len(page) > limit else None
        items = [TextInDoubtAnswer.model_validate(text) for text in page[:limit]]
        return TextsInDoubtAnswer(items=items, next=following)

    @api.post("/{sid}", operation_id="settleReview", summary="Say whether a text in doubt was an opt-out")
    def settle_review(
        sid: Annotated[str, Path(pattern=r"^[A-Za-z0-9]{1,64}$", description="The text's id.")],
        body: ReviewBody,
        request: Request,
    ) -> ReviewAnswer:
        actor = str(getattr(request.state, "actor", "unknown"))
        with writes.begin() as conn:
            entries = review.settle(conn, sid, body.decision, actor, now())
        return ReviewAnswer(entries=[EntryAnswer.model_validate(entry) for entry in entries])

    return api
