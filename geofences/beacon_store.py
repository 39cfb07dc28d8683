"""What is remembered of beacons. Every function takes an open connection; the caller owns the transaction."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select
from sqlalchemy import delete as delete_from

from geofences import edits, store
from geofences.beacon import Beacon
from geofences.beacon_json import radio_field, radio_ids
from geofences.beacons import Beacons
from geofences.edits import Edited
from geofences.errors import FieldError, InvalidBeacon, InvalidImport, RadioIdsTaken, TooManyBeacons
from geofences.paging import chunks, read_cursor, write_cursor
from geofences.tables import beacons

BEACONS_LIMIT = 100_000
"""So many beacons one installation holds; every worker has them all in memory."""


def put(conn: Connection, beacon: Beacon, at: datetime) -> bool:
    """Save a beacon; tells whether it is new. Raises `InvalidBeacon` (no such geofence), `RadioIdsTaken`,
    `TooManyBeacons`.
    """
    edits.lock(conn)
    if taken := _taken(conn, [beacon]):
        error = _taken_by(beacon, taken[beacon.heard_as.key])
        raise RadioIdsTaken(f"{error.field}: {error.detail}", (error,))
    if not store.known_ids(conn, [beacon.geofence]):
        error = _nowhere(beacon)
        raise InvalidBeacon(f"{error.field}: {error.detail}", (error,))
    return _save(conn, [beacon], at) == 1


def put_many(
    conn: Connection, placed: Mapping[str, Beacon], at: datetime, errors: Sequence[FieldError] = ()
) -> int:
    """Save beacons as one edit, all or none; tells how many are new. Raises `TooManyBeacons`, and `InvalidImport` that
    lists `errors` (what was wrong already) and what is wrong with these, each by its place.
    """
    edits.lock(conn)
    found = [*errors, *_faults(conn, placed)]
    if found:
        raise InvalidImport("nothing was imported, for something is wrong; mend it and send it again", found)
    return _save(conn, list(placed.values()), at) if placed else 0


def get(conn: Connection, beacon_id: str) -> Beacon | None:
    """The beacon with this id."""
    row = conn.execute(select(beacons).where(beacons.c.id == beacon_id)).one_or_none()
    return _beacon(row) if row else None


def delete(conn: Connection, beacon_id: str) -> bool:
    """Forget a beacon. False if there was none."""
    edits.lock(conn)
    if not conn.execute(delete_from(beacons).where(beacons.c.id == beacon_id)).rowcount:
        return False
    edits.draw(conn, Edited.BEACONS)
    return True


def page(
    conn: Connection, cursor: str | None, limit: int, geofence: str | None = None
) -> tuple[list[Beacon], str | None]:
    """Beacons in the order of their ids, and the cursor of the next page (None on the last)."""
    query = select(beacons).where(beacons.c.id > (read_cursor(cursor, 1)[0] if cursor else ""))
    if geofence is not None:
        query = query.where(beacons.c.geofence == geofence)
    found = [_beacon(row) for row in conn.execute(query.order_by(beacons.c.id).limit(limit + 1))]
    return found[:limit], write_cursor(found[limit - 1].id) if len(found) > limit else None


def read_all(conn: Connection) -> Beacons:
    """The whole fleet, for a worker."""
    return Beacons.of(_beacon(row) for row in conn.execute(select(beacons).order_by(beacons.c.id)))


def count(conn: Connection) -> int:
    """How many beacons there are."""
    return conn.scalar(select(func.count()).select_from(beacons)) or 0


def revision(conn: Connection) -> int:
    """A number that grows with every committed edit of a beacon."""
    return edits.revision(conn, Edited.BEACONS)


def _save(conn: Connection, several: Sequence[Beacon], at: datetime) -> int:
    replaced = 0
    for ids in chunks(beacon.id for beacon in several):
        replaced += conn.execute(delete_from(beacons).where(beacons.c.id.in_(ids))).rowcount
    if count(conn) + len(several) > BEACONS_LIMIT:
        raise TooManyBeacons(f"{BEACONS_LIMIT} beacons are allowed; delete some first")
    conn.execute(insert(beacons), [_row(beacon, at) for beacon in several])
    edits.draw(conn, Edited.BEACONS)
    return len(several) - replaced


def _faults(conn: Connection, placed: Mapping[str, Beacon]) -> list[FieldError]:
    taken = _taken(conn, list(placed.values()))
    known = store.known_ids(conn, {beacon.geofence for beacon in placed.values()})
    faults = []
    for place, beacon in placed.items():
        if other := taken.get(beacon.heard_as.key):
            faults.append(_taken_by(beacon, other, f"{place}."))
        if beacon.geofence not in known:
            faults.append(_nowhere(beacon, f"{place}."))
    return faults


def _taken(conn: Connection, several: Sequence[Beacon]) -> dict[str, str]:
    """Radio ids of these that a beacon not among them has, and the id of that one."""
    ids = {beacon.id for beacon in several}
    taken: dict[str, str] = {}
    for keys in chunks(beacon.heard_as.key for beacon in several):
        query = select(beacons.c.radio, beacons.c.id).where(beacons.c.radio.in_(keys))
        taken |= {row.radio: row.id for row in conn.execute(query) if row.id not in ids}
    return taken


def _taken_by(beacon: Beacon, other: str, place: str = "") -> FieldError:
    said = f"beacon {other!r} is heard by the same ids; change that one, or give this one ids of its own"
    return FieldError(f"{place}{radio_field(beacon)}", said)


def _nowhere(beacon: Beacon, place: str = "") -> FieldError:
    said = f"no geofence has the id {beacon.geofence!r}; make it first"
    return FieldError(f"{place}geofence", said)


def _row(beacon: Beacon, at: datetime) -> dict[str, Any]:
    return {
        "id": beacon.id,
        "radio": beacon.heard_as.key,
        "geofence": beacon.geofence,
        "tx_power_dbm": beacon.tx_power_dbm,
        "path_loss": beacon.path_loss,
        "zone": beacon.zone,
        "lat": beacon.lat,
        "lon": beacon.lon,
        "updated_at": at,
    }


def _beacon(row: Row[Any]) -> Beacon:
    return Beacon(
        id=row.id,
        heard_as=radio_ids(row.radio),
        geofence=row.geofence,
        tx_power_dbm=row.tx_power_dbm,
        path_loss=row.path_loss,
        zone=row.zone,
        lat=row.lat,
        lon=row.lon,
    )
