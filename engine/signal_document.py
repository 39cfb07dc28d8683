"""What the API document says of signals: the shape of each, its limits in words of JSON Schema, and an example."""

from typing import Any

from engine.signals import RSSI_LIMITS_DBM, SignalKind
from geofences.beacon import RegionChange

INSTANT = {
    "oneOf": [
        {"type": "string", "format": "date-time"},
        {"type": "number", "description": "unix s"},
    ]
}
DEVICE = {"type": "string", "minLength": 1, "maxLength": 128}
OWN_ID = {"type": "string", "maxLength": 64}
SIXTEEN_BITS = {"type": "integer", "minimum": 0, "maximum": 65535}


def _object(properties: dict[str, Any], required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "required": required.split(),
        "additionalProperties": False,
        "properties": properties,
    }


PING = _object(
    {
        "device": DEVICE,
        "at": INSTANT,
        "lat": {"type": "number", "minimum": -90, "maximum": 90},
        "lon": {"type": "number", "minimum": -180, "maximum": 180},
        "accuracy": {"type": "number", "minimum": 0, "description": "metres, about 68 %; 0 is unknown"},
        "speed": {"type": "number", "description": "metres per second; negative is unknown"},
        "heading": {"type": "number", "description": "degrees from north; negative is unknown"},
        "activity": {"type": "string", "maxLength": 32},
        "id": OWN_ID,
    },
    "device at lat lon accuracy",
)
IBEACON = _object(
    {"uuid": {"type": "string", "format": "uuid"}, "major": SIXTEEN_BITS, "minor": SIXTEEN_BITS},
    "uuid",
)
EDDYSTONE = _object(
    {
        "namespace": {"type": "string", "pattern": "^[0-9A-Fa-f]{20}$"},
        "instance": {"type": "string", "pattern": "^[0-9A-Fa-f]{12}$"},
    },
    "namespace",
)
SIGHTING = _object(
    {
        "device": DEVICE,
        "at": INSTANT,
        "rssi": {
            "type": "number",
            "minimum": RSSI_LIMITS_DBM[0],
            "maximum": RSSI_LIMITS_DBM[1],
            "description": "dBm",
        },
        "event": {
            "enum": [each.value for each in RegionChange],
            "description": "in place of rssi: the phone began to hear the beacon, or has not heard it for a while",
        },
        "beacon": {
            "oneOf": [IBEACON, EDDYSTONE],
            "description": "with rssi all its ids; with event also those of a region: the last may be absent",
        },
        "advert": {
            "type": "string",
            "pattern": "^([0-9A-Fa-f]{2}){1,255}$",
            "description": "in place of beacon and tx_power: the advertisement that was heard, in hex; beside beacon: "
            "its telemetry (Eddystone-TLM)",
        },
        "tx_power": {
            "type": "number",
            "minimum": -128,
            "maximum": 127,
            "description": "dBm at one metre, as the advertisement says; one that cannot be is as unknown",
        },
        "battery_mv": {
            "type": "integer",
            "minimum": 0,
            "maximum": 65535,
            "description": "the beacon's battery, as its telemetry says; 0 is unknown",
        },
        "id": OWN_ID,
    },
    "device at",
)
SIGHTING["allOf"] = [
    {"oneOf": [{"required": ["rssi"]}, {"required": ["event"]}]},
    {"anyOf": [{"required": ["beacon"]}, {"required": ["advert"]}]},
]
SIGNALS = {SignalKind.PINGS: PING, SignalKind.SIGHTINGS: SIGHTING}
EXAMPLES: dict[SignalKind, dict[str, Any]] = {
    SignalKind.PINGS: {
        "device": "ana-phone",
        "at": "2026-11-24T09:00:00+01:00",
        "lat": 48.8353,
        "lon": 2.2410,
        "accuracy": 12,
    },
    SignalKind.SIGHTINGS: {
        "device": "ana-phone",
        "at": "2026-11-24T09:00:05+01:00",
        "rssi": -71,
        "beacon": {"uuid": "f7826da6-4fa2-4e98-8024-bc5b71e0893e", "major": 101, "minor": 1},
        "tx_power": -59,
    },
}
ANSWERS: dict[int | str, dict[str, Any]] = {
    202: {"content": {"application/json": {"example": {"accepted": 1, "rejected": []}}}}
}


def request_of(kind: SignalKind) -> dict[str, Any]:
    """The request that brings signals of this kind."""
    schema = _object({kind.value: {"type": "array", "minItems": 1, "items": SIGNALS[kind]}}, kind.value)
    example = {kind.value: [EXAMPLES[kind]]}
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema, "example": example}},
        }
    }
