"""The beacons of a fleet by what phones hear of them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from geofences.beacon import Beacon


@dataclass(frozen=True, slots=True)
class Beacons:
    """A fleet as one value: from the key of the radio ids (`BeaconId.key`) to the beacon that sends them."""

    by_key: Mapping[str, Beacon] = field(default_factory=dict)

    @classmethod
    def of(cls, beacons: Iterable[Beacon]) -> "Beacons":
        """All these; of two that are heard the same the later counts."""
        return cls({beacon.heard_as.key: beacon for beacon in beacons})

    def get(self, key: str) -> Beacon | None:
        """The beacon that is heard by this key; None for a stranger's."""
        return self.by_key.get(key)

    def __len__(self) -> int:
        return len(self.by_key)

    def __iter__(self) -> Iterator[Beacon]:
        return iter(self.by_key.values())
