import numpy as np
import pytest

from geofences.antimeridian import MANY, wrapped
from geofences.plane import geodesic_m, short_way_m


def test_the_length_of_a_short_way_is_that_over_the_ellipsoid_to_a_millionth():
    random, count = np.random.default_rng(7), 20_000
    lon, lat = random.uniform(-180, 180, count), random.uniform(-80, 80, count)
    far, bearing = random.uniform(1, 5000, count) / 111_320, random.uniform(0, 2 * np.pi, count)
    to_lat = np.clip(lat + far * np.cos(bearing), -80, 80)
    to_lon = lon + far * np.sin(bearing) / np.cos(np.radians(lat))
    to_lon = (to_lon + 180) % 360 - 180
    exact = geodesic_m(lon, lat, to_lon, to_lat)
    assert np.abs(short_way_m(lon, lat, to_lon, to_lat) / exact - 1).max() < 1e-6


@pytest.mark.parametrize("furthest", [179.9, 180.0, 400.0, np.nan])
def test_many_angles_are_turned_as_one_by_one(furthest):
    random = np.random.default_rng(7)
    degrees = np.append(random.uniform(-180, 180, MANY), [np.nan, -180.0, furthest])
    one_by_one = np.array([wrapped(degrees[number : number + 1])[0] for number in range(len(degrees))])
    assert np.array_equal(wrapped(degrees), one_by_one, equal_nan=True)
    assert np.array_equal(wrapped(-degrees), (-degrees + 180.0) % 360.0 - 180.0, equal_nan=True)
