"""A worker's geofences against the records store: loaded, followed, and found again in a snapshot."""

import logging
from dataclasses import replace

import pytest

from engine import places as places_module
from engine.places import Places
from engine.records import open_records
from engine.schema import upgrade
from geofences import snapshot, store
from geofences.geofence import Circle
from tests.conftest import MONDAY_NINE
from tests.geofences.places import circle, polygon, square

TOWN = [circle(number, 0, 50, f"g{number}") for number in range(20)]
SQUARE = polygon(square(2.0, 48.0, 0.01), geofence_id="square")


@pytest.fixture(autouse=True)
def _snapshots_of_few(monkeypatch):
    monkeypatch.setattr(places_module, "SNAPSHOT_FROM", 1)
    monkeypatch.setattr(places_module, "SNAPSHOT_EDITS_LEAST", 3)
    monkeypatch.setattr(places_module, "SNAPSHOT_PAUSE_SECONDS", 0.0)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "geofences.snapshot"


def put(records, *several):
    with records.writes.begin() as connection:
        store.put_many(connection, several, MONDAY_NINE)


def delete(records, geofence_id):
    with records.writes.begin() as connection:
        store.delete(connection, geofence_id, MONDAY_NINE)


def loaded(records, file, caplog):
    """Places that have loaded everything, and what they say of it."""
    caplog.clear()
    with caplog.at_level(logging.INFO, "engine.places"):
        places = Places(records, file, look_every_seconds=0)
        places.refresh()
        places.close()
    assert held(places) == kept(records)
    return places, caplog.text


def held(places):
    return {each.id: each for each in places.index}


def kept(records):
    with records.reads.connect() as connection:
        return {each.id: each for each in store.page(connection, None, 200)[0]}


def test_a_start_finds_the_snapshot_of_the_start_before_and_follows_the_edits_since(records, file, caplog):
    put(records, *TOWN, SQUARE)
    delete(records, "g3")
    places, said = loaded(records, file, caplog)
    assert "from the records store" in said
    assert snapshot.read(file).revision == 2
    assert dict(snapshot.read(file).buried) == {"g3": 2}
    _, said = loaded(records, file, caplog)
    assert "20 in" in said
    assert "from a snapshot and 0 edits since" in said
    put(records, replace(SQUARE, name="Moved", shape=Circle(9.0, 9.0, 50.0)), circle(5, 5, 9, "new"))
    delete(records, "g4")
    put(records, TOWN[3])
    places, said = loaded(records, file, caplog)
    assert "from a snapshot and 4 edits since" in said
    assert places.index.get("square").name == "Moved"


def test_a_snapshot_that_is_broken_is_made_anew(records, file, caplog):
    put(records, *TOWN)
    loaded(records, file, caplog)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    _, said = loaded(records, file, caplog)
    assert "checksum" in said
    assert "from the records store" in said
    assert "from a snapshot" in loaded(records, file, caplog)[1]


def moved(geofence, lon):
    return replace(geofence, shape=Circle(lon, 40.0, 50.0))


HISTORIES = {
    "edited otherwise": [moved(TOWN[1], 8.0)],
    "others edited": [moved(TOWN[2], 7.0)],
    "others edited, and both once more": [moved(TOWN[2], 7.0), moved(TOWN[2], 6.0)],
    "nothing edited": [],
    "one more": [circle(33, 3, 50, "more"), moved(TOWN[1], 8.0)],
}


@pytest.mark.parametrize("history", HISTORIES)
def test_a_snapshot_of_another_history_is_not_used(records, file, caplog, tmp_path, history):
    """As when the records store was put back to an earlier state, and edited from there."""
    put(records, *TOWN)
    put(records, moved(TOWN[1], 7.0))
    loaded(records, file, caplog)
    other = open_records(f"sqlite:///{tmp_path / 'other.sqlite'}")
    upgrade(other)
    put(other, *TOWN)
    for each in HISTORIES[history]:
        put(other, each)
    _, said = loaded(other, file, caplog)
    other.close()
    assert "the snapshot is not used" in said
    assert "from the records store" in said


def test_many_edits_are_taken_over_some_at_a_time(records, monkeypatch):
    monkeypatch.setattr(places_module, "EDITS_AT_ONCE", 8)
    places = Places(records, look_every_seconds=3600)
    assert not places.loaded
    places.refresh()
    assert places.loaded
    put(records, *TOWN)
    places._looked_at -= 3600
    sizes, seen = [], set()
    for _ in range(4):
        places.refresh()
        sizes.append(len(places.index))
        seen.add(places.edits)
    assert sizes == [8, 16, 20, 20]
    assert len(seen) == 3, "whoever follows sees that something has changed"
    assert held(places) == kept(records)
    places.close()


def test_a_snapshot_is_taken_after_enough_edits(records, file):
    put(records, *TOWN)
    places = Places(records, file, look_every_seconds=0)
    places.refresh()
    places.close()
    for number in range(4):
        put(records, circle(number, 1, 50, f"late{number}"))
        places.refresh()
        places.close()
        assert snapshot.read(file).revision == (1 if number < 2 else 4)
