"""What is remembered of places: the geofences with the order of their edits, and the events that happened there.

Every function takes an open connection; the caller owns the transaction.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    Row,
    Table,
    Text,
    and_,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy import (
    delete as delete_from,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy_utc import UtcDateTime

from geofences.errors import InvalidCursor, TooManyGeofences
from geofences.event import EventKind, PlaceEvent
from geofences.geofence import Geofence
from geofences.geojson import feature_from_geofence, geofence_from_feature

GEOFENCES_LIMIT = 1_000_000
"""So many geofences one installation holds."""

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

geofences = Table(
    "geofences",
    metadata,
    Column("id", Text, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("feature", JSON, nullable=False),
    Column("deleted", Boolean, nullable=False),  # a tombstone tells other workers' indexes
    Column("updated_at", UtcDateTime, nullable=False),
    Index(None, "revision"),
)

geofence_revision = Table(
    "geofence_revision",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("value", Integer, nullable=False),
)

place_events = Table(
    "place_events",
    metadata,
    Column("id", Text, primary_key=True),
    Column("device", Text, nullable=False),
    Column("subject", Text),
    Column("kind", Text, nullable=False),
    Column("geofence", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("emitted", UtcDateTime, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    Index(None, "at", "id"),
    Index(None, "device", "at"),
    Index(None, "subject", "at"),
    Index(None, "geofence", "at"),
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
    """An event as it is kept: whose it was, and when it was written down."""

    event: PlaceEvent
    subject: str | None
    recorded_at: datetime


def put(conn: Connection, geofence: Geofence, at: datetime) -> bool:
    """Save a geofence; tells whether it is new. Raises `TooManyGeofences`."""
    return put_many(conn, [geofence], at) == 1


def put_many(conn: Connection, several: Sequence[Geofence], at: datetime) -> int:
    """Save geofences as one edit; tells how many are new. Raises `TooManyGeofences`."""
    wanted = {geofence.id: geofence for geofence in several}
    if not wanted:
        return 0
    new_revision = _next_revision(conn)
    existing: set[str] = set()
    for ids in _chunks(list(wanted)):
        query = select(geofences.c.id).where(geofences.c.id.in_(ids), geofences.c.deleted.is_(False))
        existing.update(conn.scalars(query))
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
    query = select(geofences.c.feature).where(geofences.c.id == geofence_id, geofences.c.deleted.is_(False))
    feature = conn.scalar(query)
    return geofence_from_feature(feature) if feature else None


def get_many(conn: Connection, ids: Iterable[str]) -> dict[str, Geofence]:
    """The geofences with these ids, those that exist."""
    found: dict[str, Geofence] = {}
    for chunk in _chunks(sorted(set(ids))):
        query = select(geofences.c.id, geofences.c.feature).where(
            geofences.c.id.in_(chunk), geofences.c.deleted.is_(False)
        )
        found |= {row.id: geofence_from_feature(row.feature) for row in conn.execute(query)}
    return found


def zone_of(conn: Connection, geofence_id: str) -> str | None:
    """The IANA time zone of a geofence."""
    query = select(geofences.c.timezone).where(geofences.c.id == geofence_id, geofences.c.deleted.is_(False))
    return conn.scalar(query)


def delete(conn: Connection, geofence_id: str, at: datetime) -> bool:
    """Forget a geofence but for its id, which tells every index. False if there was none."""
    known = select(geofences.c.id).where(geofences.c.id == geofence_id, geofences.c.deleted.is_(False))
    if conn.scalar(known.with_for_update()) is None:
        return False
    gone = update(geofences).where(geofences.c.id == geofence_id)
    conn.execute(gone.values(revision=_next_revision(conn), deleted=True, feature={}, updated_at=at))
    return True


def page(
    conn: Connection, cursor: str | None, limit: int, kind: str | None = None, tag: str | None = None
) -> tuple[list[Geofence], str | None]:
    """Geofences in the order of their ids, and the cursor of the next page (None on the last)."""
    after = _read_cursor(cursor, 1)[0] if cursor else ""
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
    return found[:limit], _write_cursor(found[limit - 1].id) if len(found) > limit else None


def count(conn: Connection) -> int:
    """How many geofences there are."""
    return conn.scalar(select(func.count()).where(geofences.c.deleted.is_(False))) or 0


def revision(conn: Connection) -> int:
    """A number that grows with every committed edit."""
    return conn.scalar(select(geofence_revision.c.value)) or 0


def changed_since(conn: Connection, known: int) -> tuple[int, list[tuple[str, Geofence | None]]]:
    """The newest revision, and what was edited after `known`: the geofence, or None where it was deleted."""
    query = select(geofences).where(geofences.c.revision > known)
    edits: list[tuple[str, Geofence | None]] = []
    newest = known
    for row in conn.execute(query.order_by(geofences.c.revision)):
        newest = row.revision
        if not row.deleted:
            edits.append((row.id, geofence_from_feature(row.feature)))
        elif known:
            edits.append((row.id, None))
    return newest, edits


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
            "recorded_at": at,
        }
        for event, subject in events
    ]
    new: set[str] = set()
    for row in rows:
        kept = _insert(conn)(place_events).values(row).on_conflict_do_nothing().returning(place_events.c.id)
        new.update(conn.scalars(kept))
    return new


def events_page(
    conn: Connection, filters: EventFilters, cursor: str | None, limit: int
) -> tuple[list[RecordedEvent], str | None]:
    """Events, the newest first, and the cursor of the next page (None on the last)."""
    query = select(place_events).where(*_conditions(filters))
    if cursor is not None:
        last_at, last_id = _read_time_cursor(cursor)
        at = place_events.c.at
        query = query.where(or_(at < last_at, and_(at == last_at, place_events.c.id < last_id)))
    newest_first = query.order_by(place_events.c.at.desc(), place_events.c.id.desc()).limit(limit + 1)
    found = [_event(row) for row in conn.execute(newest_first)]
    if len(found) <= limit:
        return found, None
    last = found[limit - 1].event
    return found[:limit], _write_cursor(last.at.isoformat(), last.id)


def count_events(conn: Connection) -> int:
    """How many events are kept."""
    return conn.scalar(select(func.count()).select_from(place_events)) or 0


def events_of(conn: Connection, subject: str) -> list[dict[str, Any]]:
    """Every event of a subject, oldest first, as the API writes them; for the subject's export."""
    query = select(place_events).where(place_events.c.subject == subject)
    rows = conn.execute(query.order_by(place_events.c.at, place_events.c.id))
    return [event_json(_event(row)) for row in rows]


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
    }


