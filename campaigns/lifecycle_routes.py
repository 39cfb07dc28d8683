"""What became of a campaign over time: its versions, and who changed it."""

from typing import Any

from fastapi import APIRouter
from sqlalchemy import Engine

from campaigns.change import change_json
from campaigns.change_store import changes_page
from campaigns.errors import CampaignNotFound
from campaigns.routes import CampaignId, Cursor, Limit
from campaigns.version import version_json
from campaigns.version_store import latest_version, versions_page


def router(*, reads: Engine) -> APIRouter:
    """The routes of a campaign's past."""
    api = APIRouter()

    @api.get(
        "/v1/campaigns/{campaign_id}/versions",
        operation_id="listCampaignVersions",
        summary="What the campaign said, to whom and when, the newest version first; of deleted campaigns too",
        tags=["campaigns"],
        responses={200: {"content": {"application/json": {"example": {"items": [_VERSION], "next": None}}}}},
    )
    def versions(campaign_id: CampaignId, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
        with reads.connect() as connection:
            if not latest_version(connection, campaign_id):
                raise CampaignNotFound(f"no campaign {campaign_id}; PUT /v1/campaigns/{campaign_id} makes it")
            found = versions_page(connection, campaign_id, limit, cursor)
        return {"items": [version_json(version) for version in found.items], "next": found.next}

    @api.get(
        "/v1/campaigns/{campaign_id}/changes",
        operation_id="listCampaignChanges",
        summary="Who did what to the campaign, the newest first; of deleted campaigns too",
        tags=["campaigns"],
        responses={200: {"content": {"application/json": {"example": {"items": [_CHANGE], "next": None}}}}},
    )
    def changes(campaign_id: CampaignId, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
        with reads.connect() as connection:
            if not latest_version(connection, campaign_id):
                raise CampaignNotFound(f"no campaign {campaign_id}; PUT /v1/campaigns/{campaign_id} makes it")
            found = changes_page(connection, campaign_id, limit, cursor)
        return {"items": [change_json(change) for change in found.items], "next": found.next}

    return api


_VERSION = {
    "campaign": "bread",
    "version": 1,
    "content_hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "made_at": "2026-11-23T08:00:00+00:00",
    "frozen_at": None,
    "content": {"name": "Bread", "channel": "sms", "template": "Fresh bread until ten"},
}
_CHANGE = {
    "campaign": "bread",
    "version": 2,
    "action": "edit",
    "actor": "key:4f1c2a9b",
    "at": "2026-11-23T09:00:00+00:00",
    "fields": ["template"],
    "from_state": "active",
    "to_state": "active",
    "content_hash": "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
}
