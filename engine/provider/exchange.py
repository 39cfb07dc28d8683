"""What a client asked, and what it gets: values, so that each pretended service is a function from one to the other."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qsl


class Manner(StrEnum):
    """How an answer is given: as it is, never, or by breaking the connection."""

    ANSWER = "answer"
    HANG = "hang"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `path` has no query; `headers` are in lower case."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def parameters(self) -> dict[str, str]:
        """The query, the last value of each name."""
        return dict(parse_qsl(self.query, keep_blank_values=True))

    @property
    def form(self) -> dict[str, str]:
        """The body as a form, the last value of each name."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; `delay_seconds` passes before it is given."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    manner: Manner = Manner.ANSWER
    delay_seconds: float = 0.0


HUNG = Answer(0, manner=Manner.HANG)
DROPPED = Answer(0, manner=Manner.DROP)
NOTHING = Answer(204)


def as_json(status: int, value: Any) -> Answer:
    """An answer in JSON."""
    return Answer(status, json.dumps(value).encode())


def as_page(html: str) -> Answer:
    """A page for people."""
    return Answer(200, html.encode(), "text/html; charset=utf-8")
