"""Borders that are not quite in order: mending those whose meaning is beyond doubt, and only those."""

from typing import cast

import numpy as np
import shapely
from shapely import MultiPolygon, Polygon

SAME_AREA = 1e-9
"""Relative difference up to which two areas count as the same."""
MEETINGS_LIMIT = 1000
"""A border whose edges meet each other more often is not mended: it would take minutes."""
EDGES_AT_A_TIME = 256


def mended(polygon: Polygon) -> list[Polygon] | None:
    """The valid polygons that cover the same ground, or None when the border crosses itself.

    Where a border only touches itself or runs out and back, no square metre is in doubt: mending keeps the area.
    A border that crosses itself (a bow tie, a hole outside) encloses another area than its rings add up to.
    """
    if polygon.is_valid:
        return [polygon]
    if _is_scribble(polygon):
        return None
    valid = shapely.make_valid(polygon, method="structure", keep_collapsed=False)
    parts = [part for part in shapely.get_parts(valid).tolist() if isinstance(part, Polygon)]
    if abs(sum(part.area for part in parts) - polygon.area) > SAME_AREA * abs(polygon.area):
        return None
    return [part for part in parts if part.area > 0]


def united(polygons: MultiPolygon) -> MultiPolygon | None:
    """The union of valid polygons, outer rings anticlockwise; None when they cross too often to be united.

    Polygons that neither touch along an edge nor overlap keep their vertices as they are.
    """
    if polygons.is_valid:
        return _multi(shapely.orient_polygons(polygons))
    if _is_scribble(polygons):
        return None
    return _multi(shapely.orient_polygons(shapely.union_all(list(polygons.geoms))))


def _is_scribble(border: Polygon | MultiPolygon) -> bool:
    """Whether edges meet edges that are not their neighbours more than `MEETINGS_LIMIT` times."""
    rings = [np.asarray(line.coords) for line in shapely.get_parts(border.boundary).tolist()]
    edges = np.concatenate([np.stack([ring[:-1], ring[1:]], axis=1) for ring in rings])
    edges = edges[np.any(edges[:, 0] != edges[:, 1], axis=1)]
    lines = np.atleast_1d(np.asarray(shapely.linestrings(edges), dtype=object))
    tree = shapely.STRtree(lines)
    meetings = -3 * len(lines)  # each meets itself and its two neighbours
    for start in range(0, len(lines), EDGES_AT_A_TIME):
        meetings += tree.query(lines[start : start + EDGES_AT_A_TIME], predicate="intersects").shape[1]
        if meetings > MEETINGS_LIMIT:
            return True
    return False


def _multi(geometry: shapely.Geometry) -> MultiPolygon:
    if isinstance(geometry, MultiPolygon):
        return geometry
    return MultiPolygon([cast("Polygon", geometry)])
