"""A worker's own geofence index and fleet of beacons, kept in step with the records store."""

import time

from sqlalchemy import Connection

from engine.records import Records
from geofences import beacon_store, store
from geofences.beacons import Beacons
from geofences.index import GeofenceIndex

LOOK_EVERY_SECONDS = 0.25
"""An edit is to reach every index within a second; looking costs two reads of one row."""


class Places:
    """The index and the beacons, and how far they have followed the edits. One thread uses it."""

    def __init__(self, records: Records, look_every_seconds: float = LOOK_EVERY_SECONDS) -> None:
        self._records = records
        self._look_every_seconds = look_every_seconds
        self._looked_at = float("-inf")
        self._revision = 0
        self._beacon_revision = 0
        self.index = GeofenceIndex()
        self.beacons = Beacons()

    @property
    def edits(self) -> tuple[int, int]:
        """How far the edits of geofences and of beacons have been followed."""
        return self._revision, self._beacon_revision

    def refresh(self) -> None:
        """Take over edits made since, looking at most every `look_every_seconds`."""
        now = time.monotonic()
        if now - self._looked_at < self._look_every_seconds:
            return
        self._looked_at = now
        with self._records.reads.connect() as connection:
            self._follow_geofences(connection)
            self._follow_beacons(connection)

    def _follow_geofences(self, connection: Connection) -> None:
        if store.revision(connection) == self._revision:
            return
        revision, edits = store.changed_since(connection, self._revision)
        if not len(self.index):
            self.index = GeofenceIndex.of(geofence for _, geofence in edits if geofence)
        else:
            for geofence_id, geofence in edits:
                if geofence:
                    self.index.put(geofence)
                else:
                    self.index.remove(geofence_id)
        self._revision = revision

    def _follow_beacons(self, connection: Connection) -> None:
        revision = beacon_store.revision(connection)
        if revision != self._beacon_revision:
            self.beacons = beacon_store.read_all(connection)
            self._beacon_revision = revision
