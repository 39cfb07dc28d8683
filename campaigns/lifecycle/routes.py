"""A campaign's life beside its states: versions, who changed it, copies, and what is put away."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from sqlalchemy import Engine

from campaigns.campaign import campaign_json
from campaigns.errors import CampaignNotFound
from campaigns.lifecycle import register
from campaigns.lifecycle.change import By, change_json
from campaigns.lifecycle.change_store import changes_page
from campaigns.lifecycle.form import ApproveForm, CloneForm, RejectForm
from campaigns.lifecycle.version import version_json
from campaigns.lifecycle.version_store import latest_version, versions_page
from campaigns.routes import CAMPAIGN_EXAMPLE, Actor, CampaignId, Cursor, Limit, Now
from campaigns.store import known_campaign


def router(*, reads: Engine, writes: Engine, now: Now) -> APIRouter:
    """The routes of a campaign's life."""
    api = APIRouter()
    _add_past(api, reads)
    _add_clone(api, writes, now)
    _add_filing(api, writes, now)
    _add_review(api, writes, now)
    return api


def _add_past(api: APIRouter, reads: Engine) -> None:

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
                raise CampaignNotFound(campaign_id)
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
                raise CampaignNotFound(campaign_id)
            found = changes_page(connection, campaign_id, limit, cursor)
        return {"items": [change_json(change) for change in found.items], "next": found.next}


def _add_clone(api: APIRouter, writes: Engine, now: Now) -> None:
    @api.post(
        "/v1/campaigns/{campaign_id}/clone",
        operation_id="cloneCampaign",
        summary="Copy a campaign, whatever its state, to a draft under another id",
        tags=["campaigns"],
        status_code=201,
        responses={201: CAMPAIGN_EXAMPLE},
    )
    def clone(campaign_id: CampaignId, form: CloneForm, actor: Actor) -> dict[str, Any]:
        with writes.begin() as connection:
            original = known_campaign(connection, campaign_id)
            made = register.clone(connection, original, form.id, form.name, By(actor, now()))
        return campaign_json(made)


def _add_filing(api: APIRouter, writes: Engine, now: Now) -> None:
    def filing(*, archived: bool) -> Callable[..., dict[str, Any]]:
        def file(campaign_id: CampaignId, actor: Actor) -> dict[str, Any]:
            with writes.begin() as connection:
                was = known_campaign(connection, campaign_id, lock=True)
                campaign = register.file(connection, was, By(actor, now()), archived=archived)
            return campaign_json(campaign)

        return file

    for action, summary in (
        ("archive", "Put a draft or ended campaign away; the list shows it with archived=true only"),
        ("unarchive", "Take a campaign out of the archive, in the state that it had"),
    ):
        api.add_api_route(
            f"/v1/campaigns/{{campaign_id}}/{action}",
            filing(archived=action == "archive"),
            methods=["POST"],
            operation_id=f"{action}Campaign",
            summary=summary,
            tags=["campaigns"],
            responses={200: CAMPAIGN_EXAMPLE},
        )


def _add_review(api: APIRouter, writes: Engine, now: Now) -> None:
    @api.post(
        "/v1/campaigns/{campaign_id}/submit",
        operation_id="submitCampaign",
        summary="Hand a draft or paused campaign in for review; it sends nothing until it is approved and activated",
        tags=["campaigns"],
        responses={200: CAMPAIGN_EXAMPLE},
    )
    def submit(campaign_id: CampaignId, actor: Actor) -> dict[str, Any]:
        with writes.begin() as connection:
            campaign = known_campaign(connection, campaign_id, lock=True)
            return campaign_json(register.submit(connection, campaign, By(actor, now())))

    @api.post(
        "/v1/campaigns/{campaign_id}/approve",
        operation_id="approveCampaign",
        summary="Approve the content with this hash; by another key than the one that changed it last",
        tags=["campaigns"],
        responses={200: CAMPAIGN_EXAMPLE},
    )
    def approve(campaign_id: CampaignId, form: ApproveForm, actor: Actor) -> dict[str, Any]:
        with writes.begin() as connection:
            campaign = known_campaign(connection, campaign_id, lock=True)
            by = By(actor, now())
            return campaign_json(register.approve(connection, campaign, form.content_hash, form.comment, by))

    @api.post(
        "/v1/campaigns/{campaign_id}/reject",
        operation_id="rejectCampaign",
        summary="Send a campaign in review back as a draft, and say why",
        tags=["campaigns"],
        responses={200: CAMPAIGN_EXAMPLE},
    )
    def reject(campaign_id: CampaignId, form: RejectForm, actor: Actor) -> dict[str, Any]:
        with writes.begin() as connection:
            campaign = known_campaign(connection, campaign_id, lock=True)
            return campaign_json(register.reject(connection, campaign, form.comment, By(actor, now())))


_VERSION = {
    "campaign": "bread",
    "version": 1,
    "content_hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "made_at": "2026-11-23T08:00:00+00:00",
    "frozen_at": None,
    "approved_by": None,
    "approved_at": None,
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
    "comment": None,
}
