"""What is remembered of places: the geofences, each with the revision of its newest edit, and the events there.

Every function takes an open connection; the caller owns the transaction.
"""

import json
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Text, and_, bindparam, cast, func, or_, select, update
from sqlalchemy import (
    delete as delete_from,
)
from sqlalchemy.dialects import postgresql, sqlite

from geofences import edits
from geofences.edits import Edited
from geofences.errors import GeofenceHasBeacons, TooManyGeofences
from geofences.event import EventKind, PlaceEvent, Revision
from geofences.geofence import Geofence
from geofences.geojson import feature_from_geofence, geofence_from_feature
from geofences.packed import Edit
from geofences.paging import chunks, read_cursor, read_time_cursor, write_cursor
from geofences.tables import beacons, geofences, place_events

GEOFENCES_LIMIT = 1_000_000
"""So many geofences one installation holds."""
READ_AT_ONCE = 1000
"""Geofences that are read into memory at once when all are read."""


READ_KEPT = 1000
"""Features that need not be read again while their text is the same."""
_FEATURE = select(cast(geofences.c.feature, Text)).where(
    geofences.c.id == bindparam("of_id"), geofences.c.deleted.is_(False)
)
_REVISIONS = select(geofences.c.id, geofences.c.revision).where(
    geofences.c.id.in_(bindparam("some", expanding=True)), geofences.c.deleted.is_(False)
)
_ADD_EVENTS = {
    name: insert(place_events).on_conflict_do_nothing().returning(place_events.c.id)
    for name, insert in (("postgresql", postgresql.insert), ("sqlite", sqlite.insert))
}
_RETRACT = (
    update(place_events).where(place_events.c.id == bindparam("of_id")).values(retracted_at=bindparam("now"))
)
_AMENDED = ("at", "confidence", "evidence", "beacon", "zone")
_AMEND = (
    update(place_events)
    .where(place_events.c.id == bindparam("of_id"))
    .values({name: bindparam(f"new_{name}") for name in _AMENDED} | {"retracted_at": None})
)


