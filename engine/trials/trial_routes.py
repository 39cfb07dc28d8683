"""The calls that try a campaign out on one person."""

from collections.abc import Callable, Collection
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from campaigns.errors import NotTestRecipient
from campaigns.form import Line
from campaigns.lifecycle.change import By
from campaigns.routes import Actor, CampaignId
from campaigns.times import Instant
from campaigns.triggers.form import Kind
from consent.access_log import REASON_LIMIT_CHARS
from engine.clock import Now
from engine.facts import House
from engine.records import Records
from engine.trials.trial import Trial, dry_run, dry_run_json, test_send, test_send_json

NoteAccess = Callable[[str, str, str, str | None], None]
"""Writes down that an actor looks at a subject's data: what was read, and why."""
MAX_SUBJECT_CHARS = 128


class TestSendForm(BaseModel):
    """Who gets the test, and the place it is about; the first that the campaign names unless it is given."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"subject": "staff-1"}]}
    )
    subject: Annotated[Line, Field(max_length=MAX_SUBJECT_CHARS)]
    geofence: Line | None = None


class DryRunForm(BaseModel):
    """What is supposed to happen; `at` is now unless it is given. `cart` supposes that the newest open cart is left until then."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"subject": "ana", "geofence": "bakery", "event": "enter"}]},
    )
    subject: Annotated[Line, Field(max_length=MAX_SUBJECT_CHARS)]
    geofence: Annotated[
        Line | None, Field(description="Where; of a moment that is about no place, none.")
    ] = None
    event: Kind
    at: Instant | None = None


def dry_run_router(*, records: Records, now: Now, house: House, note_access: NoteAccess) -> APIRouter:
    """The dry run: it shows what a shopper has consented to, and so is for whoever may read that."""
    api = APIRouter()

    @api.post(
        "/v1/campaigns/{campaign_id}/dry-run",
        operation_id="dryRunCampaign",
        summary="What would happen to this shopper at this instant: every gate; nothing is recorded or sent",
        tags=["campaigns"],
        responses={200: {"content": {"application/json": {"example": _DRY_RUN}}}},
    )
    def run(campaign_id: CampaignId, form: DryRunForm, actor: Actor, request: Request) -> dict[str, Any]:
        note_access(actor, form.subject, "dryRunCampaign", reason_of(request))
        at = now()
        trial = Trial(form.subject, form.geofence, form.event, form.at or at)
        with records.reads.connect() as connection:
            return dry_run_json(dry_run(connection, campaign_id, trial, house, at), trial)

    return api


def test_send_router(
    *, records: Records, now: Now, house: House, note_access: NoteAccess, recipients: Collection[str]
) -> APIRouter:
    """Tests by real messages, to `recipients` alone."""
    api = APIRouter()

    @api.post(
        "/v1/campaigns/{campaign_id}/test-send",
        operation_id="testSendCampaign",
        summary="Send the campaign's text, in whatever state it is, to a test recipient of the settings",
        tags=["campaigns"],
        status_code=201,
        responses={201: {"content": {"application/json": {"example": _TEST_SEND}}}},
    )
    def send(campaign_id: CampaignId, form: TestSendForm, actor: Actor, request: Request) -> dict[str, Any]:
        if form.subject not in recipients:
            raise NotTestRecipient("subject: no test recipient; the setting test_recipients lists them")
        note_access(actor, form.subject, "testSendCampaign", reason_of(request))
        with records.writes.begin() as connection:
            by = By(actor, now())
            found = test_send(connection, campaign_id, form.subject, form.geofence, house, by)
        return test_send_json(*found)

    return api


def reason_of(request: Request) -> str | None:
    """Why somebody looks at a subject's data, as the header `Access-Reason` says."""
    return request.headers.get("access-reason", "").strip()[:REASON_LIMIT_CHARS] or None


_TEST_SEND = {
    "decision": "0b3f7c5e9d1a4b6c8e2f0a1b3c5d7e9f",
    "campaign": "bread",
    "version": 1,
    "outcome": "message",
    "reason": "ok",
    "message": "7d2c4b6a8f0e1d3c5b7a9f8e6d4c2b0a",
}
_DRY_RUN = {
    "event": "enter",
    "campaign": "bread",
    "version": 1,
    "subject": "ana",
    "geofence": "bakery",
    "outcome": "refused",
    "reason": "consent_withdrawn",
    "gates": [
        {"gate": "campaign_active", "verdict": "pass", "input": {"state": "active"}},
        {
            "gate": "consent",
            "verdict": "fail",
            "input": {
                "purpose": "marketing",
                "channel": "sms",
                "entry": "c-81",
                "action": "withdraw",
                "since": "2026-11-23T08:05:00+00:00",
            },
        },
    ],
    "at": "2026-11-23T10:00:00+00:00",
}
