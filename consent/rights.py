"""What a shopper may ask for, and what it does: choose, withdraw all, object, see, be erased. Each leaves its trace in
the ledger or among the requests, and goes through the consent desk, so that a withdrawal is in force when it returns.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection

from consent import access_log, processor_store, request_store
from consent.admission import OBJECTION
from consent.age import AgePolicy, is_too_young
from consent.desk import Desk
from consent.entry import Action, Channel, Purpose, standing
from consent.errors import SubjectNotFound
from consent.notice import Notice, publish
from consent.preference import (
    ACTOR,
    DIRECT_MARKETING,
    SOURCE,
    UNSUBSCRIBE,
    allowed,
    changes,
    entry_of,
    withdrawal,
)
from consent.preference_link import Holder
from consent.preference_texts import Words
from consent.processor import Processor
from consent.request import Outcome, PrivacyRequest, RequestKind, closed, received
from consent.store import dates_of_subject
from consent.subject import Subject

ON_ERASURE = (RequestKind.ERASURE, RequestKind.OBJECTION, RequestKind.RECTIFICATION)
"""Requests that an erasure answers."""


@dataclass(frozen=True, slots=True)
class Rights:
    """The rights of shoppers at one desk. `export` gathers everything held about a subject."""

    desk: Desk
    export: Callable[[str], dict[str, Any]]
    ages: AgePolicy

    def holder(self, subject: str) -> Holder | None:
        """For whom a link is made; None for an unknown subject."""
        try:
            known = self.desk.subject(subject)
        except SubjectNotFound:
            return None
        with self.desk.reads.connect() as conn:
            dates = dates_of_subject(conn, subject)
        return None if dates is None else Holder(subject, dates[0], known.phone)

    def is_too_young(self, subject: Subject) -> bool:
        """Whether the subject may not say yes."""
        return is_too_young(subject, self.ages, self.desk.now())

    def is_marketed(self, subject: str) -> bool:
        """Whether the subject allows marketing on some channel. Raises SubjectNotFound."""
        entries, now = self.desk.entries(subject), self.desk.now()
        return any(standing(entries, Purpose.MARKETING, channel, now).allowed for channel in Channel)

    def choose(self, subject: str, shown: Collection[str], chosen: Collection[str], words: Words) -> int:
        """Record what a form with these words changes, each with the version of the notice shown, which is in the log
        from its first yes on; answers how many.
        Raises GrantRefused where a grant may not be.
        """
        entries = self.desk.entries(subject)
        now = self.desk.now()
        made = list(changes(shown, chosen, allowed(entries, now)))
        for change in made:
            shown_text = words.notices[change.choice.name]
            if change.action is Action.GRANT:
                text = f"{shown_text.label}\n{shown_text.text}"
                with self.desk.writes.begin() as conn:
                    publish(conn, Notice(shown_text.version, words.language, text, None, now, SOURCE))
            self.desk.record(entry_of(change, subject, shown_text.version, entries, now))
        return len(made)

    def everything_off(self, subject: str) -> None:
        """Withdraw every purpose on every channel."""
        self.withdraw(subject, tuple(Purpose), SOURCE, ACTOR)

    def unsubscribe(self, subject: str) -> None:
        """Withdraw marketing on every channel."""
        self.withdraw(subject, (Purpose.MARKETING,), UNSUBSCRIBE, ACTOR)

    def object(self, subject: str, means: str, actor: str) -> PrivacyRequest:
        """Object to direct marketing: every purpose ends at once, and only the subject can allow one again."""
        self.withdraw(subject, DIRECT_MARKETING, OBJECTION, actor)
        return self._answered(subject, RequestKind.OBJECTION, means, actor)

    def see(self, subject: str, means: str, actor: str) -> dict[str, Any]:
        """Everything held about the subject; recorded as a request of access that was answered."""
        held = self.export(subject)
        self._answered(subject, RequestKind.ACCESS, means, actor)
        return held

    def erase(self, subject: str, means: str, actor: str) -> None:
        """Erase the subject; recorded as a request, which the erasure answers in its own transaction: if it fails, the
        request stays open. Raises SubjectNotFound.
        """
        self.desk.subject(subject)
        request = self._received(subject, RequestKind.ERASURE, means, actor)
        with self.desk.writes.begin() as conn:
            request_store.add(conn, request)
        self.desk.erase(subject, actor)

    def withdraw(self, subject: str, purposes: Sequence[Purpose], source: str, actor: str) -> None:
        """Withdraw purposes on every channel, one by one, each in force before the next."""
        entries, now = self.desk.entries(subject), self.desk.now()
        for purpose in purposes:
            self.desk.record(withdrawal(purpose, subject, source, actor, entries, now))

    def _received(self, subject: str, kind: RequestKind, means: str, actor: str) -> PrivacyRequest:
        check = "signed link" if actor == ACTOR else None
        return received(uuid4().hex, subject, kind, means, actor, self.desk.now(), check)

    def _answered(self, subject: str, kind: RequestKind, means: str, actor: str) -> PrivacyRequest:
        """Keep a request that is answered in the moment in which it came."""
        request = self._received(subject, kind, means, actor)
        done = closed(request, Outcome.DONE, None, request.received_at)
        with self.desk.writes.begin() as conn:
            request_store.add(conn, done)
            request_store.close_all(conn, subject, (kind,), request.received_at)
        return done


def pass_on_erasure(
    processors: Sequence[Processor], now: Callable[[], datetime]
) -> Callable[[Connection, str], None]:
    """To be called within every erasure: closes what it answers, and queues the notices to processors."""
    told = [(each.name, bool(each.url)) for each in processors]

    def pass_on(conn: Connection, subject: str) -> None:
        request_store.close_all(conn, subject, ON_ERASURE, now())
        request_store.forget_words(conn, subject)
        access_log.forget_words(conn, subject)
        processor_store.notify(conn, subject, told, now())

    return pass_on
