"""The consent desk: the one counter where subjects and consents change, in the order that keeps a withdrawal in force.

Every caller, HTTP, webhook, command line or timer, comes here: what must be denied is denied before it is written
down, and the live store is told after the write has been committed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine

from consent import ledger, store
from consent.admission import MINORITY, refusal
from consent.age import AgePolicy, is_too_young
from consent.entry import Action, Entry, Purpose, questions, standing
from consent.errors import SubjectNotFound
from consent.inbound import ERASURE, InboundPolicy, InboundResult, answer_inbound
from consent.preference import withdrawal
from consent.store import Inbound
from consent.subject import Subject

Records = Callable[[Connection, str], list[dict[str, Any]]]
"""Another domain's records of a subject, for the export."""

Erase = Callable[[Connection, str], object]
"""Deletes another domain's records of a subject."""


@dataclass(frozen=True, slots=True)
class Held:
    """Everything this domain and the others hold about a subject."""

    subject: Subject
    created_at: datetime
    updated_at: datetime
    entries: tuple[Entry, ...]
    texts: tuple[Inbound, ...]
    records: dict[str, list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Desk:
    """`withdrawing` denies a subject's devices at once; `changed` projects what is committed into the live store
    again. Both take the subject's id.
    """

    reads: Engine
    writes: Engine
    now: Callable[[], datetime]
    withdrawing: Callable[[str], None]
    changed: Callable[[str], None]
    records_of: Mapping[str, Records]
    on_erasure: Sequence[Erase]
    ages: AgePolicy = field(default_factory=AgePolicy)

    def subject(self, subject: str) -> Subject:
        """The subject. Raises SubjectNotFound."""
        with self.reads.connect() as conn:
            return _known(conn, subject)

    def is_known(self, subject: str) -> bool:
        """Whether there is such a subject."""
        with self.reads.connect() as conn:
            return store.dates_of_subject(conn, subject) is not None

    def put(self, subject: Subject) -> bool:
        """Keep exactly this of the subject; tells whether it is new. One who turns out to be too young to consent is
        withdrawn from everything at once. Raises DeviceTaken.
        """
        too_young = is_too_young(subject, self.ages, self.now())
        with self.reads.connect() as conn:
            before = store.get_subject(conn, subject.id)
        had = () if before is None else before.devices
        gives_up = {device.device for device in had} - {device.device for device in subject.devices}
        with self._telling(subject.id, denied=bool(gives_up) or too_young), self.writes.begin() as conn:
            is_new = store.put_subject(conn, subject, self.now())
            if too_young:
                self._close(conn, subject.id, MINORITY, _allowed, source=MINORITY)
            return is_new

    def record(self, entry: Entry) -> Entry:
        """Write the entry into the ledger. Raises SubjectNotFound, and GrantRefused for a grant that may not be."""
        self.subject(entry.subject)
        denied = entry.action is Action.WITHDRAW and entry.purpose is Purpose.LOCATION
        with self._telling(entry.subject, denied=denied), self.writes.begin() as conn:
            store.lock_subject(conn, entry.subject)
            known, said = _known(conn, entry.subject), ledger.entries_of(conn, entry.subject)
            if (refused := refusal(entry, known, said, self.ages, self.now())) is not None:
                raise refused
            return ledger.record(conn, entry)

    def entries(self, subject: str) -> tuple[Entry, ...]:
        """What the subject said, oldest record first. Raises SubjectNotFound."""
        with self.reads.connect() as conn:
            _known(conn, subject)
            return ledger.entries_of(conn, subject)

    def erase(self, subject: str, actor: str) -> None:
        """Remove all that is held but the ledger, where every purpose ends withdrawn: known again one day, the
        subject starts from no. Raises SubjectNotFound.

        Withdrawn first, then removed: whoever projects the subject between the two finds a no, and finds its devices.
        """
        self.subject(subject)
        with self._telling(subject, denied=True), self.writes.begin() as conn:
            self._close(conn, subject, actor, _spoken_of)
        with self._telling(subject, denied=True), self.writes.begin() as conn:
            self._close(conn, subject, actor, _allowed)  # whatever was granted in between
            for erase in self.on_erasure:
                erase(conn, subject)
            store.delete_subject(conn, subject)

    def held(self, subject: str) -> Held:
        """Everything held about the subject. Raises SubjectNotFound."""
        with self.reads.connect() as conn:
            known = _known(conn, subject)
            dates = store.dates_of_subject(conn, subject)
            if dates is None:
                raise SubjectNotFound
            return Held(
                subject=known,
                created_at=dates[0],
                updated_at=dates[1],
                entries=ledger.entries_of(conn, subject),
                texts=tuple(store.inbound_of(conn, subject)),
                records={name: records(conn, subject) for name, records in self.records_of.items()},
            )

    def hear(
        self, *, sid: str, from_number: str, body: str, opt_out_type: str | None, policy: InboundPolicy
    ) -> InboundResult:
        """Act on a shopper's text; what it withdraws is in force when this returns."""
        with self.writes.begin() as conn:
            result = answer_inbound(conn, sid, from_number, body, opt_out_type, self.now(), policy)
        for subject in result.subjects:
            self.changed(subject)
        return result

    def _close(
        self,
        conn: Connection,
        subject: str,
        actor: str,
        purposes_in: Callable[[Sequence[Entry], datetime], set[Purpose]],
        source: str = ERASURE,
    ) -> None:
        """Withdraw purposes under the subject's lock, after everything said before, whichever clock wrote it."""
        if not store.lock_subject(conn, subject):
            raise SubjectNotFound
        entries, now = ledger.entries_of(conn, subject), self.now()
        at = max((now, *(entry.at for entry in entries)))
        for purpose in sorted(purposes_in(entries, at)):
            ledger.record(conn, withdrawal(purpose, subject, source, actor, entries, now))

    @contextmanager
    def _telling(self, subject: str, *, denied: bool) -> Iterator[None]:
        """Wraps a transaction. A denied subject is projected again even when nothing was committed: what the ledger
        says is true.
        """
        if denied:
            self.withdrawing(subject)
        try:
            yield
        except BaseException:
            if denied:
                self.changed(subject)
            raise
        self.changed(subject)


def _known(conn: Connection, subject: str) -> Subject:
    known = store.get_subject(conn, subject)
    if known is None:
        raise SubjectNotFound
    return known


def _spoken_of(entries: Sequence[Entry], _at: datetime) -> set[Purpose]:
    return {entry.purpose for entry in entries}


def _allowed(entries: Sequence[Entry], at: datetime) -> set[Purpose]:
    return {purpose for purpose, channel in questions() if standing(entries, purpose, channel, at).allowed}
