"""The consent gate in the live store: which devices may be heard. A projection of the ledger, never its source.

It is changed under the subject's lock in the records store, so that two changes of one subject reach the live
store in the order in which they were recorded. A device that is not in it is not heard.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from sqlalchemy import Connection

from consent import ledger, store
from consent.entry import Purpose
from engine.live import Live, device_prefix, due_key, gate_edits_key, gate_key, partition_of
from engine.records import Records

REBUILD_PAGE = 500
ALLOWED, DENIED = "1", "0"


class ConsentGate:
    """Keeps the live store's gate true to the ledger."""

    def __init__(self, live: Live, records: Records, now: Callable[[], datetime]) -> None:
        self._live = live
        self._records = records
        self._now = now
        self._closed: dict[str, set[str]] = {}

    def withdrawing(self, subject: str) -> None:
        """Close the gate for a subject's devices before a withdrawal is recorded: a crash between leaves it closed."""
        with self._records.reads.connect() as connection:
            found = store.get_subject(connection, subject)
        if found:
            devices = {device.device for device in found.devices}
            self._closed.setdefault(subject, set()).update(devices)
            self._forget(devices)

    def changed(self, subject: str) -> None:
        """Project what the ledger says now of a subject's location consent onto its devices."""
        with self._records.writes.begin() as connection:
            store.lock_subject(connection, subject)
            self._project(connection, subject)
            closed = self._closed.pop(subject, set())  # a rebuild may have opened some of them in between
            owned = store.subjects_of_devices(connection, sorted(closed))
            self._forget(closed - owned.keys())

    def rebuild(self) -> int:
        """Project every subject, then close the gate for devices that nobody has any more. Answers how many."""
        seen, cursor = 0, None
        while True:
            with self._records.writes.begin() as connection:
                subjects = store.subject_ids_after(connection, cursor, REBUILD_PAGE)
                for subject in subjects:
                    store.lock_subject(connection, subject)
                    self._project(connection, subject)
            seen += len(subjects)
            if len(subjects) < REBUILD_PAGE:
                break
            cursor = subjects[-1]
        self._drop_strangers()
        return seen

    def _project(self, connection: Connection, subject: str) -> None:
        found = store.get_subject(connection, subject)
        if found is None:
            return
        standing = ledger.standing_of(connection, subject, Purpose.LOCATION, None, self._now())
        devices = [device.device for device in found.devices]
        if standing.allowed:
            self._set(dict.fromkeys(devices, ALLOWED))
        else:
            self._set(dict.fromkeys(devices, DENIED))
            self._drop_states(devices)

    def _set(self, verdicts: Mapping[str, str]) -> None:
        with self._live.pipeline(durable=True) as pipeline:
            for device, verdict in verdicts.items():
                pipeline.hset(gate_key(self._partition(device)), device, verdict)
            closed = [device for device, verdict in verdicts.items() if verdict != ALLOWED]
            for partition in {self._partition(device) for device in closed}:
                pipeline.incr(gate_edits_key(partition))
            pipeline.execute()

    def _forget(self, devices: Iterable[str]) -> None:
        devices = list(devices)
        with self._live.pipeline(durable=True) as pipeline:
            for device in devices:
                pipeline.hdel(gate_key(self._partition(device)), device)
            for partition in {self._partition(device) for device in devices}:
                pipeline.incr(gate_edits_key(partition))
            pipeline.execute()
        self._drop_states(devices)

    def _drop_states(self, devices: Iterable[str]) -> None:
        with self._live.pipeline(durable=True) as pipeline:
            for device in devices:
                partition = self._partition(device)
                pipeline.delete(device_prefix(partition) + device)
                pipeline.zrem(due_key(partition), device)
            pipeline.execute()

    def _drop_strangers(self) -> None:
        for partition in range(self._live.partitions):
            names = [
                name.decode() for name, _ in self._live.client.hscan_iter(gate_key(partition), count=1000)
            ]
            for start in range(0, len(names), REBUILD_PAGE):
                page = names[start : start + REBUILD_PAGE]
                with self._records.reads.connect() as connection:
                    owned = store.subjects_of_devices(connection, page)
                self._forget(name for name in page if name not in owned)

    def _partition(self, device: str) -> int:
        return partition_of(device, self._live.partitions)
