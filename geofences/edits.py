"""The order of edits: a counter for each kind of thing, which tells every worker that something has changed."""

from enum import IntEnum

from sqlalchemy import Connection, insert, select, update

from geofences.tables import geofence_revision


class Edited(IntEnum):
    """What is edited; the number is its row among the counters."""

    GEOFENCES = 1
    BEACONS = 2


def lock(conn: Connection) -> None:
    """Let nobody else edit geofences or beacons until the end of the transaction, so that what was looked up of one
    stays true while the other is written. It is the lock that `draw` takes for geofences, and taken first.
    """
    conn.execute(
        select(geofence_revision.c.value)
        .where(geofence_revision.c.id == Edited.GEOFENCES.value)
        .with_for_update()
    )


def draw(conn: Connection, what: Edited) -> int:
    """The next revision, under a row lock to the end of the transaction: revisions become visible in their order."""
    statement = update(geofence_revision).values(value=geofence_revision.c.value + 1)
    drawn: int | None = conn.scalar(
        statement.where(geofence_revision.c.id == what.value).returning(geofence_revision.c.value)
    )
    if drawn is None:
        conn.execute(insert(geofence_revision).values(id=what.value, value=1))
        return 1
    return drawn


def revision(conn: Connection, what: Edited) -> int:
    """A number that grows with every committed edit."""
    return conn.scalar(select(geofence_revision.c.value).where(geofence_revision.c.id == what.value)) or 0
