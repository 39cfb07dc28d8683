"""HTTP calls about the daily check of refusals."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy import Engine

from campaigns.delivery import breach_store
from campaigns.delivery.breach import check_json

EXAMPLE = {
    "items": [
        {
            "day": "2026-11-24",
            "checked_at": "2026-11-25T00:12:00+00:00",
            "withdrawals": 31,
            "messages": 4,
            "breaches": 0,
            "findings": [],
        }
    ]
}


def router(*, reads: Engine) -> APIRouter:
    """The routes."""
    api = APIRouter()

    @api.get(
        "/v1/breach-checks",
        operation_id="listBreachChecks",
        summary="Whether every refusal of a day was heeded, the newest day first",
        tags=["consent"],
        responses={200: {"content": {"application/json": {"example": EXAMPLE}}}},
    )
    def list_breach_checks(limit: Annotated[int, Query(ge=1, le=366)] = 31) -> dict[str, Any]:
        with reads.connect() as connection:
            return {"items": [check_json(each) for each in breach_store.checks(connection, limit)]}

    return api
