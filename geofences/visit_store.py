"""The visits that are remembered: kept by whoever records events, in the same transaction, and longer than these.

Every function takes an open connection; the caller owns the transaction. A row is a stay, which one phone makes; what is
answered are visits, which a shopper makes.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from geofences.event import EventKind, PlaceEvent
from geofences.paging import chunks
from geofences.tables import place_events
from geofences.tables import visits as table
from geofences.visit import MINUTE, STAY_LIMIT, Crossing, Stay, Visit, stays, visit_json, visits

CROSSINGS = (EventKind.ENTER, EventKind.EXIT)
LONGEST = timedelta(days=2)
"""An exit so long after its enter does not find it any more. The visit is then one whose end nobody saw."""

_Where = tuple[str, str, str]
"""Subject, sealed device and geofence."""

_events = place_events.c
_TOUCHED = select(_events.subject, _events.device, _events.geofence, _events.at).where(
    _events.id.in_(bindparam("some", expanding=True)), _events.subject.is_not(None)
)
_CROSSED = select(
    _events.id,
    _events.subject,
    _events.device,
    _events.geofence,
    _events.kind,
    _events.at,
    _events.retracted_at,
).where(
    _events.device.in_(bindparam("some", expanding=True)),
    _events.at >= bindparam("since"),
    _events.kind.in_(CROSSINGS),
)
_STAYS = select(table).where(
    table.c.subject.in_(bindparam("some", expanding=True)),
    table.c.entered_at >= bindparam("since"),
    table.c.entered_at <= bindparam("until"),
)
_STAYS_IN = _STAYS.where(table.c.geofence.in_(bindparam("places", expanding=True)))


def follow(conn: Connection, events: Collection[str], known: Iterable[tuple[PlaceEvent, str]] = ()) -> None:
    """Bring visits up to date with these enter and exit events, as they are kept now: new, amended or taken back; and with
    others that are `known` already as they are kept, their subjects beside them. The caller holds the locks of the subjects.
    """
    revised = _touched(conn, events)
    new = [((subject, event.device, event.geofence), event.at) for event, subject in known]
    touched = [*revised, *new]
    if not touched:
        return
    places, earliest = {where for where, _ in touched}, min(at for _, at in touched)
    found: dict[_Where, list[tuple[Crossing, bool]]] = defaultdict(list)
    for some in chunks({device for _, device, _ in places}):
        for row in conn.execute(_CROSSED, {"some": some, "since": earliest - LONGEST}).all():
            if (where := (row.subject, row.device, row.geofence)) in places:
                crossing = Crossing(row.id, EventKind(row.kind), row.at)
                found[where].append((crossing, row.retracted_at is None))
    began = [each.event for several in found.values() for each, _ in several if each.kind is EventKind.ENTER]
    made = {
        where: stays(crossing for crossing, stands in several if stands) for where, several in found.items()
    }
    for some in chunks(set(began) - {stay.id for several in made.values() for stay in several}):
        conn.execute(delete(table).where(table.c.id.in_(some)))
    changed = _first_changes(revised, new)
    _keep(
        conn,
        [_row(where, stay) for where, several in made.items() for stay in _from(several, changed.get(where))],
    )


def visits_of(
    conn: Connection, subject: str, geofences: Iterable[str] | None, since: datetime, until: datetime
) -> list[Visit]:
    """A subject's visits of these places (None: of all) that began from `since` up to `until`, that instant included,
    oldest first.
    """
    return visits_of_many(conn, [subject], geofences, since, until)[subject]


def visits_of_many(
    conn: Connection,
    subjects: Iterable[str],
    geofences: Iterable[str] | None,
    since: datetime,
    until: datetime,
) -> dict[str, list[Visit]]:
    """The same of each of several subjects."""
    wanted, places = set(subjects), None if geofences is None else set(geofences)
    by_place: dict[tuple[str, str], list[Stay]] = defaultdict(list)
    for some in chunks(wanted):
        asked = {"some": some, "since": since - LONGEST, "until": until}
        for rows in (
            [conn.execute(_STAYS, asked)]
            if places is None
            else [conn.execute(_STAYS_IN, asked | {"places": part}) for part in chunks(places)]
        ):
            for row in rows.all():
                by_place[row.subject, row.geofence].append(_stay(row))
    made: dict[str, list[Visit]] = {subject: [] for subject in wanted}
    for (subject, geofence), several in by_place.items():
        made[subject] += [each for each in visits(geofence, several) if each.entered_at >= since]
    return {
        subject: sorted(each, key=lambda visit: (visit.entered_at, visit.id))
        for subject, each in made.items()
    }


def ended(
    conn: Connection, after: tuple[datetime, str], until: datetime, limit: int
) -> list[tuple[datetime, str, str]]:
    """Stays that ended, or are taken to have ended, from behind `after` up to `until`: when, the id and whose, in that order."""
    seen = select(table.c.left_at.label("ended_at"), table.c.id, table.c.subject).where(
        table.c.left_at >= after[0], table.c.left_at <= until
    )
    unseen = select(table.c.entered_at, table.c.id, table.c.subject).where(
        table.c.left_at.is_(None),
        table.c.entered_at >= after[0] - STAY_LIMIT,
        table.c.entered_at <= until - STAY_LIMIT,
    )
    behind = tuple_(table.c.left_at, table.c.id) > after
    silent = tuple_(table.c.entered_at, table.c.id) > (after[0] - STAY_LIMIT, after[1])
    found = [
        *conn.execute(seen.where(behind).order_by(table.c.left_at, table.c.id).limit(limit)),
        *(
            (at + STAY_LIMIT, name, subject)
            for at, name, subject in conn.execute(
                unseen.where(silent).order_by(table.c.entered_at, table.c.id).limit(limit)
            )
        ),
    ]
    return sorted((at, name, subject) for at, name, subject in found)[:limit]


def visits_json_of(conn: Connection, subject: str) -> list[dict[str, Any]]:
    """Every stay of a subject, oldest first, for the subject's export: as it is kept, but for the device."""
    query = select(table).where(table.c.subject == subject).order_by(table.c.entered_at, table.c.id)
    return [visit_json(visit) for row in conn.execute(query) for visit in visits(row.geofence, [_stay(row)])]


