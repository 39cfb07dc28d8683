"""The consent gate in the live store: which devices may be heard. A projection of the ledger, never its source.

It is changed under the subject's lock in the records store, so that two changes of one subject reach the live
store in the order in which they were recorded. A device that is not in it is not heard.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import islice

from sqlalchemy import Connection

from consent import ledger, store
from consent.entry import Purpose, standing
from engine.live import Live, device_prefix, due_key, gate_edits_key, gate_key, partition_of
from engine.records import Records
from engine.round_trip import raised

REBUILD_PAGE = 500
ALLOWED, DENIED, FORGOTTEN = "1", "0", ""
"""As they are told to the script; a device that is allowed is kept with when that began, by the count of closings."""
ALLOWED_FIRST = "10"
"""What the gate holds of a device that was allowed before it had ever closed."""


class ConsentGate:
    """Keeps the live store's gate true to the ledger."""

    def __init__(self, live: Live, records: Records, now: Callable[[], datetime]) -> None:
        self._live = live
        self._write = live.batched("gate", durable=True)
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
            self._say(FORGOTTEN, devices)

    def changed(self, subject: str) -> None:
        """Project what the ledger says now of a subject's location consent onto its devices."""
        with self._records.writes.begin() as connection:
            self._project(connection, [subject])
            closed = self._closed.pop(subject, set())  # a rebuild may have opened some of them in between
            owned = store.subjects_of_devices(connection, sorted(closed))
            self._say(FORGOTTEN, closed - owned.keys())

    def rebuild(self) -> int:
        """Project every subject, then close the gate for devices that nobody has any more. Answers how many. Only
        what differs is written.
        """
        seen, cursor = 0, None
        while True:
            with self._records.writes.begin() as connection:
                subjects = store.subject_ids_after(connection, cursor, REBUILD_PAGE)
                self._project(connection, subjects)
            seen += len(subjects)
            if len(subjects) < REBUILD_PAGE:
                break
            cursor = subjects[-1]
        self._drop_strangers()
        return seen

    def _project(self, connection: Connection, subjects: Sequence[str]) -> None:
        store.lock_subjects(connection, subjects)
        owners = store.devices_of_subjects(connection, subjects)
        entries = ledger.entries_of_many(connection, owners.values(), Purpose.LOCATION)
        now = self._now()
        allowed = {
            subject
            for subject, said in entries.items()
            if standing(said, Purpose.LOCATION, None, now).allowed
        }
        self._say(ALLOWED, [device for device, subject in owners.items() if subject in allowed])
        self._say(DENIED, [device for device, subject in owners.items() if subject not in allowed])

    def _say(self, verdict: str, devices: Iterable[str]) -> None:
        """Open or close the gate for devices, where it is not so already, in one step per partition; what is kept of
        those not allowed goes.
        """
        by_partition: dict[int, list[str]] = defaultdict(list)
        for device in devices:
            by_partition[partition_of(device, self._live.partitions)].append(device)
        raised(
            self._write(
                [
                    (
                        (gate_key(each), gate_edits_key(each), due_key(each), device_prefix(each)),
                        (verdict, *names),
                    )
                    for each, names in by_partition.items()
                ]
            )
        )

    def _drop_strangers(self) -> None:
        for partition in range(self._live.partitions):
            names = (
                name.decode() for name, _ in self._live.client.hscan_iter(gate_key(partition), count=1000)
            )
            while page := list(islice(names, REBUILD_PAGE)):
                with self._records.reads.connect() as connection:
                    owned = store.subjects_of_devices(connection, page)
                self._say(FORGOTTEN, [name for name in page if name not in owned])
