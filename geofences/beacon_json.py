"""Beacons as JSON: reading what people and fleets of other makes send, listing all that is wrong, and writing it."""

from collections.abc import Mapping
from re import fullmatch
from typing import Any
from uuid import UUID

from geofences.beacon import (
    DEFAULT_PATH_LOSS,
    PATH_LOSS_LIMITS,
    TX_POWER_LIMITS_DBM,
    ZONE_LIMIT_CHARS,
    Beacon,
    BeaconId,
    EddystoneUid,
    IBeacon,
)
from geofences.errors import FieldError, InvalidBeacon
from geofences.members import Members
from geofences.properties import ID_PATTERN, ID_RULE

IMPORT_LIMIT = 100_000
"""Beacons of one import."""
SIXTEEN_BITS = (0, 0xFFFF)
LATITUDES = (-90.0, 90.0)
LONGITUDES = (-180.0, 180.0)
UUID_PATTERN = r"^([0-9A-Fa-f]{32}|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})\Z"
NAMESPACE_PATTERN = r"^[0-9A-Fa-f]{20}\Z"
INSTANCE_PATTERN = r"^[0-9A-Fa-f]{12}\Z"
NEEDED = "a beacon needs uuid, major and minor, or namespace and instance"


def beacon_from_json(value: object, beacon_id: str | None = None) -> Beacon:
    """The beacon that an object describes. Raises `InvalidBeacon` with every field at fault.

    Its id is `beacon_id`, else the member ``id``, else the key of its radio ids. Upper-case ids are made lower case.
    """
    if not isinstance(value, Mapping):
        raise InvalidBeacon("a beacon must be a JSON object", (FieldError("", "must be an object"),))
    errors: list[FieldError] = []
    members = Members(value, errors)
    heard_as = _heard_as(members)
    path_loss = members.number("path_loss", PATH_LOSS_LIMITS)
    lat, lon = members.number("lat", LATITUDES), members.number("lon", LONGITUDES)
    if (value.get("lat") is None) != (value.get("lon") is None):
        members.refuse("lon" if value.get("lon") is None else "lat", "give both lat and lon, or neither")
    beacon = Beacon(
        id=_identity(members, beacon_id) or heard_as.key,
        heard_as=heard_as,
        geofence=_geofence(members),
        tx_power_dbm=members.number("tx_power", TX_POWER_LIMITS_DBM),
        path_loss=DEFAULT_PATH_LOSS if path_loss is None else path_loss,
        zone=members.line("zone", ZONE_LIMIT_CHARS),
        lat=lat,
        lon=lon,
    )
    for name in members.unread():
        members.refuse(name, "this field is not known here")
    if errors:
        listed = "; ".join(f"{error.field}: {error.detail}" for error in errors[:3])
        raise InvalidBeacon(f"this is no beacon: {listed}{' ...' * (len(errors) > 3)}", errors)
    return beacon


def beacons_from_json(value: object) -> tuple[dict[str, Beacon], list[FieldError]]:
    """The beacons of a list, each by its place (``[3]``), and all that is wrong with the others: also an id, or radio
    ids, that stand twice.
    """
    if not isinstance(value, list | tuple):
        return {}, [FieldError("", "must be a list of beacons")]
    if len(value) > IMPORT_LIMIT:
        return {}, [
            FieldError("", f"holds {len(value)} beacons, {IMPORT_LIMIT} are allowed; import in parts")
        ]
    beacons: dict[str, Beacon] = {}
    errors: list[FieldError] = []
    first: dict[tuple[str, str], str] = {}
    for index, each in enumerate(value):
        place = f"[{index}]"
        try:
            beacon = beacon_from_json(each)
        except InvalidBeacon as error:
            errors += [FieldError(f"{place}.{one.field}".rstrip("."), one.detail) for one in error.errors]
            continue
        for name, text in ((radio_field(beacon), beacon.heard_as.key), ("id", beacon.id)):
            before = first.setdefault((name, text), place)
            if before != place:
                errors.append(
                    FieldError(f"{place}.{name}", f"{before} has the same; each beacon has its own")
                )
                break
        else:
            beacons[place] = beacon
    return beacons, errors


