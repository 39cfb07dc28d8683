"""HTTP calls about what happened at geofences. Each event is one shopper's, so they are for whoever may look at shoppers."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator, AwareDatetime
from sqlalchemy import Connection, Engine

from geofences import store
from geofences.event import EventKind
from geofences.routes import Cursor, Filter, Limit, example


def _in_utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError("an instant of the years 1 to 9999 is expected") from None


Instant = Annotated[
    Annotated[AwareDatetime, AfterValidator(_in_utc)] | None, Query(description="RFC 3339, with a zone")
]
EVENT = {
    "id": "5f0c2a91d3b84e77a1c2d3e4f5061728",
    "device": "ana-phone",
    "subject": "ana",
    "kind": "enter",
    "geofence": "bakery",
    "at": "2026-11-24T08:01:05+00:00",
    "emitted": "2026-11-24T08:01:20+00:00",
    "confidence": 0.93,
    "evidence": {"distance_m": -21.4, "accuracy_m": 9.0},
    "beacon": None,
    "zone": None,
    "retracted_at": None,
}


def _events_page(
    conn: Connection, filters: store.EventFilters, cursor: str | None, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    found, following = store.events_page(conn, filters, cursor, limit)
    return [store.event_json(each) for each in found], following


EventsPage = Callable[
    [Connection, store.EventFilters, str | None, int], tuple[list[dict[str, Any]], str | None]
]
NoteShown = Callable[[Request, Iterable[str]], None]
"""Writes down whose data a call shows."""


def router(
    *,
    reads: Engine,
    events_page: EventsPage = _events_page,
    note_shown: NoteShown = lambda _request, _subjects: None,
) -> APIRouter:
    """The route of events; `events_page` reads them for whoever keeps their devices sealed."""
    api = APIRouter()

    @api.get(
        "/v1/events",
        operation_id="listEvents",
        summary="What happened at geofences, the newest first",
        tags=["events"],
        responses={200: example({"items": [EVENT], "next": None})},
    )
    def list_events(
        request: Request,
        device: Filter = None,
        subject: Filter = None,
        geofence: Filter = None,
        kind: EventKind | None = None,
        since: Instant = None,
        until: Instant = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> dict[str, Any]:
        filters = store.EventFilters(device, subject, geofence, kind, since, until)
        with reads.connect() as connection:
            items, following = events_page(connection, filters, cursor, limit)
        note_shown(request, [each["subject"] for each in items if each["subject"]])
        return {"items": items, "next": following}

    return api
