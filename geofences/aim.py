"""Where does a straight way lead: into a place, or past it? Pure.

Roads bend and fixes err, so the question is worth asking for the last stretches only, and over short distances.
"""

from collections.abc import Sequence
from math import hypot

import numpy as np

from geofences.antimeridian import wrapped
from geofences.geofence import Shape
from geofences.plane import metres_per_degree
from geofences.ruler import Ruler

STEP_M = 10.0
BEYOND_M = 150.0
"""A way is followed for so much more than the distance to the border."""


def depth_m(
    shape: Shape, lon: float, lat: float, courses: Sequence[tuple[float, float]], distance_m: float
) -> list[float]:
    """How deep the ways from one position (degrees) lead into a place that is `distance_m` away, each along a course
    (east and north, of any length but nought): metres from the border at the deepest; negative, by how much it is
    missed.
    """
    along_m = np.arange(0.0, distance_m + BEYOND_M, STEP_M)
    across, up = (float(each) for each in metres_per_degree(np.asarray(lat)))
    lons, lats = [], []
    for east, north in courses:
        length = hypot(east, north)
        lons.append(lon + along_m * (east / length / across))
        lats.append(lat + along_m * (north / length / up))
    ruler = Ruler(lambda slots: [shape] * len(slots))
    points = (wrapped(np.concatenate(lons)), np.concatenate(lats))
    distances = ruler.distances_m(*points, np.zeros(len(points[0]), np.int64))
    return [-float(each.min()) for each in np.split(distances, len(courses))]
