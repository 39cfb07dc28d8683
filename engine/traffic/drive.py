"""How a phone moves on the road: running figures over its fixes, one cheap step per fix, pure.

What tells a jam from parking, shopping and walking is the *slow run*: the time since the phone was last fast. A run
ends where the phone is fast for so long, or over such a way, that the two slow pieces are two jams.
"""

from math import cos, exp, floor, hypot, log, log1p, radians, sin, sqrt

import msgspec

SLOW_MPS = 10 / 3.6
"""Below 10 km/h traffic counts as congested."""
STANDING_MPS = 0.7
WALKING_MPS = (0.8, 2.2)
CRUISING_MPS = 4.0
DRIVING_MPS = 5.5
"""Faster than anyone runs for long."""
FAST_GAP_SECONDS = 20.0
FAST_GAP_M = 60.0
"""A fast gap that is longer, or leads further, parts two slow runs."""
BASE_SECONDS = 15.0
"""Over a shorter time a displacement says little about speed, given the error of two fixes."""
ERROR_SECONDS = 60.0
"""Position errors stay alike for about so long."""
CLEAR_DIRECTION = 0.3
"""A smoothed direction of travel that is shorter is none."""
SAME_WAY_COSINE = 0.5
METRES_PER_DEGREE = 111_320.0


