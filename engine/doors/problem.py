"""What an error looks like on the wire: RFC 9457 `application/problem+json` that names the field."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One field that is wrong (``pings[3].lat``), and what was allowed."""

    field: str
    detail: str


class Problem(Exception):
    """A request that cannot be served, and why. `code` is a stable snake_case word for programs."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        errors: Iterable[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = headers
        self.more = more


def problem_response(
    status: int,
    code: str,
    detail: str,
    errors: Iterable[Any] = (),
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> JSONResponse:
    """The response for a problem; `errors` have `field` and `detail`, `more` are further members."""
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
    }
    fields = [{"field": each.field, "detail": each.detail} for each in errors]
    if fields:
        content["errors"] = fields
    return JSONResponse(
        content | dict(more or {}), status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {})
    )


def response_to(problem: Problem) -> JSONResponse:
    """The response for a raised `Problem`."""
    return problem_response(
        problem.status, problem.code, problem.detail, problem.errors, problem.headers, problem.more
    )
