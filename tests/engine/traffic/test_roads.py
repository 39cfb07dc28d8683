from itertools import pairwise

import pytest

from engine.traffic.drive import ORDINARY_ROAD, Drive, Point, met, step
from engine.traffic.roads import FADING_SECONDS, LATELY_SECONDS, Roads

METRE = 1 / 111_320
EVERY = 10.0


def northwards(speeds: list[float], towards: int = 1) -> list[Drive]:
    """How a phone moves that goes north (or, `towards` -1, south) with these speeds, one fix at a time."""
    at, north_m = 1000.0, 0.0
    drives = [met(Point(at, 0.0, north_m * METRE, 8.0))]
    for speed in speeds:
        at, north_m = at + EVERY, north_m + towards * speed * EVERY
        drives.append(step(drives[-1], Point(at, 0.0, north_m * METRE, 8.0), speed, 0.0))
    return drives


def learned(*ways: list[Drive], roads: Roads | None = None) -> Roads:
    roads = Roads() if roads is None else roads
    for way in ways:
        for was, now in pairwise(way):
            roads.see(was, now, now.last.at)
    return roads


HERE = Point(0.0, 0.0, 1000 * METRE, 8.0)
NORTH, SOUTH = northwards([12.0] * 20)[-1], northwards([12.0] * 20, -1)[-1]


def test_an_unknown_road_is_an_ordinary_one():
    assert Roads().around(HERE, NORTH, 2000.0) == ORDINARY_ROAD


def test_the_usual_speed_is_that_of_those_who_drove_here_in_this_direction():
    roads = learned(*[northwards([15.0] * 20)] * 5)
    usual_mps, wait_seconds, lately_seconds = roads.around(HERE, NORTH, 1200.0)
    assert usual_mps == pytest.approx(13, abs=2)
    assert (wait_seconds, lately_seconds) == ORDINARY_ROAD[1:]
    assert roads.around(HERE, SOUTH, 1200.0) == ORDINARY_ROAD
    far = Point(0.0, 0.01, 1000 * METRE, 8.0)
    assert roads.around(far, NORTH, 1200.0) == ORDINARY_ROAD


def test_a_wait_counts_once_its_phone_has_driven_on():
    waiting = northwards([15.0] * 6 + [0.2] * 20)
    roads = learned(waiting)
    assert roads.around(HERE, NORTH, 1260.0)[1:] == ORDINARY_ROAD[1:]
    _, wait_seconds, lately_seconds = learned(northwards([15.0] * 6 + [0.2] * 20 + [15.0] * 4)).around(
        waiting[-1].last, NORTH, 1300.0
    )
    assert wait_seconds > 100
    assert lately_seconds == pytest.approx(200, abs=15)


def test_whoever_was_never_seen_to_drive_does_not_wait_in_traffic():
    roads = learned(northwards([0.2] * 20 + [15.0] * 4))
    assert roads.around(Point(0.0, 0.0, 30 * METRE, 8.0), NORTH, 1300.0)[2] == 0.0


def test_what_was_learned_fades():
    roads = learned(*[northwards([15.0] * 6 + [0.2] * 20 + [15.0] * 4)] * 3)
    there = Point(0.0, 0.0, 940 * METRE, 8.0)
    fresh = roads.around(there, NORTH, 1300.0)
    later = roads.around(there, NORTH, 1300.0 + LATELY_SECONDS)
    assert later[2] == pytest.approx(fresh[2] / 2.718, rel=0.05)
    assert roads.around(there, NORTH, 1300.0 + 20 * FADING_SECONDS) == pytest.approx(ORDINARY_ROAD, abs=0.01)


def test_no_square_is_kept_beyond_the_limit():
    assert len(learned(northwards([15.0] * 200), roads=Roads(squares_limit=5))) == 5
