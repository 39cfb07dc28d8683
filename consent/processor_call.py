"""Passes erasures on to the processors that can be called: a signed POST each, again until it is taken.

Signed as Standard Webhooks are: HMAC-SHA256 over id, time and body, so that a processor knows it from a forgery and a
repetition from news. An SMS provider that has an interface of its own for erasing gets a function beside `post`.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

import httpx2
from sqlalchemy import Engine

from consent import processor_store
from consent.processor import Processor
from consent.processor_store import ErasureNotice
from consent.standard_webhook import signed_headers

BATCH = 20
TIMEOUT_SECONDS = 10.0
ANSWER_LIMIT_BYTES = 65_536

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CallResult:
    """What a call came to: the HTTP status or the kind of failure, and the proof if the processor took it."""

    answer: str
    proof: str | None


@dataclass(frozen=True, slots=True)
class Courier:
    """Tells `processors` of erasures. Any number may run side by side; a processor may be told twice, never not."""

    writes: Engine
    now: Callable[[], datetime]
    processors: Sequence[Processor]
    _by_name: Mapping[str, Processor] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {each.name: each for each in self.processors})

    def run_once(self) -> int:
        """Call for every notice whose time has come; answers how many were taken."""
        with self.writes.begin() as conn:
            notices = processor_store.take_due(conn, self.now(), BATCH)
        taken = 0
        for notice in notices:
            processor = self._by_name.get(notice.processor)
            result = (
                CallResult("not configured any more", None)
                if processor is None or not processor.url
                else post(processor, notice, self.now())
            )
            with self.writes.begin() as conn:
                state = processor_store.settle(conn, notice, result.answer, result.proof, self.now())
            taken += result.proof is not None
            _logger.info(
                "erasure notice %s to %s: %s, now %s", notice.id, notice.processor, result.answer, state
            )
        return taken


def post(processor: Processor, notice: ErasureNotice, now: datetime) -> CallResult:
    """One call. Any 2xx is taken; the proof is a digest of the answer. No redirect is followed."""
    body = json.dumps(
        {
            "type": "subject.erased",
            "timestamp": notice.created_at.isoformat(),
            "data": {"subject": notice.subject},
        }
    ).encode()
    headers = {"Content-Type": "application/json", **signed_headers([processor.secret], notice.id, now, body)}
    try:
        with (
            httpx2.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False, trust_env=False) as client,
            client.stream("POST", processor.url, content=body, headers=headers) as answer,
        ):
            digest, size = sha256(), 0
            for part in answer.iter_bytes():
                size += len(part)
                if size > ANSWER_LIMIT_BYTES:
                    break
                digest.update(part)
            proof = f"sha256:{digest.hexdigest()}" if answer.is_success else None
            return CallResult(str(answer.status_code), proof)
    except httpx2.HTTPError as error:
        return CallResult(type(error).__name__, None)
