"""What an operator may do with a single message."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from sqlalchemy import Engine

from campaigns.delivery import dead_letter
from campaigns.limits.account import Account
from campaigns.message import TOLD_EXAMPLE, message_told
from campaigns.routes import Now


def router(*, writes: Engine, now: Now, account: Account) -> APIRouter:
    """The routes of single messages."""
    api = APIRouter()

    @api.post(
        "/v1/messages/{message_id}/redrive",
        operation_id="redriveMessage",
        summary="Let a message go again that failed through no fault of the shopper's, if its offer still holds",
        description="Everything is asked anew before it is sent. A message of unknown outcome is never sent again.",
        tags=["campaigns"],
        responses={200: {"content": {"application/json": {"example": TOLD_EXAMPLE | {"state": "due"}}}}},
    )
    def redrive(message_id: Annotated[str, Path(pattern="^[0-9a-f]{32}$")]) -> dict[str, Any]:
        with writes.begin() as connection:
            return message_told(dead_letter.redrive(connection, message_id, now(), account))

    return api
