"""Speaks to an audience at the time that a campaign's schedule names: a portion of subjects at a time, each decided on as by any
event. How far it has come is kept with what was decided, in one transaction.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from campaigns.audience.audience import EVERYONE
from campaigns.campaign import Campaign, CampaignState, due_state
from campaigns.decide import Decision
from campaigns.delivery import outbox
from campaigns.delivery.breaker import Breaker
from campaigns.gates import GateName, Reason
from campaigns.message import derived_id
from campaigns.store import get_campaign, live_campaigns
from campaigns.triggers import run_store
from campaigns.triggers.occasion import Occurrence, Timed
from campaigns.triggers.run_store import Run
from campaigns.triggers.schedule import latest
from campaigns.verdicts import ask
from consent import store as consent_store
from consent.entry import Channel
from engine import metrics
from engine.facts import Facts, House, gather, hold_counters
from engine.judgement import judge_all
from engine.portions import go_through
from engine.reach import chooses_fewer
from engine.records import Records, is_away
from engine.watch import Happened, claims_of

logger = logging.getLogger(__name__)

PORTION = 100
PORTIONS = 20
"""So many portions of one broadcast in a run, at most; the next goes on from there."""
WAITING_LIMIT = 300
"""While so many messages wait on a channel nobody further is decided on: the senders' rates set the pace, and offers of the
moment do not wait for long behind a broadcast.
"""
TOO_SMALL = "audience_too_small"


class Broadcaster:
    """Any number may run side by side: each broadcast is taken by one at a time. An audience that is not everyone, and smaller
    than `minimum`, is not spoken to.
    """

    def __init__(
        self,
        records: Records,
        now: Callable[[], datetime],
        house: House,
        breakers: Callable[[], Mapping[Channel, Breaker]] = dict,
        *,
        minimum: int = 0,
        portion: int = PORTION,
        waiting_limit: int = WAITING_LIMIT,
    ) -> None:
        self._records = records
        self._now = now
        self._house = house
        self._breakers = breakers
        self._minimum = minimum
        self._portion = portion
        self._waiting_limit = waiting_limit
        self.unjudged = 0
        """Subjects that could not be decided on."""

    def run_once(self) -> int:
        """Go on with what has begun, and begin what is due; how many subjects were looked at. Raises what a store says that is
        away.
        """
        with self._records.reads.connect() as connection:
            broadcasts = [
                each for each in live_campaigns(connection) if each.trigger.event is Timed.BROADCAST
            ]
        for campaign in broadcasts:
            with _apart(campaign.id):
                self._begin(campaign)
        with self._records.reads.connect() as connection:
            runs = run_store.open_runs(connection)
        looked = 0
        for run in runs:
            with _apart(run.campaign):
                looked += self._go_on(run)
        return looked

    def _begin(self, campaign: Campaign) -> None:
        """Begin the newest occurrence, as long as its offer keeps."""
        now, schedule = self._now(), campaign.trigger.schedule
        at = latest(schedule, now) if schedule else None
        if at is None or due_state(campaign, now) is not CampaignState.ACTIVE:
            return
        if now >= at + timedelta(seconds=campaign.shelf_life_seconds):
            return
        with self._records.reads.connect() as connection:
            if run_store.is_begun(connection, campaign.id, at):
                return
            chosen = campaign.audience != EVERYONE
            why_not = (
                TOO_SMALL if chosen and chooses_fewer(connection, campaign, self._minimum, now) else None
            )
        if why_not:
            logger.warning("broadcast of campaign %s is given up: %s", campaign.id, why_not)
        with self._records.writes.begin() as connection:
            run_store.begin_run(connection, campaign.id, at, now, why_not)

    def _go_on(self, run: Run) -> int:
        take, what = partial(self._take, run), f"broadcast {run.campaign}"
        return go_through(take, self._portion, PORTIONS, what, self._count_unjudged)

    def _count_unjudged(self, passed: int) -> None:
        self.unjudged += passed

    def _take(self, begun: Run, limit: int, *, judge: bool = True) -> int:
        now = self._now()
        decisions: list[Decision] = []
        with self._records.writes.begin() as connection:
            run = run_store.take_run(connection, begun.campaign, begun.occurrence)
            campaign = self._speaker(connection, run, now) if run else None
            if run is None or campaign is None:
                return 0
            wanted = min(limit, self._room(connection, campaign))
            subjects = consent_store.subject_ids_after(connection, run.after, wanted) if wanted > 0 else []
            consent_store.lock_subjects(connection, subjects)
            # Whoever was erased before we had the lock is named nowhere any more.
            there = sorted(consent_store.known_subjects(connection, subjects), key=subjects.index)
            claimed = 0
            if judge and there:
                claimed, decisions = self._judge(connection, campaign, run, there, now)
            if there:
                run_store.advance(connection, run, there[-1], len(there), claimed)
            elif wanted > 0 and not subjects:
                run_store.end_run(connection, run, now)
        for decision in decisions:
            metrics.DECISIONS.labels(decision.outcome, decision.reason).inc()
        return len(subjects)

    def _speaker(self, connection: Connection, run: Run, now: datetime) -> Campaign | None:
        """The campaign as it is now; None while it may not go on. One that never will, ends the run."""
        campaign = get_campaign(connection, run.campaign)
        state = due_state(campaign, now) if campaign else CampaignState.ENDED
        if state is CampaignState.ENDED or (campaign and campaign.trigger.event is not Timed.BROADCAST):
            run_store.end_run(connection, run, now, Reason.CAMPAIGN_NOT_ACTIVE.value)
            return None
        return campaign if state is CampaignState.ACTIVE else None

    def _room(self, connection: Connection, campaign: Campaign) -> int:
        return self._waiting_limit - outbox.count_due(connection, campaign.channel, self._waiting_limit)

    def _judge(
        self, connection: Connection, campaign: Campaign, run: Run, subjects: Sequence[str], now: datetime
    ) -> tuple[int, list[Decision]]:
        """How many of the subjects belong to the audience, and what was decided on them. The others are no moment of it."""
        house = replace(self._house, breakers=self._breakers())
        counters = hold_counters(connection, [campaign], now, house)
        facts = gather(connection, subjects, [campaign], now, house, counters)
        moments = [
            (campaign, broadcast_to(subject, campaign, run.occurrence), subject) for subject in subjects
        ]
        claims = claims_of(connection, [each for each in moments if _is_chosen(facts, each, now)])
        return len(claims), judge_all(connection, claims, facts, now)


@contextmanager
def _apart(campaign: str) -> Iterator[None]:
    """Whatever is wrong with one broadcast keeps no other from going on."""
    try:
        yield
    except Exception as error:
        if is_away(error):
            raise
        # The type alone: a message may quote a value, and a value may be personal.
        logger.warning("broadcast of campaign %s does not go on (%s)", campaign, type(error).__name__)


def broadcast_to(subject: str, campaign: Campaign, at: datetime) -> Occurrence:
    """The moment at which a broadcast reaches a subject. Whatever is changed of the campaign meanwhile, an occurrence has one."""
    named = derived_id("broadcast", campaign.id, at.isoformat(), subject)
    place = next(iter(campaign.trigger.geofences), None)
    return Occurrence(named, Timed.BROADCAST, place, at, {"occurrence": at.isoformat()})


def _is_chosen(facts: Facts, happened: Happened, now: datetime) -> bool:
    """Whether the audience holds the subject. Who may not be chosen by conduct is in none that chooses by it."""
    campaign, occurrence, subject = happened
    moment = facts.moment(campaign, occurrence, None, subject)
    if moment.recipient is None:
        return False
    answers = (ask(name, campaign, moment, now) for name in (GateName.PROFILING, GateName.AUDIENCE))
    return all(answer is not None and answer.reason is Reason.OK for answer in answers)
