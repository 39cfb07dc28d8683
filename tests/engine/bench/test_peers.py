from pathlib import Path

import pytest

from engine.bench.peer_servers import postgis, tile38
from engine.bench.peers import Peer, Skipped, Task, geosearch, ratios, strtree
from engine.bench.work import make_geofences, make_work


@pytest.fixture(scope="module")
def task() -> Task:
    return Task.of(make_geofences(25), make_work(3_000, 1, 25))


def test_a_peer_finds_what_is_inside(task: Task, tmp_path: Path):
    exact = strtree(task)
    server, both = geosearch(task, tmp_path)
    assert 0.03 < exact.inside / exact.pings < 0.08
    assert server.inside >= exact.inside  # candidates, within the farthest corner
    assert both.seconds > server.seconds


def test_ratios_say_how_many_times_a_peer_we_are():
    told = ratios(
        [Peer("tree", 1000, 50, 0.01, "CPU"), Skipped("other", "not here")], {"end_to_end": 50_000.0}
    )
    assert told["tree"]["pings_per_cpu_second"] == 100_000
    assert told["tree"]["end_to_end_ratio"] == 0.5
    assert told["tree"]["inside_share"] == 0.05
    assert told["other"] == {"skipped": "not here"}


def test_servers_without_an_address_are_skipped_and_say_how(task: Task):
    assert [type(each) for each in (postgis(task, ""), tile38(task, ""))] == [Skipped, Skipped]
