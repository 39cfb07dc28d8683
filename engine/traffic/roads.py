"""Roads: how fast traffic usually goes here, how long it waits, and how long it has waited lately, as learned from the
fleet's own drives. No constants of a town: a place speaks for itself after a few have driven through.

What is kept are sums per square and direction, in memory only; no phone, no time of a passage, no way of anybody can
be told from them, and they fade within hours.
"""

from collections.abc import Iterator
from math import atan2, exp, hypot, tau

from engine.traffic.drive import (
    CLEAR_DIRECTION,
    ORDINARY_ROAD,
    SLOW_MPS,
    Drive,
    Point,
    Threefold,
    offset_m,
    square,
)

SQUARE_M = 80.0
SECTORS = 8
"""Directions of travel are told apart by eighths of a turn."""
PACE_M = 40.0
"""A way is shared out among the squares that it leads through, in pieces of this length."""
LEAST_WAY_M = 15.0
"""A shorter way between two fixes is as likely their error."""
LONGEST_WAY_M = 500.0
"""Over a longer way nobody knows which streets it took."""
LONGEST_SECONDS = 90.0
LEAST_WAIT_SECONDS = 20.0
LONGEST_WAIT_SECONDS = 400.0
DROVE_M = 100.0
"""A slow run counts as waiting in traffic when its phone drove so far before, and drove on after."""
INDOORS = 0.6
FADING_SECONDS = 3600.0
LATELY_SECONDS = 600.0
SQUARES_LIMIT = 1_000_000
ORDINARY_SECONDS = 30.0
"""So much driving outweighs what is taken for ordinary."""
_Key = tuple[int, int, int]


class _Sums:
    """What one square has seen in one direction, fading from `at` on."""

    __slots__ = ("at", "lately_seconds", "metres", "seconds", "waited_seconds", "waits")

    def __init__(self) -> None:
        self.at = self.metres = self.seconds = self.waits = self.waited_seconds = self.lately_seconds = 0.0

    def fade(self, at: float) -> None:
        elapsed = max(at - self.at, 0.0)
        kept = exp(-elapsed / FADING_SECONDS)
        self.metres *= kept
        self.seconds *= kept
        self.waits *= kept
        self.waited_seconds *= kept
        self.lately_seconds *= exp(-elapsed / LATELY_SECONDS)
        self.at += elapsed


class Roads:
    """The squares. One thread uses it. Times are our own clock's, unix seconds."""

    def __init__(self, squares_limit: int = SQUARES_LIMIT) -> None:
        self._squares_limit = squares_limit
        self._squares: dict[_Key, _Sums] = {}

    def __len__(self) -> int:
        return len(self._squares)

    def see(self, was: Drive, now: Drive, at: float) -> None:
        """Learn from how a phone moved between two fixes that follow each other."""
        self._drove(was, now, at)
        if now.parted and was.run.fixes and was.drove_m > DROVE_M and was.indoors < INDOORS:
            waited = now.slow_until - was.run.since
            if waited > LEAST_WAIT_SECONDS:
                self._waited(was, waited, at)

    def around(self, place: Point, drive: Drive, at: float) -> Threefold:
        """The usual speed (m/s), the mean wait, and all waits of the last minutes together (seconds, fading), where a
        phone is slow, in the direction in which it came, neighbouring squares included. `drive` is how it has moved
        until now.
        """
        ordinary_mps, waited, lately = ORDINARY_ROAD
        metres, seconds, waits = ordinary_mps * ORDINARY_SECONDS, ORDINARY_SECONDS, 1.0
        for each in self._near(place, drive):
            elapsed = max(at - each.at, 0.0)
            kept = exp(-elapsed / FADING_SECONDS)
            metres += kept * each.metres
            seconds += kept * each.seconds
            waits += kept * each.waits
            waited += kept * each.waited_seconds
            lately += exp(-elapsed / LATELY_SECONDS) * each.lately_seconds
        return metres / seconds, waited / waits, lately

    def _drove(self, was: Drive, now: Drive, at: float) -> None:
        elapsed = now.last.at - was.last.at
        if not 0 < elapsed <= LONGEST_SECONDS or (was.speed_mps + now.speed_mps) / 2 <= SLOW_MPS:
            return
        east_m, north_m = offset_m(was.last, now.last)
        moved_m = hypot(east_m, north_m)
        if not LEAST_WAY_M < moved_m <= LONGEST_WAY_M or now.drove_m <= 0:
            return
        sector = _sector(east_m, north_m)
        pieces = max(1, int(moved_m / PACE_M))
        for piece in range(pieces):
            share = (piece + 0.5) / pieces
            lon = was.last.lon + (now.last.lon - was.last.lon) * share
            lat = was.last.lat + (now.last.lat - was.last.lat) * share
            sums = self._sums((*square(lon, lat, SQUARE_M), sector), at)
            sums.metres += moved_m / pieces
            sums.seconds += elapsed / pieces

    def _waited(self, was: Drive, seconds: float, at: float) -> None:
        start = Point(0.0, was.run.lon, was.run.lat, 0.0)
        sums = self._sums(
            (*square(was.last.lon, was.last.lat, SQUARE_M), _sector(was.run.east, was.run.north)), at
        )
        sums.metres += hypot(*offset_m(start, was.last))
        sums.seconds += seconds
        sums.waits += 1
        sums.waited_seconds += seconds
        sums.lately_seconds += min(seconds, LONGEST_WAIT_SECONDS)

    def _near(self, place: Point, drive: Drive) -> Iterator[_Sums]:
        east, north = drive.run.east, drive.run.north
        if hypot(east, north) <= CLEAR_DIRECTION:
            east, north = drive.east, drive.north
        if hypot(east, north) <= CLEAR_DIRECTION:
            sectors: tuple[int, ...] = tuple(range(SECTORS))
        else:
            ahead = _sector(east, north)
            sectors = ((ahead - 1) % SECTORS, ahead, (ahead + 1) % SECTORS)
        row, column = square(place.lon, place.lat, SQUARE_M)
        for x in (row - 1, row, row + 1):
            for y in (column - 1, column, column + 1):
                for sector in sectors:
                    if (sums := self._squares.get((x, y, sector))) is not None:
                        yield sums

    def _sums(self, key: _Key, at: float) -> _Sums:
        """Those of a square, faded until now and the last to go; beyond the limit the one longest unseen goes."""
        sums = self._squares.pop(key, None) or _Sums()
        self._squares[key] = sums
        if len(self._squares) > self._squares_limit:
            del self._squares[next(iter(self._squares))]
        sums.fade(at)
        return sums


def _sector(east: float, north: float) -> int:
    return round(atan2(east, north) / (tau / SECTORS)) % SECTORS
