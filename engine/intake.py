"""The webhook for pings and sightings: authenticate, decode, check limits, append. 202 means they are in the log."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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
from engine.signal_document import ANSWERS, request_of
from engine.signals import Signal, SignalKind, decode_pings, decode_sightings, encode_signals
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
DECODERS: Mapping[SignalKind, Callable[[bytes, int], Sequence[Signal]]] = {
    SignalKind.PINGS: decode_pings,
    SignalKind.SIGHTINGS: decode_sightings,
}
ACCEPTED = {SignalKind.PINGS: metrics.PINGS_ACCEPTED, SignalKind.SIGHTINGS: metrics.SIGHTINGS_ACCEPTED}
REJECTED = {SignalKind.PINGS: metrics.PINGS_REJECTED, SignalKind.SIGHTINGS: metrics.SIGHTINGS_REJECTED}
PATHS = frozenset({"/v1/pings", "/v1/sightings"})
"""Their bodies are decoded here, in one pass, and may be as large as a batch is."""


class Intake:
    """Takes batches of signals in, whatever their kind."""

    def __init__(self, log: SignalLog, settings: Settings, now: Callable[[], datetime]) -> None:
        self._log = log
        self._settings = settings
        self._now = now

    def take(self, kind: SignalKind, body: bytes) -> dict[str, Any]:
        """Append what may be appended. Answers ``{"accepted", "rejected"}``; raises `Problem` when nothing could be."""
        signals = DECODERS[kind](body, self._settings.pings_per_body_limit)
        received_at = self._now().timestamp()
        codes: list[str] = [self._untimely(signal, received_at) for signal in signals]
        timely = [signal for signal, code in zip(signals, codes, strict=True) if not code]
        verdicts = self._log.append(encode_signals(timely), received_at)
        codes = [code or verdicts[signal.device] for signal, code in zip(signals, codes, strict=True)]
        answer = _answer(codes)
        _count(kind, codes)
        if not answer["accepted"]:
            _refuse_wholly(kind, codes, answer)
        return answer

    def _untimely(self, signal: Signal, received_at: float) -> str:
        age = received_at - signal.at_seconds
        if age > self._settings.ping_age_limit_seconds:
            return "too_old"
        return "in_future" if -age > self._settings.ping_future_limit_seconds else ""


def router(intake: Intake, keys: Keys, limit: RateLimit) -> APIRouter:
    """The routes that devices report to."""
    routes = APIRouter(tags=["signals"])

    async def receive(kind: SignalKind, request: Request) -> JSONResponse:
        body = await request.body()
        authorization = request.headers.get("authorization")

        def take() -> dict[str, Any]:
            key = authenticate(keys, authorization, Scope.INGEST)
            limit.spend(key.id)
            return intake.take(kind, body)

        return JSONResponse(await run_in_threadpool(take), status_code=202)

    @routes.post(
        "/v1/pings",
        operation_id="sendPings",
        summary="Report location fixes",
        status_code=202,
        openapi_extra=request_of(SignalKind.PINGS),
        responses=ANSWERS,
    )
    async def send_pings(request: Request) -> JSONResponse:
        """Each ping is checked on its own; a schema error anywhere refuses the whole body, naming the field."""
        return await receive(SignalKind.PINGS, request)

    @routes.post(
        "/v1/sightings",
        operation_id="sendSightings",
        summary="Report beacons heard",
        status_code=202,
        openapi_extra=request_of(SignalKind.SIGHTINGS),
        responses=ANSWERS,
    )
    async def send_sightings(request: Request) -> JSONResponse:
        """As for pings. A sighting of a beacon that is not registered is accepted, and means nothing."""
        return await receive(SignalKind.SIGHTINGS, request)

    return routes


def _answer(codes: Sequence[str]) -> dict[str, Any]:
    rejected = [
        {"index": index, "code": str(code), "detail": DETAILS[code]}
        for index, code in enumerate(codes)
        if code != Verdict.ACCEPTED
    ]
    return {"accepted": len(codes) - len(rejected), "rejected": rejected}


def _count(kind: SignalKind, codes: Sequence[str]) -> None:
    for code, count in Counter(codes).items():
        if code == Verdict.ACCEPTED:
            ACCEPTED[kind].inc(count)
        else:
            REJECTED[kind].labels(str(code)).inc(count)


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
