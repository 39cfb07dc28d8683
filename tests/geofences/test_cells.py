"""The table of cells against the tree behind it."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from geofences import cells
from geofences.index import GeofenceIndex
from tests.geofences.places import circle

PADS_M = 40.0
towns = st.tuples(st.floats(-0.02, 0.02), st.floats(-0.02, 0.02), st.floats(5.0, 400.0))


def _matched(index: GeofenceIndex, lons: np.ndarray, lats: np.ndarray) -> set[tuple[int, str]]:
    found = index.match(lons, lats, np.full(len(lons), PADS_M))
    return {
        (int(ping), index.geofence(int(slot)).id) for ping, slot in zip(found.ping, found.slot, strict=True)
    }


@settings(max_examples=40)
@given(st.lists(towns, min_size=1, max_size=8), st.lists(towns, max_size=4), st.integers(0, 2**32 - 1))
def test_edits_are_seen_in_cells_that_were_touched_before(first, second, seed):
    random = np.random.default_rng(seed)
    lons, lats = 2.24 + random.uniform(-0.03, 0.03, 60), 48.83 + random.uniform(-0.03, 0.03, 60)
    index = GeofenceIndex()
    for number, (east, north, radius_m) in enumerate(first):
        index.put(circle(2.24 + east, 48.83 + north, radius_m, f"place-{number}"))
    _matched(index, lons, lats)  # the cells are filled
    for number, (east, north, radius_m) in enumerate(second):
        index.put(circle(2.24 + east, 48.83 + north, radius_m, f"place-{number}"))
    index.remove("place-0")
    assert _matched(index, lons, lats) == _matched(GeofenceIndex.of(index), lons, lats)


def test_a_full_table_begins_anew(monkeypatch):
    monkeypatch.setattr(cells, "ENTRIES_LIMIT", 50)
    index = GeofenceIndex.of([circle(2.24, 48.83, 100.0)])
    lats = np.linspace(48.80, 48.86, 400)
    lons = np.full(400, 2.24)
    whole = _matched(index, lons, lats)
    assert whole
    parts = set()
    for first in range(0, 400, 40):
        these = slice(first, first + 40)
        parts |= {(ping + first, name) for ping, name in _matched(index, lons[these], lats[these])}
    assert parts == whole
