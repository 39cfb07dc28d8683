"""The API of uploaded lists. Who is on one is never told: only how many, and not even that of a small one."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import Engine

from campaigns.errors import ListNotFound
from campaigns.form import ID_PATTERN
from campaigns.list_store import delete_list, put_list, sizes

MAX_MEMBERS = 100_000

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


def router(*, reads: Engine, writes: Engine, now: Callable[[], datetime], minimum: int) -> APIRouter:
    """The routes of lists; of a list with fewer than `minimum` members no size is told."""
    api = APIRouter()

    @api.put(
        "/v1/lists/{name}",
        operation_id="putList",
        summary="Have a list hold these subjects and nobody else; unknown ones are left out",
        tags=["campaigns"],
        responses={200: _example(_PUT)},
    )
    def put(name: ListName, form: ListForm) -> dict[str, Any]:
        with writes.begin() as connection:
            held, unknown = put_list(connection, name, form.subjects, now())
        return {"list": name, "subjects": held, "unknown": unknown}

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
        summary="Forget a list",
        tags=["campaigns"],
        status_code=204,
    )
    def delete(name: ListName) -> None:
        with writes.begin() as connection:
            if not delete_list(connection, name):
                raise ListNotFound(f"no list {name}; PUT /v1/lists/{name} makes it")

    return api


def _example(example: Any) -> dict[str, Any]:
    return {"content": {"application/json": {"example": example}}}


_PUT = {"list": "vip", "subjects": 240, "unknown": 2}
