"""The composition root: builds every part from the settings, opens the stores, and starts the roles asked for."""

import logging
import math
import os
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from redis.exceptions import RedisError
from sqlalchemy import Connection
from starlette.responses import JSONResponse, Response

import campaigns.audience.list_routes
import campaigns.audience.reach_routes
import campaigns.content.link_routes
import campaigns.content.link_store
import campaigns.coupons.redemption_routes
import campaigns.coupons.redemption_store
import campaigns.coupons.routes
import campaigns.coupons.store
import campaigns.decision_store
import campaigns.delivery.breach_routes
import campaigns.delivery.routes
import campaigns.lifecycle.routes
import campaigns.message_store
import campaigns.reporting.routes
import campaigns.routes
import campaigns.triggers.cart_routes
import consent.ledger_routes
import consent.routes
import geofences.beacon_routes
import geofences.routes
import geofences.store
from campaigns.audience import list_store
from campaigns.campaign import Campaign
from campaigns.content.links import link_policy
from campaigns.country_rules import CountryRules
from campaigns.decide import decision_json
from campaigns.delivery import breach_store
from campaigns.delivery.breach import BreachCheck
from campaigns.delivery.channels.channel import Channel as DeliveryChannel
from campaigns.delivery.channels.log import LogChannel
from campaigns.delivery.channels.push import CALL_SECONDS, Push
from campaigns.delivery.channels.sms_twilio import TwilioSms
from campaigns.experiments.experiment import Control
from campaigns.lifecycle.approval import ApprovalPolicy
from campaigns.lifecycle.register import move_due
from campaigns.message import message_json
from campaigns.reporting.report import ReportPolicy
from campaigns.routes import TwilioReports
from campaigns.triggers import cart_store
from config import Settings
from consent import address, checkpoint, opt_in, review
from consent.countries.pack import overdue, packs
from consent.countries.rule import Reach, Rule
from consent.desk import Desk
from consent.entry import Channel
from consent.inbound import InboundPolicy
from consent.processor import Processor
from consent.push import IDLE_KINDS, IDLE_LIMIT, PushAddress, forget_address, forget_idle
from consent.review_routes import review_router
from consent.rights import pass_on_erasure
from consent.twilio_inbound import TwilioInbound
from consent.twilio_signature import Algorithm
from engine import events, idempotency, metrics
from engine.account import account_of
from engine.asker import Asker
from engine.backtest import clear_leftovers
from engine.backtest_routes import router as backtest_router
from engine.budgets import Budgets
from engine.clock import wall_clock
from engine.console.feed import Feed
from engine.console.page import People, add_console
from engine.coupon_watch import CouponWatch
from engine.decider import Decider
from engine.destination import Destinations, Targets
from engine.door import SignalDoor
from engine.durability import Durability
from engine.erasure import Erasures
from engine.events_out.part import EventsOut
from engine.facts import House
from engine.fleet_figures import FleetFigures
from engine.gate import ConsentGate
from engine.handover import open_handovers
from engine.idempotency import Idempotency
from engine.intake import Intake
from engine.intake import document as intake_document
from engine.keys import Keys, Scope
from engine.leases import Leases
from engine.ledger_key import keep_checkpoint, opened_ring
from engine.limits import RateLimit
from engine.lines import LineLimits, Lines
from engine.link_key import link_keys
from engine.live import Live, open_live
from engine.log import SignalLog
from engine.outbound import Outbound
from engine.places import Places
from engine.privacy import Privacy, age_policy, declared_processors
from engine.push_apps import PushApps
from engine.reach import check_audience, reach_of
from engine.reconciler import Reconciler
from engine.records import Records, open_records
from engine.releaser import Releaser
from engine.scheduler import Job, Scheduler
from engine.schema import upgrade
from engine.sealing import seal_existing
from engine.sender import Sender
from engine.sending_figures import tell_sending, troubles
from engine.signed_door import SignedDoor
from engine.trial_routes import dry_run_router, test_send_router
from engine.web import BodyGuard, requires, speak_problem_json
from engine.worker import Worker
from geofences import beacon_store, visit_store
from geofences.beacon import Beacon
from geofences.fleet import Figures, Verdict
from geofences.fleet_json import Findings, judged
from geofences.sensitive import SensitivePlaces, load_places

