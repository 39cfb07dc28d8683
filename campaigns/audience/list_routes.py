"""The API of uploaded lists. Who is on one is never told: only how many, and not even that of a small one."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import Connection, Engine

from campaigns.audience.list_store import delete_list, put_list, sizes
from campaigns.campaign import Campaign
from campaigns.errors import ListInUse, ListNotFound
from campaigns.form import ID_PATTERN
from campaigns.store import campaigns_naming

MAX_MEMBERS = 100_000

MaySpeak = Callable[[Connection, Campaign], None]
ListName = Annotated[str, Path(pattern=ID_PATTERN, description="The list's name, of your choice")]


class ListForm(BaseModel):
    """The subjects on a list, by their ids."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"subjects": ["ana", "ben"]}]}
    )
    subjects: Annotated[
        list[Annotated[str, StringConstraints(pattern=ID_PATTERN)]],
        Field(min_length=1, max_length=MAX_MEMBERS),
    ]


def router(
    *, reads: Engine, writes: Engine, now: Callable[[], datetime], minimum: int, may_speak: MaySpeak
) -> APIRouter:
    """The routes of lists; of a list with fewer than `minimum` members no size is told. `may_speak` raises for a campaign
    that may not speak to whom it then chooses.
    """
    api = APIRouter()

    @api.put(
        "/v1/lists/{name}",
        operation_id="putList",
        summary="Have a list hold these subjects and nobody else; unknown ones are left out. Small counts are null",
        tags=["campaigns"],
        responses={200: _example(_PUT)},
    )
    def put(name: ListName, form: ListForm) -> dict[str, Any]:
        with writes.begin() as connection:
            held, unknown = put_list(connection, name, form.subjects, now())
            for campaign in campaigns_naming(connection, name):
                may_speak(connection, campaign)
        told = held >= minimum
        return {"list": name, "subjects": held if told else None, "unknown": unknown if told else None}

    @api.get(
        "/v1/lists",
        operation_id="listLists",
        summary="The lists, and how many subjects each holds; null where they are too few to be told",
        tags=["campaigns"],
        responses={200: _example({"items": [{"list": "vip", "subjects": 240}], "next": None})},
    )
    def page() -> dict[str, Any]:
        with reads.connect() as connection:
            found = sizes(connection)
        items = [
            {"list": name, "subjects": size if size >= minimum else None} for name, size in found.items()
        ]
        return {"items": items, "next": None}

    @api.delete(
        "/v1/lists/{name}",
        operation_id="deleteList",
        summary="Forget a list that no campaign asks about which may speak",
        tags=["campaigns"],
        status_code=204,
    )
    def delete(name: ListName) -> None:
        with writes.begin() as connection:
            if naming := campaigns_naming(connection, name):
                raise ListInUse(
                    f"campaign {naming[0].id} asks who is on list {name}; end it, or change its audience first"
                )
            if not delete_list(connection, name):
                raise ListNotFound(f"no list {name}; PUT /v1/lists/{name} makes it")

    return api


def _example(example: Any) -> dict[str, Any]:
    return {"content": {"application/json": {"example": example}}}


_PUT = {"list": "vip", "subjects": 240, "unknown": 2}
