"""What a device reports, with its limits: decoded from JSON in one pass, packed for the signal log in another."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from engine.doors import strict_json
from engine.doors.problem import FieldProblem, Problem
from geofences.advert import Advert, Telemetry, read_advert
from geofences.beacon import TX_POWER_LIMITS_DBM, BeaconId, IBeacon, RegionChange
from geofences.beacon_json import INSTANCE_PATTERN, NAMESPACE_PATTERN, UUID_PATTERN, canonical_uuid

PING_KEYS = 5
SIGHTING_KEYS = 4
"""Those that each must have."""
ADVERT_PATTERN = r"^([0-9A-Fa-f]{2}){1,255}\Z"
SPACES_AFTER_TEXT = (b'" ', b'"\t', b'"\n', b'"\r')
RSSI_LIMITS_DBM = (-127, 20)
"""What a phone can hear; also the limits of Bluetooth's own event."""
Instant = Annotated[float, Meta(ge=0, le=1e11)] | Annotated[datetime, Meta(tz=True)]
DEVICE_PATTERN = r"^[A-Za-z0-9._:@~-]+\Z"
DeviceId = Annotated[str, Meta(min_length=1, max_length=128)]
"""Of the characters of `DEVICE_PATTERN`, which is checked for a whole body at once."""


class SignalKind(StrEnum):
    """What a body brings; the value is its one member."""

    PINGS = "pings"
    SIGHTINGS = "sightings"


