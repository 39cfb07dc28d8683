"""What feeds of traffic flow say of a stretch of road, as evidence for or against a jam.

A feed's own file turns what it publishes into `Reading`s; this one keeps the newest of each stretch and answers in the
log-odds that the jam model adds up. No feed, no evidence: the answer is 0.
"""

from dataclasses import dataclass
from math import hypot, log

from engine.traffic.drive import Point, offset_m, same_way

FRESH_SECONDS = 600.0
"""Feeds publish every one to six minutes; what is older says nothing."""
READINGS_LIMIT = 100_000
EVEN_RATIO = 0.5
"""At half the free speed a feed speaks neither for nor against a jam (level of service E; HCM 2010)."""
WEIGHT = 1.5
LIMIT_LOG_ODDS = 2.0
"""A feed is about a stretch, not about this car."""
DIRECTION = 0.5
"""A smoothed direction of travel that is shorter says nothing against a stretch."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Traffic on a stretch: the speed now and when the road is free (metres per second), how far around its middle it
    holds, and which way it goes (degrees from north), None for both. `at` in unix seconds.
    """

    stretch: str
    place: Point
    at: float
    speed_mps: float
    free_speed_mps: float
    reach_m: float
    heading: float | None = None

    def __post_init__(self) -> None:
        if self.free_speed_mps <= 0 or self.speed_mps < 0 or self.reach_m <= 0:
            raise ValueError("free speed and reach must be above 0 and the speed at least 0")

    @property
    def log_odds(self) -> float:
        """For a jam, by the ratio of the speeds."""
        ratio = max(self.speed_mps / self.free_speed_mps, 0.05)
        return max(-LIMIT_LOG_ODDS, min(LIMIT_LOG_ODDS, WEIGHT * log(EVEN_RATIO / ratio)))

    def concerns(self, place: Point, east: float, north: float) -> bool:
        """Whether a phone there, heading that way (at most 1 long), is on this stretch."""
        if hypot(*offset_m(self.place, place)) > self.reach_m:
            return False
        return self.heading is None or same_way(east, north, self.heading, clear=DIRECTION)


class Flow:
    """The newest reading of every stretch, from whatever feeds there are. One thread uses it."""

    def __init__(self) -> None:
        self._readings: dict[str, Reading] = {}

    def put(self, reading: Reading) -> None:
        """Take over a reading, unless a newer one of its stretch is there; beyond the limit the oldest goes."""
        known = self._readings.pop(reading.stretch, None)
        self._readings[reading.stretch] = known if known and known.at > reading.at else reading
        if len(self._readings) > READINGS_LIMIT:
            del self._readings[next(iter(self._readings))]

    def log_odds(self, place: Point, east: float, north: float, at: float) -> float:
        """For a jam at this place and in this direction: that of the nearest stretch with fresh news, else 0."""
        near = [
            each
            for each in self._readings.values()
            if 0 <= at - each.at <= FRESH_SECONDS and each.concerns(place, east, north)
        ]
        if not near:
            return 0.0
        return min(near, key=lambda each: hypot(*offset_m(each.place, place))).log_odds
