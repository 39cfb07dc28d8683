from dataclasses import replace

import pytest

from engine.bench.cost_model import (
    GIB,
    Costs,
    Load,
    Machine,
    estimate,
    limits,
    memory_of,
    parts,
    start_seconds,
)

COSTS = Costs(
    door_us=2.0,
    worker_us=5.0,
    store_us=1.0,
    decide_us_per_event=1000.0,
    events_per_ping=0.001,
    worker_bytes_per_geofence=4000.0,
    worker_bytes_per_device=200.0,
    store_bytes_per_idle_device=60.0,
    store_bytes_per_followed_device=1000.0,
    followed_share=0.1,
    log_bytes_per_ping=50.0,
    gate_us_per_shopper=1000.0,
)
LOAD = Load(devices=6_000_000, every_seconds=60.0, geofences=10_000)
MACHINE = Machine(cores=4, memory_bytes=8 * GIB, busy_share=0.5, full_share=0.5)


def test_processes_follow_from_busy_time():
    # 100,000 pings a second: 0.2, 0.5, 0.1 and 0.1 busy seconds a second, at half a core each.
    assert {each.name: each.processes for each in parts(COSTS, LOAD, MACHINE)} == {
        "doors": 1,
        "workers": 1,
        "live store shards": 1,
        "deciders": 1,
    }
    tenfold = replace(LOAD, devices=60_000_000)
    assert [each.processes for each in parts(COSTS, tenfold, MACHINE)] == [4, 10, 2, 2]


def test_machines_are_counted_by_whatever_runs_out():
    tenfold = replace(LOAD, devices=60_000_000)
    found = {each.name: each for each in parts(COSTS, tenfold, MACHINE)}
    assert found["doors"].machines(MACHINE) == 1
    assert (
        found["workers"].machines(MACHINE) == 3
    )  # 12 GB of phones, 10 x 40 MB of geofences: 2.9 times 4 GiB
    assert found["live store shards"].machines(MACHINE) == 5  # 3.6 + 6 + 11 GB


def test_memory_adds_up_by_what_it_is_for():
    memory = memory_of(COSTS, LOAD)
    assert memory["consent gate (every phone)"] == 360e6
    assert memory["tracks (followed phones)"] == 600e6
    assert memory["signal log"] == pytest.approx(100_000 * 220 * 50)
    assert memory["workers, phones"] == 1.2e9


def test_what_gives_way_first_is_the_first():
    found = limits(COSTS, LOAD, MACHINE)
    assert [each.devices for each in found] == sorted(each.devices for each in found)
    by_name = {each.what: each.devices for each in found}
    assert by_name["a core of the worker"] == pytest.approx(60 / 5e-6)
    slow = limits(replace(COSTS, decide_us_per_event=1e6), LOAD, MACHINE)
    assert slow[0].what == "the one thread of the decider"
    assert slow[0].devices == pytest.approx(60_000)


def test_a_start_reads_the_whole_ledger():
    assert start_seconds(COSTS, LOAD) == pytest.approx(6000)


def test_figures_without_weights_give_no_estimate():
    assert estimate({"work": {"geofences": 10}, "index": {}}) == {}
