"""The composition root: builds every part from the settings, opens the stores, and starts the roles asked for."""

import os
import secrets
import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from enum import StrEnum
from functools import partial
from pathlib import Path

import geofences.store
from campaigns.content.links import link_policy
from campaigns.delivery.channels.push import CALL_SECONDS, Push
from campaigns.experiments.experiment import Control
from campaigns.lifecycle.approval import ApprovalPolicy
from campaigns.reporting.report import ReportPolicy
from config import Settings
from consent.entry import Channel
from engine import pushing
from engine.account import account_of
from engine.api import application
from engine.asker import Asker
from engine.broadcaster import Broadcaster
from engine.budgets import Budgets
from engine.channels import channels_of
from engine.clock import wall_clock
from engine.console.page import People
from engine.console.sign_in import Invitation
from engine.coupon_watch import CouponWatch
from engine.decider import Decider
from engine.desk import desk_of
from engine.destination import Destinations, Targets
from engine.doors.door import SignalDoor
from engine.doors.keys import Keys
from engine.durability import Durability
from engine.events_out.part import EventsOut
from engine.facts import House
from engine.gate import ConsentGate
from engine.handover import open_handovers
from engine.installation import (
    country_rules_of,
    inbound_policy_of,
    line_limits_of,
    report_policy_of,
    sms_countries_of,
)
from engine.intake import Intake
from engine.leases import Leases
from engine.ledger_key import opened_ring
from engine.lines import Lines
from engine.live import Live, open_live
from engine.log import SignalLog
from engine.outbound import Outbound
from engine.places import Places
from engine.privacy.erasure import Erasures
from engine.privacy.part import Privacy, declared_processors
from engine.push_addresses import PushAddresses
from engine.push_apps import PushApps
from engine.quarantine import Quarantine
from engine.reconciler import Reconciler
from engine.records import Records, open_records
from engine.releaser import Releaser
from engine.rounds import Rounds
from engine.scheduler import Job, Scheduler
from engine.schema import upgrade
from engine.sealing import seal_existing
from engine.sender import Sender
from engine.trials.backtest import clear_leftovers
from engine.watch import Watcher
from engine.worker import Worker
from geofences.sensitive import SensitivePlaces, load_places

GEOFENCES_FILE = "geofences.snapshot"
"""In the data directory; it may be deleted at any time."""


class Role(StrEnum):
    """What a process does; `all` is every one of them."""

    ALL = "all"
    API = "api"
    ENGINE = "engine"
    SENDER = "sender"
    SCHEDULER = "scheduler"
    CONSOLE = "console"


