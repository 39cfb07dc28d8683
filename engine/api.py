"""The HTTP application: every door of the engine, and who may come in by which."""

from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, FastAPI
from sqlalchemy import Connection

import campaigns.audience.list_routes
import campaigns.audience.reach_routes
import campaigns.content.link_routes
import campaigns.coupons.redemption_routes
import campaigns.coupons.routes
import campaigns.delivery.breach_routes
import campaigns.delivery.routes
import campaigns.history_routes
import campaigns.lifecycle.routes
import campaigns.limits.routes
import campaigns.reporting.routes
import campaigns.routes
import campaigns.triggers.cart_routes
import campaigns.triggers.run_routes
import consent.ledger_routes
import consent.routes
import geofences.beacon_routes
import geofences.event_routes
import geofences.routes
from campaigns.campaign import Campaign
from config import Settings
from consent.review_routes import review_router
from consent.twilio_inbound import TwilioInbound
from engine import events, metrics
from engine.console.feed import Feed
from engine.console.page import People, add_console
from engine.console.session import Sessions
from engine.console.sign_in import TRIES_PER_SECOND, Invitation, SignIn
from engine.doors.door import SignalDoor
from engine.doors.idempotency import Idempotency
from engine.doors.keys import Scope
from engine.doors.limits import RateLimit
from engine.doors.signed_door import SignedDoor
from engine.doors.web import BodyGuard, requires, speak_problem_json
from engine.fleet_figures import FleetFigures
from engine.installation import inbound_policy_of, twilio_reports_of, twilio_signing_of
from engine.intake import document as intake_document
from engine.link_key import link_keys
from engine.operations import add_operations
from engine.reach import check_audience, reach_of
from engine.trials.backtest_routes import router as backtest_router
from engine.trials.trial_routes import dry_run_router, test_send_router

if TYPE_CHECKING:
    from engine.app import Engine


