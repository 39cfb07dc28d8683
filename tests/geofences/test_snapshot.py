"""The snapshot file: what was written is read again, and nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geofences import snapshot
from geofences.geojson import geofence_from_feature
from geofences.index import GeofenceIndex
from geofences.packed import Packed
from geofences.snapshot import Snapshot, UnfitSnapshot
from tests.geofences.places import COURTYARD, circle
from tests.geofences.test_index import asked_one_by_one, geofences, matched, pings


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("snapshot") / "geofences.snapshot"


@settings(max_examples=40)
@given(
    st.lists(geofences, max_size=8, unique_by=lambda each: each.id),
    st.dictionaries(st.text(max_size=5), st.integers(0, 2**40), max_size=3),
    pings,
)
def test_an_index_of_a_snapshot_is_as_one_made_anew(file, held, buried, asked):
    size = snapshot.write(Snapshot(12, Packed.of(held), buried), file)
    taken = snapshot.read(file)
    assert (taken.revision, taken.buried, file.stat().st_size) == (12, buried, size)
    index = GeofenceIndex(taken.packed)
    assert list(index) == held
    assert matched(index, asked) == asked_one_by_one(held, asked)
    assert [each.name for each in file.parent.iterdir()] == [file.name], "no draft is left"


def test_a_snapshot_that_is_in_use_may_be_replaced(file):
    snapshot.write(Snapshot(1, Packed.of([circle(2, 48, 50, "old")]), {}), file)
    index = GeofenceIndex(snapshot.read(file).packed)
    snapshot.write(Snapshot(2, Packed.of([geofence_from_feature(COURTYARD)] * 9), {}), file)
    assert matched(index, [((2.0, 48.0), 0.0)]) == [(0, "old")]


@settings(max_examples=60)
@given(data=st.data())
def test_a_file_of_which_one_byte_is_wrong_is_not_used(file, data):
    snapshot.write(Snapshot(1, Packed.of([geofence_from_feature(COURTYARD)]), {"gone": 1}), file)
    content = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    file.write_bytes(content)
    with pytest.raises(UnfitSnapshot):
        snapshot.read(file)


@settings(max_examples=30)
@given(kept=st.floats(0, 1, exclude_max=True))
def test_a_file_that_is_cut_short_is_not_used(file, kept):
    snapshot.write(Snapshot(1, Packed.of([geofence_from_feature(COURTYARD)]), {}), file)
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(UnfitSnapshot):
        snapshot.read(file)


def test_a_file_from_when_geofences_were_others_is_not_used(file, monkeypatch):
    monkeypatch.setattr(snapshot, "MEANING", "id name shape")
    snapshot.write(Snapshot(1, Packed.of([]), {}), file)
    monkeypatch.undo()
    with pytest.raises(UnfitSnapshot, match="another version"):
        snapshot.read(file)
