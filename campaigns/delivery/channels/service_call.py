"""One HTTP call of a push service: its answer, or what is known if there is none."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from campaigns.delivery.channels.channel import asked_pause_seconds
from campaigns.delivery.channels.push import CALL_SECONDS, Came, PushResult

TIMEOUT = httpx2.Timeout(CALL_SECONDS / 2, connect=CALL_SECONDS / 4)


@dataclass(frozen=True, slots=True)
class ServiceAnswer:
    """Status and body of an answer; `retry_after_seconds` if it says when to come again."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def retry_after_seconds(self) -> float | None:
        """From the header, where it is there."""
        return asked_pause_seconds(self.headers.get("retry-after"))


def call(
    client: httpx2.Client, url: str, headers: Mapping[str, str], **sent: Any
) -> ServiceAnswer | PushResult:
    """POST, and read the answer as JSON (None if it is none). Without an answer: a result that says whether it may
    have been heard.
    """
    try:
        answer = client.post(url, headers=dict(headers), timeout=TIMEOUT, **sent)
    except (httpx2.ConnectError, httpx2.ConnectTimeout):
        return PushResult(Came.RETRY, "no_connection")
    except (httpx2.HTTPError, httpx2.InvalidURL):
        return PushResult(Came.UNKNOWN, "no_answer")
    try:
        body = answer.json()
    except ValueError:
        body = None
    return ServiceAnswer(answer.status_code, body, answer.headers)
