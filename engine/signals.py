"""What a device reports, with its limits: decoded from JSON in one pass, packed for the signal log in another."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from engine import strict_json
from engine.problem import FieldProblem, Problem

DeviceId = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._:@~-]+$")]


class Ping(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One location fix of a phone: degrees (WGS 84), metres, metres per second."""

    device: DeviceId
    at: Annotated[float, Meta(ge=0, le=1e11)] | Annotated[datetime, Meta(tz=True)]
    lat: Annotated[float, Meta(ge=-90, le=90)]
    lon: Annotated[float, Meta(ge=-180, le=180)]
    accuracy: Annotated[float, Meta(ge=0, le=1e6)]
    speed: Annotated[float, Meta(ge=-1, le=400)] | None = None
    heading: Annotated[float, Meta(ge=-1, le=360)] | None = None
    activity: Annotated[str, Meta(max_length=32)] | None = None
    id: Annotated[str, Meta(max_length=64)] | None = None

    @property
    def at_seconds(self) -> float:
        """When the phone measured it, in unix seconds of the phone's clock."""
        return self.at.timestamp() if isinstance(self.at, datetime) else self.at


class PingBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /v1/pings``."""

    pings: list[Ping]


class Fix(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A ping as the signal log holds it. A negative speed or heading, by which phones say unknown, is None."""

    at: float
    lat: float
    lon: float
    accuracy: float
    speed: float | None
    heading: float | None
    activity: str | None


_body_decoder = msgspec.json.Decoder(PingBody)
_fixes_encoder = msgspec.msgpack.Encoder()
_fixes_decoder = msgspec.msgpack.Decoder(list[Fix])
_where = re.compile(r" - at `\$(?P<path>[^`]*)`$")
_named = re.compile(r"(?:unknown|required) field `(?P<name>[^`]*)`")
_keys = tuple(f'"{name}"'.encode() for name in Ping.__struct_fields__)


def decode_pings(body: bytes, limit: int) -> list[Ping]:
    """The pings of a request body, each within its limits.

    Raises `Problem`: 400 for what is no JSON, 422 naming the first field that is wrong, and why.
    """
    try:
        pings = _body_decoder.decode(body).pings
    except msgspec.ValidationError as error:
        strict_json.loads(body)
        raise _problem(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        strict_json.loads(body)  # says what is wrong, and where: also NaN, which is JSON to some writers
        raise Problem(400, "malformed_json", "the body is not JSON") from None
    if not pings:
        raise _invalid("pings", "at least one ping is needed")
    if len(pings) > limit:
        raise _invalid("pings", f"{len(pings)} pings in one body; at most {limit} are allowed")
    if _may_repeat_a_key(body, len(pings)):
        strict_json.loads(body)
    return pings


def encode_fixes(pings: Sequence[Ping]) -> Mapping[str, bytes]:
    """For each device, its pings packed for the signal log, in the order given."""
    by_device: dict[str, list[Fix]] = defaultdict(list)
    for ping in pings:
        by_device[ping.device].append(
            Fix(
                ping.at_seconds,
                ping.lat,
                ping.lon,
                ping.accuracy,
                _known(ping.speed),
                _known(ping.heading),
                ping.activity,
            )
        )
    return {device: _fixes_encoder.encode(fixes) for device, fixes in by_device.items()}


def decode_fixes(data: bytes) -> list[Fix]:
    """What `encode_fixes` packed for one device."""
    return _fixes_decoder.decode(data)


def _known(value: float | None) -> float | None:
    return None if value is None or value < 0 else value


def _may_repeat_a_key(body: bytes, count: int) -> bool:
    """Whether a key may stand twice in one ping; cheap, and on the safe side (a value may look like a key)."""
    return b"\\" in body or any(body.count(key) > count for key in _keys) or body.count(b'"pings"') > 1


def _problem(message: str) -> Problem:
    place = _where.search(message)
    path = place["path"].lstrip(".") if place else ""
    detail = _where.sub("", message)
    if name := _named.search(detail):
        path = f"{path}.{name['name']}" if path else name["name"]
    return _invalid(path or "body", detail.replace("Object", "the object").replace("Expected", "expected"))


def _invalid(field: str, detail: str) -> Problem:
    return Problem(422, "invalid_body", f"{field}: {detail}", (FieldProblem(field, detail),))
