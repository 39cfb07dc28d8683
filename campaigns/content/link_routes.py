"""The public door of short links: whoever opens one is sent on to where it was made to lead, and nowhere else."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import Engine

from campaigns.content.click import opening_of
from campaigns.content.link_store import record_opening, target_of
from campaigns.content.links import LinkPolicy, host_of
from campaigns.content.short_link import PATH, TOKEN_CHARS
from campaigns.errors import CampaignError

Token = Annotated[str, Path(pattern=rf"^[A-Za-z0-9]{{{TOKEN_CHARS}}}$")]
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
}


class LinkUnknown(CampaignError):
    """No message has this link, or not any more."""

    status = 404
    code = "link_unknown"


class LinkClosed(CampaignError):
    """The link leads to a host that may not be linked any more."""

    status = 410
    code = "link_closed"


def router(*, reads: Engine, writes: Engine, now: Callable[[], datetime], links: LinkPolicy) -> APIRouter:
    """The route that every opener may call."""
    api = APIRouter(tags=["shopper"])

    def follow(token: Token, request: Request) -> Response:
        with reads.connect() as connection:
            target = target_of(connection, token)
        if target is None:
            raise LinkUnknown("this link leads nowhere, or does not any more")
        if not links.allows(host_of(target) or ""):
            raise LinkClosed("this link is closed")
        opening = opening_of(request.method, request.headers, now())
        with writes.begin() as connection:
            record_opening(connection, token, opening)
        return RedirectResponse(target, 302, _HEADERS)

    answers: dict[int | str, dict[str, Any]] = {
        302: {"description": "On to the link's target"},
        404: {"description": "No such link"},
    }
    api.add_api_route(
        PATH + "{token}",
        follow,
        methods=["GET"],
        operation_id="openShortLink",
        summary="Follow a short link",
        responses=answers,
    )
    api.add_api_route(PATH + "{token}", follow, methods=["HEAD"], include_in_schema=False)
    return api
