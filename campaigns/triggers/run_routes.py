"""The API's list of how a campaign's broadcasts went."""

from typing import Any

from fastapi import APIRouter
from sqlalchemy import Engine

from campaigns.errors import CampaignNotFound
from campaigns.lifecycle.version_store import latest_version
from campaigns.routes import CampaignId, Cursor, Limit
from campaigns.triggers.run_store import Run, runs_page


def router(*, reads: Engine, minimum: int) -> APIRouter:
    """The route; counts of fewer people than `minimum` are withheld."""
    api = APIRouter()

    @api.get(
        "/v1/campaigns/{campaign_id}/broadcasts",
        operation_id="listCampaignBroadcasts",
        summary="How each occurrence of a broadcast went, the newest first; small counts are withheld",
        tags=["campaigns"],
        responses={200: {"content": {"application/json": {"example": {"items": [_RUN], "next": None}}}}},
    )
    def broadcasts(campaign_id: CampaignId, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
        with reads.connect() as connection:
            if not latest_version(connection, campaign_id):
                raise CampaignNotFound(campaign_id)
            found = runs_page(connection, campaign_id, limit, cursor)
        return {"items": [run_json(run, minimum) for run in found.items], "next": found.next}

    return api


def run_json(run: Run, minimum: int) -> dict[str, Any]:
    """A run as the API writes it. How many the audience holds is told once it has ended, of no few, and of all but a few neither:
    who watched it rise would see single people pass.
    """
    others = run.examined - run.in_audience
    tellable = run.ended_at is not None and run.in_audience >= minimum and (not others or others >= minimum)
    return {
        "occurrence": run.occurrence.isoformat(),
        "begun_at": run.begun_at.isoformat(),
        "ended_at": run.ended_at.isoformat() if run.ended_at else None,
        "why": run.why,
        "examined": run.examined,
        "in_audience": run.in_audience if tellable else None,
    }


_RUN = {
    "occurrence": "2026-11-27T16:00:00+00:00",
    "begun_at": "2026-11-27T16:00:01+00:00",
    "ended_at": "2026-11-27T16:04:30+00:00",
    "why": None,
    "examined": 20140,
    "in_audience": 1250,
}
