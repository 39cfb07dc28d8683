import numpy as np
import pytest

from engine.earshot import AROUND_CATCHMENT_M, Earshot
from geofences.geojson import geofence_from_feature
from geofences.index import GeofenceIndex
from tests.geofences.places import feature


def catchment(lon, lat, radius=300.0, kind="catchment"):
    return geofence_from_feature(feature("Point", [lon, lat], "around", radius=radius, kind=kind))


METRES_PER_DEGREE_NORTH = 111_200.0


@pytest.mark.parametrize(
    ("metres_north", "held"), [(0.0, True), (300.0 + AROUND_CATCHMENT_M - 1.0, True), (10_000.0, False)]
)
def test_a_phone_is_followed_near_a_catchment_only(metres_north, held):
    earshot = Earshot(GeofenceIndex.of([catchment(2.24, 48.83)]))
    lats = np.array([48.83 + metres_north / METRES_PER_DEGREE_NORTH])
    assert earshot.of_catchments(np.array([2.24]), lats).tolist() == [held]


def test_it_reaches_over_the_antimeridian():
    earshot = Earshot(GeofenceIndex.of([catchment(179.999, -17.0)]))
    assert earshot.of_catchments(np.array([-179.995, 0.0]), np.array([-17.0, -17.0])).tolist() == [
        True,
        False,
    ]


def test_without_catchments_nobody_is_followed():
    store = GeofenceIndex.of([catchment(2.24, 48.83, kind="store")])
    assert not Earshot(store).of_catchments(np.array([2.24]), np.array([48.83])).any()


def test_a_service_area_is_heard_by_who_drives_fast_enough_to_reach_it():
    earshot = Earshot(GeofenceIndex(), area_lons=np.array([2.24]), area_lats=np.array([48.83]))
    lons, lats = np.full(4, 2.24), np.array([48.93, 48.93, 48.93, 60.0])
    speeds = np.array([30.0, 1.0, np.nan, 30.0])
    assert earshot.of_service_areas(lons, lats, speeds).tolist() == [True, False, False, False]
