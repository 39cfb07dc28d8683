"""What the console's first page shows, read from the records store in a few bounded queries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import cos, pi, radians, sin
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from campaigns import decision_store, listing, message_store
from campaigns.decide import Decision, Outcome
from campaigns.gates import Reason
from campaigns.message import Message
from engine.clock import Now
from engine.records import Records
from geofences import store as geofence_store
from geofences.geofence import Circle, Corridor, Geofence
from geofences.geometry import middle_of

PLACES_LIMIT = 200
PULSE = timedelta(seconds=6)
"""How long a place is drawn in the colour of what just happened there."""
CIRCLE_POINTS = 48
METRES_PER_DEGREE = 111_320.0
Ring = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Place:
    """A geofence to draw: rings of (lon, lat), or a line when `is_line`."""

    id: str
    name: str
    rings: Sequence[Ring]
    is_line: bool
    label_at: tuple[float, float]
    newest_event: str | None


@dataclass(frozen=True, slots=True)
class View:
    """One look at the engine; rows are ready to be shown, newest first."""

    places: Sequence[Place]
    events: Sequence[Mapping[str, Any]]
    offers: Sequence[Mapping[str, Any]]
    refusals: Sequence[Mapping[str, Any]]
    totals: Mapping[str, int]
    at: datetime

    @property
    def subjects(self) -> frozenset[str]:
        """Whom it tells of."""
        return frozenset(
            row["who"] for rows in (self.events, self.offers, self.refusals) for row in rows if row["who"]
        )


class Feed:
    """Reads for the page; what it has seen of the events colours the places."""

    def __init__(self, records: Records, now: Now) -> None:
        self._records = records
        self._now = now

    def look(self, rows: int) -> View:
        """The newest `rows` of events, offers and refusals, and the totals."""
        now = self._now()
        with self._records.reads.connect() as connection:
            geofences, _ = geofence_store.page(connection, None, PLACES_LIMIT)
            names = {geofence.id: geofence.name for geofence in geofences}
            zones = {geofence.id: geofence.timezone for geofence in geofences}
            events, _ = geofence_store.events_page(connection, geofence_store.EventFilters(), None, rows)
            messages = message_store.messages_page(connection, listing.Filters(), rows).items
            refused = listing.Filters(outcome=Outcome.REFUSED)
            decisions = decision_store.decisions_page(connection, refused, rows).items
            totals = _totals(connection)
        newest = {
            each.event.geofence: each.event.kind.value
            for each in reversed(events)
            if now - each.recorded_at < PULSE
        }
        return View(
            places=[_place(geofence, newest.get(geofence.id)) for geofence in geofences],
            events=[
                {
                    "id": each.event.id,
                    "at": _clock(each.event.at, zones.get(each.event.geofence)),
                    "who": each.subject,
                    "kind": each.event.kind.value,
                    "place": names.get(each.event.geofence, each.event.geofence),
                }
                for each in events
            ],
            offers=[_offer(message, zones) for message in messages],
            refusals=[_refusal(decision, zones) for decision in decisions],
            totals=totals,
            at=now,
        )


def _totals(connection: Connection) -> dict[str, int]:
    outcomes = decision_store.outcome_totals(connection)
    return {
        "geofences": geofence_store.count(connection),
        "events": geofence_store.count_events(connection),
        "offers": outcomes.get(Outcome.MESSAGE.value, 0),
        "refusals": outcomes.get(Outcome.REFUSED.value, 0),
    }


def _offer(message: Message, zones: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": message.id,
        "at": _clock(message.created_at, zones.get(message.geofence or "")),
        "who": message.subject,
        "text": message.text,
        "state": message.state.value,
    }


def _refusal(decision: Decision, zones: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": decision.id,
        "at": _clock(decision.at, zones.get(decision.geofence or "")),
        "who": decision.subject,
        "reason": _WORDS.get(decision.reason, decision.reason.value.replace("_", " ")),
    }


_WORDS = {
    Reason.NO_CONSENT: "allows no offers",
    Reason.CONSENT_WITHDRAWN: "has withdrawn the consent to offers",
    Reason.CAP_REACHED: "has had enough offers for now",
    Reason.TOO_LATE: "the moment has passed",
}


def _clock(at: datetime, zone: str | None) -> str:
    return at.astimezone(ZoneInfo(zone or "UTC")).strftime("%H:%M:%S")


def _place(geofence: Geofence, newest_event: str | None) -> Place:
    shape = geofence.shape
    rings: list[Ring]
    if isinstance(shape, Circle):
        rings = [_circle(shape)]
    elif isinstance(shape, Corridor):
        rings = [_ring(shape.line)]
    else:
        rings = [_ring(ring) for each in shape.polygons.geoms for ring in (each.exterior, *each.interiors)]
    return Place(
        id=geofence.id,
        name=geofence.name,
        rings=rings,
        is_line=isinstance(shape, Corridor),
        label_at=middle_of(shape),
        newest_event=newest_event,
    )


def _ring(line: Any) -> Ring:
    return [(lon, lat) for lon, lat, *_ in line.coords]


def _circle(circle: Circle) -> Ring:
    """A drawing of a circle, good enough for a screen; matching uses the geodesic."""
    turns = [2 * pi * step / CIRCLE_POINTS for step in range(CIRCLE_POINTS)]
    radius = circle.radius_m / METRES_PER_DEGREE
    shrink = max(cos(radians(circle.lat)), 1e-6)
    return [(circle.lon + radius * sin(turn) / shrink, circle.lat + radius * cos(turn)) for turn in turns]