def _next_revision(conn: Connection) -> int:
    """Drawn under a row lock that lasts to the end of the transaction: revisions become visible in their order."""
    statement = update(geofence_revision).values(value=geofence_revision.c.value + 1)
    drawn: int | None = conn.scalar(statement.returning(geofence_revision.c.value))
    if drawn is None:
        conn.execute(insert(geofence_revision).values(id=1, value=1))
        return 1
    return drawn


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
    )
    return RecordedEvent(event=event, subject=row.subject, recorded_at=row.recorded_at)


def _insert(conn: Connection) -> Any:
    return postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert


def _chunks(ids: list[str], size: int = 500) -> Iterable[list[str]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))


def _write_cursor(*place: str) -> str:
    return urlsafe_b64encode(json.dumps(place).encode()).decode()


def _read_cursor(cursor: str, parts: int) -> list[str]:
    try:
        place = json.loads(urlsafe_b64decode(cursor))
    except (ValueError, RecursionError):
        place = None
    if (
        isinstance(place, list)
        and len(place) == parts
        and all(isinstance(part, str) and part.isprintable() for part in place)
    ):
        return place
    raise InvalidCursor


def _read_time_cursor(cursor: str) -> tuple[datetime, str]:
    at, event = _read_cursor(cursor, 2)
    try:
        return datetime.fromisoformat(at).astimezone(UTC), event
    except (ValueError, OverflowError):
        raise InvalidCursor from None
