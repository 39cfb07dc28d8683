"""The API's estimate of how many a campaign could reach."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from sqlalchemy import Connection, Engine

from campaigns.audience.reach import Reach, reach_json
from campaigns.campaign import Campaign
from campaigns.routes import CampaignId
from campaigns.store import known_campaign

ReachOf = Callable[[Connection, Campaign], Reach]


def router(*, reads: Engine, now: Callable[[], datetime], reach_of: ReachOf, minimum: int) -> APIRouter:
    """The route; counts below `minimum` are withheld."""
    api = APIRouter()

    @api.post(
        "/v1/campaigns/{campaign_id}/reach",
        operation_id="reachCampaign",
        summary="How many are in the audience, and how many of them an offer may reach now; small counts are withheld",
        tags=["campaigns"],
        responses={200: {"content": {"application/json": {"example": _REACH}}}},
    )
    def estimate(campaign_id: CampaignId) -> dict[str, Any]:
        with reads.connect() as connection:
            campaign = known_campaign(connection, campaign_id)
            return reach_json(campaign, reach_of(connection, campaign), minimum, now())

    return api


_REACH = {
    "campaign": "bread",
    "channel": "sms",
    "in_audience": 1250,
    "reachable": 870,
    "minimum": 10,
    "estimated": False,
    "at": "2026-11-23T08:00:00+00:00",
}
