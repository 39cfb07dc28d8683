"""Visits: what enter and exit events come to. A stay is one phone's time in a place, a visit one shopper's."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from geofences.event import EventKind

MINUTE = timedelta(minutes=1)
RETURN_WITHIN = timedelta(minutes=5)
"""Whoever is back so soon never left: somebody fetched the bag from the car, or fixes drifted."""
STAY_LIMIT = timedelta(hours=4)
"""A stay whose end nobody saw is taken to be over after so long: the phone fell silent in the place."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """An enter or exit event, as far as stays are made of it."""

    event: str
    kind: EventKind
    at: datetime


@dataclass(frozen=True, slots=True)
class Stay:
    """One phone in one place, times to the minute, the minutes of entering and leaving included. `id` is that of the
    enter event, `ended_by` that of the exit event, or of the next enter; without one nobody saw it leave (yet).
    """

    id: str
    entered_at: datetime
    left_at: datetime | None = None
    ended_by: str | None = None

    @property
    def until(self) -> datetime:
        """When it ended, or is taken to end."""
        return self.left_at or self.entered_at + STAY_LIMIT


@dataclass(frozen=True, slots=True)
class Visit:
    """Stays of one shopper in one place that overlap or follow each other at once. `id` is that of the first;
    `left_at` is None while nobody saw the shopper leave.
    """

    id: str
    geofence: str
    entered_at: datetime
    left_at: datetime | None
    until: datetime = field(repr=False)

    def covers(self, at: datetime) -> bool:
        """Whether the shopper was in the place then, both ends included."""
        return self.entered_at <= at <= self.until


def stays(crossings: Iterable[Crossing]) -> list[Stay]:
    """The stays of one phone in one place, oldest first. An exit that no enter came before tells of none."""
    found: list[Stay] = []
    inside = False
    for each in sorted(crossings, key=lambda each: (each.at, each.kind is EventKind.EXIT, each.event)):
        minute = each.at.replace(second=0, microsecond=0)
        if inside and (each.kind is EventKind.EXIT or minute <= found[-1].until):
            found[-1] = Stay(found[-1].id, found[-1].entered_at, minute + MINUTE, each.event)
        if each.kind is EventKind.ENTER:
            found.append(Stay(each.event, minute))
        inside = each.kind is EventKind.ENTER
    return found


def visits(geofence: str, several: Iterable[Stay]) -> list[Visit]:
    """The visits that one shopper's stays in one place make, oldest first."""
    made: list[Visit] = []
    for each in sorted(several, key=lambda each: (each.entered_at, each.id)):
        if made and each.entered_at <= made[-1].until + RETURN_WITHIN:
            made[-1] = _longer(made[-1], each)
        else:
            made.append(Visit(each.id, geofence, each.entered_at, each.left_at, each.until))
    return made


def _longer(was: Visit, more: Stay) -> Visit:
    last_seen = was.left_at if was.until > more.until else more.left_at
    return Visit(was.id, was.geofence, was.entered_at, last_seen, max(was.until, more.until))


def visit_json(visit: Visit) -> dict[str, Any]:
    """A visit as the export writes it."""
    return {
        "id": visit.id,
        "geofence": visit.geofence,
        "entered_at": visit.entered_at.isoformat(),
        "left_at": visit.left_at.isoformat() if visit.left_at else None,
    }


def latest(several: Sequence[Visit], at: datetime) -> Visit | None:
    """The newest visit that covers an instant."""
    return next((each for each in reversed(several) if each.covers(at)), None)
