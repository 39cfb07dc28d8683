"""A phone in a story: where it is, by how much its clock is off, and what it measured but has not sent yet."""

import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

NEVER = float("inf")
METRES_PER_DEGREE = 111_320.0


class Spot(NamedTuple):
    """A position in degrees."""

    lat: float
    lon: float

    def east(self, metres: float) -> "Spot":
        """A position so far east of this one, perhaps beyond the antimeridian."""
        lon = self.lon + metres / (METRES_PER_DEGREE * math.cos(math.radians(self.lat)))
        return Spot(self.lat, (lon + 180.0) % 360.0 - 180.0)


@dataclass(slots=True)
class Handset:
    """One phone. `where` is where it truly is; a fix that errs does not move it."""

    device: str
    where: Spot | None = None
    fast_seconds: float = 0.0
    online: bool = True
    hold_seconds: float = 0.0
    """The next fix is sent so much after it was measured."""
    _outbox: list[tuple[float, dict[str, Any]]] = field(default_factory=list)

    def measure(self, at: datetime, spot: Spot, accuracy: float, speed_mps: float | None = None) -> None:
        """Take a fix, dated by the phone's own clock, and put it among what is to be sent."""
        clock = at + timedelta(seconds=self.fast_seconds)
        ping = {
            "device": self.device,
            "at": clock.isoformat(),
            "lat": spot.lat,
            "lon": spot.lon,
            "accuracy": accuracy,
        }
        due = at.timestamp() + self.hold_seconds if self.online else NEVER
        self._outbox.append((due, ping | ({} if speed_mps is None else {"speed": speed_mps})))
        self.hold_seconds = 0.0

    def to_send(self, now: datetime) -> list[dict[str, Any]]:
        """What is to be sent by now, as one batch, in the order it was measured."""
        due = [ping for at, ping in self._outbox if at <= now.timestamp()]
        self._outbox = [each for each in self._outbox if each[0] > now.timestamp()]
        return due

    def come_online(self) -> None:
        """All that was kept is to be sent now."""
        self.online = True
        self._outbox = [(0.0, ping) for _, ping in self._outbox]
