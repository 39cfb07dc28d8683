"""The campaign API: campaigns and their states, and the provider's reports."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from sqlalchemy import Connection, Engine
from starlette.datastructures import FormData

from campaigns.campaign import (
    Action,
    Campaign,
    CampaignState,
    campaign_json,
    due_state,
    edited,
    finished_text,
    next_state,
    speaking,
)
from campaigns.content.links import OWN_LINKS_ONLY, LinkPolicy
from campaigns.content.segments import outside_gsm, sms_size
from campaigns.content.template import TextRefused
from campaigns.country_rules import COUNTRY_RULES, CountryRules
from campaigns.coupons.store import sample_for
from campaigns.delivery.channels.twilio_status import STATES
from campaigns.delivery.failure import heed_report
from campaigns.delivery.outbox import ProviderReport
from campaigns.errors import FieldError, InvalidCampaign, NotSigned, StateConflict
from campaigns.form import ID_PATTERN, CampaignForm, PreviewForm, campaign_of
from campaigns.lifecycle import register
from campaigns.lifecycle.approval import NEVER, ApprovalPolicy
from campaigns.lifecycle.change import By
from campaigns.saving import check_saved
from campaigns.store import campaigns_page, get_campaign, known_campaign
from campaigns.triggers.trigger import Trigger
from campaigns.wording import Wording
from consent.entry import Channel
from consent.twilio_signature import Algorithm, is_signed, public_address
from geofences.event import EventKind

STATUS_PATH = "/v1/twilio/status"
FORM = "application/x-www-form-urlencoded"
PROVIDER_ID = re.compile(r"[A-Za-z0-9]{1,64}")
MAX_CODE_CHARS = 16
MAX_PAGE = 200
_SILENT = (CampaignState.DRAFT, CampaignState.ENDED)

Now = Callable[[], datetime]
MaySpeak = Callable[[Connection, Campaign], None]
CampaignId = Annotated[str, Path(pattern=ID_PATTERN, description="The campaign's id, of your choice")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
Archived = Annotated[bool, Query(description="Those that were put away, too")]
Cursor = Annotated[str | None, Query(max_length=500, description="`next` of the page before")]


def actor_of(request: Request) -> str:
    """Who calls; the engine has left the name in the request once the key was checked."""
    return str(getattr(request.state, "actor", "unknown"))


Actor = Annotated[str, Depends(actor_of)]


@dataclass(frozen=True, slots=True)
class TwilioReports:
    """What the status webhook needs: the address that Twilio calls (`public_url`, without a path of ours) and the
    auth tokens that are valid now.
    """

    public_url: str
    tokens: tuple[str, ...] = field(repr=False)
    algorithm: Algorithm = Algorithm.SHA1


def router(
    *,
    reads: Engine,
    writes: Engine,
    now: Now,
    twilio: TwilioReports | None = None,
    unknown_report: Callable[[], None] = lambda: None,
    links: LinkPolicy = OWN_LINKS_ONLY,
    rules: CountryRules = COUNTRY_RULES,
    approval: ApprovalPolicy = NEVER,
    may_speak: MaySpeak = lambda _conn, _campaign: None,
) -> APIRouter:
    """The routes of this package. Without `twilio`, every provider report is refused; `unknown_report` counts those
    that are about no message of ours; `may_speak` raises for a campaign that may not be let speak.
    """
    api = APIRouter()
    _add_campaigns(api, reads, writes, now, Wording(links), rules, approval, may_speak)
    _add_states(api, reads, writes, now, approval, may_speak)
    _add_outcomes(api, reads, now, Wording(links))
    _add_reports(api, writes, now, twilio, unknown_report)
    return api


def _add_campaigns(
    api: APIRouter,
    reads: Engine,
    writes: Engine,
    now: Now,
    wording: Wording,
    rules: CountryRules,
    approval: ApprovalPolicy,
    may_speak: MaySpeak,
) -> None:
    @api.put(
        "/v1/campaigns/{campaign_id}",
        operation_id="putCampaign",
        summary="Save a campaign; a new one is a draft. Once let speak, other content makes the next version",
        tags=["campaigns"],
        responses={200: _example(_CAMPAIGN), 201: _example(_CAMPAIGN)},
    )
    def put(campaign_id: CampaignId, form: CampaignForm, response: Response, actor: Actor) -> dict[str, Any]:
        at = now()
        wanted = campaign_of(form, campaign_id, CampaignState.DRAFT, wording)
        # Many subjects may be looked at, so before the transaction that nobody else can write in.
        with reads.connect() as connection:
            asked = edited(get_campaign(connection, campaign_id), wanted, at)
            if asked.state not in _SILENT:
                check_saved(connection, asked, rules, wording, at)
                may_speak(connection, asked)
        with writes.begin() as connection:
            was = get_campaign(connection, campaign_id, lock=True)
            check_saved(connection, wanted, rules, wording, at)
            campaign = register.save(connection, was, wanted, By(actor, at), approval)
            if asked.state in _SILENT and campaign.state not in _SILENT:
                raise StateConflict(f"campaign {campaign_id} was let speak meanwhile; save it again")
        response.status_code = 201 if was is None else 200
        return campaign_json(campaign)

    @api.get(
        "/v1/campaigns/{campaign_id}",
        operation_id="getCampaign",
        summary="One campaign",
        tags=["campaigns"],
        responses={200: _example(_CAMPAIGN)},
    )
    def get(campaign_id: CampaignId) -> dict[str, Any]:
        with reads.connect() as connection:
            return campaign_json(known_campaign(connection, campaign_id))

    @api.delete(
        "/v1/campaigns/{campaign_id}",
        operation_id="deleteCampaign",
        summary="Delete a draft or ended campaign; its versions, decisions and messages stay",
        tags=["campaigns"],
        status_code=204,
    )
    def delete(campaign_id: CampaignId, actor: Actor) -> None:
        at = now()
        with writes.begin() as connection:
            campaign = known_campaign(connection, campaign_id, lock=True)
            state = due_state(campaign, at)
            if state not in (CampaignState.DRAFT, CampaignState.ENDED):
                raise StateConflict(f"campaign {campaign_id} is {state}; end it before you delete it")
            register.remove(connection, campaign, By(actor, at))

    @api.get(
        "/v1/campaigns",
        operation_id="listCampaigns",
        summary="Campaigns, by id",
        tags=["campaigns"],
        responses={200: _example({"items": [_CAMPAIGN], "next": None})},
    )
    def page(limit: Limit = 50, cursor: Cursor = None, *, archived: Archived = False) -> dict[str, Any]:
        with reads.connect() as connection:
            found = campaigns_page(connection, limit, cursor, archived=archived)
        return {"items": [campaign_json(campaign) for campaign in found.items], "next": found.next}


def _add_states(
    api: APIRouter, reads: Engine, writes: Engine, now: Now, approval: ApprovalPolicy, may_speak: MaySpeak
) -> None:
    for action, summary in _ACTIONS.items():
        api.add_api_route(
            f"/v1/campaigns/{{campaign_id}}/{action}",
            _state_change(action, reads, writes, now, approval, may_speak),
            methods=["POST"],
            operation_id=f"{action}Campaign",
            summary=summary,
            tags=["campaigns"],
            responses={200: _example(_CAMPAIGN)},
        )


def _state_change(
    action: Action, reads: Engine, writes: Engine, now: Now, approval: ApprovalPolicy, may_speak: MaySpeak
) -> Callable[..., dict[str, Any]]:
    def change(campaign_id: CampaignId, actor: Actor) -> dict[str, Any]:
        at = now()
        asked = None
        if action in (Action.ACTIVATE, Action.RESUME):
            with reads.connect() as connection:
                asked = known_campaign(connection, campaign_id)
                next_state(asked, action, at)
                may_speak(connection, asked)
        with writes.begin() as connection:
            campaign = known_campaign(connection, campaign_id, lock=True)
            state = next_state(campaign, action, at)
            if asked is not None and replace(asked, state=campaign.state) != campaign:
                raise StateConflict(
                    f"campaign {campaign_id} was changed meanwhile; look at it, and {action} it again"
                )
            register.move(connection, campaign, state, action, By(actor, at), approval)
        return campaign_json(replace(campaign, state=state))

    return change


def _add_outcomes(api: APIRouter, reads: Engine, now: Now, wording: Wording) -> None:
    @api.post(
        "/v1/campaigns/{campaign_id}/preview",
        operation_id="previewCampaign",
        summary="The text that a subject with these attributes would get",
        tags=["campaigns"],
        responses={200: _example(_PREVIEW)},
    )
    def preview(campaign_id: CampaignId, form: PreviewForm) -> dict[str, Any]:
        with reads.connect() as connection:
            campaign = _in_variant(known_campaign(connection, campaign_id), form.variant)
            coupon = sample_for(connection, campaign.coupon, now())
        until = now() + timedelta(seconds=campaign.shelf_life_seconds)
        place = {"geofence": form.geofence, "campaign": campaign.name, "valid_until": until.isoformat()}
        seen = replace(
            wording,
            locale=form.locale,
            zone=form.timezone,
            coupon=coupon,
            pool_is_empty=not form.coupons_left,
        )
        try:
            text = finished_text(campaign, {**form.attributes, **place}, seen)
        except TextRefused as refused:
            raise InvalidCampaign(str(refused), (FieldError("attributes", str(refused)),)) from refused
        return preview_json(campaign, text)


def _add_reports(
    api: APIRouter,
    writes: Engine,
    now: Now,
    twilio: TwilioReports | None,
    unknown_report: Callable[[], None],
) -> None:
    async def signed_form(request: Request) -> FormData:
        if (
            twilio is None
            or request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM
        ):
            raise NotSigned
        form = await request.form()
        url = public_address(twilio.public_url, STATUS_PATH.encode(), request.scope["query_string"])
        signature = request.headers.get("x-twilio-signature")
        if not is_signed(url, form, signature, twilio.tokens, twilio.algorithm):
            raise NotSigned
        return form

    @api.post(
        STATUS_PATH,
        operation_id="twilioStatus",
        summary="Twilio's report on a message (form post, signed)",
        tags=["campaigns"],
        status_code=204,
        openapi_extra={"requestBody": {"content": {FORM: {"example": _STATUS}}}},
    )
    def status(
        form: Annotated[FormData, Depends(signed_form)],
        message: Annotated[str | None, Query(pattern="^[0-9a-f]{32}$")] = None,
    ) -> None:
        state = STATES.get(str(form.get("MessageStatus")))
        provider_id, error_code = str(form.get("MessageSid", "")), str(form.get("ErrorCode", ""))
        if state is None or not PROVIDER_ID.fullmatch(provider_id):
            return
        report = ProviderReport(state, message, provider_id, error_code[:MAX_CODE_CHARS] or None)
        with writes.begin() as connection:
            if not heed_report(connection, report, now()):
                unknown_report()


def preview_json(campaign: Campaign, text: str) -> dict[str, Any]:
    """A finished text, and for SMS its size: `units` are septets or 16-bit units, `ucs2_because` the characters that
    the GSM alphabet lacks, `sms_limit` the segments that the campaign allows.
    """
    if campaign.channel is not Channel.SMS:
        return {"text": text}
    size = sms_size(text)
    return {
        "text": text,
        "encoding": size.encoding.value,
        "characters": len(text),
        "units": size.units,
        "segments": size.segments,
        "sms_limit": campaign.max_segments,
        "ucs2_because": list(outside_gsm(text)),
    }


def _in_variant(campaign: Campaign, name: str | None) -> Campaign:
    names = [each.name for each in campaign.experiment.variants] if campaign.experiment else []
    if name is not None and name not in names:
        problem = FieldError("variant", f"one of {', '.join(names) or 'none'} is expected")
        raise InvalidCampaign(problem.detail, (problem,))
    return speaking(campaign, name)


def _example(example: Any) -> dict[str, Any]:
    return {"content": {"application/json": {"example": example}}}


_ACTIONS = {
    Action.ACTIVATE: "Let a draft or paused campaign speak, from its starts_at on",
    Action.PAUSE: "Stop a campaign for now; nothing due is sent",
    Action.RESUME: "Let a paused campaign speak again",
    Action.END: "End a campaign for good",
}
_CAMPAIGN = campaign_json(
    Campaign(
        id="bread",
        name="Bread",
        trigger=Trigger(EventKind.ENTER, ("bakery",)),
        channel=Channel.SMS,
        template="Fresh bread until ten",
    )
)
CAMPAIGN_EXAMPLE = _example(_CAMPAIGN)
_PREVIEW = {
    "text": "Pain frais jusqu’à dix heures",
    "encoding": "UCS-2",
    "characters": 29,
    "units": 29,
    "segments": 1,
    "sms_limit": 4,
    "ucs2_because": ["’"],
}
_STATUS = {"MessageSid": "SM...", "MessageStatus": "delivered"}
