"""The webhook for pings and sightings: authenticate, decode, check limits, append. 202 means they are in the log.

It is the busiest door of all, so it stands before the framework: a bare ASGI application that knows two paths.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from config import Settings
from engine import keys as api_keys
from engine import metrics
from engine.appender import Appender
from engine.keys import ApiKey, Keys
from engine.limits import RateLimit
from engine.log import SignalLog, Verdict
from engine.problem import FieldProblem, Problem, response_to
from engine.signal_document import ANSWERS, request_of
from engine.signals import Report, SignalKind, decode_pings, decode_sightings
from engine.web import authenticate, away, permitted, read_body, secret_in

logger = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = "1"
DETAILS = {
    Verdict.UNKNOWN_DEVICE: "no subject has this device; put it on one with PUT /v1/subjects/{id}",
    Verdict.NO_CONSENT: "the device's subject does not allow location; nothing was stored",
    Verdict.LOG_FULL: "the signal log is full for now; send it again later",
    Verdict.UNAVAILABLE: "the signal log does not answer for now; send it again later",
    "too_old": "measured too long ago",
    "in_future": "measured in the future; set the phone's clock",
}
BUSY = (Verdict.LOG_FULL, Verdict.UNAVAILABLE)
DECODERS: Mapping[SignalKind, Callable[[bytes, int], Sequence[Report]]] = {
    SignalKind.PINGS: decode_pings,
    SignalKind.SIGHTINGS: decode_sightings,
}
ACCEPTED = {SignalKind.PINGS: metrics.PINGS_ACCEPTED, SignalKind.SIGHTINGS: metrics.SIGHTINGS_ACCEPTED}
REJECTED = {SignalKind.PINGS: metrics.PINGS_REJECTED, SignalKind.SIGHTINGS: metrics.SIGHTINGS_REJECTED}
PATHS: Mapping[str, SignalKind] = {f"/v1/{kind}": kind for kind in SignalKind}
"""Their bodies are decoded here, in one pass, and may be as large as a batch is."""
_encoder = msgspec.json.Encoder()
_JSON = (b"content-type", b"application/json")


@dataclass(frozen=True, slots=True)
class Reports:
    """What one body reports: all of it, what of that may be appended, and when it was received (unix seconds)."""

    kind: SignalKind
    received_at: float
    every: Sequence[Report]
    timely: Sequence[Report]
    codes: Sequence[str] | None
    """For each report the code of its refusal, "" where nothing stands against it so far; None when nothing does."""


class Intake:
    """What becomes of a body: which of its reports may be appended, and what its sender is told. Knows no HTTP."""

    def __init__(self, settings: Settings, now: Callable[[], datetime]) -> None:
        self._limit = settings.pings_per_body_limit
        self._age_limit_seconds = settings.ping_age_limit_seconds
        self._future_limit_seconds = settings.ping_future_limit_seconds
        self._now = now

    def read(self, kind: SignalKind, body: bytes) -> Reports:
        """Decode a body and check each report's time. Raises `Problem` for a body that breaks the contract."""
        reports = DECODERS[kind](body, self._limit)
        received_at = self._now().timestamp()
        oldest, newest = received_at - self._age_limit_seconds, received_at + self._future_limit_seconds
        ats = [report.at_seconds for report in reports]
        if oldest <= min(ats) and max(ats) <= newest:
            return Reports(kind, received_at, reports, reports, None)
        codes = ["" if oldest <= at <= newest else "too_old" if at < oldest else "in_future" for at in ats]
        timely = [report for report, code in zip(reports, codes, strict=True) if not code]
        return Reports(kind, received_at, reports, timely, codes)

    def answer(self, reports: Reports, verdicts: Mapping[str, Verdict]) -> bytes:
        """What the sender is told. Raises `Problem` when nothing was appended."""
        kind, before = reports.kind, reports.codes or [""] * len(reports.every)
        codes = [code or verdicts[each.device] for each, code in zip(reports.every, before, strict=True)]
        accepted = codes.count(Verdict.ACCEPTED)
        ACCEPTED[kind].inc(accepted)
        if accepted == len(codes):
            return b'{"accepted":%d,"rejected":[]}' % accepted
        for code, count in Counter(codes).items():
            if code != Verdict.ACCEPTED:
                REJECTED[kind].labels(str(code)).inc(count)
        answer = _answer(codes)
        if not accepted:
            _refuse_wholly(kind, codes, answer)
        return _encoder.encode(answer)


