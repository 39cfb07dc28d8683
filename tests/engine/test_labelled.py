import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.recordings.labelled import (
    Happened,
    Undecided,
    ablation,
    ablation_line,
    read_truth,
    score,
    without,
)
from engine.recordings.recorded import Unreadable
from engine.recordings.replay import Recording
from geofences.event import EventKind, PlaceEvent, Revision

ENTER = EventKind.ENTER


def told(at: float, kind: EventKind = ENTER, place: str = "bakery", **more: object) -> PlaceEvent:
    instant = datetime.fromtimestamp(at, UTC)
    late = datetime.fromtimestamp(at + 20, UTC)
    return PlaceEvent(f"{kind}{at}", "ana", kind, place, instant, late, 0.9, **more)


TRUTH = [
    Happened(ENTER, "ana", "bakery", 1000.0),
    Happened(ENTER, "ana", "bakery", 5000.0),
    Happened(ENTER, "ana", "bakery", 9000.0, observable=False),
    Undecided((ENTER,), "ana", "bakery", 7000.0, 7100.0),
]


def test_an_event_is_right_once_and_within_two_minutes():
    scores = score(TRUTH, [told(1030), told(1060), told(5200), told(7050)])
    assert (scores[ENTER].right, scores[ENTER].wrong, scores[ENTER].missed) == (1, 2, 1)
    assert scores[ENTER].f1 == pytest.approx(0.4)
    assert scores[ENTER].latency_seconds == pytest.approx(50)


def test_corrections_are_no_further_events():
    scores = score(TRUTH, [told(1030), told(1010, revision=Revision.AMENDED)])
    assert (scores[ENTER].right, scores[ENTER].wrong) == (1, 0)


def test_a_jam_may_be_told_at_any_of_its_places_while_it_lasts():
    stuck = EventKind.STUCK
    jam = Happened(stuck, "ana", "near-a", 1120.0, ("near-a", "near-b"), since=1000.0, until=2000.0)
    assert score([jam], [told(1900, stuck, "near-b")])[stuck].f1 == 1.0
    assert score([jam], [told(1010, stuck, "near-a")])[stuck].f1 == 0.0
    assert score([jam], [told(1200, stuck, "near-c")])[stuck].f1 == 0.0


def test_a_truth_file_that_is_wrong_is_named_with_its_line(tmp_path: Path):
    file = tmp_path / "truth.jsonl"
    file.write_text(
        '{"cls":"event","kind":"enter","device":"ana","place":"bakery","at":1}\n{"cls":"event"}\n'
    )
    with pytest.raises(Unreadable, match="line 2"):
        read_truth(file)


def test_detection_is_scored_whole_and_without_each_part(tmp_path: Path):
    feature = {
        "type": "Feature",
        "id": "bakery",
        "properties": {"name": "Bakery", "kind": "store", "radius": 40, "timezone": "UTC"},
        "geometry": {"type": "Point", "coordinates": [2.241, 48.8353]},
    }
    fences, pings = tmp_path / "fences.geojson", tmp_path / "pings.jsonl"
    fences.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    with pings.open("w") as lines:
        for number in range(60):
            at, lon = 1000 + 10 * number, 2.241 if 20 <= number < 40 else 2.244
            fix = {
                "device": "ana",
                "at": at,
                "received_at": at + 1,
                "lat": 48.8353,
                "lon": lon,
                "accuracy": 8,
            }
            lines.write(json.dumps(fix) + "\n")
    truth = [Happened(ENTER, "ana", "bakery", 1195.0), Happened(EventKind.EXIT, "ana", "bakery", 1395.0)]
    table = dict(ablation(Recording(fences, pings), truth))
    assert list(table) == list(without())
    assert table["all"][ENTER].f1 == table["all"][EventKind.EXIT].f1 == 1.0
    assert "1.000" in ablation_line("all", table["all"])
