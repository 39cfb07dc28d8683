"""The rounds that are made of what the stores hold: campaigns that are due, refusals, rules, beacons, texts in doubt."""

import logging
from collections import Counter
from collections.abc import Callable
from datetime import datetime

from campaigns.delivery import breach_store
from campaigns.delivery.breach import BreachCheck
from campaigns.lifecycle.register import move_due
from config import Settings
from consent import checkpoint, review
from consent.countries.pack import overdue
from consent.countries.rule import Rule
from consent.signing import KeyRing
from engine import metrics
from engine.fleet_figures import FleetFigures
from engine.ledger_key import keep_checkpoint
from engine.live import Live
from engine.records import Records
from geofences import beacon_store
from geofences.beacon import Beacon
from geofences.fleet import Figures, Verdict
from geofences.fleet_json import Findings, judged

HEALTH_PORTION = 500
"""Beacons whose figures are read in one round trip."""
BREACH_CHECKS_COUNTED = 31
"""Days of which breaches are counted in metrics and readiness."""

logger = logging.getLogger(__name__)


class Rounds:
    """What is done from time to time, each a timed job; a command or a test may ask for one out of turn."""

    def __init__(
        self, settings: Settings, records: Records, live: Live, ring: KeyRing, now: Callable[[], datetime]
    ) -> None:
        self._settings = settings
        self._records = records
        self._live = live
        self._ring = ring
        self._now = now

    def move_campaigns(self) -> int:
        """Start and end campaigns whose time has come. Answers how many moved."""
        now = self._now()
        with self._records.writes.begin() as connection:
            return move_due(connection, now)

    def check_refusals(self) -> list[BreachCheck]:
        """Check the refusals of each day of the last week that is over and was not checked yet."""
        now, made = self._now(), []
        with self._records.reads.connect() as connection:
            days = breach_store.due_days(connection, now.date())
        for day in days:
            with self._records.writes.begin() as connection:
                made.append(breach_store.check_day(connection, day, now))
        for check in made:
            log = logger.error if check.breaches else logger.info
            log("refusals of %s: %s heeded, %s breaches", check.day, check.withdrawals, len(check.breaches))
        self.count_breaches()
        return made

    def count_breaches(self) -> int:
        """Tell the metrics, and answer, how many breaches the last checks found."""
        with self._records.reads.connect() as connection:
            known = breach_store.checks(connection, BREACH_CHECKS_COUNTED)
        found = sum(len(check.breaches) for check in known)
        metrics.BREACHES.set(found)
        if known:
            metrics.BREACH_CHECKED.set(known[0].checked_at.timestamp())
        return found

    def overdue_rules(self) -> list[Rule]:
        """The rules of countries whose day of review has passed."""
        found = overdue(self._now().date())
        metrics.RULES_OVERDUE.set(len(found))
        return found

    def take_checkpoint(self) -> str:
        """Sign what the consent log is now, keep that in the log and beside its key, and answer the note."""
        with self._records.writes.begin() as connection:
            note = checkpoint.take(connection, self._ring, self._now()).note
        keep_checkpoint(self._settings, note)
        return note

    def settle_unread_texts(self) -> int:
        """Confirm the opt-outs in doubt that nobody has read in time. Answers how many."""
        with self._records.writes.begin() as connection:
            settled = review.settle_unread(connection, self._now())
            metrics.TEXTS_IN_DOUBT.set(review.count(connection))
        return settled

    def unhealthy_beacons(self) -> list[tuple[Beacon, Figures, Findings]]:
        """The beacons of the whole fleet with which something is wrong."""
        with self._records.reads.connect() as connection:
            beacons = list(beacon_store.read_all(connection))
        fleet, at = FleetFigures(self._live), self._now().timestamp()
        found = []
        for start in range(0, len(beacons), HEALTH_PORTION):
            portion = beacons[start : start + HEALTH_PORTION]
            found += judged(portion, fleet.read(portion, at))
        return [each for each in found if each[2]]

    def count_unhealthy(self) -> None:
        """Tell the metrics how many beacons have which verdict."""
        told = Counter(finding.verdict for _, _, findings in self.unhealthy_beacons() for finding in findings)
        for verdict in Verdict:
            metrics.BEACONS_UNHEALTHY.labels(verdict).set(told[verdict])
