import gzip
import json
from pathlib import Path

import pytest

from engine.recordings.recorded import RecordedPing, RecordedSighting, Unreadable, read_lines
from engine.signals import Heard
from geofences.beacon import RegionChange

UUID = "f7826da6-4fa2-4e98-8024-bc5b71e0893e"
HEARD = {
    "device": "a",
    "at": 5,
    "received_at": 6.5,
    "rssi": -90,
    "tx_power": -62,
    "beacon": {"uuid": UUID, "major": 301, "minor": 2},
}
PING = {"device": "a", "at": 5, "received_at": 6, "lat": 48, "lon": 2, "accuracy": 8, "seq": 1}


@pytest.mark.parametrize("packed", [False, True])
def test_a_line_is_a_signal_and_an_empty_one_none(tmp_path: Path, packed):
    path = tmp_path / ("heard.jsonl.gz" if packed else "heard.jsonl")
    left = {name: value for name, value in HEARD.items() if name != "rssi"}
    both = (HEARD, left | {"received_at": 7, "event": "exit"})
    text = "".join(json.dumps(each) + "\n\n" for each in both)
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    first, second = read_lines(path, RecordedSighting)
    assert (first.device, first.received_at, second.received_at) == ("a", 6.5, 7.0)
    assert first.heard == Heard(5.0, -90.0, -62.0, f"{UUID}:301:2")
    assert second.heard == Heard(5.0, None, -62.0, f"{UUID}:301:2", region=RegionChange.EXIT)


def test_pings_are_read_alike(tmp_path: Path):
    path = tmp_path / "pings.jsonl"
    path.write_text(json.dumps(PING))
    assert list(read_lines(path, RecordedPing)) == [RecordedPing("a", 5.0, 6.0, 48.0, 2.0, 8.0)]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"{", "line 2"),
        (b"\xff", "line 2"),
        (json.dumps(PING).encode(), "beacon"),
        (json.dumps(HEARD | {"rssi": None}).encode(), "rssi"),
        (json.dumps(HEARD | {"rssi": None, "event": "stay"}).encode(), "event"),
        (json.dumps(HEARD | {"beacon": {"uuid": UUID}}).encode(), "major"),
        (json.dumps(HEARD | {"rssi": float("nan")}).encode(), "line 2"),
        (json.dumps(HEARD | {"received_at": 1}).encode(), "goes back"),
    ],
)
def test_the_line_that_is_wrong_is_named(tmp_path: Path, line, words):
    path = tmp_path / "heard.jsonl"
    path.write_bytes(json.dumps(HEARD).encode() + b"\n" + line + b"\n")
    with pytest.raises(Unreadable, match=words) as caught:
        list(read_lines(path, RecordedSighting))
    assert f"{path}, line 2" in str(caught.value)


def test_a_file_that_only_seems_packed_is_named(tmp_path: Path):
    path = tmp_path / "heard.jsonl.gz"
    for content in (b"no gzip", gzip.compress(b"{}" * 99)[:-9]):
        path.write_bytes(content)
        with pytest.raises(Unreadable, match=r"heard\.jsonl\.gz"):
            list(read_lines(path, RecordedSighting))
