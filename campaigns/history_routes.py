"""Single decisions and messages, as they are listed and judged again. Each is about one shopper, so they are for whoever may
look at shoppers; how a campaign fares is told by its report.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from sqlalchemy import Connection, Engine

from campaigns.decide import Outcome, decision_json
from campaigns.decision_store import decisions_page
from campaigns.form import Line
from campaigns.gates import Reason
from campaigns.listing import Filters
from campaigns.message import MESSAGE_EXAMPLE, MessageState, message_json
from campaigns.message_store import messages_page
from campaigns.replay import replay_json
from campaigns.replay_store import replay_of
from campaigns.routes import Cursor, Limit
from campaigns.times import Instant
from consent.store import subject_of_device

NoteShown = Callable[[Request, Iterable[str]], None]
"""Writes down whose data a call shows."""


def _filters(
    subject: Line | None = None,
    campaign: Line | None = None,
    geofence: Line | None = None,
    event: Line | None = None,
    since: Annotated[Instant | None, Query(description="RFC 3339, included")] = None,
    until: Annotated[Instant | None, Query(description="RFC 3339, excluded")] = None,
) -> Filters:
    return Filters(
        subject=subject, campaign=campaign, geofence=geofence, event=event, since=since, until=until
    )


def router(*, reads: Engine, note_shown: NoteShown = lambda _request, _subjects: None) -> APIRouter:
    """The routes of single decisions and messages: each is about one shopper. `note_shown` writes down whose were shown."""
    api = APIRouter()
    chosen = Annotated[Filters, Depends(_filters)]
    of_device = Annotated[Line | None, Query(description="A device of the subject")]

    @api.get(
        "/v1/decisions",
        operation_id="listDecisions",
        summary="What was decided about whom and why, the newest first",
        tags=["campaigns"],
        responses={200: _example({"items": [_DECISION], "next": None})},
    )
    def decisions(
        request: Request,
        filters: chosen,
        device: of_device = None,
        outcome: Outcome | None = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> dict[str, Any]:
        with reads.connect() as connection:
            narrowed = _narrowed(connection, replace(filters, outcome=outcome), device)
            if narrowed is None:
                return _NOTHING
            found = decisions_page(connection, narrowed, limit, cursor)
        note_shown(request, [each.subject for each in found.items if each.subject])
        return {"items": [decision_json(decision) for decision in found.items], "next": found.next}

    @api.get(
        "/v1/messages",
        operation_id="listMessages",
        summary="Messages and what became of them, the newest first",
        tags=["campaigns"],
        responses={200: _example({"items": [MESSAGE_EXAMPLE], "next": None})},
    )
    def messages(
        request: Request,
        filters: chosen,
        device: of_device = None,
        state: MessageState | None = None,
        reason: Reason | None = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> dict[str, Any]:
        with reads.connect() as connection:
            narrowed = _narrowed(connection, replace(filters, state=state, reason=reason), device)
            if narrowed is None:
                return _NOTHING
            found = messages_page(connection, narrowed, limit, cursor)
        note_shown(request, [each.subject for each in found.items])
        return {"items": [message_json(message) for message in found.items], "next": found.next}

    @api.get(
        "/v1/decisions/{decision_id}/replay",
        operation_id="replayDecision",
        summary="A decision judged again from its record: every gate by its own rule, and what differs",
        tags=["campaigns"],
        responses={200: _example(_REPLAY)},
    )
    def replay(
        request: Request, decision_id: Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
    ) -> dict[str, Any]:
        with reads.connect() as connection:
            found = replay_of(connection, decision_id)
        note_shown(request, [found.decision.subject] if found.decision.subject else [])
        return replay_json(found)

    return api


def _narrowed(connection: Connection, filters: Filters, device: str | None) -> Filters | None:
    """The filters with the device's subject among them; None if they cannot be met."""
    if device is None:
        return filters
    subject = subject_of_device(connection, device)
    if subject is None or filters.subject not in (None, subject):
        return None
    return replace(filters, subject=subject)


def _example(example: Any) -> dict[str, Any]:
    return {"content": {"application/json": {"example": example}}}


_NOTHING: dict[str, Any] = {"items": [], "next": None}
_DECISION = {
    "id": "0b3f7c5e9d1a4b6c8e2f0a1b3c5d7e9f",
    "event": "5c1d9e7a3b2f4860a1c3e5d7f9b0a2c4",
    "campaign": "bread",
    "version": 1,
    "variant": None,
    "subject": "ana",
    "geofence": "bakery",
    "outcome": "refused",
    "reason": "consent_withdrawn",
    "gates": [
        {
            "gate": "consent",
            "verdict": "fail",
            "input": {
                "purpose": "marketing",
                "channel": "sms",
                "entry": "c-81",
                "action": "withdraw",
                "since": "2026-11-23T08:05:00+00:00",
            },
            "reason": "consent_withdrawn",
        }
    ],
    "at": "2026-11-23T10:00:01+00:00",
}
_ANSWERED = {"verdict": "fail", "reason": "consent_withdrawn"}
_REPLAY = {
    "decision": "0b3f7c5e9d1a4b6c8e2f0a1b3c5d7e9f",
    "campaign": "bread",
    "version": 1,
    "sameness": "same",
    "because": None,
    "recorded": {"outcome": "refused", "reason": "consent_withdrawn"},
    "replayed": {"outcome": "refused", "reason": "consent_withdrawn"},
    "gates": [
        {"gate": "consent", "sameness": "same", "because": None, "recorded": _ANSWERED, "replayed": _ANSWERED}
    ],
}
