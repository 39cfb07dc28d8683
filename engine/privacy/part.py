"""Everything about shoppers' rights, wired: pages and calls, the export, retention, processors, and their timed jobs."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request

from config import Settings
from consent import access_log, processor_store, request_store
from consent.access_log import Access
from consent.age import AgePolicy
from consent.countries.pack import all_rules
from consent.desk import Desk
from consent.preference_link import PreferenceLinks
from consent.preference_routes import PreferenceDoor, link_calls, links_of, preference_pages
from consent.preference_texts import Facts, words_in
from consent.processor import Processor, read_processors
from consent.processor_call import Courier
from consent.request_routes import request_calls
from consent.rights import Rights
from engine import metrics
from engine.link_key import link_keys
from engine.live import Live
from engine.log import SignalLog
from engine.privacy.dpia import counts_of, sheet
from engine.privacy.erasure import rewrite_own_file
from engine.privacy.export import everything_about
from engine.privacy.holdings import holdings, live_holdings
from engine.privacy.live_holdings import held_of
from engine.privacy.retention import Retention
from engine.scheduler import Job

DAY_SECONDS = 86_400
LISTS_NOTED = timedelta(hours=1)
"""Whoever is shown in a list to the same reader again within so long is written down once."""


class Privacy:
    """The rights of shoppers in one process."""

    def __init__(
        self, settings: Settings, desk: Desk, live: Live, log: SignalLog, processors: tuple[Processor, ...]
    ) -> None:
        self.desk = desk
        self._live = live
        self._log = log
        self.holdings = holdings(settings)
        self.processors = processors
        self.rights = Rights(desk, self.export, desk.ages)
        self.retention = Retention(desk.writes, desk.reads, self.holdings, settings.inactive_days)
        self.courier = Courier(desk.writes, desk.now, self.processors)
        links = PreferenceLinks(
            settings.public_url,
            link_keys(settings),
            timedelta(days=settings.preference_link_days),
            timedelta(days=settings.unsubscribe_link_days),
        )
        minutes = -(-settings.state_expiry_seconds // 60)
        facts = Facts(settings.brand, settings.contact, minutes, settings.event_retention_days)
        self.door = PreferenceDoor(self.rights, links, facts)

    def export(self, subject: str) -> dict[str, Any]:
        """Everything held about a subject. Raises SubjectNotFound."""
        return everything_about(
            subject, self.desk, self.holdings, lambda devices: held_of(self._live, self._log, devices)
        )

    def links(self, subject: str) -> dict[str, dict[str, str]]:
        """The shopper's signed links. Raises SubjectNotFound."""
        return links_of(self.door, subject)

    def note_access(self, actor: str, subject: str, what: str, reason: str | None) -> None:
        """Write down that somebody looks at a subject's data."""
        with self.desk.writes.begin() as conn:
            access_log.note(conn, Access(self.desk.now(), actor, subject, what, reason))

    def watched(self, request: Request) -> None:
        """A route dependency, behind the one that checks the key: notes who looks at which subject's data, and why, as
        the header `Access-Reason` says.
        """
        in_path = request.url.path.startswith("/v1/subjects/")
        subject = (request.path_params.get("id") if in_path else None) or request.query_params.get("subject")
        if request.method == "GET" and subject:
            look = self._look(request, subject)
            self.note_access(look.actor, look.subject, look.what, look.reason)

    def note_shown(self, request: Request, subjects: Iterable[str]) -> None:
        """Write down whose data a list shows that did not ask for somebody: each of them, once an hour."""
        asked = request.query_params.get("subject")
        self._note_once([self._look(request, each) for each in dict.fromkeys(subjects) if each != asked])

    def note_seen(self, actor: str, what: str, subjects: Iterable[str]) -> None:
        """The same of what is shown otherwise than in answer to a call: a page, by its name."""
        now = self.desk.now()
        self._note_once([Access(now, actor, each, what, None) for each in dict.fromkeys(subjects)])

    def _note_once(self, looks: Sequence[Access]) -> None:
        if looks:
            with self.desk.writes.begin() as conn:
                access_log.note_unless_noted(conn, looks, self.desk.now() - LISTS_NOTED)

    def _look(self, request: Request, subject: str) -> Access:
        reason = request.headers.get("access-reason", "").strip()[: access_log.REASON_LIMIT_CHARS]
        what = request.scope["route"].operation_id or request.scope["route"].path
        actor = str(getattr(request.state, "actor", "unknown"))
        return Access(self.desk.now(), actor, subject[: access_log.SUBJECT_LIMIT_CHARS], what, reason or None)

    def sheet(self, settings: Settings) -> str:
        """The data-protection sheet."""
        with self.desk.reads.connect() as conn:
            counts = counts_of(conn, self.holdings)
        words = words_in("en", self.door.facts)
        rules = (
            f"{each.name} ({each.area}): {each.source}, to review by {each.review_by}" for each in all_rules()
        )
        return sheet(
            settings, words, self.holdings, live_holdings(), self.processors, rules, counts, self.desk.now()
        )

    def routes(self) -> Iterable[APIRouter]:
        """The desk's calls, which need a key, and the shopper's pages, which need a signed link."""
        return (request_calls(self.rights), link_calls(self.door), preference_pages(self.door))

    def jobs(self) -> tuple[Job, ...]:
        """The timed jobs."""
        return (
            Job("erasures to processors", 30, self.courier.run_once),
            Job("requests watched", 60, self.watch),
            Job("retention", DAY_SECONDS / 4, self.purge),
        )

    def purge(self) -> None:
        """Remove what has been kept long enough, and whoever has been silent too long; from our own live store's file too,
        in which signals stay after they are processed until it is written anew.
        """
        now = self.desk.now()
        metrics.RETENTION_REMOVED.inc(self.retention.purge(now))
        metrics.INACTIVE_ERASED.inc(self.retention.erase_inactive(self.desk, now))
        rewrite_own_file(self._live)

    def watch(self) -> None:
        """Tell the metrics what waits to be answered, and for how long."""
        now = self.desk.now()
        with self.desk.reads.connect() as conn:
            requests, notices = request_store.pressure(conn, now), processor_store.pressure(conn, now)
        for kind, (count, overdue, age_seconds) in requests.items():
            metrics.REQUESTS_OPEN.labels(kind).set(count)
            metrics.REQUESTS_OVERDUE.labels(kind).set(overdue)
            metrics.REQUESTS_OLDEST.labels(kind).set(age_seconds)
        for state, (count, age_seconds) in notices.items():
            metrics.ERASURE_NOTICES.labels(state).set(count)
            metrics.ERASURE_NOTICES_OLDEST.labels(state).set(age_seconds)


def declared_processors(settings: Settings) -> tuple[Processor, ...]:
    """The processors of the settings' file. Raises InvalidProcessors."""
    path = Path(settings.processors_path) if settings.processors_path else None
    return read_processors(path, plain_http_to_loopback=settings.env == "development")


def age_policy(settings: Settings) -> AgePolicy:
    """From when on a shopper may consent, as the settings have it."""
    return AgePolicy(settings.default_region, must_be_known=settings.age_must_be_known == "yes")
