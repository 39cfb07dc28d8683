"""The calls about subscriptions."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from engine.destination import Destinations
from engine.doors.problem import FieldProblem, Problem
from engine.events_out import queue, subscription_store
from engine.events_out.change import KINDS, Wanted
from engine.events_out.courier import resumed
from engine.events_out.queue import Delivery
from engine.events_out.subscription import (
    DEFAULT_OVERLAP_HOURS,
    IDS_LIMIT,
    OVERLAP_LIMIT_HOURS,
    SECRETS_LIMIT,
    SUBSCRIPTIONS_LIMIT,
    Secret,
    Subscription,
    SubscriptionState,
    rotated,
    subscription_json,
)
from engine.events_out.webhook import new_secret
from engine.records import Records

ID = r"^[A-Za-z0-9._:~-]{1,64}$"
NAMED = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:@~-]{1,128}$")]
REDRIVEN_AT_ONCE = 1000
STRICT = ConfigDict(extra="forbid", strict=True)
EXAMPLE: dict[str, JsonValue] = {
    "url": "https://crm.example.org/hooks/chaland",
    "kinds": ["event", "message.delivered", "consent"],
    "geofences": ["bakery"],
}
_SHOWN = {
    "id": "crm",
    **EXAMPLE,
    "campaigns": [],
    "state": "active",
    "because": None,
    "created_at": "2026-11-23T08:00:00+00:00",
    "changed_at": "2026-11-23T08:00:00+00:00",
    "secrets": [{"until": None}],
    "waiting": 0,
    "dead": 0,
    "missed": 0,
}
_WITH_SECRET = {**_SHOWN, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}

SubscriptionId = Annotated[str, Path(pattern=ID, description="The subscription's id, of your choice.")]


class SubscriptionForm(BaseModel):
    """What is told to whom."""

    model_config = STRICT | ConfigDict(json_schema_extra={"example": EXAMPLE})

    url: Annotated[str, Field(max_length=2048)]
    kinds: Annotated[list[str], Field(min_length=1, max_length=len(KINDS))]
    geofences: Annotated[list[NAMED], Field(max_length=IDS_LIMIT)] = []
    campaigns: Annotated[list[NAMED], Field(max_length=IDS_LIMIT)] = []


class RotationForm(BaseModel):
    """How long the secrets before the new one sign beside it; 0 ends them at once."""

    model_config = STRICT

    overlap_hours: Annotated[int, Field(ge=0, le=OVERLAP_LIMIT_HOURS)] = DEFAULT_OVERLAP_HOURS


class RedriveForm(BaseModel):
    """Which dead letters are to be delivered after all; without it all of them."""

    model_config = STRICT

    ids: Annotated[list[NAMED], Field(min_length=1, max_length=REDRIVEN_AT_ONCE)] | None = None


def wanted_of(kinds: list[str], geofences: list[str] = [], campaigns: list[str] = []) -> Wanted:  # noqa: B006  # read only
    """What a caller asks for. Raises `Problem` that names each kind that there is not."""
    unknown = [
        FieldProblem(f"kinds[{index}]", f"must be one of {', '.join(sorted(KINDS))}")
        for index, each in enumerate(kinds)
        if each not in KINDS
    ]
    if unknown:
        raise Problem(422, "unknown_kind", f"{unknown[0].field}: {unknown[0].detail}", unknown)
    return Wanted(frozenset(kinds), frozenset(geofences), frozenset(campaigns))


def subscription_calls(
    *,
    records: Records,
    now: Callable[[], datetime],
    destinations: Destinations,
    consent_permitted: Callable[[Request], None],
) -> APIRouter:
    """The calls. `consent_permitted` raises `Problem` unless the caller may hear of consent."""
    api = APIRouter(tags=["events out"])
    _add_keeping(api, records, now, destinations, consent_permitted)
    _add_states(api, records, now)
    _add_dead_letters(api, records, now)
    return api


def _add_keeping(
    api: APIRouter,
    records: Records,
    now: Callable[[], datetime],
    destinations: Destinations,
    consent_permitted: Callable[[Request], None],
) -> None:
    @api.put(
        "/v1/subscriptions/{subscription_id}",
        operation_id="putSubscription",
        summary="Subscribe, or change a subscription; the answer to the first call holds the secret, once",
        responses={
            200: {"content": {"application/json": {"example": _SHOWN}}},
            201: {"content": {"application/json": {"example": _WITH_SECRET}}},
        },
    )
    def put(
        request: Request, response: Response, subscription_id: SubscriptionId, form: SubscriptionForm
    ) -> dict[str, Any]:
        wanted = wanted_of(form.kinds, form.geofences, form.campaigns)
        if wanted.concerns_consent:
            consent_permitted(request)
        if flaw := destinations.flaw(form.url):
            raise Problem(422, "invalid_url", f"url: {flaw}", [FieldProblem("url", flaw)])
        at = now()
        with records.writes.begin() as connection:
            subscription_store.hold(connection)
            known = subscription_store.get(connection, subscription_id, lock=True)
            if known is not None:
                if known.wanted.concerns_consent:
                    consent_permitted(request)  # what is queued may be sent to another address now
                changed = replace(known, url=form.url, wanted=wanted, changed_at=at)
                subscription_store.put(connection, changed, new=False)
                return _shown(connection, changed, at)
            if subscription_store.count(connection) >= SUBSCRIPTIONS_LIMIT:
                said = f"there are {SUBSCRIPTIONS_LIMIT} subscriptions, as many as there may be; delete one first"
                raise Problem(409, "too_many_subscriptions", said)
            secret = new_secret()
            made = Subscription(
                subscription_id, form.url, wanted, (Secret(secret),), SubscriptionState.ACTIVE, None, at, at
            )
            subscription_store.put(connection, made, new=True)
            response.status_code = 201
            response.headers["Cache-Control"] = "no-store"
            return {**_shown(connection, made, at), "secret": secret}

    @api.get(
        "/v1/subscriptions",
        operation_id="listSubscriptions",
        summary="All subscriptions, never with a secret",
        responses={200: {"content": {"application/json": {"example": {"items": [_SHOWN], "next": None}}}}},
    )
    def every() -> dict[str, Any]:
        with records.reads.connect() as connection:
            counts = queue.counts(connection)
            items = [
                subscription_json(each, now(), counts.get(each.id, {}))
                for each in subscription_store.every(connection)
            ]
        return {"items": items, "next": None}

    @api.get(
        "/v1/subscriptions/{subscription_id}",
        operation_id="getSubscription",
        summary="One subscription, and how much waits for it",
        responses={200: {"content": {"application/json": {"example": _SHOWN}}}},
    )
    def one(subscription_id: SubscriptionId) -> dict[str, Any]:
        with records.reads.connect() as connection:
            return _shown(connection, _known(connection, subscription_id), now())

    @api.delete(
        "/v1/subscriptions/{subscription_id}",
        operation_id="deleteSubscription",
        summary="End a subscription, and forget what waits for it",
        status_code=204,
    )
    def end(subscription_id: SubscriptionId) -> None:
        with records.writes.begin() as connection:
            subscription_store.hold(connection)
            _known(connection, subscription_id, lock=True)
            subscription_store.remove(connection, subscription_id)


def _add_states(api: APIRouter, records: Records, now: Callable[[], datetime]) -> None:
    @api.post(
        "/v1/subscriptions/{subscription_id}/rotate-secret",
        operation_id="rotateSubscriptionSecret",
        summary="Sign with a new secret, and for a while with the ones before too; the new one is shown once",
        responses={200: {"content": {"application/json": {"example": _WITH_SECRET}}}},
    )
    def rotate(
        response: Response,
        subscription_id: SubscriptionId,
        form: Annotated[RotationForm, Body(openapi_examples={"a day": {"value": {"overlap_hours": 24}}})],
    ) -> dict[str, Any]:
        at, secret = now(), new_secret()
        with records.writes.begin() as connection:
            known = _known(connection, subscription_id, lock=True)
            secrets = rotated(known.secrets, secret, timedelta(hours=form.overlap_hours), at)
            if secrets is None:
                said = f"{SECRETS_LIMIT} secrets sign already; wait until one has ended, or end them with overlap_hours 0"
                raise Problem(409, "too_many_secrets", said)
            changed = replace(known, secrets=secrets, changed_at=at)
            subscription_store.put(connection, changed, new=False)
            response.headers["Cache-Control"] = "no-store"
            return {**_shown(connection, changed, at), "secret": secret}

    @api.post(
        "/v1/subscriptions/{subscription_id}/pause",
        operation_id="pauseSubscription",
        summary="Deliver nothing for now; changes go on being queued",
        responses={200: {"content": {"application/json": {"example": _SHOWN}}}},
    )
    def pause(subscription_id: SubscriptionId) -> dict[str, Any]:
        with records.writes.begin() as connection:
            known = _known(connection, subscription_id, lock=True)
            changed = replace(known, state=SubscriptionState.PAUSED, because=None, changed_at=now())
            subscription_store.put(connection, changed, new=False)
            return _shown(connection, changed, now())

    @api.post(
        "/v1/subscriptions/{subscription_id}/resume",
        operation_id="resumeSubscription",
        summary="Deliver again, at once",
        responses={200: {"content": {"application/json": {"example": _SHOWN}}}},
    )
    def resume(subscription_id: SubscriptionId) -> dict[str, Any]:
        with records.writes.begin() as connection:
            changed = resumed(_known(connection, subscription_id, lock=True), now())
            subscription_store.put(connection, changed, new=False)
            return _shown(connection, changed, now())


def _add_dead_letters(api: APIRouter, records: Records, now: Callable[[], datetime]) -> None:
    letter = {
        "id": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        "type": "event.enter",
        "ref": "9f86d081884c7d65",
        "subject": "ana",
        "position": 17,
        "attempts": 10,
        "last_answer": "500",
    }

    @api.get(
        "/v1/subscriptions/{subscription_id}/dead-letters",
        operation_id="listDeadLetters",
        summary="What could not be delivered in three days, in order",
        responses={200: {"content": {"application/json": {"example": {"items": [letter], "next": None}}}}},
    )
    def dead(
        subscription_id: SubscriptionId,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[
            str | None, Query(pattern=r"^[0-9]{1,18}$", description="`next` of the page before")
        ] = None,
    ) -> dict[str, Any]:
        with records.reads.connect() as connection:
            _known(connection, subscription_id)
            found = queue.dead_letters(connection, subscription_id, int(cursor or 0), limit + 1)
        more = len(found) > limit
        return {
            "items": [_letter_json(each) for each in found[:limit]],
            "next": str(found[limit - 1].change.position) if more else None,
        }

    @api.post(
        "/v1/subscriptions/{subscription_id}/redrive",
        operation_id="redriveDeadLetters",
        summary="Deliver dead letters after all, under the ids they had",
        responses={200: {"content": {"application/json": {"example": {"redriven": 1}}}}},
    )
    def redrive(
        subscription_id: SubscriptionId,
        form: Annotated[RedriveForm, Body(openapi_examples={"all": {"value": {}}})],
    ) -> dict[str, int]:
        with records.writes.begin() as connection:
            _known(connection, subscription_id, lock=True)
            return {"redriven": queue.redrive(connection, subscription_id, form.ids, now())}


def _known(connection: Any, subscription_id: str, *, lock: bool = False) -> Subscription:
    known = subscription_store.get(connection, subscription_id, lock=lock)
    if known is None:
        raise Problem(
            404, "subscription_not_found", "no subscription of this id; PUT /v1/subscriptions/{id} makes one"
        )
    return known


def _shown(connection: Any, subscription: Subscription, at: datetime) -> dict[str, Any]:
    counts = queue.counts(connection, [subscription.id])
    return subscription_json(subscription, at, counts.get(subscription.id, {}))


def _letter_json(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "type": delivery.change.type,
        "ref": delivery.change.ref,
        "subject": delivery.change.subject,
        "position": delivery.change.position,
        "attempts": delivery.attempts,
        "last_answer": delivery.last_answer,
    }
