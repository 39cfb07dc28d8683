"""Trying a campaign out over HTTP, on the events that the engine keeps."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from campaigns.reporting.report import ReportPolicy
from campaigns.routes import CampaignId
from campaigns.store import known_campaign
from campaigns.times import Instant
from engine.doors.problem import FieldProblem, Problem
from engine.facts import House
from engine.records import Records
from engine.trials.backtest import Backtest
from engine.trials.past_events import count_recorded, recorded_events

EVENTS_LIMIT = 20_000
"""More take longer than a caller waits; the command takes any number."""
DAYS_BACK = 7


class BacktestForm(BaseModel):
    """The events to try the campaign on: those learned of from `since` (default: seven days ago) until before `until` (now)."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"since": "2026-11-20T00:00:00+01:00"}]}
    )
    since: Instant | None = None
    until: Instant | None = None


def router(
    *,
    records: Records,
    keys: Path,
    folder: Path,
    now: Callable[[], datetime],
    house: House,
    policy: ReportPolicy,
) -> APIRouter:
    """The route. One backtest runs at a time."""
    api, busy = APIRouter(), threading.Lock()

    @api.post(
        "/v1/campaigns/{campaign_id}/backtest",
        operation_id="backtestCampaign",
        summary="What the campaign would have brought about on the events of the last days; nothing is sent or kept",
        tags=["campaigns"],
        responses={200: {"content": {"application/json": {"example": _EXAMPLE}}}},
    )
    def backtest(campaign_id: CampaignId, form: BacktestForm) -> dict[str, Any]:
        end = form.until or now()
        begin = form.since or end - timedelta(days=DAYS_BACK)
        if begin >= end:
            raise _unfit("since", "must be earlier than until")
        with records.reads.connect() as connection:
            campaign = known_campaign(connection, campaign_id)
            count = count_recorded(connection, begin, end)
        if not campaign.trigger.is_of_a_phone:
            raise _unfit(
                "trigger",
                f"{campaign.trigger.event} waits for time to pass; a backtest goes through what phones did",
            )
        if count > EVENTS_LIMIT:
            raise _unfit(
                "since",
                f"{count} events are more than {EVENTS_LIMIT}; take fewer days, or `chaland campaigns backtest`",
            )
        if not busy.acquire(blocking=False):
            raise Problem(409, "backtest_running", "another backtest is running; try again when it has ended")
        try:
            with (
                records.reads.connect() as connection,
                Backtest(records, keys, folder, [campaign], house) as run,
            ):
                tally = run.run(recorded_events(connection, begin, end))
                report = run.reports(policy).get(campaign_id)
        finally:
            busy.release()
        return {
            "campaign": campaign_id,
            "version": campaign.version,
            "since": begin.isoformat(),
            "until": end.isoformat(),
            "events": tally.events,
            "report": report or {"minimum_group": policy.least_people, "withheld": True},
        }

    return api


def _unfit(field: str, detail: str) -> Problem:
    return Problem(422, "invalid_body", f"{field}: {detail}", [FieldProblem(field, detail)])


_EXAMPLE = {
    "campaign": "bread",
    "version": 3,
    "since": "2026-11-20T00:00:00+01:00",
    "until": "2026-11-27T00:00:00+01:00",
    "events": 5120,
    "report": {"minimum_group": 10, "withheld": False, "people": 380},
}
