"""What is used of budgets, over HTTP."""

from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy import Connection, Engine

from campaigns.campaign import Campaign, due_state
from campaigns.form import ID_PATTERN
from campaigns.limits.account import Account
from campaigns.limits.budget import ACCOUNT, Budget, keys_of, owner_of
from campaigns.limits.budget_store import has_reached, standings
from campaigns.limits.usage import usage_json, usages
from campaigns.paging import read_cursor, write_cursor
from campaigns.routes import Cursor, Limit
from campaigns.store import campaigns_that_speak, known_campaign

PORTION = 200
"""Campaigns that are read at once, to find those with a budget."""


def router(*, reads: Engine, now: Callable[[], datetime], account: Account, minimum: int) -> APIRouter:
    """The route of budgets; nothing is told of what fewer than `minimum` shoppers used."""
    api = APIRouter()

    @api.get(
        "/v1/budgets",
        operation_id="listBudgets",
        summary="What is used of budgets: the account's, then each campaign's that was let speak and has not ended",
        description="One page item for each budget, one limit in it for each that is set. `alarm` is 80 or 100 once so many"
        " percent are used. What is used is null where fewer shoppers than `minimum` were told anything.",
        tags=["campaigns"],
        responses={200: {"content": {"application/json": {"example": _BUDGETS}}}},
    )
    def budgets(
        campaign: Annotated[
            str | None, Query(pattern=ID_PATTERN, description="This one's alone, in whatever state")
        ] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> dict[str, Any]:
        at = now()
        day = account.day(at)
        with reads.connect() as connection:
            if campaign is not None:
                one = known_campaign(connection, campaign)
                found = [one] if one.budget.is_limited else []
            else:
                found = list(_with_budget(connection, cursor, limit + 1))
            items = [_campaign_json(connection, each, at, day, minimum) for each in found[:limit]]
            if campaign is None and cursor is None and account.budget.is_limited:
                items.insert(0, _account_json(connection, account, day, minimum))
        following = write_cursor(found[limit - 1].id) if len(found) > limit else None
        told = {"day": day.isoformat(), "timezone": account.zone, "currency": account.currency}
        return {"items": items, "next": following, **told, "minimum": minimum}

    return api


def _with_budget(connection: Connection, cursor: str | None, wanted: int) -> Iterator[Campaign]:
    after = read_cursor(cursor, parts=1)[0] if cursor is not None else ""
    while wanted > 0:
        portion = campaigns_that_speak(connection, after, PORTION)
        for each in portion:
            if wanted > 0 and each.budget.is_limited:
                wanted -= 1
                yield each
        if len(portion) < PORTION:
            return
        after = portion[-1].id


def _campaign_json(
    connection: Connection, campaign: Campaign, at: datetime, day: date, minimum: int
) -> dict[str, Any]:
    told = has_reached(connection, campaign.id, minimum)
    limits = _limits(connection, owner_of(campaign.id), campaign.budget, day, told=told)
    return {
        "of": "campaign",
        "campaign": campaign.id,
        "state": due_state(campaign, at).value,
        "limits": limits,
    }


def _account_json(connection: Connection, account: Account, day: date, minimum: int) -> dict[str, Any]:
    told = has_reached(connection, None, minimum)
    limits = _limits(connection, ACCOUNT, account.budget, day, told=told)
    return {"of": "account", "campaign": None, "state": None, "limits": limits}


def _limits(
    connection: Connection, owner: str, budget: Budget, day: date, *, told: bool
) -> list[dict[str, Any]]:
    found = standings(connection, keys_of(owner, budget, day))
    return [usage_json(each, told=told) for each in usages(owner, budget, day, found)]


_LIMIT = {"what": "messages", "per": "day", "day": "2026-11-23", "limit": 1000}
_SPEND = {"what": "spend", "per": "life", "day": None, "limit": "250.00"}
_BUDGETS = {
    "items": [
        {
            "of": "account",
            "campaign": None,
            "state": None,
            "limits": [
                _LIMIT | {"reserved": 12, "committed": 811, "left": 177, "percent": 82.3, "alarm": 80}
            ],
        },
        {
            "of": "campaign",
            "campaign": "bread",
            "state": "active",
            "limits": [
                _SPEND
                | {"reserved": "0.96", "committed": "64.88", "left": "184.16", "percent": 26.3, "alarm": None}
            ],
        },
    ],
    "next": None,
    "day": "2026-11-23",
    "timezone": "Europe/Paris",
    "currency": "EUR",
    "minimum": 5,
}
