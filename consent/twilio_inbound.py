"""Twilio's webhook for the texts that shoppers send: signature, form, answer."""

import re
from dataclasses import dataclass, field

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData

from consent.answers import twiml
from consent.desk import Desk
from consent.errors import FieldError, InvalidConsent, NotSigned
from consent.inbound import InboundPolicy
from consent.twilio_signature import Algorithm, is_signed, public_address

PATH = "/v1/twilio/inbound"
FORM = "application/x-www-form-urlencoded"
SID = re.compile(r"[A-Za-z0-9]{1,64}")


@dataclass(frozen=True, slots=True)
class TwilioInbound:
    """What the webhook needs: the address Twilio calls (`public_url`, without a path of ours), the auth tokens that
    are valid now, and how to answer.
    """

    public_url: str
    tokens: tuple[str, ...] = field(repr=False)
    policy: InboundPolicy
    algorithm: Algorithm = Algorithm.SHA1


def twilio_router(desk: Desk, twilio: TwilioInbound | None) -> APIRouter:
    """The webhook. Without `twilio` it answers 403 to everyone."""
    api = APIRouter()

    @api.post(
        PATH,
        operation_id="receiveText",
        summary="A text from a shopper, as Twilio posts it",
        description="Signed form post. An opt-out is in force before this answers.",
        tags=["consent"],
        response_class=Response,
        responses={
            200: {"content": {"text/xml": {"example": twiml("Bakery: you are unsubscribed.")}}},
            403: {"description": "The signature is missing or wrong."},
        },
    )
    async def receive_text(request: Request) -> Response:
        if twilio is None:
            raise NotSigned
        form = await _signed_form(request, twilio)
        reply = await run_in_threadpool(_answer, desk, twilio.policy, form)
        return Response(twiml(reply), media_type="text/xml")

    return api


async def _signed_form(request: Request, twilio: TwilioInbound) -> FormData:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise NotSigned
    form = await request.form()
    scope = request.scope
    raw_path = scope.get("raw_path") or scope["path"].encode()
    url = public_address(twilio.public_url, raw_path, scope["query_string"])
    signature = request.headers.get("x-twilio-signature")
    if not is_signed(url, form, signature, twilio.tokens, twilio.algorithm):
        raise NotSigned
    return form


def _answer(desk: Desk, policy: InboundPolicy, form: FormData) -> str | None:
    sid = _text(form, "MessageSid") or _text(form, "SmsSid")
    if not SID.fullmatch(sid):
        raise InvalidConsent("invalid_text", [FieldError("MessageSid", "must be Twilio's id of the message")])
    result = desk.hear(
        sid=sid,
        from_number=_text(form, "From"),
        body=_text(form, "Body"),
        opt_out_type=_text(form, "OptOutType").strip().upper() or None,
        policy=policy,
    )
    return result.reply_text


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""
