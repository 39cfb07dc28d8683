import json
from pathlib import Path

import pytest

from engine.recordings.labelled import Happened, Undecided
from engine.recordings.nearness_report import Stay, expected, measure, read_tracks, sent_at, stays_of, table
from engine.recordings.recorded import Unreadable
from engine.recordings.replay import Recording, open_world
from geofences.event import EventKind

LAT, LON = 48.8353, 2.2410
METRE = 1 / 73_200
"""Of longitude, in degrees."""


def write_town(folder: Path, way: list[tuple[float, float]], every: int = 10) -> Recording:
    """A bakery with a catchment of 400 m, and ana's fixes along a way of (time, metres east of it)."""
    features = [
        {
            "type": "Feature",
            "id": name,
            "properties": {"kind": kind, "name": name, "radius": radius, "timezone": "UTC"} | more,
            "geometry": {"type": "Point", "coordinates": [LON, LAT]},
        }
        for name, kind, radius, more in (
            ("bakery", "store", 40, {}),
            ("around", "catchment", 400, {"store": "bakery"}),
        )
    ]
    (folder / "fences.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    with (folder / "pings.jsonl").open("w") as lines:
        for at, east_m in way[::every]:
            fix = {"device": "ana", "at": at, "received_at": at + 1, "lat": LAT, "lon": LON + east_m * METRE}
            lines.write(json.dumps(fix | {"accuracy": 8, "speed": 1.4}) + "\n")
    with (folder / "tracks.csv").open("w") as lines:
        lines.write("device,t,lat,lon\n")
        lines.writelines(f"ana,{at},{LAT},{LON + east_m * METRE}\n" for at, east_m in way)
    return Recording(folder / "fences.geojson", folder / "pings.jsonl")


def walk(from_m: float, to_m: float, start: float, mps: float = 1.4) -> list[tuple[float, float]]:
    seconds = int(abs(to_m - from_m) / mps)
    step = mps if to_m > from_m else -mps
    return [(start + second, from_m + step * second) for second in range(seconds)]


def visit() -> list[tuple[float, float]]:
    """From 800 m away to the door in nine and a half minutes, and five minutes inside."""
    way = walk(800, 0, 1000)
    return way + [(way[-1][0] + 1 + second, 0.0) for second in range(300)]


def test_a_walk_to_the_store_is_told_and_right(tmp_path: Path):
    recording = write_town(tmp_path, visit())
    stays = read_tracks(tmp_path / "tracks.csv", open_world(recording).index)
    assert [(each.place, round(each.start, -1)) for each in stays] == [("around", 1290), ("bakery", 1540)]
    scores, eta_errors = measure(recording, stays)
    told = {kind: (each.right, each.wrong, each.missed) for kind, each in scores.items()}
    assert told == {"nearby": (1, 0, 0), "approach": (1, 0, 0), "cross": (0, 0, 0)}
    assert -120 <= (scores[EventKind.APPROACH].latency_seconds or 0) < 0
    assert max(map(abs, eta_errors)) < 30
    assert "approach" in table(measure(recording, stays))


def test_what_never_came_is_wrong_and_what_was_not_told_is_missed(tmp_path: Path):
    recording = write_town(tmp_path, [*visit(), *walk(0, 800, 2000)])
    elsewhere = [Stay("ana", "bakery", 4000.0, 4200.0), Stay("ana", "around", 900.0, 950.0)]
    scores, eta_errors = measure(recording, elsewhere)
    assert (scores[EventKind.APPROACH].right, scores[EventKind.APPROACH].wrong) == (0, 1)
    assert (scores[EventKind.NEARBY].right, scores[EventKind.NEARBY].wrong) == (0, 1)
    assert eta_errors == []


def test_an_approach_of_a_phone_that_falls_silent_on_the_way_is_left_undecided(tmp_path: Path):
    recording = write_town(tmp_path, [each for each in visit() if each[1] > 100])
    scores, _ = measure(recording, [Stay("bob", "bakery", 1.0, 100.0), Stay("ana", "bakery", 9e3, 9.1e3)])
    assert (scores[EventKind.APPROACH].right, scores[EventKind.APPROACH].wrong) == (0, 0)


def truth_of(stay: Stay, sent: list[float], tmp_path: Path) -> dict[str, bool]:
    """Which kinds are expected of a stay, and whether each could be noticed."""
    index = open_world(write_town(tmp_path, visit())).index
    told = expected([stay], {"ana": sent}, index)
    return {str(each.kind): each.observable for each in told if isinstance(each, Happened)}


def test_what_should_be_told_follows_from_stays_and_from_when_fixes_were_sent(tmp_path: Path):
    often, rare = [float(at) for at in range(0, 2000, 10)], [0.0, 30.0, 990.0, 1050.0, 1900.0]
    shop, passage = Stay("ana", "bakery", 1000.0, 1200.0), Stay("ana", "bakery", 1000.0, 1008.0)
    assert truth_of(shop, often, tmp_path) == {"cross": False, "approach": True}
    assert truth_of(shop, rare, tmp_path) == {"cross": False, "approach": False}
    assert truth_of(passage, rare, tmp_path) == {"cross": True}
    assert truth_of(passage, [0.0, 1004.0, 1050.0], tmp_path) == {"cross": False}
    assert truth_of(passage, [0.0, 700.0, 1050.0], tmp_path) == {"cross": False}
    assert truth_of(Stay("ana", "around", 1000.0, 1040.0), often, tmp_path) == {"nearby": True}
    assert truth_of(Stay("ana", "around", 1000.0, 1040.0), rare, tmp_path) == {"nearby": False}


def test_stays_are_also_read_from_a_truth_file():
    visit_, passage = ("ana", "bakery", 10.0, 90.0), ("ana", "bakery", 200.0, 210.0)
    truth = [
        Happened(EventKind.ENTER, "ana", "bakery", 10.0, until=90.0),
        Happened(EventKind.EXIT, "ana", "bakery", 90.0),
        Undecided((EventKind.ENTER, EventKind.EXIT), "ana", "bakery", 200.0, 210.0),
        Undecided((EventKind.EXIT,), "ana", "bakery", 300.0, 310.0),
    ]
    assert stays_of(truth) == [Stay(*visit_), Stay(*passage)]


def test_a_clock_that_is_off_is_put_right_for_the_truth(tmp_path: Path):
    lines = [
        {"device": "ana", "at": at - 60, "received_at": at + 1, "lat": LAT, "lon": LON, "accuracy": 8}
        for at in (1000, 1010)
    ]
    lines.append(lines[0] | {"device": "ana", "accuracy": 400, "received_at": 1020})
    (tmp_path / "pings.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    assert sent_at(tmp_path / "pings.jsonl") == {"ana": [1001.0, 1011.0]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("device,t,lat\nana,1,2\n", "no column lon"),
        ("device,t,lat,lon\nana,1,2,x\n", "line 2: t, lat and lon"),
    ],
)
def test_tracks_that_are_wrong_are_named(tmp_path: Path, text: str, words: str):
    index = open_world(write_town(tmp_path, visit())).index
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(Unreadable, match=words):
        read_tracks(tmp_path / "bad.csv", index)
