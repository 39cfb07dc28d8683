"""A beacon: a small radio that hangs in a store, and the ids by which phones hear it."""

import re
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

ID_LIMIT_CHARS = 128
ZONE_LIMIT_CHARS = 64
TX_POWER_LIMITS_DBM = (-100, 20)
"""Calibrated power at one metre."""
PATH_LOSS_LIMITS = (1.0, 6.0)
DEFAULT_TX_POWER_DBM = -59
"""Stands in where neither the beacon nor the advertisement says its calibrated power."""
DEFAULT_PATH_LOSS = 2.7
"""2 in free space (Friis, 1946); 2.2 to 3 in shops and offices (ITU-R P.1238)."""
EDDYSTONE_TO_ONE_METRE_DB = 41
"""Eddystone gives its power at 0 m; 41 dB is what the first metre costs (Eddystone-UID specification)."""

_hex20 = re.compile(r"[0-9a-f]{20}")
_hex12 = re.compile(r"[0-9a-f]{12}")


class RegionChange(StrEnum):
    """What a phone says of a beacon without telling how loud it is: it has begun to hear it (Core Location's region
    events, Android's scan callbacks), or has not heard it for about half a minute.
    """

    ENTER = "enter"
    EXIT = "exit"


@dataclass(frozen=True, slots=True)
class IBeacon:
    """Apple's iBeacon, or an AltBeacon whose 20 bytes are used the same way. `uuid` is in canonical lower case."""

    uuid: str
    major: int
    minor: int

    def __post_init__(self) -> None:
        if str(UUID(self.uuid)) != self.uuid:
            raise ValueError("uuid must be in canonical lower case, as in 0f1e2d3c-...")
        if not (0 <= self.major <= 0xFFFF and 0 <= self.minor <= 0xFFFF):
            raise ValueError("major and minor must be 0 to 65535")

    @property
    def key(self) -> str:
        """One text for all three."""
        return f"{self.uuid}:{self.major}:{self.minor}"


@dataclass(frozen=True, slots=True)
class EddystoneUid:
    """Google's Eddystone-UID: ten bytes of namespace and six of instance, as lower-case hex."""

    namespace: str
    instance: str

    def __post_init__(self) -> None:
        if not _hex20.fullmatch(self.namespace) or not _hex12.fullmatch(self.instance):
            raise ValueError("namespace must be 20 and instance 12 lower-case hex digits")

    @property
    def key(self) -> str:
        """One text for both."""
        return f"{self.namespace}:{self.instance}"


BeaconId = IBeacon | EddystoneUid


@dataclass(frozen=True, slots=True)
class Beacon:
    """One beacon of the fleet. `geofence` is the id of the store it hangs in; `zone` names a part of the store;
    `tx_power_dbm` is the calibrated power at one metre, None when the advertisement's own is to be believed;
    `path_loss` is the exponent of the log-distance model at this place.
    """

    id: str
    heard_as: BeaconId
    geofence: str
    tx_power_dbm: float | None = None
    path_loss: float = DEFAULT_PATH_LOSS
    zone: str | None = None
    lat: float | None = None
    lon: float | None = None