@dataclass(frozen=True, slots=True)
class EventFilters:
    """Which events to list; `since` is included, `until` excluded, None does not restrict."""

    device: str | None = None
    subject: str | None = None
    geofence: str | None = None
    kind: EventKind | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event as it is kept: whose it was, when it was written down, and when it was taken back, if it was."""

    event: PlaceEvent
    subject: str | None
    recorded_at: datetime
    retracted_at: datetime | None = None


def put(conn: Connection, geofence: Geofence, at: datetime) -> bool:
    """Save a geofence; tells whether it is new. Raises `TooManyGeofences`."""
    return put_many(conn, [geofence], at) == 1


def put_many(conn: Connection, several: Sequence[Geofence], at: datetime) -> int:
    """Save geofences as one edit; tells how many are new. Raises `TooManyGeofences`."""
    wanted = {geofence.id: geofence for geofence in several}
    if not wanted:
        return 0
    new_revision = edits.draw(conn, Edited.GEOFENCES)
    existing = known_ids(conn, wanted)
    if count(conn) + len(wanted) - len(existing) > GEOFENCES_LIMIT:
        raise TooManyGeofences(f"{GEOFENCES_LIMIT} geofences are allowed; delete some first")
    statement = _insert(conn)(geofences)
    fields = ("revision", "kind", "timezone", "feature", "deleted", "updated_at")
    statement = statement.on_conflict_do_update(
        index_elements=["id"], set_={field: statement.excluded[field] for field in fields}
    )
    rows = [
        {
            "id": geofence.id,
            "revision": new_revision,
            "kind": geofence.kind.value,
            "timezone": geofence.timezone,
            "feature": feature_from_geofence(geofence),
            "deleted": False,
            "updated_at": at,
        }
        for geofence in wanted.values()
    ]
    conn.execute(statement, rows)
    return len(wanted) - len(existing)


def get(conn: Connection, geofence_id: str) -> Geofence | None:
    """The geofence with this id."""
    feature = conn.scalar(_FEATURE, {"of_id": geofence_id})
    return _read(feature) if feature else None


@lru_cache(maxsize=READ_KEPT)
def _read(feature: str) -> Geofence:
    return geofence_from_feature(json.loads(feature))


def get_many(conn: Connection, ids: Iterable[str]) -> dict[str, Geofence]:
    """The geofences with these ids, those that exist."""
    found: dict[str, Geofence] = {}
    for chunk in chunks(ids):
        query = select(geofences.c.id, geofences.c.feature).where(
            geofences.c.id.in_(chunk), geofences.c.deleted.is_(False)
        )
        found |= {row.id: geofence_from_feature(row.feature) for row in conn.execute(query)}
    return found


def revisions_of(conn: Connection, ids: Iterable[str]) -> dict[str, int]:
    """At which revision each of these geofences was last edited, those that exist."""
    found: dict[str, int] = {}
    for chunk in chunks(ids):
        found |= {row.id: row.revision for row in conn.execute(_REVISIONS, {"some": chunk}).all()}
    return found


def properties_of(conn: Connection, ids: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """The GeoJSON properties of these geofences, those that exist; the shapes are not looked at."""
    found: dict[str, Mapping[str, Any]] = {}
    for chunk in chunks(ids):
        query = select(geofences.c.id, geofences.c.feature).where(
            geofences.c.id.in_(chunk), geofences.c.deleted.is_(False)
        )
        found |= {row.id: row.feature["properties"] for row in conn.execute(query)}
    return found


def known_ids(conn: Connection, ids: Iterable[str]) -> set[str]:
    """Those of the ids that a geofence has."""
    known: set[str] = set()
    for chunk in chunks(ids):
        query = select(geofences.c.id).where(geofences.c.id.in_(chunk), geofences.c.deleted.is_(False))
        known.update(conn.scalars(query))
    return known


def delete(conn: Connection, geofence_id: str, at: datetime) -> bool:
    """Forget a geofence but for its id, which tells every index. False if there was none. Raises `GeofenceHasBeacons`:
    where a beacon hangs is known to people alone, so it is never forgotten along.
    """
    edits.lock(conn)
    if not known_ids(conn, [geofence_id]):
        return False
    hanging = select(beacons.c.id).where(beacons.c.geofence == geofence_id).order_by(beacons.c.id).limit(1)
    if (beacon := conn.scalar(hanging)) is not None:
        raise GeofenceHasBeacons(geofence_id, beacon)
    new_revision = edits.draw(conn, Edited.GEOFENCES)
    gone = update(geofences).where(geofences.c.id == geofence_id)
    conn.execute(gone.values(revision=new_revision, deleted=True, feature={}, updated_at=at))
    return True


def page(
    conn: Connection, cursor: str | None, limit: int, kind: str | None = None, tag: str | None = None
) -> tuple[list[Geofence], str | None]:
    """Geofences in the order of their ids, and the cursor of the next page (None on the last)."""
    after = read_cursor(cursor, 1)[0] if cursor else ""
    found: list[Geofence] = []
    while len(found) <= limit:
        query = select(geofences.c.id, geofences.c.feature).where(
            geofences.c.id > after, geofences.c.deleted.is_(False)
        )
        if kind is not None:
            query = query.where(geofences.c.kind == kind)
        rows = conn.execute(query.order_by(geofences.c.id).limit(limit + 1)).all()
        read = [geofence_from_feature(row.feature) for row in rows]
        found += [geofence for geofence in read if tag is None or tag in geofence.tags]
        if len(rows) <= limit:
            break
        after = rows[-1].id
    return found[:limit], write_cursor(found[limit - 1].id) if len(found) > limit else None


def count(conn: Connection) -> int:
    """How many geofences there are."""
    return conn.scalar(select(func.count()).where(geofences.c.deleted.is_(False))) or 0


def revision(conn: Connection) -> int:
    """A number that grows with every committed edit."""
    return edits.revision(conn, Edited.GEOFENCES)


def changed_since(conn: Connection, known: int) -> tuple[int, Generator[Edit]]:
    """The newest revision, and what was edited after `known`, each geofence once; read as it is asked for."""
    newest = revision(conn)  # first: what is edited meanwhile is told now, and once more to who asks again
    return newest, _edits_after(conn, known)


def tally(conn: Connection) -> tuple[int, int]:
    """How many ids there are and were, and the sum of the revisions of their newest edits."""
    ids, revisions = conn.execute(select(func.count(), func.sum(geofences.c.revision))).one()
    return ids, int(revisions or 0)


def newest_edits(conn: Connection, until: int, limit: int) -> list[Edit]:
    """The newest edits up to revision `until`, newest first; what was edited again later is not among them."""
    query = select(*_edit_columns()).where(geofences.c.revision <= until)
    return [_edit(row) for row in conn.execute(query.order_by(geofences.c.revision.desc()).limit(limit))]


def add_events(conn: Connection, events: Iterable[tuple[PlaceEvent, str | None]], at: datetime) -> set[str]:
    """Keep events with their subjects; answers the ids of those that were not kept before."""
    rows = [
        {
            "id": event.id,
            "device": event.device,
            "subject": subject,
            "kind": event.kind.value,
            "geofence": event.geofence,
            "at": event.at,
            "emitted": event.emitted,
            "confidence": event.confidence,
            "evidence": dict(event.evidence),
            "beacon": event.beacon,
            "zone": event.zone,
            "recorded_at": at,
        }
        for event, subject in events
    ]
    if not rows:
        return set()
    return set(conn.scalars(_ADD_EVENTS[conn.dialect.name], rows).all())


def revise_event(conn: Connection, event: PlaceEvent, at: datetime) -> None:
    """Take over a better estimate of an event that is kept, or mark it as taken back. One not kept stays so."""
    if event.revision is not Revision.AMENDED:
        conn.execute(_RETRACT, {"of_id": event.id, "now": at})
        return
    values = {name: getattr(event, name) for name in _AMENDED} | {"evidence": dict(event.evidence)}
    conn.execute(_AMEND, {"of_id": event.id, **{f"new_{name}": value for name, value in values.items()}})


def event_at(conn: Connection, event_id: str) -> datetime | None:
    """When an event happened, by the newest estimate; None of one that is not kept."""
    return conn.scalar(select(place_events.c.at).where(place_events.c.id == event_id))


def events_page(
    conn: Connection, filters: EventFilters, cursor: str | None, limit: int
) -> tuple[list[RecordedEvent], str | None]:
    """Events, the newest first, and the cursor of the next page (None on the last)."""
    query = select(place_events).where(*_conditions(filters))
    if cursor is not None:
        last_at, last_id = read_time_cursor(cursor)
        at = place_events.c.at
        query = query.where(or_(at < last_at, and_(at == last_at, place_events.c.id < last_id)))
    newest_first = query.order_by(place_events.c.at.desc(), place_events.c.id.desc()).limit(limit + 1)
    found = [_event(row) for row in conn.execute(newest_first)]
    if len(found) <= limit:
        return found, None
    last = found[limit - 1].event
    return found[:limit], write_cursor(last.at.isoformat(), last.id)


def count_events(conn: Connection) -> int:
    """How many events are kept."""
    return conn.scalar(select(func.count()).select_from(place_events)) or 0


def events_of(conn: Connection, subject: str) -> list[dict[str, Any]]:
    """Every event of a subject, oldest first, as the API writes them; for the subject's export."""
    query = select(place_events).where(place_events.c.subject == subject)
    rows = conn.execute(query.order_by(place_events.c.at, place_events.c.id))
    return [event_json(_event(row)) for row in rows]