class SignalDoor:
    """ASGI: serves the two paths of signals itself, and hands everything else to the application behind it."""

    def __init__(
        self,
        app: ASGIApp,
        intake: Intake,
        log: SignalLog,
        keys: Keys,
        limit: RateLimit,
        body_limit_bytes: int,
    ) -> None:
        self._app = app
        self._intake = intake
        self._appender = Appender(log)
        self._keys = keys
        self._limit = limit
        self._body_limit_bytes = body_limit_bytes
        self._asking = asyncio.Lock()
        """One request asks a store about its key at a time; those that waited find what it has learned."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        kind = PATHS.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if kind is None:
            await self._app(scope, receive, send)
            return
        try:
            body = await self._take(kind, dict(scope["headers"]), receive)
        except Problem as problem:
            await response_to(problem)(scope, receive, send)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001  # the door is the outermost: nobody behind it would answer
            # The type alone: a message may quote a value, and a value may be personal.
            logger.error("%s failed: %s", scope["path"], type(error).__name__)  # noqa: TRY400
            failed = Problem(500, "internal_error", "something went wrong on our side; it was logged")
            await response_to(away(error) or failed)(scope, receive, send)
        else:
            length = (b"content-length", b"%d" % len(body))
            await send({"type": "http.response.start", "status": 202, "headers": [_JSON, length]})
            await send({"type": "http.response.body", "body": body})

    async def _take(self, kind: SignalKind, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        body = await read_body(receive, self._body_limit_bytes, headers)
        key = await self._key(headers.get(b"authorization", b"").decode("latin-1"))
        if not self._limit.spend_held(key.id):
            async with self._asking:
                if not self._limit.spend_held(key.id):
                    await run_in_threadpool(self._limit.spend, key.id)
        reports = self._intake.read(kind, body)
        timely = reports.timely
        verdicts = await self._appender.append(reports.received_at, timely) if timely else {}
        return self._intake.answer(reports, verdicts)

    async def _key(self, authorization: str) -> ApiKey:
        secret = secret_in(authorization)
        known = self._keys.trusted(secret) if secret else None
        if known is None:
            async with self._asking:
                known = self._keys.trusted(secret) if secret else None
                if known is None:
                    return await run_in_threadpool(
                        authenticate, self._keys, authorization, api_keys.Scope.INGEST
                    )
        return permitted(known, api_keys.Scope.INGEST)


def document() -> APIRouter:
    """The two paths as the API document shows them; the door serves them before a request gets here."""
    routes = APIRouter(tags=["signals"])

    @routes.post(
        "/v1/pings",
        operation_id="sendPings",
        summary="Report location fixes",
        status_code=202,
        openapi_extra=request_of(SignalKind.PINGS),
        responses=ANSWERS,
    )
    async def send_pings(_request: Request) -> Response:
        """Each ping is checked on its own; a schema error anywhere refuses the whole body, naming the field."""
        raise AssertionError("served by the door")

    @routes.post(
        "/v1/sightings",
        operation_id="sendSightings",
        summary="Report beacons heard",
        status_code=202,
        openapi_extra=request_of(SignalKind.SIGHTINGS),
        responses=ANSWERS,
    )
    async def send_sightings(_request: Request) -> Response:
        """As for pings. A sighting of a beacon that is not registered is accepted, and means nothing."""
        raise AssertionError("served by the door")

    return routes


def _answer(codes: Sequence[str]) -> dict[str, Any]:
    rejected = [
        {"index": index, "code": str(code), "detail": DETAILS[code]}
        for index, code in enumerate(codes)
        if code != Verdict.ACCEPTED
    ]
    return {"accepted": len(codes) - len(rejected), "rejected": rejected}


def _refuse_wholly(kind: SignalKind, codes: Sequence[str], answer: dict[str, Any]) -> None:
    """Nothing was accepted: say so by status where the sender can mend it, or should come back."""
    if any(code in BUSY for code in codes):
        raise Problem(
            503,
            "log_unavailable",
            DETAILS[Verdict.LOG_FULL],
            headers={"Retry-After": RETRY_AFTER_SECONDS},
            **answer,
        )
    if set(codes) == {Verdict.UNKNOWN_DEVICE}:
        errors = [
            FieldProblem(f"{kind}[{index}].device", DETAILS[Verdict.UNKNOWN_DEVICE])
            for index in range(len(codes))
        ]
        raise Problem(
            422,
            "unknown_device",
            f"{kind}[0].device: {DETAILS[Verdict.UNKNOWN_DEVICE]}",
            errors[:20],
            **answer,
        )
