"""The crowd: what other phones on the same stretch are doing just now. One stuck car is a guess, three are a jam.

Holds the newest place and pace of each phone for a minute and a half, in memory and for no longer; nothing of it is
kept, written or shown, and what it answers are counts.
"""

from collections import defaultdict
from dataclasses import dataclass
from math import hypot

from engine.traffic.drive import Drive, Point, offset_m, square

REACH_M = 120.0
PASSING_REACH_M = 80.0
PASSING_MPS = 6.0
ALIKE_COSINE = 0.5
PASSING_COSINE = 0.7
FRESH_SECONDS = 90.0
PHONES_LIMIT = 500_000
Cell = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Other phones within reach: creeping the same way, creeping at all, driving past the same way."""

    creeping_alike: float = 0.0
    creeping_near: float = 0.0
    passing_near: float = 0.0

    def as_tuple(self) -> tuple[float, float, float]:
        """The three, as the jam model takes them."""
        return self.creeping_alike, self.creeping_near, self.passing_near


@dataclass(frozen=True, slots=True)
class _Seen:
    received_at: float
    place: Point
    east: float
    north: float
    speed_mps: float
    creeping: bool


class Crowd:
    """The phones on the road. One thread uses it."""

    def __init__(self) -> None:
        self._cells: dict[Cell, dict[str, _Seen]] = defaultdict(dict)
        self._where: dict[str, Cell] = {}

    def see(self, device: str, drive: Drive, received_at: float) -> None:
        """Take over where a phone is and how it moves."""
        cell = _cell(drive.last)
        old = self._where.get(device)
        if old is not None and old != cell:
            self._drop(device, old)
        if len(self._where) >= PHONES_LIMIT and old is None:
            return
        self._where[device] = cell
        self._cells[cell][device] = _Seen(
            received_at, drive.last, drive.east, drive.north, drive.speed_mps, drive.creeping
        )

    def around(
        self, device: str, place: Point, east: float, north: float, received_at: float
    ) -> Surroundings:
        """What the others do around a place, against a direction of travel (at most 1 long)."""
        alike = near = passing = 0
        x, y = _cell(place)
        for cell in ((x + i, y + j) for i in (-1, 0, 1) for j in (-1, 0, 1)):
            others = self._cells.get(cell)
            if not others:
                continue
            old: list[str] = []
            for other, seen in others.items():
                if received_at - seen.received_at > FRESH_SECONDS:
                    old.append(other)
                    continue
                if other == device or not (seen.creeping or seen.speed_mps > PASSING_MPS):
                    continue
                distance_m = hypot(*offset_m(place, seen.place))
                if distance_m > REACH_M:
                    continue
                length = (hypot(east, north) or 1.0) * (hypot(seen.east, seen.north) or 1.0)
                cosine = (east * seen.east + north * seen.north) / length
                if seen.creeping:
                    near += 1
                    alike += cosine > ALIKE_COSINE
                elif cosine > PASSING_COSINE and distance_m < PASSING_REACH_M:
                    passing += 1
            for other in old:
                self._drop(other, cell)
        return Surroundings(alike, near, passing)

    def forget(self, device: str) -> None:
        """Drop a phone at once, as when its consent has gone."""
        if (cell := self._where.get(device)) is not None:
            self._drop(device, cell)

    def _drop(self, device: str, cell: Cell) -> None:
        self._where.pop(device, None)
        if others := self._cells.get(cell):
            others.pop(device, None)
            if not others:
                del self._cells[cell]


def _cell(place: Point) -> Cell:
    return square(place.lon, place.lat, REACH_M)
