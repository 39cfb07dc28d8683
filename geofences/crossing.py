"""Fast passers: which geofences did phones pass through between two fixes, although neither fix lies inside?

Between two fixes the way is taken as straight. The distance to a border changes by no more than one metre per metre,
so a stretch whose ends are further from the border than it is long holds no crossing; what is left is halved, as in
Piyavskii's search (1972), until it is short. So nothing wider than the resolution is missed, whatever its shape.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geofences.antimeridian import wrapped
from geofences.geofence import Corridor
from geofences.index import GeofenceIndex, Matches
from geofences.plane import geodesic_m, short_way_m

Floats = NDArray[np.float64]
Slots = NDArray[np.int64]
Booleans = NDArray[np.bool_]

POLAR_DEGREES = 80.0
"""Farther north or south, maps are of no use."""
SLACK = 1.005
"""A straight line in longitude and latitude is a little longer than the shortest way, and maps are a little off."""


@dataclass(frozen=True, slots=True)
class CrossingPolicy:
    """Which pairs of fixes are worth a thought: further apart, the way between them is anyone's guess; slower, there
    will be a fix inside.
    """

    most_m: float = 5000.0
    least_mps: float = 3.0
    most_mps: float = 70.0
    most_seconds: float = 180.0
    resolution_m: float = 2.0
    """A way through a geofence that is shorter may be missed."""


PASSING = CrossingPolicy()


@dataclass(frozen=True, slots=True)
class Crossings:
    """Pairs of a segment (its place in the batch) and a geofence (its slot), each pair once, by segment then slot,
    with the first entry and the last exit in unix seconds. `depth_m` is how far from the border the deepest of the
    points lay that were looked at. `direction` is +1 where a corridor's line is crossed from its left to its right as
    drawn, -1 the other way, 0 where it is not crossed on the whole and for other shapes.
    """

    segment: Slots
    slot: Slots
    enter_at: Floats
    exit_at: Floats
    depth_m: Floats
    direction: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.segment)


_NOTHING = Crossings(
    np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0), np.empty(0, np.int8)
)


@dataclass(frozen=True, slots=True)
class Ways:
    """Ways from one fix to the next that are worth a thought: their places in the batch, degrees, unix seconds and
    seconds; `length_m` is generous.
    """

    segment: Slots
    lon: Floats
    lat: Floats
    east: Floats
    north: Floats
    at: Floats
    seconds: Floats
    length_m: Floats

    @classmethod
    def between(
        cls,
        lon0: Floats,
        lat0: Floats,
        at0: Floats,
        lon1: Floats,
        lat1: Floats,
        at1: Floats,
        policy: CrossingPolicy = PASSING,
    ) -> "Ways":
        """Those of N segments, from a fix of a phone to its next. Columns in degrees and unix seconds; where the first is
        not known, and nan, there is no way.
        """
        east, north, seconds = wrapped(lon1 - lon0), lat1 - lat0, at1 - at0
        maybe = np.flatnonzero(_maybe_worth(east, lat0, lat1, seconds, policy))
        length_m = _lengths_m(lon0[maybe], lat0[maybe], lon1[maybe], lat1[maybe])
        worth = _worth(length_m, seconds[maybe], policy)
        these = maybe[worth]
        return cls(
            these,
            lon0[these],
            lat0[these],
            east[these],
            north[these],
            at0[these],
            seconds[these],
            SLACK * length_m[worth],
        )

    def __len__(self) -> int:
        return len(self.segment)

    def middles(self) -> tuple[Floats, Floats, Floats]:
        """Longitude and latitude of the middle of each, and half its length: whatever it leads through is so near."""
        lons, lats = self.places(np.arange(len(self)), np.full(len(self), 0.5))
        return lons, lats, self.length_m / 2

    def places(self, which: Slots, share: Floats) -> tuple[Floats, Floats]:
        """Where on these ways the given shares of them lie."""
        return (
            wrapped(self.lon[which] + share * self.east[which]),
            self.lat[which] + share * self.north[which],
        )


@dataclass(frozen=True, slots=True)
class _Stretches:
    """Pieces of the ways, from share `low` to share `high`, with the signed distances at both."""

    pair: Slots
    low: Floats
    high: Floats
    at_low: Floats
    at_high: Floats

    def only(self, which: Booleans) -> "_Stretches":
        return _Stretches(
            self.pair[which], self.low[which], self.high[which], self.at_low[which], self.at_high[which]
        )

    def halved(self, middle: Floats, at_middle: Floats) -> "_Stretches":
        return _Stretches(
            np.concatenate([self.pair, self.pair]),
            np.concatenate([self.low, middle]),
            np.concatenate([middle, self.high]),
            np.concatenate([self.at_low, at_middle]),
            np.concatenate([at_middle, self.at_high]),
        )


def passed(index: GeofenceIndex, ways: Ways, found: Matches, policy: CrossingPolicy = PASSING) -> Crossings:
    """Which ways pass through which geofences with neither end inside. `found` are the geofences near their `middles`."""
    maybe = found.distance_m > -ways.length_m[found.ping] / 2  # else the whole of it is inside
    way, slot = found.ping[maybe], found.slot[maybe]
    pairs = len(way)
    if not pairs:
        return _NOTHING
    ends = ways.places(np.concatenate([way, way]), np.repeat((0.0, 1.0), pairs))
    from_m, to_m = index.distances(*ends, np.concatenate([slot, slot])).reshape(2, pairs)
    passing = (from_m > 0) & (to_m > 0) & (from_m + to_m <= ways.length_m[way])
    if not passing.any():
        return _NOTHING
    way, slot = way[passing], slot[passing]
    enter, leave, depth_m = _search(
        index, ways, way, slot, (from_m[passing], to_m[passing]), policy.resolution_m
    )
    through = depth_m >= 0
    way, slot = way[through], slot[through]
    return Crossings(
        segment=ways.segment[way],
        slot=slot,
        enter_at=ways.at[way] + enter[through] * ways.seconds[way],
        exit_at=ways.at[way] + leave[through] * ways.seconds[way],
        depth_m=depth_m[through],
        direction=_directions(index, ways, way, slot),
    )


def _maybe_worth(
    east: Floats, lat0: Floats, lat1: Floats, seconds: Floats, policy: CrossingPolicy
) -> Booleans:
    """What is cheaply seen not to be worth it is left out: on a sphere, and generously."""
    middle = (lat0 + lat1) / 2
    rough_m = 111_000.0 * np.hypot(east * np.cos(np.radians(middle)), lat1 - lat0)
    worth: Booleans = rough_m >= 0.9 * policy.least_mps * seconds
    worth &= rough_m <= 1.1 * np.minimum(policy.most_mps * seconds, policy.most_m)
    worth |= np.abs(middle) > POLAR_DEGREES
    return worth


def _lengths_m(lon0: Floats, lat0: Floats, lon1: Floats, lat1: Floats) -> Floats:
    length_m = short_way_m(lon0, lat0, lon1, lat1)
    polar = np.maximum(np.abs(lat0), np.abs(lat1)) > POLAR_DEGREES
    if polar.any():
        length_m[polar] = geodesic_m(lon0[polar], lat0[polar], lon1[polar], lat1[polar])
    return length_m


def _worth(length_m: Floats, seconds: Floats, policy: CrossingPolicy) -> Booleans:
    timely = (seconds > 0) & (seconds <= policy.most_seconds)
    quick = (length_m >= policy.least_mps * seconds) & (length_m <= policy.most_mps * seconds)
    return timely & quick & (length_m <= policy.most_m)


def _search(
    index: GeofenceIndex,
    ways: Ways,
    way: Slots,
    slot: Slots,
    ends_m: tuple[Floats, Floats],
    resolution_m: float,
) -> tuple[Floats, Floats, Floats]:
    """For each pair the shares of the way at its first entry and last exit, and the greatest depth that was seen; a
    negative one where it does not pass. All stretches of all pairs are halved at once. `ends_m` are the distances at
    both ends.
    """
    count = len(way)
    enter, leave, depth_m = np.full(count, np.inf), np.full(count, -np.inf), np.full(count, -np.inf)
    open_ = _Stretches(np.arange(count), np.zeros(count), np.ones(count), *ends_m)
    while open_.pair.size:
        pair, middle = open_.pair, (open_.low + open_.high) / 2
        at_middle = index.distances(*ways.places(way[pair], middle), slot[pair])
        inside = at_middle <= 0
        np.maximum.at(depth_m, pair, -at_middle)
        np.minimum.at(enter, pair[inside], middle[inside])
        np.maximum.at(leave, pair[inside], middle[inside])
        halves = open_.halved(middle, at_middle)
        long_m = (halves.high - halves.low) * ways.length_m[way[halves.pair]]
        matters = (halves.low < enter[halves.pair]) | (halves.high > leave[halves.pair])
        matters &= np.maximum(halves.at_low, 0) + np.maximum(halves.at_high, 0) <= long_m
        _settle(enter, leave, halves.only(matters & (long_m <= resolution_m)))
        open_ = halves.only(matters & (long_m > resolution_m))
    return enter, leave, depth_m


def _settle(enter: Floats, leave: Floats, short: _Stretches) -> None:
    """Put borders where the signed distance is nought, taken as linear over these short stretches."""
    over = short.only((short.at_low > 0) != (short.at_high > 0))
    border = over.low + (over.high - over.low) * over.at_low / (over.at_low - over.at_high)
    entering = over.at_low > 0
    np.minimum.at(enter, over.pair[entering], border[entering])
    np.maximum.at(leave, over.pair[~entering], border[~entering])


def _directions(index: GeofenceIndex, ways: Ways, way: Slots, slot: Slots) -> NDArray[np.int8]:
    directions = np.zeros(len(way), dtype=np.int8)
    for row, (number, place) in enumerate(zip(way.tolist(), slot.tolist(), strict=True)):
        shape = index.geofence(place).shape
        if isinstance(shape, Corridor):
            start = np.array([ways.lon[number], ways.lat[number]])
            directions[row] = _direction(
                np.asarray(shape.line.coords)[:, :2], start, np.array([ways.east[number], ways.north[number]])
            )
    return directions


def _direction(line: Floats, start: Floats, course: Floats) -> int:
    """How a way that begins at `start` and goes on by `course` crosses a line, all in degrees. Each edge whose ends
    lie on two sides of the way, and across which the way leads, counts as a crossing to its right or its left.
    """
    from_start = line - start
    from_start[:, 0] -= 360.0 * np.round(from_start[0, 0] / 360.0)
    edges = np.diff(from_start, axis=0)
    left_of_way = _cross(course, from_start) > 0
    leftwards = _cross(edges, course)
    met_at = np.divide(
        _cross(from_start[:-1], edges),
        -leftwards,
        out=np.full(len(edges), np.nan),
        where=left_of_way[:-1] != left_of_way[1:],
    )
    crossed = (met_at >= 0) & (met_at <= 1)
    return int(-np.sign(np.sum(np.sign(leftwards[crossed]))))


def _cross(one: Floats, other: Floats) -> Floats:
    return one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]