GEOFENCES_FILE = "geofences.snapshot"
"""In the data directory; it may be deleted at any time."""
HEALTH_PORTION = 500
"""Beacons whose figures are read in one round trip."""
BREACH_CHECKS_COUNTED = 31
"""Days of which breaches are counted in metrics and readiness."""

logger = logging.getLogger(__name__)


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
        rules, account = self._country_rules(), account_of(settings)
        self.links = link_policy(settings.link_domains, settings.public_url)
        control = Control(settings.global_control_percent, settings.global_control_salt)
        self.approval = ApprovalPolicy(settings.approval_threshold)
        self.house = House(rules, self.links, account, control=control, approval=self.approval)
        self.lines = Lines(self.live, self._line_limits(), self.now)
        self.decider = Decider(
            self.live, self.records, self.leases, self.now, self.house, self.lines.breakers
        )
        self.budgets = Budgets(self.records, account, self.now)
        self.releaser = Releaser(self.records, self.now, self.house, self.lines.breakers)
        self.handovers = open_handovers(self.records)
        channels = self._channels()
        self.asker = Asker(
            self.records,
            channels[Channel.SMS],
            self.handovers,
            self._inbound_policy(),
            self.now,
            lines=self.lines,
            countries=self._sms_countries(),
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
            countries=self._sms_countries(),
            approval=self.approval,
        )
        self.events_out = EventsOut(self.records, self.outbound, self.sensitive, self.now)
        self.reconciler = Reconciler(self.records, channels, self.now)
        self.intake = Intake(settings, self.now)
        self.coupon_watch = CouponWatch(self.records, self.now)
        self.desk = self._desk(processors)
        self.privacy = Privacy(settings, self.desk, self.live, self.log, processors)
        self.gate.rebuild()

    def close(self) -> None:
        """Stop what runs, in the order of the data's flow, and close the stores."""
        if self._scheduler:
            self._scheduler.stop()
        self._stop.set()
        for thread in self._threads:
            thread.join()
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
            Job("campaign moves", 1, self.move_campaigns),
            Job("held moments", 1, self.releaser.run_once),
            Job("consent gate rebuild", 600, self.gate.rebuild),
            Job("ledger checkpoint", self.settings.checkpoint_seconds, self.take_checkpoint),
            Job("erasures", 60, self.erasures.settle),
            Job("beacon health", 600, self.count_unhealthy),
            Job("refusals heeded", 600, self.check_refusals),
            Job("coupon pools", 60, self.coupon_watch.run_once),
            Job("rules to review", 3600, self.overdue_rules),
            Job("second yes", 2, self.asker.run_once),
            Job("idle push addresses", 3600, self.end_idle_addresses),
            Job("messages of unknown outcome", 15, self.reconciler.run_once),
            Job("texts in doubt", 60, self.settle_unread_texts),
            Job("budgets", 1, self.budgets.settle),
            Job("budgets that run out", 60, self.budgets.alarm),
            *self.privacy.jobs(),
            *self.events_out.jobs(),
        )

    def move_campaigns(self) -> int:
        """Start and end campaigns whose time has come. Answers how many moved."""
        now = self.now()
        with self.records.writes.begin() as connection:
            return move_due(connection, now)

    def check_refusals(self) -> list[BreachCheck]:
        """Check the refusals of each day of the last week that is over and was not checked yet."""
        now, made = self.now(), []
        with self.records.reads.connect() as connection:
            days = breach_store.due_days(connection, now.date())
        for day in days:
            with self.records.writes.begin() as connection:
                made.append(breach_store.check_day(connection, day, now))
        for check in made:
            log = logger.error if check.breaches else logger.info
            log("refusals of %s: %s heeded, %s breaches", check.day, check.withdrawals, len(check.breaches))
        self._count_breaches()
        return made

    def _count_breaches(self) -> int:
        with self.records.reads.connect() as connection:
            known = breach_store.checks(connection, BREACH_CHECKS_COUNTED)
        found = sum(len(check.breaches) for check in known)
        metrics.BREACHES.set(found)
        if known:
            metrics.BREACH_CHECKED.set(known[0].checked_at.timestamp())
        return found

    def overdue_rules(self) -> list[Rule]:
        """The rules of countries whose day of review has passed."""
        found = overdue(self.now().date())
        metrics.RULES_OVERDUE.set(len(found))
        return found

    def take_checkpoint(self) -> str:
        """Sign what the consent log is now, keep that in the log and beside its key, and answer the note."""
        with self.records.writes.begin() as connection:
            note = checkpoint.take(connection, self.ring, self.now()).note
        keep_checkpoint(self.settings, note)
        return note

    def settle_unread_texts(self) -> int:
        """Confirm the opt-outs in doubt that nobody has read in time. Answers how many."""
        with self.records.writes.begin() as connection:
            settled = review.settle_unread(connection, self.now())
            metrics.TEXTS_IN_DOUBT.set(review.count(connection))
        return settled

    def unhealthy_beacons(self) -> list[tuple[Beacon, Figures, Findings]]:
        """The beacons of the whole fleet with which something is wrong."""
        with self.records.reads.connect() as connection:
            beacons = list(beacon_store.read_all(connection))
        fleet, at = FleetFigures(self.live), self.now().timestamp()
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

    def _log_depth(self) -> float:
        """How many log entries wait; not a number while the live store does not answer."""
        try:
            return self.log.depth()
        except RedisError:
            return math.nan

    def settle(self) -> None:
        """Do, in this thread, all the work there is now: for stories and tests, in place of `start`."""
        self.move_campaigns()
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

    def web(self, *, with_console: bool = False, people: People = tuple) -> SignalDoor:
        """The HTTP application; with the console's page at ``/`` if asked for, where `people` are drawn."""
        app = FastAPI(title="Chaland", summary="Proximity marketing, lawful and explained.", version="0.1.0")
        reads, writes, now = self.records.reads, self.records.writes, self.now
        app.include_router(intake_document())
        carts = campaigns.triggers.cart_routes.router(
            writes=writes, now=now, dropped=metrics.CARTS_DROPPED.inc
        )
        app.include_router(carts, dependencies=self._permits(Scope.INGEST))
        figures_of, minimum = FleetFigures(self.live).read, self.settings.report_minimum_people

        def may_speak(connection: Connection, campaign: Campaign) -> None:
            check_audience(connection, campaign, minimum, now())

        for routes in (
            geofences.routes.router(
                reads=reads, writes=writes, now=now, check=self.sensitive.faults, events_page=events.page
            ),
            geofences.beacon_routes.router(reads=reads, writes=writes, now=now, figures_of=figures_of),
        ):
            app.include_router(routes, dependencies=self._permits(Scope.MARKETING))
        for routes in (
            campaigns.routes.router(
                reads=reads,
                writes=writes,
                now=now,
                twilio=self._twilio_reports(),
                unknown_report=metrics.REPORTS_UNKNOWN.inc,
                links=self.links,
                rules=self._country_rules(),
                approval=self.approval,
                may_speak=may_speak,
            ),
            campaigns.delivery.routes.router(writes=writes, now=now, account=self.house.account),
            campaigns.coupons.routes.router(reads=reads, writes=writes, now=now),
            campaigns.lifecycle.routes.router(reads=reads, writes=writes, now=now),
            campaigns.audience.list_routes.router(
                reads=reads, writes=writes, now=now, minimum=minimum, may_speak=may_speak
            ),
            campaigns.audience.reach_routes.router(
                reads=reads,
                now=now,
                reach_of=lambda connection, campaign: reach_of(connection, campaign, now()),
                minimum=minimum,
            ),
            campaigns.reporting.routes.router(reads=reads, now=now, policy=self.report_policy),
            test_send_router(
                records=self.records,
                now=now,
                house=self.house,
                note_access=self.privacy.note_access,
                recipients=self.settings.test_subjects,
            ),
        ):
            app.include_router(routes, dependencies=self._permits(Scope.MARKETING))
        app.include_router(
            campaigns.content.link_routes.router(reads=reads, writes=writes, now=now, links=self.links)
        )
        app.include_router(
            campaigns.coupons.redemption_routes.router(writes=writes, now=now),
            dependencies=self._permits(Scope.TILL),
        )
        ledger = consent.ledger_routes.ledger_router(
            reads=reads, writes=writes, now=now, ring=self.ring, renewed=self.gate.rebuild
        )
        for routes in (
            campaigns.delivery.breach_routes.router(reads=reads),
            self._consent_routes(),
            ledger,
            review_router(reads, writes, now),
            dry_run_router(
                records=self.records, now=now, house=self.house, note_access=self.privacy.note_access
            ),
        ):
            app.include_router(routes, dependencies=self._permits(Scope.PRIVACY))
        for routes in self.events_out.routes(self.keys):
            app.include_router(routes, dependencies=self._permits(Scope.SUBSCRIBE))
        self._add_operations(app)
        speak_problem_json(app)
        app.include_router(self._backtest_routes(), dependencies=self._permits(Scope.MARKETING))
        if with_console:
            add_console(app, Feed(self.records, now), people)
        app.add_middleware(Idempotency, records=self.records, now=now)
        app.add_middleware(BodyGuard, limit_of=self._body_limit_bytes)
        limit, most = self._rate_limit(), self.settings.bulk_body_limit_bytes
        door = SignalDoor(
            app, intake=self.intake, log=self.log, keys=self.keys, limit=limit, body_limit_bytes=most
        )
        door.app = SignedDoor(
            app,
            take=door.take,
            keys=self.keys,
            spend=limit.spend,
            live=self.live,
            masters=link_keys(self.settings),
            now=self.now,
            body_limit_bytes=most,
        )
        return door

    def _permits(self, scope: Scope) -> list[Any]:
        """What every call passes: its key must hold the scope, and a look at a subject's data is written down."""
        return [Depends(requires(self.keys, scope)), Depends(self.privacy.watched)]

    def _inbound_policy(self) -> InboundPolicy:
        settings = self.settings
        return InboundPolicy(settings.brand, settings.contact, settings.replies_by, settings.default_region)

    def _twilio_signing(self) -> tuple[tuple[str, ...], Algorithm]:
        """With what Twilio's calls must be signed, and how."""
        if self.settings.twilio_webhook_secrets:
            return self.settings.twilio_webhook_secrets, Algorithm.SHA256
        return self.settings.twilio_auth_tokens, Algorithm.SHA1

    def _consent_routes(self) -> APIRouter:
        settings = self.settings
        tokens, algorithm = self._twilio_signing()
        api = consent.routes.router(
            self.desk,
            export=self.privacy.export,
            twilio=TwilioInbound(settings.public_url, tokens, self._inbound_policy(), algorithm)
            if tokens
            else None,
            default_region=settings.default_region,
            complete_grants=settings.grants == "complete",
        )
        for routes in self.privacy.routes():
            api.include_router(routes)
        return api

    def _desk(self, processors: tuple[Processor, ...]) -> Desk:
        return Desk(
            reads=self.records.reads,
            writes=self.records.writes,
            now=self.now,
            withdrawing=self.gate.withdrawing,
            changed=self.gate.changed,
            settle=self.handovers.settle,
            records_of={
                "events": events.of_subject,
                "visits": visit_store.visits_json_of,
                "coupons": campaigns.coupons.store.coupons_of,
                "short_links": campaigns.content.link_store.links_of,
                "clicks": campaigns.content.link_store.clicks_of,
                "redemptions": campaigns.coupons.redemption_store.redemptions_of,
                "decisions": _as_json(campaigns.decision_store.decisions_of, decision_json),
                "messages": _as_json(campaigns.message_store.messages_of, message_json),
            },
            on_erasure=(
                campaigns.coupons.store.forget_subject,
                campaigns.content.link_store.forget_subject,
                campaigns.coupons.redemption_store.forget_subject,
                geofences.store.forget_subject,
                visit_store.forget_subject,
                list_store.forget_subject,
                cart_store.forget_subject,
                address.forget_subject,
                review.forget_subject,
                opt_in.forget_subject,
                idempotency.forget_subject,
                pass_on_erasure(processors, self.now),
                EventsOut.forget_subject,
                campaigns.decision_store.forget_subject,  # last, as it locks the counters of budgets
            ),
            forget_devices=self.erasures.forget_devices,
            settle_erasures=self.erasures.settle,
            second_yes_regions=self.settings.second_yes,
            ages=age_policy(self.settings),
        )

    def _twilio_reports(self) -> TwilioReports | None:
        tokens, algorithm = self._twilio_signing()
        return TwilioReports(self.settings.public_url, tokens, algorithm) if tokens else None

    def _body_limit_bytes(self, path: str) -> int:
        if path == "/v1/beacons/import" or path.startswith(
            ("/v1/geofences/", "/v1/coupon-pools/", "/v1/lists/")
        ):
            return self.settings.import_body_limit_bytes
        return self.settings.body_limit_bytes

    def _backtest_routes(self) -> APIRouter:
        return backtest_router(
            records=self.records,
            keys=self.settings.vault_keys,
            folder=self.settings.data_dir,
            now=self.now,
            house=self.house,
            policy=self.report_policy,
        )

    @property
    def report_policy(self) -> ReportPolicy:
        """How reports are made here."""
        settings = self.settings
        return ReportPolicy(
            least_people=settings.report_minimum_people,
            visit_within_hours=settings.visit_within_hours,
            segment_price=settings.sms_segment_price,
            currency=settings.currency,
            days=settings.event_retention_days,
        )

    def _rate_limit(self) -> RateLimit:
        return RateLimit(self.live, self.settings.requests_per_second_limit)

    def _channels(self) -> dict[Channel, DeliveryChannel]:
        settings = self.settings
        silent = LogChannel()
        self.push = Push(self.push_apps.services, title=settings.brand, bury=self._bury)
        push = self.push if settings.push_path else silent
        if settings.sms_channel == "log":
            return {Channel.SMS: silent, Channel.PUSH: push}
        sms = TwilioSms(
            settings.twilio_account_sid,
            settings.twilio_auth_tokens[0],
            messaging_service_sid=settings.twilio_messaging_service_sid or None,
            from_=settings.twilio_from or None,
            api_url=settings.twilio_api_url or None,
            status_callback=f"{settings.public_url.rstrip('/')}/v1/twilio/status",
            timeout_seconds=settings.twilio_timeout_seconds,
        )
        return {Channel.SMS: sms, Channel.PUSH: push}

    def _bury(self, address: PushAddress, code: str | None) -> None:
        """Remove an address that its service calls dead."""
        with self.records.writes.begin() as connection:
            gone = forget_address(connection, address)
        if gone:
            metrics.PUSH_ADDRESSES_ENDED.labels(address.kind, "dead").inc()
            logger.info("a push address of %s is dead: %s", address.kind, code)

    def end_idle_addresses(self) -> int:
        """Remove the addresses of Firebase that no app has told us of for 270 days. Answers how many."""
        with self.records.writes.begin() as connection:
            ended = forget_idle(connection, IDLE_KINDS, self.now() - IDLE_LIMIT)
        metrics.PUSH_ADDRESSES_ENDED.labels("fcm", "idle").inc(ended)
        return ended

    def _line_limits(self) -> dict[Channel, LineLimits]:
        settings = self.settings
        if settings.sms_channel == "log":
            return {}
        sms = LineLimits(
            sender=settings.twilio_from or settings.twilio_messaging_service_sid,
            per_second=settings.sms_per_second_limit,
            sender_per_second=settings.sms_sender_per_second_limit,
            messages_per_day=settings.sms_per_day_limit,
            spend_per_day=settings.sms_spend_per_day_limit,
            segment_price=settings.sms_segment_price,
            texts_per_prefix=settings.sms_per_prefix_limit,
            prefix_window_seconds=settings.sms_prefix_window_seconds,
        )
        return {Channel.SMS: sms}

    def _sms_countries(self) -> frozenset[str] | None:
        """Texts that only go to the log may go anywhere."""
        if self.settings.sms_channel == "log":
            return None
        return self.settings.allowed_countries or frozenset(pack.country for pack in packs())

    def _country_rules(self) -> CountryRules:
        settings = self.settings
        twilio = settings.sms_channel == "twilio"
        return CountryRules(
            enforced=settings.country_rules == "enforced",
            reach=Reach(settings.sending_hours),
            strict=settings.env == "production",
            sender=(settings.twilio_from or settings.twilio_messaging_service_sid) if twilio else None,
            brand=settings.brand,
        )

    def _spawn(self, name: str, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, name=name)
        thread.start()
        self._threads.append(thread)

    def _attention(self) -> list[str]:
        """What an operator should look at, though the process does its work."""
        told = [
            f"rule {rule.name} was to be reviewed by {rule.review_by}; `chaland rules list` has all"
            for rule in self.overdue_rules()
        ]
        told += [f"coupon pool {pool} runs low; add codes to it" for pool in sorted(self.coupon_watch.low)]
        if breaches := self._count_breaches():
            told.append(f"{breaches} messages went against a refusal; see GET /v1/breach-checks")
        if unjudged := self.decider.unjudged + self.releaser.unjudged:
            told.append(
                f"{unjudged} events or held moments could not be judged since the start; the log says how they failed"
            )
        told += self.events_out.attention()
        told += [
            f"push app {app} ({kind}) is paused: its credentials are refused"
            for kind, app in self.push.paused()
        ]
        return told

    def _add_operations(self, app: FastAPI) -> None:
        metrics.LOG_DEPTH.set_function(self._log_depth)
        tell_sending(self.records, self.lines, self.now)

        @app.get("/metrics", operation_id="metrics", tags=["operations"], summary="Figures for Prometheus")
        def told() -> Response:
            return Response(generate_latest(), media_type=CONTENT_TYPE_PLAIN_0_0_4)

        @app.get("/healthz", operation_id="health", tags=["operations"], summary="Is the process alive?")
        async def healthz() -> dict[str, str]:
            return {"status": "ok"}

        @app.get("/readyz", operation_id="ready", tags=["operations"], summary="Can the process do its work?")
        def readyz() -> JSONResponse:
            stores = {"live": self.live.answers(), "records": self.records.answers()}
            geofences_loaded = Role.ENGINE not in self._roles or self.worker.is_ready
            ready = all(stores.values()) and geofences_loaded
            attention = self._attention() if stores["records"] else []
            attention += troubles(self.lines) if stores["live"] else []
            return JSONResponse(
                {
                    "status": "ready" if ready else "not ready",
                    "stores": stores,
                    "geofences_loaded": geofences_loaded,
                    "attention": attention,
                },
                status_code=200 if ready else 503,
            )


def _as_json(
    items_of: Callable[[Connection, str], Iterable[Any]], json_of: Callable[[Any], dict[str, Any]]
) -> Callable[[Connection, str], list[dict[str, Any]]]:
    """One domain's records of a subject, as an export shows them."""
    return lambda connection, subject: [json_of(item) for item in items_of(connection, subject)]
