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

from consent import address, erasure, ledger, opt_in, store, suppression
from consent.admission import MINORITY, refusal
from consent.age import AgePolicy, is_too_young
from consent.entry import Action, Channel, Entry, Purpose, questions, standing
from consent.errors import IncompleteGrant, NumberSuppressed, SubjectNotFound
from consent.inbound import ACTOR, ERASURE, InboundPolicy, InboundResult, answer_inbound
from consent.keywords import SUPPRESSING
from consent.notice import notices_of
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
    again; `settle` waits until no message that was claimed before is still being handed over, and raises StillSending
    if that takes too long. Each takes the subject's id. `forget_devices` removes all that the live store holds of devices
    that it denies; `settle_erasures` sees to it that no file holds what was erased. In `second_yes_regions` (ISO 3166) a
    number must itself agree to offers by SMS.
    """

    reads: Engine
    writes: Engine
    now: Callable[[], datetime]
    withdrawing: Callable[[str], None]
    changed: Callable[[str], None]
    settle: Callable[[str], None]
    records_of: Mapping[str, Records]
    on_erasure: Sequence[Erase]
    forget_devices: Callable[[Sequence[str]], None]
    settle_erasures: Callable[[], object]
    second_yes_regions: frozenset[str] = frozenset()
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
        withdrawn from everything at once. Raises DeviceTaken, and NumberSuppressed for a number on the suppression list,
        unless the subject has it already.
        """
        too_young = is_too_young(subject, self.ages, self.now())
        with self.reads.connect() as conn:
            before = store.get_subject(conn, subject.id)
        had = () if before is None else before.devices
        gives_up = {device.device for device in had} - {device.device for device in subject.devices}
        with self._telling(subject.id, denied=bool(gives_up) or too_young), self.writes.begin() as conn:
            _refuse_suppressed(conn, subject)
            if before is not None and before.phone != subject.phone:
                address.revive(conn, [subject.id], Channel.SMS)
                opt_in.forget_subject(conn, subject.id)
            is_new = store.put_subject(conn, subject, self.now())
            if too_young:
                self._close(conn, subject.id, MINORITY, _allowed, source=MINORITY)
                opt_in.drop(conn, subject.id)
        if too_young:
            self.settle(subject.id)
        return is_new

    def record(self, entry: Entry) -> Entry:
        """Write the entry into the ledger; a withdrawal is in force when this returns. Raises SubjectNotFound,
        StillSending, GrantRefused for a grant that may not be, and NumberSuppressed when somebody else than the subject
        grants SMS to a number on the suppression list.
        """
        self.subject(entry.subject)
        denied = entry.action is Action.WITHDRAW and entry.purpose is Purpose.LOCATION
        with self._telling(entry.subject, denied=denied), self.writes.begin() as conn:
            store.lock_subject(conn, entry.subject)
            self._admit(conn, entry)
            recorded = ledger.record(conn, entry)
            _heed_suppression(conn, recorded, self.now())
            if entry.action is Action.WITHDRAW and entry.purpose is Purpose.MARKETING:
                opt_in.drop(conn, entry.subject)
        if entry.action is Action.WITHDRAW:
            self.settle(entry.subject)
        return recorded

    def ask_first(self, entry: Entry) -> datetime | None:
        """Where the number itself must agree: keep the grant aside and have it asked; until when its yes counts. None
        where the entry can be recorded at once. Raises SubjectNotFound, OptInAsked, GrantRefused, NumberSuppressed.
        """
        if not opt_in.needs_second_yes(entry, self.subject(entry.subject).phone, self.second_yes_regions):
            return None
        with self.writes.begin() as conn:
            store.lock_subject(conn, entry.subject)
            self._admit(conn, entry)
            _heed_suppression(conn, entry, self.now())
            return opt_in.ask(conn, entry, self.now())

    def _admit(self, conn: Connection, entry: Entry) -> None:
        """Raises GrantRefused for a grant that may not be. The caller holds the subject's lock."""
        known, said = _known(conn, entry.subject), ledger.entries_of(conn, entry.subject)
        if (refused := refusal(entry, known, said, self.ages, self.now())) is not None:
            raise refused

    def demand_complete(self, entry: Entry) -> None:
        """Refuse a grant without a published text, evidence or jurisdiction; one that a partner brings stands as
        unproven. Raises IncompleteGrant.
        """
        if entry.action is Action.WITHDRAW or entry.partner is not None:
            return
        with self.reads.connect() as conn:
            shown = notices_of(conn, [entry.text_version or ""])
        brought = {"text_version": shown, "evidence": entry.evidence, "jurisdiction": entry.jurisdiction}
        if missing := [name for name, value in brought.items() if not value]:
            raise IncompleteGrant(missing)

    def entries(self, subject: str) -> tuple[Entry, ...]:
        """What the subject said, oldest record first. Raises SubjectNotFound."""
        with self.reads.connect() as conn:
            _known(conn, subject)
            return ledger.entries_of(conn, subject)

    def erase(self, subject: str, actor: str) -> None:
        """Remove all that is held; of the ledger only the leaves stay: known again one day, the subject starts from no.
        Raises SubjectNotFound.

        Withdrawn first, then removed: whoever projects the subject between the two finds a no, and finds its devices.
        When this returns, no file of ours holds what was erased, unless a store was too busy: then the job that settles
        erasures sees to it.
        """
        known = self.subject(subject)
        with self._telling(subject, denied=True), self.writes.begin() as conn:
            self._close(conn, subject, actor, _spoken_of)
        self.forget_devices([device.device for device in known.devices])
        with self._telling(subject, denied=True), self.writes.begin() as conn:
            self._close(conn, subject, actor, _allowed)  # whatever was granted in between
            left = set(store.devices_of_subjects(conn, [subject])) - {each.device for each in known.devices}
            for erase in self.on_erasure:
                erase(conn, subject)
            erasure.erase_subject(conn, subject, actor, self.now())
        self.settle(subject)
        self.forget_devices(sorted(left))
        self.settle_erasures()

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
        if result.verdict in SUPPRESSING:
            # Again when the text comes again: it is answered once this is done.
            for subject in result.subjects:
                self.settle(subject)
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


def _refuse_suppressed(conn: Connection, subject: Subject) -> None:
    """A number on the list is not imported; a subject that has it already may be changed in all other ways."""
    if subject.phone is not None:
        mark = suppression.mark_of(conn, subject.phone)
        had = store.mark_of_subject(conn, subject.id)
        if mark != had and suppression.suppression_of(conn, mark) is not None:
            raise NumberSuppressed("phone")


def _heed_suppression(conn: Connection, entry: Entry, now: datetime) -> None:
    """A grant of offers by SMS takes the number off the list if the subject gave it here, else it is refused."""
    if (entry.action, entry.purpose, entry.channel) != (Action.GRANT, Purpose.MARKETING, Channel.SMS):
        return
    mark = store.mark_of_subject(conn, entry.subject)
    if suppression.suppression_of(conn, mark) is None or mark is None:
        return
    if entry.actor != ACTOR:
        raise NumberSuppressed("channel")
    suppression.lift(conn, mark, now)


def _spoken_of(entries: Sequence[Entry], _at: datetime) -> set[Purpose]:
    return {entry.purpose for entry in entries}


def _allowed(entries: Sequence[Entry], at: datetime) -> set[Purpose]:
    return {purpose for purpose, channel in questions() if standing(entries, purpose, channel, at).allowed}
