"""What operators ask of a process: its figures, and whether it lives, can work, and wants to be looked at."""

import math
from functools import partial
from typing import TYPE_CHECKING

from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from redis.exceptions import RedisError
from starlette.responses import JSONResponse, Response

from engine import metrics
from engine.quarantine import KEPT_HOURS, Of
from engine.sending_figures import tell_sending, troubles

if TYPE_CHECKING:
    from engine.app import Engine


def add_operations(app: FastAPI, engine: "Engine") -> None:
    """Add `/metrics`, `/healthz` and `/readyz`, which tell of `engine`."""
    metrics.LOG_DEPTH.set_function(lambda: _log_depth(engine))
    for of in Of:
        metrics.QUARANTINED.labels(of).set_function(partial(_quarantined, engine, of))
    tell_sending(engine.records, engine.lines, engine.now)

    @app.get("/metrics", operation_id="metrics", tags=["operations"], summary="Figures for Prometheus")
    def told() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    @app.get("/healthz", operation_id="health", tags=["operations"], summary="Is the process alive?")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", operation_id="ready", tags=["operations"], summary="Can the process do its work?")
    def readyz() -> JSONResponse:
        stores = {"live": engine.live.answers(), "records": engine.records.answers()}
        geofences_loaded = engine.has_geofences
        ready = all(stores.values()) and geofences_loaded
        attention = _attention(engine) if stores["records"] else []
        attention += troubles(engine.lines) + _set_aside(engine) if stores["live"] else []
        return JSONResponse(
            {
                "status": "ready" if ready else "not ready",
                "stores": stores,
                "geofences_loaded": geofences_loaded,
                "attention": attention,
            },
            status_code=200 if ready else 503,
        )


def _attention(engine: "Engine") -> list[str]:
    """What an operator should look at, though the process does its work."""
    told = [
        f"rule {rule.name} was to be reviewed by {rule.review_by}; `chaland rules list` has all"
        for rule in engine.rounds.overdue_rules()
    ]
    told += [f"coupon pool {pool} runs low; add codes to it" for pool in sorted(engine.coupon_watch.low)]
    if breaches := engine.rounds.count_breaches():
        told.append(f"{breaches} messages went against a refusal; see GET /v1/breach-checks")
    judges = (engine.decider, engine.releaser, engine.watcher, engine.broadcaster)
    if unjudged := sum(each.unjudged for each in judges):
        told.append(
            f"{unjudged} events or moments could not be judged since the start; the log says how they failed"
        )
    if failures := engine.worker.failures:
        told.append(
            f"{failures} rounds of the worker failed since the start and are taken again; the log says how"
        )
    told += engine.events_out.attention()
    told += [
        f"push app {app} ({kind}) is paused: its credentials are refused"
        for kind, app in engine.push.paused()
    ]
    return told


def _set_aside(engine: "Engine") -> list[str]:
    return [
        f"{count} entries of {of} could not be read and are kept for {KEPT_HOURS} hours; see `chaland quarantine list`"
        for of, count in engine.quarantine.counts().items()
        if count
    ]


def _quarantined(engine: "Engine", of: Of) -> float:
    """How many entries are set aside; not a number while the live store does not answer."""
    try:
        return engine.quarantine.counts()[of]
    except RedisError:
        return math.nan


def _log_depth(engine: "Engine") -> float:
    """How many log entries wait; not a number while the live store does not answer."""
    try:
        return engine.log.depth()
    except RedisError:
        return math.nan
