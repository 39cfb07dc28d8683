"""What is said of a change: ids, kinds, states and times to the minute. Never a phone, a device, a token, a position, evidence
or a text. Made at the moment of telling, from the row itself, so that what may not be told any more is not told:

* what is gone is not told, nor what happened at a geofence that is near a sensitive place, or that nobody knows any more, nor
  the messages that came of it;
* where somebody was is told only while they allow location.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, Row, select

from campaigns.tables import decisions, messages
from consent import ledger
from consent.data_keys import batches
from consent.entry import Purpose, standing
from consent.store import consent_entries
from engine.events_out.change import Change, ChangeKind
from engine.events_out.feed import subjects_of
from geofences import store as geofence_store
from geofences.geofence import Geofence
from geofences.sensitive import OVERRIDE, SensitivePlaces
from geofences.tables import place_events

GEOFENCES_REMEMBERED = 20_000
TELLS_WHERE = frozenset({ChangeKind.EVENT, ChangeKind.DECISION})

Data = dict[str, Any]


class Discretion:
    """Knows at which geofences things happen that may be told. Remembers what it found, by the geofence's revision."""

    def __init__(self, places: SensitivePlaces) -> None:
        self._places = places
        self._found: dict[str, tuple[int, bool]] = {}

    def tellable(self, conn: Connection, ids: Iterable[str]) -> set[str]:
        """Those of the geofences that exist, and are not near a sensitive place, by the lists or by their owner's word."""
        revisions = geofence_store.revisions_of(conn, set(ids))
        new = [each for each in revisions if self._found.get(each, (None,))[0] != revisions[each]]
        if len(self._found) + len(new) > GEOFENCES_REMEMBERED:
            self._found.clear()
            new = list(revisions)
        for geofence_id, geofence in geofence_store.get_many(conn, new).items():
            self._found[geofence_id] = (revisions[geofence_id], self._may_be_told(geofence))
        return {each for each in revisions if self._found.get(each, (None, False))[1]}

    def _may_be_told(self, geofence: Geofence) -> bool:
        return OVERRIDE not in geofence.properties and not self._places.faults(geofence)


def payloads(
    conn: Connection, several: Sequence[Change], discretion: Discretion, now: datetime
) -> dict[int, dict[str, Any]]:
    """What is said of each change, by its `seq`; what may not be told is missing."""
    places = discretion.tellable(conn, {each.geofence for each in several if each.geofence})
    where = [each for each in several if each.kind in TELLS_WHERE]
    entries = ledger.entries_of_many(conn, subjects_of(where), Purpose.LOCATION)
    followed = {each for each in entries if standing(entries[each], Purpose.LOCATION, None, now).allowed}
    told = [
        each
        for each in several
        if (each.geofence in places or each.geofence is None)
        and (each.kind not in TELLS_WHERE or each.subject in followed)
    ]
    said: dict[int, dict[str, Any]] = {}
    for kind, of_kind in _SAYING.items():
        for change, data in of_kind(conn, [each for each in told if each.kind is kind]):
            said[change.seq] = {
                "type": change.type,
                "timestamp": change.placed_at.isoformat(),
                "position": change.position,
                "data": data,
            }
    return said


def _rows(
    conn: Connection, key: Column[Any], columns: Sequence[Column[Any]], several: Sequence[Change]
) -> Mapping[str, Row[Any]]:
    """The rows that changes refer to, of these columns and no others."""
    found: dict[str, Row[Any]] = {}
    for some in batches({each.ref for each in several}):
        found |= {row.id: row for row in conn.execute(select(*columns).where(key.in_(some)))}
    return found


def _events(conn: Connection, several: Sequence[Change]) -> Iterable[tuple[Change, Data]]:
    names = ("id", "subject", "kind", "geofence", "zone", "beacon", "at", "confidence")
    rows = _rows(conn, place_events.c.id, [place_events.c[name] for name in names], several)
    for change in several:
        if row := rows.get(change.ref):
            yield (
                change,
                {
                    "id": row.id,
                    "subject": row.subject,
                    "kind": row.kind,
                    "revision": change.revision,
                    "geofence": row.geofence,
                    "zone": row.zone,
                    "beacon": row.beacon,
                    "at": _minute(row.at),
                    "confidence": round(row.confidence, 2),
                },
            )


def _decisions(conn: Connection, several: Sequence[Change]) -> Iterable[tuple[Change, Data]]:
    names = ("id", "event", "campaign", "version", "subject", "geofence", "outcome", "reason", "at")
    rows = _rows(conn, decisions.c.id, [decisions.c[name] for name in names], several)
    for change in several:
        if row := rows.get(change.ref):
            yield change, {**{name: row._mapping[name] for name in names}, "at": _minute(row.at)}  # noqa: SLF001


def _messages(conn: Connection, several: Sequence[Change]) -> Iterable[tuple[Change, Data]]:
    """Without the place, and with the state that the change was about, whatever came later."""
    names = (
        "id",
        "campaign",
        "version",
        "subject",
        "channel",
        "created_at",
        "sent_at",
        "reason",
        "rule",
        "error_code",
    )
    rows = _rows(conn, messages.c.id, [messages.c[name] for name in names], several)
    for change in several:
        if row := rows.get(change.ref):
            yield (
                change,
                {
                    **{name: row._mapping[name] for name in names},  # noqa: SLF001
                    "state": change.detail,
                    "created_at": _minute(row.created_at),
                    "sent_at": _minute(row.sent_at),
                },
            )


def _consents(conn: Connection, several: Sequence[Change]) -> Iterable[tuple[Change, Data]]:
    names = (
        "id",
        "seq",
        "subject",
        "purpose",
        "channel",
        "action",
        "source",
        "text_version",
        "at",
        "recorded_at",
    )
    rows = _rows(conn, consent_entries.c.id, [consent_entries.c[name] for name in names], several)
    for change in several:
        if row := rows.get(change.ref):
            yield (
                change,
                {
                    **{name: row._mapping[name] for name in names},  # noqa: SLF001
                    "at": row.at.isoformat(),
                    "recorded_at": row.recorded_at.isoformat(),
                },
            )


def _subjects(_conn: Connection, several: Sequence[Change]) -> Iterable[tuple[Change, Data]]:
    return [(change, {"subject": change.subject}) for change in several]


def _minute(at: datetime | None) -> str | None:
    return at.replace(second=0, microsecond=0).isoformat() if at else None


_SAYING: Mapping[ChangeKind, Callable[[Connection, Sequence[Change]], Iterable[tuple[Change, Data]]]] = {
    ChangeKind.EVENT: _events,
    ChangeKind.DECISION: _decisions,
    ChangeKind.MESSAGE: _messages,
    ChangeKind.CONSENT: _consents,
    ChangeKind.SUBJECT: _subjects,
}