class Engine:
    """Everything wired. `open` first; then either `start` the threads, or drive it step by step with `settle`."""

    def __init__(self, settings: Settings, now: Callable[[], datetime] = wall_clock) -> None:
        self.settings = settings
        self.now = now
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._roles: set[Role] = set()
        self._scheduler: Scheduler | None = None

    def open(self) -> None:
        """Open both stores, bring the schema up to date and build the parts."""
        settings = self.settings
        processors = declared_processors(settings)
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        clear_leftovers(settings.data_dir, self.now())
        listed = settings.sensitive_places
        self.sensitive = load_places(Path(listed)) if listed else SensitivePlaces()
        self.ring = opened_ring(settings)
        self.push_outbound = Outbound(
            Destinations(Targets(settings.outgoing), settings.ports_called), timeout_seconds=CALL_SECONDS
        )
        self.push_apps = PushApps(settings.push_path, self.now, self.push_outbound)
        self.outbound = Outbound(Destinations(Targets(settings.outgoing), settings.ports_called))
        self.live: Live = open_live(
            settings.valkey_url,
            settings.data_dir,
            settings.partitions,
            timeout_seconds=settings.live_timeout_seconds,
            durability=Durability(
                settings.durable_replicas, settings.durable_on == "disk", settings.live_timeout_seconds / 2
            ),
        )
        try:
            self.records: Records = open_records(settings.records_url, settings.vault_keys)
            upgrade(self.records)
            seal_existing(self.records)
        except BaseException:
            self.live.close()
            raise
        self.keys = Keys(self.records, settings.admin_key, self.now)
        self.gate = ConsentGate(self.live, self.records, self.now)
        self.erasures = Erasures(self.live, self.records, self.now)
        self.log = SignalLog(self.live, settings.log_limit_entries)
        self.leases = Leases(self.live, f"{os.getpid()}-{secrets.token_hex(4)}", settings.lease_seconds)
        self.worker = Worker(
            self.live,
            self.log,
            self.leases,
            Places(self.records, settings.data_dir / GEOFENCES_FILE),
            self.now,
            batch_entries=settings.batch_entries,
            state_expiry_seconds=settings.state_expiry_seconds,
            event_limit_entries=settings.event_limit_entries,
            log_kept_entries=settings.log_limit_entries // 2,
        )
        rules, account = country_rules_of(settings), account_of(settings)
        self.links = link_policy(settings.link_domains, settings.public_url)
        control = Control(settings.global_control_percent, settings.global_control_salt)
        self.approval = ApprovalPolicy(settings.approval_threshold)
        self.house = House(rules, self.links, account, control=control, approval=self.approval)
        self.lines = Lines(self.live, line_limits_of(settings, self.push_apps.rates), self.now)
        self.decider = Decider(
            self.live, self.records, self.leases, self.now, self.house, self.lines.breakers
        )
        self.budgets = Budgets(self.records, account, self.now)
        self.releaser = Releaser(self.records, self.now, self.house, self.lines.breakers)
        self.watcher = Watcher(self.records, self.now, self.house, self.lines.breakers)
        self.broadcaster = Broadcaster(
            self.records, self.now, self.house, self.lines.breakers, minimum=settings.report_minimum_people
        )
        self.handovers = open_handovers(self.records)
        self.push_addresses = PushAddresses(self.records, self.now)
        self.push = Push(
            self.push_apps.services,
            title=settings.brand,
            bury=self.push_addresses.bury,
            heard=partial(pushing.heard, self.lines),
        )
        channels = channels_of(settings, self.push)
        self.asker = Asker(
            self.records,
            channels[Channel.SMS],
            self.handovers,
            inbound_policy_of(settings),
            self.now,
            lines=self.lines,
            countries=sms_countries_of(settings),
        )
        self.sender = Sender(
            reads=self.records.reads,
            writes=self.records.writes,
            channels=channels,
            place_of=geofences.store.get,
            handovers=self.handovers,
            now=self.now,
            drivers_in_peace=settings.push_while_driving == "silent",
            rules=rules,
            account=account,
            lines=self.lines,
            countries=sms_countries_of(settings),
            approval=self.approval,
        )
        self.events_out = EventsOut(self.records, self.outbound, self.sensitive, self.now)
        self.reconciler = Reconciler(self.records, channels, self.now)
        self.intake = Intake(settings, self.now)
        self.coupon_watch = CouponWatch(self.records, self.now)
        self.rounds = Rounds(settings, self.records, self.live, self.ring, self.now)
        self.desk = desk_of(
            settings,
            self.records,
            self.now,
            gate=self.gate,
            handovers=self.handovers,
            erasures=self.erasures,
            processors=processors,
        )
        self.privacy = Privacy(settings, self.desk, self.live, self.log, processors)
        self.gate.rebuild()

    def close(self) -> None:
        """Stop what runs, in the order of the data's flow, and close the stores."""
        if self._scheduler:
            self._scheduler.stop()
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self.keys.close()
        self.worker.close()
        self.outbound.close()
        self.push_outbound.close()
        self.push_apps.close()
        self.records.close()
        self.live.close()

    def start(self, roles: Iterable[Role]) -> None:
        """Start the background work of the given roles."""
        wanted = self._roles = set(Role) if Role.ALL in (roles := set(roles)) else roles
        if Role.ENGINE in wanted:
            refresh_seconds = self.settings.lease_seconds / 3
            self._spawn("worker", lambda: self.worker.run(self._stop, refresh_seconds))
            self._spawn("leases", lambda: self.leases.keep(self._stop, refresh_seconds))
            self._spawn("decider", lambda: self.decider.run(self._stop))
        if Role.SENDER in wanted:
            self._spawn("sender", lambda: self.sender.run(self._stop))
            self._spawn("webhooks", lambda: self.events_out.run(self._stop))
        if Role.SCHEDULER in wanted:
            self._scheduler = Scheduler(self.jobs())
            self._scheduler.start()

    def jobs(self) -> tuple[Job, ...]:
        """The table of timed jobs."""
        return (
            Job("campaign moves", 1, self.rounds.move_campaigns),
            Job("held moments", 1, self.releaser.run_once),
            Job("moments that fall due", 5, self.watcher.run_once),
            Job("broadcasts", 1, self.broadcaster.run_once),
            Job("consent gate rebuild", 600, self.gate.rebuild),
            Job("ledger checkpoint", self.settings.checkpoint_seconds, self.rounds.take_checkpoint),
            Job("erasures", 60, self.erasures.settle),
            Job("beacon health", 600, self.rounds.count_unhealthy),
            Job("refusals heeded", 600, self.rounds.check_refusals),
            Job("coupon pools", 60, self.coupon_watch.run_once),
            Job("rules to review", 3600, self.rounds.overdue_rules),
            Job("second yes", 2, self.asker.run_once),
            Job("entries set aside", 60, self.quarantine.sweep),
            Job("idle push addresses", 3600, self.push_addresses.end_idle),
            Job("messages of unknown outcome", 15, self.reconciler.run_once),
            Job("texts in doubt", 60, self.rounds.settle_unread_texts),
            Job("budgets", 1, self.budgets.settle),
            Job("budgets that run out", 60, self.budgets.alarm),
            *self.privacy.jobs(),
            *self.events_out.jobs(),
        )

    def web(
        self, *, with_console: bool = False, people: People = tuple, invitation: Invitation | None = None
    ) -> SignalDoor:
        """The HTTP application; with the console's page at ``/`` if asked for, where `people` are drawn, and to which an
        `invitation` leads without a key.
        """
        return application(self, with_console=with_console, people=people, invitation=invitation)

    @property
    def report_policy(self) -> ReportPolicy:
        """How reports are made here."""
        return report_policy_of(self.settings)

    @property
    def quarantine(self) -> Quarantine:
        """Entries of the logs that could not be read."""
        return Quarantine(self.live)

    @property
    def has_geofences(self) -> bool:
        """Whether the geofences are loaded, if this process needs them."""
        return Role.ENGINE not in self._roles or self.worker.is_ready

    def settle(self) -> None:
        """Do, in this thread, all the work there is now: for stories and tests, in place of `start`."""
        self.rounds.move_campaigns()
        self.worker.refresh()
        while self.worker.run_once():
            pass
        while self.decider.run_once():
            pass
        while self.releaser.run_once():
            pass
        while self.sender.run_once():
            pass
        self.budgets.settle()
        self.asker.run_once()

    def _spawn(self, name: str, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, name=name)
        thread.start()
        self._threads.append(thread)