class Ping(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One location fix of a phone: degrees (WGS 84), metres, metres per second."""

    device: DeviceId
    at: Instant
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
        return _seconds(self.at)

    @property
    def keys(self) -> int:
        """How many members it was written with, unless one was null."""
        optional = (self.speed, self.heading, self.activity, self.id)
        return PING_KEYS + len(optional) - optional.count(None)


class HeardBeacon(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The ids that a beacon sends: uuid, major and minor (iBeacon, AltBeacon), or namespace and instance (Eddystone). Of
    a region that phones watch as one the last may be absent.
    """

    uuid: Annotated[str, Meta(pattern=UUID_PATTERN)] | None = None
    major: Annotated[int, Meta(ge=0, le=0xFFFF)] | None = None
    minor: Annotated[int, Meta(ge=0, le=0xFFFF)] | None = None
    namespace: Annotated[str, Meta(pattern=NAMESPACE_PATTERN)] | None = None
    instance: Annotated[str, Meta(pattern=INSTANCE_PATTERN)] | None = None

    def __post_init__(self) -> None:
        """Refuse what is neither one nor the other; the decoder adds where it stands."""
        absent = [self.uuid, self.major, self.minor].count(None), [self.namespace, self.instance].count(None)
        if absent in {(0, 2), (3, 0)}:
            return
        if absent[0] < 3 and absent[1] < 2:
            raise ValueError("give uuid, major and minor, or namespace and instance, not both")
        missing = self.missing
        if missing in ("uuid", "namespace") or (missing == "major" and self.minor is not None):
            raise ValueError(f"Object missing required field `{missing}`")

    @property
    def missing(self) -> str | None:
        """The first member that one beacon would have, but a region has not."""
        if self.minor is not None and self.major is not None and self.uuid is not None:
            return None
        if self.namespace is not None or self.instance is not None:
            return "namespace" if self.namespace is None else "instance" if self.instance is None else None
        of_ibeacon = {"uuid": self.uuid, "major": self.major, "minor": self.minor}
        return next((name for name, each in of_ibeacon.items() if each is None), None)

    @property
    def keys(self) -> int:
        """How many members it has."""
        return 5 - [self.uuid, self.major, self.minor, self.namespace, self.instance].count(None)

    @classmethod
    def of(cls, heard_as: BeaconId) -> "HeardBeacon":
        """These ids."""
        if isinstance(heard_as, IBeacon):
            return cls(uuid=heard_as.uuid, major=heard_as.major, minor=heard_as.minor)
        return cls(namespace=heard_as.namespace, instance=heard_as.instance)

    @property
    def key(self) -> str:
        """One text for all of them, as `geofences.beacon` has it; its beginning for a region."""
        if self.uuid is None:
            whole = self.namespace if self.instance is None else f"{self.namespace}:{self.instance}"
            return (whole or "").lower()
        if self.minor is not None:
            return f"{canonical_uuid(self.uuid)}:{self.major}:{self.minor}"
        return canonical_uuid(self.uuid) + ("" if self.major is None else f":{self.major}")


class Sighting(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One advertisement that a phone heard of a beacon: dBm; `tx_power` is what it said of its own power at 1 m. In
    place of `rssi` there may be an `event`, by which the phone says that it began or ceased to hear the beacon; in place
    of `beacon` the `advert` itself, in hex, which then says what the two say: nothing if it is no beacon's. Beside
    `beacon` it may be telemetry, which does not say whose it is.
    """

    device: DeviceId
    at: Instant
    rssi: Annotated[float, Meta(ge=RSSI_LIMITS_DBM[0], le=RSSI_LIMITS_DBM[1])] | None = None
    beacon: HeardBeacon | None = None
    tx_power: Annotated[float, Meta(ge=-128, le=127)] | None = None
    battery_mv: Annotated[int, Meta(ge=0, le=0xFFFF)] | None = None
    """As its telemetry says (Eddystone-TLM); 0 is unknown."""
    id: Annotated[str, Meta(max_length=64)] | None = None
    event: RegionChange | None = None
    advert: Annotated[str, Meta(pattern=ADVERT_PATTERN)] | None = None

    def __post_init__(self) -> None:
        """Refuse what says the same twice or not at all; read the advertisement."""
        if (self.rssi is None) == (self.event is None):
            raise _one_of("rssi", "event", given=self.rssi is not None)
        if self.advert is not None:
            self._read(read_advert(bytes.fromhex(self.advert)))
        elif self.beacon is None:
            raise _one_of("beacon", "advert", given=False)
        if self.event is None and self.beacon is not None and (missing := self.beacon.missing):
            raise ValueError(f"Object missing required field `beacon.{missing}`")

    def _read(self, found: Advert | Telemetry | None) -> None:
        if isinstance(found, Telemetry):
            self.battery_mv = self.battery_mv or found.battery_mv
        elif self.beacon is not None:
            raise _one_of("beacon", "advert", given=True)
        elif found is not None:
            self.beacon, self.tx_power = HeardBeacon.of(found.heard_as), found.power_dbm

    @property
    def at_seconds(self) -> float:
        """When the phone heard it, in unix seconds of the phone's clock."""
        return _seconds(self.at)

    @property
    def heard(self) -> "Heard":
        """The same as the signal log holds it; only where `beacon` is known."""
        if self.beacon is None:
            raise ValueError("no beacon's advertisement")
        return Heard.of(self.at_seconds, self.rssi, self.tx_power, self.beacon, self.battery_mv, self.event)

    @property
    def keys(self) -> int:
        """How many members it was written with, those of its beacon included, unless one was null; 0 where an
        advertisement has said some of them.
        """
        if self.advert is not None or self.beacon is None:
            return 0
        optional = (self.tx_power, self.battery_mv, self.id)
        return SIGHTING_KEYS + self.beacon.keys + len(optional) - optional.count(None)


Report = Ping | Sighting
R = TypeVar("R", Ping, Sighting)


class PingBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /v1/pings``."""

    pings: list[Ping]


class SightingBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /v1/sightings``."""

    sightings: list[Sighting]


class Fix(msgspec.Struct, frozen=True, gc=False):
    """A ping as detection takes it. A negative speed or heading, by which phones say unknown, is None."""

    at: float
    lat: float
    lon: float
    accuracy: float
    speed: float | None
    heading: float | None


class Heard(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A sighting as the signal log holds it; `beacon` is the key of the radio ids. `rssi` is None where the phone only
    says that it began or ceased to hear it. A power at 1 m that no beacon can have, by which misconfigured ones are told,
    is None.
    """

    at: float
    rssi: float | None
    tx_power: float | None
    beacon: str
    battery_mv: int | None = None
    region: RegionChange | None = None

    @classmethod
    def of(
        cls,
        at: float,
        rssi: float | None,
        tx_power: float | None,
        beacon: HeardBeacon,
        battery_mv: int | None = None,
        region: RegionChange | None = None,
    ) -> "Heard":
        """From what a phone reported."""
        least, most = TX_POWER_LIMITS_DBM
        believed = tx_power if tx_power is not None and least <= tx_power <= most else None
        return cls(at, rssi, believed, beacon.key, battery_mv or None, region)


class Signal(msgspec.Struct, frozen=True, gc=False):
    """One signal as it arrived: whose it is, when it was received (unix seconds of our clock), and what it says."""

    device: str
    received_at: float
    what: Fix | Heard


_ping_decoder = msgspec.json.Decoder(PingBody)
_sighting_decoder = msgspec.json.Decoder(SightingBody)
_where = re.compile(r" - at `\$(?P<path>[^`]*)`$")
_named = re.compile(r"(?:unknown|required) field `(?P<name>[^`]*)`")
_device_ids = re.compile(DEVICE_PATTERN)


def decode_pings(body: bytes, limit: int) -> list[Ping]:
    """The pings of a request body, each within its limits.

    Raises `Problem`: 400 for what is no JSON, 422 naming the first field that is wrong, and why.
    """
    return _decode(body, limit, SignalKind.PINGS, lambda: _ping_decoder.decode(body).pings)


def decode_sightings(body: bytes, limit: int) -> list[Sighting]:
    """The sightings of a request body; otherwise as `decode_pings`."""
    return _decode(body, limit, SignalKind.SIGHTINGS, lambda: _sighting_decoder.decode(body).sightings)


def _decode(body: bytes, limit: int, kind: SignalKind, read: Callable[[], list[R]]) -> list[R]:
    try:
        signals = read()
    except msgspec.ValidationError as error:
        strict_json.loads(body)
        raise _problem(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        strict_json.loads(body)  # says what is wrong, and where: also NaN, which is JSON to some writers
        raise Problem(400, "malformed_json", "the body is not JSON") from None
    if not signals:
        raise _invalid(kind, f"at least one of the {kind} is needed")
    if len(signals) > limit:
        raise _invalid(kind, f"{len(signals)} {kind} in one body; at most {limit} are allowed")
    if not _device_ids.match("".join([signal.device for signal in signals])):
        row = next(row for row, signal in enumerate(signals) if not _device_ids.match(signal.device))
        raise _invalid(f"{kind}[{row}].device", f"expected text that matches {DEVICE_PATTERN}")
    if _may_repeat_a_key(body, signals):
        strict_json.loads(body)
    return signals


def _one_of(name: str, other: str, *, given: bool) -> ValueError:
    """Of two members that stand for each other both are given, or none."""
    told = f"give {name} or {other}, not both" if given else f"Object missing required field `{name}`"
    return ValueError(told)


def times_of(reports: Sequence[Report]) -> list[float]:
    """When each was measured, in unix seconds of the phone's clock."""
    ats: list[Any] = [report.at for report in reports]
    return ats if set(map(type, ats)) == {float} else [_seconds(at) for at in ats]


def _seconds(at: float | datetime) -> float:
    return at.timestamp() if isinstance(at, datetime) else at


def known(value: float | None) -> float | None:
    """The value; None where a negative one stands for unknown."""
    return None if value is None or value < 0 else value


def _may_repeat_a_key(body: bytes, signals: Sequence[Ping] | Sequence[Sighting]) -> bool:
    """Whether there may be more keys in a body than what was read from it needs; cheap, and on the safe side: a value
    may hold a colon, or be null.
    """
    if b"\\" in body:
        return True
    colons = body.count(b":")
    if isinstance(signals[0], Ping) and colons == 1 + PING_KEYS * len(signals):
        return False  # fewer there cannot be
    keys = 1 + sum([signal.keys for signal in signals])
    if colons == keys:
        return False
    return body.count(b'":') != keys or any(space in body for space in SPACES_AFTER_TEXT)


def _problem(message: str) -> Problem:
    place = _where.search(message)
    path = place["path"].lstrip(".") if place else ""
    detail = _where.sub("", message)
    if name := _named.search(detail):
        path = f"{path}.{name['name']}" if path else name["name"]
    return _invalid(path or "body", detail.replace("Object", "the object").replace("Expected", "expected"))


def _invalid(field: str, detail: str) -> Problem:
    return Problem(422, "invalid_body", f"{field}: {detail}", (FieldProblem(field, detail),))
