from math import cos, radians

import pytest

from geofences.aim import depth_m
from tests.geofences.places import circle, polygon, square

LAT = 43.73
EAST = 1 / (111_320 * cos(radians(LAT)))
"""Degrees to a metre."""


@pytest.mark.parametrize("lon", [7.42, 180.0], ids=["Monaco", "the antimeridian"])
@pytest.mark.parametrize(
    ("course", "depth"),
    [((1.0, 0.0), 50), ((200.0, 20.0), 30), ((1.0, 1.0), -91), ((-1.0, 0.0), -150)],
    ids=["at its middle", "a little aside", "past it", "away"],
)
def test_how_deep_a_way_leads_into_a_circle(lon: float, course: tuple[float, float], depth: float):
    [told] = depth_m(circle(lon, LAT, 50).shape, lon - 200 * EAST, LAT, [course], 150.0)
    assert told == pytest.approx(depth, abs=2)


def test_several_ways_are_told_in_their_order_and_holes_count_as_outside():
    hall = square(7.42, LAT, 0.002)
    yard = square(7.4205, LAT + 0.0005, 0.001)
    shape = polygon(hall, yard).shape
    west_m = 100.0
    through, along = depth_m(shape, 7.42 - west_m * EAST, LAT + 0.001, [(1.0, 0.0), (0.0, 1.0)], west_m)
    assert 15 < through < 25
    assert along == pytest.approx(-west_m, abs=2)
