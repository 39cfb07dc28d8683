"""A campaign's report over HTTP, as JSON or CSV."""

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from sqlalchemy import Engine

from campaigns.campaign import due_state
from campaigns.reporting.report import ReportPolicy, report_csv, stated
from campaigns.reporting.store import read_report
from campaigns.routes import CampaignId
from campaigns.store import known_campaign

CSV = "text/csv"


class Format(StrEnum):
    """What a report is written as."""

    JSON = "json"
    CSV = "csv"


def router(*, reads: Engine, now: Callable[[], datetime], policy: ReportPolicy) -> APIRouter:
    """The route of reports."""
    api = APIRouter()

    @api.get(
        "/v1/campaigns/{campaign_id}/report",
        operation_id="reportCampaign",
        summary="The funnel, by variant, geofence and hour, the cost, and what the experiment came to; small groups are withheld",
        tags=["campaigns"],
        responses={200: {"content": {"application/json": {"example": _REPORT}, CSV: {"example": _LINES}}}},
        response_model=None,
    )
    def report(
        campaign_id: CampaignId,
        written: Annotated[Format | None, Query(alias="format")] = None,
        accept: Annotated[str, Header(max_length=500)] = "*/*",
    ) -> dict[str, Any] | Response:
        at = now()
        since = at - timedelta(days=policy.days)
        with reads.connect() as connection:
            campaign = known_campaign(connection, campaign_id)
            found = read_report(connection, campaign, policy, since, at + timedelta(microseconds=1)).json()
        if written is Format.CSV or (written is None and accept.split(";")[0].split(",")[0].strip() == CSV):
            name = {"Content-Disposition": f'attachment; filename="report-{campaign_id}.csv"'}
            return Response(report_csv(found), media_type=CSV, headers=name)
        return stated(found, campaign_id, due_state(campaign, at).value, since, at)

    return api


_FUNNEL = [
    {"step": "entered", "of": None, "count": 1000, "lost": {}},
    {"step": "eligible", "of": "entered", "count": 400, "lost": {"cap_reached": 520, "no_consent": 80}},
    {"step": "held", "of": "eligible", "count": 40, "lost": {"holdout": 40}},
    {"step": "sent", "of": "eligible", "count": 350, "lost": {"too_late": 10}},
    {"step": "delivered", "of": "sent", "count": 340, "lost": {"undelivered": 10}},
]
_COST = {"messages": 350, "segments": 350, "amount": 24.5, "currency": "EUR"}
_REPORT = {
    "campaign": "bread",
    "state": "active",
    "since": "2026-10-24T08:00:00+00:00",
    "until": "2026-11-23T08:00:00+00:00",
    "minimum_group": 10,
    "withheld": False,
    "people": 380,
    "funnel": _FUNNEL,
    "cost": _COST,
    "by_variant": [],
    "by_geofence": [{"geofence": "bakery", "people": 380, "funnel": _FUNNEL, "cost": _COST}],
    "by_hour": [{"hour": "09", "people": 380, "funnel": _FUNNEL, "cost": _COST}],
    "experiment": None,
}
_LINES = (
    "breakdown,group,step,of,reason,count\r\nall,,entered,,,1000\r\nall,,eligible,entered,cap_reached,520\r\n"
)
