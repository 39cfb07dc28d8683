"""The location webhook: authenticate, decode, check limits, append. 202 means the signals are in the log."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from config import Settings
from engine import metrics
from engine.keys import Keys, Scope
from engine.limits import RateLimit
from engine.log import SignalLog, Verdict
from engine.problem import FieldProblem, Problem
from engine.signals import Ping, decode_pings, encode_fixes
from engine.web import authenticate

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
EXAMPLE = {
    "pings": [
        {
            "device": "ana-phone",
            "at": "2026-11-24T09:00:00+01:00",
            "lat": 48.8353,
            "lon": 2.2410,
            "accuracy": 12,
        }
    ]
}


class Intake:
    """Takes batches of pings in."""

    def __init__(self, log: SignalLog, settings: Settings, now: Callable[[], datetime]) -> None:
        self._log = log
        self._settings = settings
        self._now = now

    def take(self, body: bytes) -> dict[str, Any]:
        """Append what may be appended. Answers ``{"accepted", "rejected"}``; raises `Problem` when nothing could be."""
        pings = decode_pings(body, self._settings.pings_per_body_limit)
        received_at = self._now().timestamp()
        codes: list[str] = [self._untimely(ping, received_at) for ping in pings]
        timely = [ping for ping, code in zip(pings, codes, strict=True) if not code]
        verdicts = self._log.append(encode_fixes(timely), received_at)
        codes = [code or verdicts[ping.device] for ping, code in zip(pings, codes, strict=True)]
        answer = _answer(codes)
        _count(codes)
        if not answer["accepted"]:
            _refuse_wholly(pings, codes, answer)
        return answer

    def _untimely(self, ping: Ping, received_at: float) -> str:
        age = received_at - ping.at_seconds
        if age > self._settings.ping_age_limit_seconds:
            return "too_old"
        return "in_future" if -age > self._settings.ping_future_limit_seconds else ""


def router(intake: Intake, keys: Keys, limit: RateLimit) -> APIRouter:
    """The routes that devices report to."""
    routes = APIRouter(tags=["signals"])

    @routes.post(
        "/v1/pings",
        operation_id="sendPings",
        summary="Report location fixes",
        status_code=202,
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": _documented()}}},
        responses={202: {"content": {"application/json": {"example": {"accepted": 1, "rejected": []}}}}},
    )
    async def send_pings(request: Request) -> JSONResponse:
        """Each ping is checked on its own; a schema error anywhere refuses the whole body, naming the field."""
        body = await request.body()
        authorization = request.headers.get("authorization")

        def take() -> dict[str, Any]:
            key = authenticate(keys, authorization, Scope.INGEST)
            limit.spend(key.id)
            return intake.take(body)

        return JSONResponse(await run_in_threadpool(take), status_code=202)

    return routes


def _answer(codes: Sequence[str]) -> dict[str, Any]:
    rejected = [
        {"index": index, "code": str(code), "detail": DETAILS[code]}
        for index, code in enumerate(codes)
        if code != Verdict.ACCEPTED
    ]
    return {"accepted": len(codes) - len(rejected), "rejected": rejected}


def _count(codes: Sequence[str]) -> None:
    for code, count in Counter(codes).items():
        if code == Verdict.ACCEPTED:
            metrics.PINGS_ACCEPTED.inc(count)
        else:
            metrics.PINGS_REJECTED.labels(str(code)).inc(count)


def _refuse_wholly(pings: Sequence[Ping], codes: Sequence[str], answer: dict[str, Any]) -> None:
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
            FieldProblem(f"pings[{index}].device", DETAILS[Verdict.UNKNOWN_DEVICE])
            for index in range(len(pings))
        ]
        raise Problem(
            422,
            "unknown_device",
            f"pings[0].device: {DETAILS[Verdict.UNKNOWN_DEVICE]}",
            errors[:20],
            **answer,
        )


def _documented() -> dict[str, Any]:
    ping = {
        "type": "object",
        "required": ["device", "at", "lat", "lon", "accuracy"],
        "additionalProperties": False,
        "properties": {
            "device": {"type": "string", "maxLength": 128},
            "at": {
                "oneOf": [
                    {"type": "string", "format": "date-time"},
                    {"type": "number", "description": "unix s"},
                ]
            },
            "lat": {"type": "number", "minimum": -90, "maximum": 90},
            "lon": {"type": "number", "minimum": -180, "maximum": 180},
            "accuracy": {"type": "number", "minimum": 0, "description": "metres, about 68 %; 0 is unknown"},
            "speed": {"type": "number", "description": "metres per second; negative is unknown"},
            "heading": {"type": "number", "description": "degrees from north; negative is unknown"},
            "activity": {"type": "string", "maxLength": 32},
            "id": {"type": "string", "maxLength": 64},
        },
    }
    body = {
        "type": "object",
        "required": ["pings"],
        "additionalProperties": False,
        "properties": {"pings": {"type": "array", "minItems": 1, "items": ping}},
    }
    return {"schema": body, "example": EXAMPLE}
