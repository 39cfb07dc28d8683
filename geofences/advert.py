"""What a beacon sends into the air: advertisement bytes as a phone's scanner gives them, read or passed over.

Advertising data is a row of structures, each a length, a type and that much data (Bluetooth Core 5.3, vol. 3, C 11).
iBeacon and AltBeacon live in manufacturer data (type 0xFF), Eddystone in the service data of 0xFEAA (type 0x16).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import unpack
from uuid import UUID

from geofences.beacon import EDDYSTONE_TO_ONE_METRE_DB, BeaconId, EddystoneUid, IBeacon

MANUFACTURER, SERVICE_DATA = 0xFF, 0x16
IBEACON_PREFIX = b"\x4c\x00\x02\x15"
ALTBEACON_CODE = b"\xbe\xac"
EDDYSTONE_SERVICE = b"\xaa\xfe"
UID_FRAME, TLM_FRAME, PLAIN_TLM = 0x00, 0x20, 0x00
NO_TEMPERATURE = -0x8000


@dataclass(frozen=True, slots=True)
class Advert:
    """A beacon that tells who it is. `power_dbm` is its calibrated power at one metre."""

    heard_as: BeaconId
    power_dbm: int


@dataclass(frozen=True, slots=True)
class Telemetry:
    """How a beacon is: Eddystone-TLM, unencrypted. None where it does not say."""

    battery_mv: int | None
    temperature_c: float | None
    adverts: int
    uptime_seconds: float


def read_advert(data: bytes) -> Advert | Telemetry | None:
    """The first structure that is a beacon's; None when there is none. Whatever the bytes are, nothing is raised."""
    for kind, body in _structures(data):
        found: Advert | Telemetry | None = None
        if kind == MANUFACTURER:
            found = _ibeacon(body) or _altbeacon(body)
        elif kind == SERVICE_DATA and body[:2] == EDDYSTONE_SERVICE:
            found = _eddystone(body[2:])
        if found is not None:
            return found
    return None


def _structures(data: bytes) -> Iterator[tuple[int, bytes]]:
    start = 0
    while start + 1 < len(data) and data[start]:
        end = start + 1 + data[start]
        yield data[start + 1], data[start + 2 : end]
        start = end


def _ibeacon(body: bytes) -> Advert | None:
    if body[:4] != IBEACON_PREFIX or len(body) < 25:
        return None
    return _with_uuid(body[4:24], body[24:25])


def _altbeacon(body: bytes) -> Advert | None:
    """Any manufacturer's; of its 20 bytes the last four are read as major and minor, as senders do."""
    if body[2:4] != ALTBEACON_CODE or len(body) < 25:
        return None
    return _with_uuid(body[4:24], body[24:25])


def _with_uuid(ids: bytes, power: bytes) -> Advert:
    major, minor = unpack(">HH", ids[16:])
    return Advert(IBeacon(str(UUID(bytes=ids[:16])), major, minor), unpack("b", power)[0])


def _eddystone(frame: bytes) -> Advert | Telemetry | None:
    if frame[:1] == bytes([UID_FRAME]) and len(frame) >= 18:
        power = unpack("b", frame[1:2])[0] - EDDYSTONE_TO_ONE_METRE_DB
        return Advert(EddystoneUid(frame[2:12].hex(), frame[12:18].hex()), power)
    if frame[:2] == bytes([TLM_FRAME, PLAIN_TLM]) and len(frame) >= 14:
        battery, temperature, adverts, tenths = unpack(">HhII", frame[2:14])
        return Telemetry(
            battery_mv=battery or None,
            temperature_c=None if temperature == NO_TEMPERATURE else temperature / 256,
            adverts=adverts,
            uptime_seconds=tenths / 10,
        )
    return None