def forget_subject(conn: Connection, subject: str) -> None:
    """Remove every visit of a subject."""
    conn.execute(delete(table).where(table.c.subject == subject))


def _touched(conn: Connection, events: Collection[str]) -> list[tuple[_Where, datetime]]:
    """Whose stays in which places these events are about, and when each was."""
    return [
        ((row.subject, row.device, row.geofence), row.at)
        for some in chunks(events)
        for row in conn.execute(_TOUCHED, {"some": some})
    ]


def _first_changes(
    revised: Iterable[tuple[_Where, datetime]], new: Iterable[tuple[_Where, datetime]]
) -> dict[_Where, datetime]:
    """From when on the stays in a place may differ from those that are kept; none where a time may have been amended."""
    changed: dict[_Where, datetime] = {}
    for where, at in new:
        changed[where] = min(changed.get(where, at), at)
    for where, _ in revised:
        changed.pop(where, None)
    return changed


def _from(several: Sequence[Stay], at: datetime | None) -> Sequence[Stay]:
    """The stays that something at an instant may have changed (None: any): the last one before it, and what follows."""
    before = [
        place for place, stay in enumerate(several) if at is not None and stay.entered_at + MINUTE <= at
    ]
    return several[before[-1] :] if before else several


def _row(where: _Where, stay: Stay) -> dict[str, Any]:
    subject, device, geofence = where
    return {
        "id": stay.id,
        "subject": subject,
        "device": device,
        "geofence": geofence,
        "entered_at": stay.entered_at,
        "left_at": stay.left_at,
        "ended_by": stay.ended_by,
    }


def _stay(row: Row[Any]) -> Stay:
    return Stay(row.id, row.entered_at, row.left_at, row.ended_by)


def _keep(conn: Connection, rows: list[dict[str, Any]]) -> None:
    if rows:
        conn.execute(_KEEP[conn.dialect.name], rows)


def _keeping(insert: Any) -> Any:
    statement = insert(table)
    changed = {name: statement.excluded[name] for name in ("entered_at", "left_at", "ended_by")}
    return statement.on_conflict_do_update(index_elements=["id"], set_=changed)


_KEEP = {"postgresql": _keeping(postgresql.insert), "sqlite": _keeping(sqlite.insert)}