def event_facts(conn: Connection, event_id: str) -> tuple[EventKind, dict[str, float]] | None:
    """What an event was, and the figures it was judged by; None if it is not kept any more."""
    facts = select(place_events.c.kind, place_events.c.evidence).where(place_events.c.id == event_id)
    row = conn.execute(facts).first()
    return None if row is None else (EventKind(row.kind), dict(row.evidence or {}))


def forget_subject(conn: Connection, subject: str) -> None:
    """Remove every event of a subject."""
    conn.execute(delete_from(place_events).where(place_events.c.subject == subject))


def event_json(recorded: RecordedEvent) -> dict[str, Any]:
    """An event as the API writes it."""
    event = recorded.event
    return {
        "id": event.id,
        "device": event.device,
        "subject": recorded.subject,
        "kind": event.kind.value,
        "geofence": event.geofence,
        "at": event.at.isoformat(),
        "emitted": event.emitted.isoformat(),
        "confidence": event.confidence,
        "evidence": dict(event.evidence),
        "beacon": event.beacon,
        "zone": event.zone,
        "retracted_at": recorded.retracted_at.isoformat() if recorded.retracted_at else None,
    }


def _edits_after(conn: Connection, known: int) -> Generator[Edit]:
    query = select(*_edit_columns())
    if known:
        query = query.where(geofences.c.revision > known)
    with conn.execute(query, execution_options={"yield_per": READ_AT_ONCE}) as rows:
        yield from map(_edit, rows)


def _edit_columns() -> Sequence[ColumnElement[Any]]:
    columns = geofences.c
    return columns.id, columns.revision, columns.deleted, cast(columns.feature, Text).label("text")


def _edit(row: Row[Any]) -> Edit:
    return Edit(row.id, row.revision, None if row.deleted else row.text)


def _conditions(filters: EventFilters) -> list[ColumnElement[bool]]:
    columns = place_events.c
    wanted = ("device", "subject", "geofence", "kind")
    conditions: list[ColumnElement[bool]] = [
        columns[name] == str(value) for name in wanted if (value := getattr(filters, name)) is not None
    ]
    if filters.since is not None:
        conditions.append(columns.at >= filters.since)
    if filters.until is not None:
        conditions.append(columns.at < filters.until)
    return conditions


def _event(row: Row[Any]) -> RecordedEvent:
    event = PlaceEvent(
        id=row.id,
        device=row.device,
        kind=EventKind(row.kind),
        geofence=row.geofence,
        at=row.at,
        emitted=row.emitted,
        confidence=row.confidence,
        evidence=row.evidence,
        beacon=row.beacon,
        zone=row.zone,
    )
    return RecordedEvent(
        event=event, subject=row.subject, recorded_at=row.recorded_at, retracted_at=row.retracted_at
    )


def _insert(conn: Connection) -> Any:
    return postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