def beacon_json(beacon: Beacon) -> dict[str, Any]:
    """A beacon as the API writes it; `beacon_from_json` reads it back."""
    known = {
        "geofence": beacon.geofence,
        "tx_power": beacon.tx_power_dbm,
        "path_loss": beacon.path_loss,
        "zone": beacon.zone,
        "lat": beacon.lat,
        "lon": beacon.lon,
    }
    return (
        {"id": beacon.id}
        | _radio(beacon.heard_as)
        | {name: value for name, value in known.items() if value is not None}
    )


def radio_field(beacon: Beacon) -> str:
    """The field that an error about the radio ids names."""
    return "uuid" if isinstance(beacon.heard_as, IBeacon) else "namespace"


def radio_ids(key: str) -> BeaconId:
    """The radio ids that have this key."""
    first, second, *third = key.split(":")
    return IBeacon(first, int(second), int(third[0])) if third else EddystoneUid(first, second)


def canonical_uuid(text: str) -> str:
    """A text of `UUID_PATTERN` as the key of a beacon has it: lower case, with hyphens."""
    return text.lower() if "-" in text else str(UUID(text))


def _heard_as(members: Members) -> BeaconId:
    """The radio ids, or any after telling what is wrong with them."""
    given = [name for name in ("uuid", "major", "minor") if members.given.get(name) is not None]
    others = [name for name in ("namespace", "instance") if members.given.get(name) is not None]
    uuid = _hex(members, "uuid", UUID_PATTERN, "a UUID: 32 hex digits, with hyphens or without")
    major, minor = members.whole("major", SIXTEEN_BITS), members.whole("minor", SIXTEEN_BITS)
    namespace = _hex(members, "namespace", NAMESPACE_PATTERN, "20 hex digits")
    instance = _hex(members, "instance", INSTANCE_PATTERN, "12 hex digits")
    if given and others:
        members.refuse(others[0], f"{NEEDED}, not both")
    elif others:
        _all_given(members, others, ("namespace", "instance"))
    else:
        _all_given(members, given, ("uuid", "major", "minor"))
    if others:
        return EddystoneUid(namespace or "0" * 20, instance or "0" * 12)
    return IBeacon(canonical_uuid(uuid or "0" * 32), major or 0, minor or 0)


def _all_given(members: Members, given: list[str], names: tuple[str, ...]) -> None:
    for name in names:
        if name not in given:
            members.refuse(name, f"is missing: {NEEDED}")


def _hex(members: Members, name: str, expected: str, words: str) -> str | None:
    value = members.take(name)
    if value is None:
        return None
    if not isinstance(value, str) or not fullmatch(expected, value):
        members.refuse(name, f"must be {words}")
        return None
    return value.lower()


def _identity(members: Members, beacon_id: str | None) -> str | None:
    own = members.take("id")
    if own is not None and not (isinstance(own, str) and fullmatch(ID_PATTERN, own)):
        members.refuse("id", ID_RULE)
    elif own is not None and beacon_id is not None and own != beacon_id:
        members.refuse("id", "differs from the id in the path; leave it out or make it the same")
    else:
        return beacon_id or own
    return None


def _geofence(members: Members) -> str:
    value = members.take("geofence")
    if isinstance(value, str) and fullmatch(ID_PATTERN, value):
        return value
    members.refuse("geofence", "must be the id of the geofence that the beacon hangs in")
    return ""


def _radio(heard_as: BeaconId) -> dict[str, Any]:
    if isinstance(heard_as, IBeacon):
        return {"uuid": heard_as.uuid, "major": heard_as.major, "minor": heard_as.minor}
    return {"namespace": heard_as.namespace, "instance": heard_as.instance}
