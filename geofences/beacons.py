"""The beacons of a fleet by what phones hear of them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate

from geofences.beacon import Beacon


@dataclass(frozen=True, slots=True)
class Beacons:
    """A fleet as one value: from the key of the radio ids (`BeaconId.key`) to the beacon that sends them, and from the
    beginnings of keys that phones watch as one region (uuid, uuid and major, or namespace) to the one geofence that all
    beacons of it hang in.
    """

    by_key: Mapping[str, Beacon] = field(default_factory=dict)
    regions: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, beacons: Iterable[Beacon]) -> "Beacons":
        """All these; of two that are heard the same the later counts."""
        by_key = {beacon.heard_as.key: beacon for beacon in beacons}
        places: dict[str, set[str]] = {}
        for key, beacon in by_key.items():
            for beginning in accumulate(key.split(":"), "{}:{}".format):
                places.setdefault(beginning, set()).add(beacon.geofence)
        return cls(by_key, {key: min(each) for key, each in places.items() if len(each) == 1})

    def get(self, key: str) -> Beacon | None:
        """The beacon that is heard by this key; None for a stranger's."""
        return self.by_key.get(key)

    def place(self, key: str) -> str | None:
        """The geofence of a beacon, or of the region that a key begins; None for a stranger's, and where a region spans
        several.
        """
        return self.regions.get(key)

    def __len__(self) -> int:
        return len(self.by_key)

    def __iter__(self) -> Iterator[Beacon]:
        return iter(self.by_key.values())