def application(
    engine: "Engine", *, with_console: bool, people: People, invitation: Invitation | None
) -> SignalDoor:
    """The HTTP application; with the console's page at ``/`` if asked for, where `people` are drawn, and to which an
    `invitation` leads without a key.
    """
    app = FastAPI(title="Chaland", summary="Proximity marketing, lawful and explained.", version="0.1.0")
    reads, writes, now = engine.records.reads, engine.records.writes, engine.now
    app.include_router(intake_document())
    carts = campaigns.triggers.cart_routes.router(writes=writes, now=now, dropped=metrics.CARTS_DROPPED.inc)
    app.include_router(carts, dependencies=_permits(engine, Scope.INGEST))
    figures_of, minimum = FleetFigures(engine.live).read, engine.settings.report_minimum_people

    def may_speak(connection: Connection, campaign: Campaign) -> None:
        check_audience(connection, campaign, minimum, now())

    for routes in (
        geofences.routes.router(reads=reads, writes=writes, now=now, check=engine.sensitive.faults),
        geofences.beacon_routes.router(reads=reads, writes=writes, now=now, figures_of=figures_of),
    ):
        app.include_router(routes, dependencies=_permits(engine, Scope.MARKETING))
    for routes in (
        campaigns.routes.router(
            reads=reads,
            writes=writes,
            now=now,
            twilio=twilio_reports_of(engine.settings),
            unknown_report=metrics.REPORTS_UNKNOWN.inc,
            links=engine.links,
            rules=engine.house.rules,
            approval=engine.approval,
            may_speak=may_speak,
        ),
        campaigns.delivery.routes.router(writes=writes, now=now, account=engine.house.account),
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
        campaigns.limits.routes.router(reads=reads, now=now, account=engine.house.account, minimum=minimum),
        campaigns.reporting.routes.router(reads=reads, now=now, policy=engine.report_policy),
        campaigns.triggers.run_routes.router(reads=reads, minimum=minimum),
        test_send_router(
            records=engine.records,
            now=now,
            house=engine.house,
            note_access=engine.privacy.note_access,
            recipients=engine.settings.test_subjects,
        ),
    ):
        app.include_router(routes, dependencies=_permits(engine, Scope.MARKETING))
    app.include_router(
        campaigns.content.link_routes.router(reads=reads, writes=writes, now=now, links=engine.links)
    )
    app.include_router(
        campaigns.coupons.redemption_routes.router(writes=writes, now=now),
        dependencies=_permits(engine, Scope.TILL),
    )
    ledger = consent.ledger_routes.ledger_router(
        reads=reads, writes=writes, now=now, ring=engine.ring, renewed=engine.gate.rebuild
    )
    for routes in (
        geofences.event_routes.router(
            reads=reads, events_page=events.page, note_shown=engine.privacy.note_shown
        ),
        campaigns.history_routes.router(reads=reads, note_shown=engine.privacy.note_shown),
        campaigns.delivery.breach_routes.router(reads=reads),
        _consent_routes(engine),
        ledger,
        review_router(reads, writes, now),
        dry_run_router(
            records=engine.records, now=now, house=engine.house, note_access=engine.privacy.note_access
        ),
    ):
        app.include_router(routes, dependencies=_permits(engine, Scope.PRIVACY))
    for routes in engine.events_out.routes(engine.keys):
        app.include_router(routes, dependencies=_permits(engine, Scope.SUBSCRIBE))
    add_operations(app, engine)
    speak_problem_json(app)
    app.include_router(_backtest_routes(engine), dependencies=_permits(engine, Scope.MARKETING))
    if with_console:
        sessions = Sessions(engine.live, engine.keys)
        tries = RateLimit(engine.live, TRIES_PER_SECOND)
        app.include_router(SignIn(sessions, engine.keys, tries, invitation).routes())
        add_console(app, Feed(engine.records, now), people, sessions, engine.privacy.note_seen)
    app.add_middleware(Idempotency, records=engine.records, now=now)
    app.add_middleware(BodyGuard, limit_of=partial(_body_limit_bytes, engine.settings))
    limit = RateLimit(engine.live, engine.settings.requests_per_second_limit)
    most = engine.settings.bulk_body_limit_bytes
    door = SignalDoor(
        app, intake=engine.intake, log=engine.log, keys=engine.keys, limit=limit, body_limit_bytes=most
    )
    door.app = SignedDoor(
        app,
        take=door.take,
        keys=engine.keys,
        spend=limit.spend,
        live=engine.live,
        masters=link_keys(engine.settings),
        now=engine.now,
        body_limit_bytes=most,
    )
    return door


def _permits(engine: "Engine", scope: Scope) -> list[Any]:
    """What every call passes: its key must hold the scope, and a look at a subject's data is written down."""
    return [Depends(requires(engine.keys, scope)), Depends(engine.privacy.watched)]


def _consent_routes(engine: "Engine") -> APIRouter:
    settings = engine.settings
    tokens, algorithm = twilio_signing_of(settings)
    api = consent.routes.router(
        engine.desk,
        export=engine.privacy.export,
        twilio=TwilioInbound(settings.public_url, tokens, inbound_policy_of(settings), algorithm)
        if tokens
        else None,
        default_region=settings.default_region,
        complete_grants=settings.grants == "complete",
    )
    for routes in engine.privacy.routes():
        api.include_router(routes)
    return api


def _body_limit_bytes(settings: Settings, path: str) -> int:
    if path == "/v1/beacons/import" or path.startswith(("/v1/geofences/", "/v1/coupon-pools/", "/v1/lists/")):
        return settings.import_body_limit_bytes
    return settings.body_limit_bytes


def _backtest_routes(engine: "Engine") -> APIRouter:
    return backtest_router(
        records=engine.records,
        keys=engine.settings.vault_keys,
        folder=engine.settings.data_dir,
        now=engine.now,
        house=engine.house,
        policy=engine.report_policy,
    )
