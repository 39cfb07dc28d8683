"""A worker's own geofence index and fleet of beacons, kept in step with the records store."""

import logging
import threading
import time
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection

from engine.records import Records
from geofences import beacon_store, snapshot, store
from geofences.beacons import Beacons
from geofences.index import GeofenceIndex
from geofences.packed import Packing
from geofences.snapshot import Snapshot, UnfitSnapshot

logger = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 0.25
"""An edit is to reach every index within a second; looking costs two reads of one row."""
EDITS_AT_ONCE = 1000
"""Of many edits at once, as an import brings, so many are taken over before signals have their turn again: a tenth of
a second."""
SNAPSHOT_FROM = 5000
"""Fewer geofences are read from the records store in no time."""
SNAPSHOT_EDITS_LEAST = 1000
SNAPSHOT_EDITS_SHARE = 0.01
SNAPSHOT_PAUSE_SECONDS = 60.0
"""A new snapshot is taken after so many edits, and such a share of all geofences, but not more often than this."""
COMPARED = 100
"""Of the geofences edited last before a snapshot so many are compared with the records store."""


class Places:
    """The index and the beacons, and how far they have followed the edits. One thread uses it. The snapshot file, if a
    path is given, is read at the start and written in the background.
    """

    def __init__(
        self,
        records: Records,
        snapshot_file: Path | None = None,
        look_every_seconds: float = LOOK_EVERY_SECONDS,
    ) -> None:
        self._records = records
        self._file = snapshot_file
        self._look_every_seconds = look_every_seconds
        self._looked_at = float("-inf")
        self._revision = 0
        self._beacon_revision = 0
        self._following: _Following | None = None
        self._followed = 0
        self._saved = 0
        self._saved_at = float("-inf")
        self._saving: threading.Thread | None = None
        self.index = GeofenceIndex()
        self.beacons = Beacons()
        self.loaded = False
        """Whether all geofences that there were at the start are in the index."""

    @property
    def edits(self) -> tuple[int, int]:
        """How far edits have been followed: it changes whenever geofences or beacons have."""
        return self._followed, self._beacon_revision

    def refresh(self) -> None:
        """Take over edits made since, some at a time, looking at most every `look_every_seconds`. The first time all
        geofences are loaded.
        """
        now = time.monotonic()
        if not self._following and now - self._looked_at < self._look_every_seconds:
            return
        self._looked_at = now
        if not self.loaded:
            self._load()
        if self._following or self._is_behind():
            self._follow_some()
        self._save_now_and_then(now)

    def close(self) -> None:
        """Wait for a snapshot that is being written, and give the connection back."""
        if self._saving:
            self._saving.join()
        if self._following:
            self._following.close()
            self._following = None

    def _is_behind(self) -> bool:
        with self._records.reads.connect() as connection:
            self._follow_beacons(connection)
            return store.revision(connection) != self._revision

    def _follow_some(self) -> None:
        following = self._following or _Following(self._records, self._revision)
        self._following = None
        try:
            some = list(islice(following.edits, EDITS_AT_ONCE))
        except BaseException:
            following.close()
            raise
        self.index.follow(some)
        self._followed += len(some)
        if len(some) < EDITS_AT_ONCE:
            self._revision = following.revision
            following.close()
        else:
            self._following = following

    def _follow_beacons(self, connection: Connection) -> None:
        revision = beacon_store.revision(connection)
        if revision != self._beacon_revision:
            self.beacons = beacon_store.read_all(connection)
            self._beacon_revision = revision

    def _load(self) -> None:
        began = time.monotonic()
        with self._records.reads.connect() as connection:
            source = "nowhere, for there are none"
            if store.revision(connection):
                source = self._load_snapshot(connection) or self._load_all(connection)
        self.loaded = True
        self._followed += 1
        logger.info("geofences: %d in %.1f s, from %s", len(self.index), time.monotonic() - began, source)

    def _load_all(self, connection: Connection) -> str:
        packing, buried = Packing(), {}
        self._revision, edits = store.changed_since(connection, 0)
        for geofence_id, revision, feature in edits:
            if feature is None:
                buried[geofence_id] = revision
            else:
                packing.add_stored(geofence_id, revision, feature)
        self.index = GeofenceIndex(packing.packed())
        self.index.catalogue.buried.update(buried)
        self._saved = -SNAPSHOT_EDITS_LEAST - len(self.index)  # there is no snapshot of these
        return "the records store"

    def _load_snapshot(self, connection: Connection) -> str | None:
        """Where the geofences come from; None when there is no snapshot that fits the records store."""
        if self._file is None:
            return None
        try:
            taken = snapshot.read(self._file)
            index, revision, edited = _caught_up(connection, taken)
        except FileNotFoundError:
            return None
        except (UnfitSnapshot, OSError) as error:
            logger.warning("geofences: the snapshot is not used: %s", error)
            return None
        self.index, self._revision, self._saved = index, revision, self._followed - edited
        return f"a snapshot and {edited} edits since"

    def _save_now_and_then(self, now: float) -> None:
        """Write a snapshot in the background when much was edited since the one before."""
        edits = max(SNAPSHOT_EDITS_LEAST, SNAPSHOT_EDITS_SHARE * len(self.index))
        if (
            self._file is None
            or self._following
            or len(self.index) < SNAPSHOT_FROM
            or self._followed - self._saved < edits
            or now - self._saved_at < SNAPSHOT_PAUSE_SECONDS
            or (self._saving and self._saving.is_alive())
        ):
            return
        self._saved, self._saved_at = self._followed, now
        packed, buried = self.index.catalogue.repacking(), dict(self.index.catalogue.buried)
        file, revision = self._file, self._revision

        def save() -> None:
            try:
                began = time.monotonic()
                size = snapshot.write(Snapshot(revision, packed(), buried), file)
            except OSError as error:
                logger.warning("geofences: no snapshot could be written: %s", error.strerror)
            else:
                logger.info("geofences: snapshot of %d bytes in %.1f s", size, time.monotonic() - began)

        self._saving = threading.Thread(target=save, name="snapshot")
        self._saving.start()


class _Following:
    """Edits that are being read, and the revision up to which they lead."""

    def __init__(self, records: Records, known: int) -> None:
        self._connection = records.reads.connect()
        self.revision, self.edits = store.changed_since(self._connection, known)

    def close(self) -> None:
        """Give the connection back."""
        self.edits.close()
        self._connection.close()


def _caught_up(connection: Connection, taken: Snapshot) -> tuple[GeofenceIndex, int, int]:
    """The index of a snapshot with all edits since, their newest revision and how many they were. Raises
    `UnfitSnapshot` when the records store does not hold the same.
    """
    if taken.revision > store.revision(connection):
        raise UnfitSnapshot("it is newer than the records store")
    index = GeofenceIndex(taken.packed)
    index.catalogue.buried.update(taken.buried)
    for each in store.newest_edits(connection, taken.revision, COMPARED):
        if not index.catalogue.agrees(each):
            raise UnfitSnapshot("the records store has another history")
    revision, edits = store.changed_since(connection, taken.revision)
    changed = list(edits)
    index.follow(changed)
    if index.catalogue.tally() != store.tally(connection) and store.revision(connection) == revision:
        raise UnfitSnapshot("the records store does not hold the same geofences")
    return index, revision, len(changed)
