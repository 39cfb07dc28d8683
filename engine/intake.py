"""The webhook for pings and sightings, without its HTTP: what of a body may be appended, and what its sender is told."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from config import Settings
from engine import metrics
from engine.doors.problem import FieldProblem, Problem
from engine.log import Refusal
from engine.signal_document import ANSWERS, request_of
from engine.signals import Report, Sighting, SignalKind, decode_pings, decode_sightings, times_of

RETRY_AFTER_SECONDS = "1"
DETAILS = {
    Refusal.UNKNOWN_DEVICE: "no subject has this device; put it on one with PUT /v1/subjects/{id}",
    Refusal.NO_CONSENT: "the device's subject does not allow location; nothing was stored",
    Refusal.LOG_FULL: "the signal log is full for now; send it again later",
    Refusal.UNAVAILABLE: "the signal log does not answer for now; send it again later",
    "too_old": "measured too long ago",
    "in_future": "measured in the future; set the phone's clock",
    "no_beacon": "the advert is not one by which a beacon says who it is",
}
BUSY = (Refusal.LOG_FULL, Refusal.UNAVAILABLE)
DECODERS: Mapping[SignalKind, Callable[[bytes, int], Sequence[Report]]] = {
    SignalKind.PINGS: decode_pings,
    SignalKind.SIGHTINGS: decode_sightings,
}
ACCEPTED = {SignalKind.PINGS: metrics.PINGS_ACCEPTED, SignalKind.SIGHTINGS: metrics.SIGHTINGS_ACCEPTED}
REJECTED = {SignalKind.PINGS: metrics.PINGS_REJECTED, SignalKind.SIGHTINGS: metrics.SIGHTINGS_REJECTED}
_encoder = msgspec.json.Encoder()


class Reports(msgspec.Struct, frozen=True, gc=False):
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

    def read(self, kind: SignalKind, body: bytes, devices: str = "") -> Reports:
        """Decode a body and check each report's time. A device whose name does not begin with `devices` is told to be unknown,
        whether or not there is one. Raises `Problem` for a body that breaks the contract.
        """
        reports = DECODERS[kind](body, self._limit)
        received_at = self._now().timestamp()
        oldest, newest = received_at - self._age_limit_seconds, received_at + self._future_limit_seconds
        ats = times_of(reports)
        strange = (
            [row for row, each in enumerate(reports) if not each.device.startswith(devices)]
            if devices
            else []
        )
        mute = _without_beacon(reports) if kind is SignalKind.SIGHTINGS else []
        if oldest <= min(ats) and max(ats) <= newest and not strange and not mute:
            return Reports(kind, received_at, reports, reports, None)
        codes = ["" if oldest <= at <= newest else "too_old" if at < oldest else "in_future" for at in ats]
        for row in mute:
            codes[row] = codes[row] or "no_beacon"
        for row in strange:
            codes[row] = codes[row] or Refusal.UNKNOWN_DEVICE
        timely = [report for report, code in zip(reports, codes, strict=True) if not code]
        return Reports(kind, received_at, reports, timely, codes)

    def answer(self, reports: Reports, refusals: Mapping[str, Refusal]) -> bytes:
        """What the sender is told, by what the log refused. Raises `Problem` when nothing was appended."""
        kind, before = reports.kind, reports.codes
        if before is None and not refusals:
            ACCEPTED[kind].inc(len(reports.every))
            return b'{"accepted":%d,"rejected":[]}' % len(reports.every)
        codes = [
            code or refusals.get(each.device, "")
            for each, code in zip(reports.every, before or [""] * len(reports.every), strict=True)
        ]
        accepted = codes.count("")
        ACCEPTED[kind].inc(accepted)
        for code, count in Counter(filter(None, codes)).items():
            REJECTED[kind].labels(str(code)).inc(count)
        answer = _answer(codes)
        if not accepted:
            _refuse_wholly(kind, codes, answer)
        return _encoder.encode(answer)


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


def _without_beacon(reports: Sequence[Report]) -> list[int]:
    """The rows of sightings whose advertisement was no beacon's."""
    return [row for row, each in enumerate(reports) if isinstance(each, Sighting) and each.beacon is None]


def _answer(codes: Sequence[str]) -> dict[str, Any]:
    rejected = [
        {"index": index, "code": str(code), "detail": DETAILS[code]}
        for index, code in enumerate(codes)
        if code
    ]
    return {"accepted": len(codes) - len(rejected), "rejected": rejected}


def _refuse_wholly(kind: SignalKind, codes: Sequence[str], answer: dict[str, Any]) -> None:
    """Nothing was accepted: say so by status where the sender can mend it, or should come back."""
    if any(code in BUSY for code in codes):
        raise Problem(
            503,
            "log_unavailable",
            DETAILS[Refusal.LOG_FULL],
            headers={"Retry-After": RETRY_AFTER_SECONDS},
            **answer,
        )
    if set(codes) == {Refusal.UNKNOWN_DEVICE}:
        errors = [
            FieldProblem(f"{kind}[{index}].device", DETAILS[Refusal.UNKNOWN_DEVICE])
            for index in range(len(codes))
        ]
        raise Problem(
            422,
            "unknown_device",
            f"{kind}[0].device: {DETAILS[Refusal.UNKNOWN_DEVICE]}",
            errors[:20],
            **answer,
        )