class Point(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A place and how well it is known: degrees and metres."""

    at: float
    lon: float
    lat: float
    accuracy_m: float


class Run(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The slow run: since when and from where, in which direction the phone had come, and what it did since."""

    since: float
    lon: float
    lat: float
    east: float
    north: float
    fixes: int = 0
    speed_sum: float = 0
    walking_fixes: int = 0
    halts: int = 0
    halted: bool = False
    accuracy_sum_m: float = 0


class Drive(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The running figures. `east` and `north` are the smoothed direction of travel, at most 1 long."""

    last: Point
    speed_mps: float
    bases: tuple[Point, ...]
    """Up to two older fixes, against which a phone that reports no speed is measured."""
    run: Run
    mean_60_mps: float = 1
    mean_180_mps: float = 1
    standing: float = 0.3
    walking: float = 0.3
    """Shares of the last two minutes or so."""
    changes: float = 0
    """How often it went from standing to moving or back, fading over three minutes."""
    was_standing: bool = False
    drove_at: float = float("-inf")
    drove_m: float = 0
    """Metres driven, fading over a quarter of an hour."""
    moving_accuracy_m: float = 0
    """The usual accuracy while moving, that is, outdoors; 0 while unknown."""
    east: float = 0
    north: float = 0
    fast_from: Point | None = None
    """The last slow fix before the fast gap that is going on."""
    fast_since: float = 0
    indoors: float = 0
    """Probability of being inside a store, smoothed over a minute."""
    parted: bool = False
    """The newest fix ended the slow run before it."""
    slow_until: float = 0

    @property
    def slow(self) -> bool:
        """Whether the phone is in a slow run."""
        return self.run.fixes > 0 and self.fast_from is None

    @property
    def seated(self) -> bool:
        """Whether it seems to sit in a car: slow since it drove, and nobody has walked."""
        return self.slow and not self.run.walking_fixes and self.drove_m > 100

    @property
    def creeping(self) -> bool:
        """Whether the phone looks like a car that crawls: it drove lately, and has been slow for a while."""
        at = self.last.at
        return (
            self.slow
            and at - self.run.since > 45
            and at - self.drove_at < 900
            and self.drove_m > 150
            and self.indoors < 0.6
        )


def met(fix: Point) -> Drive:
    """A phone seen for the first time."""
    return Drive(fix, 1, (fix,), Run(fix.at, fix.lon, fix.lat, 0, 0))


def step(was: Drive, fix: Point, reported_mps: float | None, indoors: float) -> Drive:
    """Take one fix, newer than all before. `indoors` is the probability of being inside a store just now."""
    elapsed = max(fix.at - was.last.at, 1.0)
    speed = _speed(was, fix) if reported_mps is None else reported_mps
    between = (speed + was.speed_mps) / 2
    east_m, north_m = offset_m(was.last, fix)
    moved_m = hypot(east_m, north_m)
    standing = speed < STANDING_MPS
    walking = WALKING_MPS[0] < speed < WALKING_MPS[1]
    over_60, over_120 = 1 - exp(-elapsed / 60), 1 - exp(-elapsed / 120)
    east, north = was.east, was.north
    moving_accuracy_m = was.moving_accuracy_m
    if speed > 3:
        known = moving_accuracy_m or fix.accuracy_m
        moving_accuracy_m = known + over_120 * (fix.accuracy_m - known)
        if moved_m > BASE_SECONDS:
            east, north = (east + east_m / moved_m) / 2, (north + north_m / moved_m) / 2
    run, fast_from, fast_since, parted, slow_until = _runs(was, fix, speed, (east, north))
    return Drive(
        last=fix,
        speed_mps=speed,
        bases=_bases(was, fix),
        run=run,
        mean_60_mps=was.mean_60_mps + over_60 * (between - was.mean_60_mps),
        mean_180_mps=was.mean_180_mps + (1 - exp(-elapsed / 180)) * (between - was.mean_180_mps),
        standing=was.standing + over_120 * (standing - was.standing),
        walking=was.walking + over_120 * (walking - was.walking),
        changes=was.changes * exp(-elapsed / 180) + (standing != was.was_standing),
        was_standing=standing,
        drove_at=fix.at if speed > DRIVING_MPS else was.drove_at,
        drove_m=was.drove_m * exp(-elapsed / 900)
        + (min(moved_m, 1.5 * between * elapsed) if between > CRUISING_MPS else 0.0),
        moving_accuracy_m=moving_accuracy_m,
        east=east,
        north=north,
        fast_from=fast_from,
        fast_since=fast_since,
        indoors=was.indoors + over_60 * (indoors - was.indoors),
        parted=parted,
        slow_until=slow_until,
    )


def offset_m(start: Point, end: Point) -> tuple[float, float]:
    """Metres east and north from one point to another that is near."""
    across = METRES_PER_DEGREE * cos(radians(start.lat))
    degrees = end.lon - start.lon
    if abs(degrees) > 180:
        degrees = (degrees + 180) % 360 - 180
    return degrees * across, (end.lat - start.lat) * METRES_PER_DEGREE


Threefold = tuple[float, float, float]
ORDINARY_ROAD: Threefold = (6, 40, 0)
"""What nobody has driven yet counts as an ordinary street of a town."""


def square(lon: float, lat: float, side_m: float) -> tuple[int, int]:
    """The square of about this side that a position (degrees) is in, in rows of equal latitude."""
    row = floor(lat * METRES_PER_DEGREE / side_m)
    across = METRES_PER_DEGREE * max(cos(radians(row * side_m / METRES_PER_DEGREE)), 1e-3)
    return row, floor(lon * across / side_m)


def same_way(east: float, north: float, heading_deg: float, clear: float = CLEAR_DIRECTION) -> bool:
    """Whether a direction of travel (at most 1 long) is up to 60 degrees off a heading (degrees from north); one that is
    shorter than `clear` is none, and may be any.
    """
    length = hypot(east, north)
    if length < clear:
        return True
    along = east * sin(radians(heading_deg)) + north * cos(radians(heading_deg))
    return along / length > SAME_WAY_COSINE


def features(drive: Drive, surroundings: Threefold, road: Threefold) -> tuple[float, ...]:
    """What the jam model weighs, in the order of `FEATURES`; each about -2..3, so that no single one decides.

    `surroundings` are the other phones nearby: creeping in the same direction, creeping at all, passing fast. `road`
    is what the road is used to: its usual speed (m/s), its mean wait, and how long was waited lately (seconds).
    """
    run, last = drive.run, drive.last
    slow = drive.slow
    seconds = last.at - run.since if slow else 0.0
    beyond = log1p(max(seconds - 120, 0.0) / 120)
    fixes = max(run.fixes, 1)
    east_m, north_m = offset_m(Point(0.0, run.lon, run.lat, 0.0), last)
    came = hypot(run.east, run.north)
    onwards_m = (east_m * run.east + north_m * run.north) / came if came > CLEAR_DIRECTION else 0.0
    accuracy_m = run.accuracy_sum_m / run.fixes if run.fixes else last.accuracy_m
    walked = run.walking_fixes / fixes
    same, creeping, passing = surroundings
    usual_mps, wait_seconds, lately_seconds = road
    return (
        1.0,
        min(drive.speed_mps, 6.0) / 3,
        min(drive.mean_60_mps, 8.0) / 4,
        min(drive.mean_180_mps, 8.0) / 4,
        drive.standing,
        drive.walking,
        min(drive.changes, 4.0) / 2,
        min(seconds, 120.0) / 60,
        beyond,
        drive.standing * beyond,
        min(run.speed_sum / fixes, 3.0),
        walked * min(seconds, 120.0) / 60,
        min(run.halts, 4) / 2 if slow else 0.0,
        min(log1p(drive.drove_m / 100), 3.5),
        log1p(min(last.at - drive.drove_at, 1200.0) / 60),
        max(-1.0, min(onwards_m / 40, 2.0)) if slow else 0.0,
        min(hypot(east_m, north_m) / 75, 2.0) if slow else 0.0,
        max(-1.5, min(log(accuracy_m / drive.moving_accuracy_m), 1.5)) if drive.moving_accuracy_m else 0.0,
        log(max(5.0, min(last.accuracy_m, 60.0)) / 20),
        drive.indoors,
        0.0 if drive.moving_accuracy_m else 1.0,
        sqrt(min(same, 3.0)),
        sqrt(min(creeping, 4.0)),
        sqrt(min(passing, 3.0)),
        min(usual_mps, 12.0) / 4,
        log(wait_seconds / ORDINARY_ROAD[1]),
        log1p(lately_seconds / 60),
    )


FEATURES = (
    "bias",
    "speed",
    "mean_60",
    "mean_180",
    "standing",
    "walking",
    "changes",
    "slow_for",
    "slow_beyond",
    "standing_beyond",
    "run_speed",
    "run_walked",
    "halts",
    "drove",
    "since_drove",
    "onwards",
    "away",
    "accuracy_against_moving",
    "accuracy",
    "indoors",
    "never_moved",
    "creeping_alike",
    "creeping_near",
    "passing_near",
    "usual_speed",
    "usual_wait",
    "waited_lately",
)


def _speed(was: Drive, fix: Point) -> float:
    """Speed by displacement, less what the errors of two fixes let expect (they are alike when close in time)."""
    base = next((each for each in reversed(was.bases) if fix.at - each.at >= BASE_SECONDS), None)
    if base is None:
        return was.speed_mps
    elapsed = fix.at - base.at
    variance = (fix.accuracy_m**2 + base.accuracy_m**2) / 2 * (1 - exp(-elapsed / ERROR_SECONDS))
    east_m, north_m = offset_m(base, fix)
    return sqrt(max(0.0, east_m**2 + north_m**2 - 1.5 * variance)) / elapsed


def _bases(was: Drive, fix: Point) -> tuple[Point, ...]:
    """The newest base, and the one before it while the newest is too young."""
    newest = was.bases[-1]
    return (newest, fix) if fix.at - newest.at >= BASE_SECONDS else was.bases


def _runs(
    was: Drive, fix: Point, speed: float, towards: tuple[float, float]
) -> tuple[Run, Point | None, float, bool, float]:
    """The slow run, the fast gap and its start, whether the run was parted, and until when it lasted."""
    run, fast_from, fast_since = was.run, was.fast_from, was.fast_since
    parted, slow_until = False, was.slow_until
    between = (was.last.at + fix.at) / 2
    if speed > SLOW_MPS and fast_from is None:
        fast_from, fast_since = was.last, between
    if fast_from is not None:
        gap = (fix.at if speed > SLOW_MPS else between) - fast_since
        moved_m = hypot(*offset_m(fast_from, fix))
        way_m = speed * max(fix.at - was.last.at, 1.0) / 2
        far = moved_m > FAST_GAP_M + 0.7 * fix.accuracy_m or way_m > FAST_GAP_M
        if not run.fixes or gap >= FAST_GAP_SECONDS or far:
            parted, slow_until = True, fast_since
            run = Run(between if was.speed_mps > SLOW_MPS else fix.at, fix.lon, fix.lat, *towards)
    if speed > SLOW_MPS:
        return run, fast_from, fast_since, parted, slow_until
    standing = speed < 0.6
    halt = standing and not run.halted
    run = Run(
        run.since,
        run.lon,
        run.lat,
        run.east,
        run.north,
        run.fixes + 1,
        run.speed_sum + speed,
        run.walking_fixes + (WALKING_MPS[0] < speed < WALKING_MPS[1]),
        run.halts + halt,
        standing or (run.halted and speed <= 1.2),
        run.accuracy_sum_m + fix.accuracy_m,
    )
    return run, None, 0.0, parted, slow_until
