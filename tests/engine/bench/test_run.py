"""The whole bench, on very little work, with everything real."""

import json

from engine.bench.footprint import weigh_crowd, weigh_index
from engine.bench.growth import Growth, pictures
from engine.bench.plan import FULL, QUICK, Crowd, Plan
from engine.bench.report import table
from engine.bench.run import Peers, measure, steps
from engine.bench.stages import STAGES

TINY = Plan(
    geofences=(60,),
    main=60,
    crowd=Crowd(300, rounds=70, warm_rounds=5),
    pings={1: 600, 10: 300, 100: 1_000, 1000: 2_000},
    rate_seconds=5.0,
    loads=(0.5,),
    latency_seconds=1.0,
    staged=Crowd(100, rounds=40, warm_rounds=5),
    peer_pings=2_000,
    workers=(),
    drained=Crowd(0),
    drained_pings=0,
    index_sizes=(60,),
    weighed=Crowd(200, rounds=2, warm_rounds=1),
    budget_seconds=None,
)


def test_a_run_measures_everything_and_can_be_written_and_read():
    said: list[str] = []
    figures = json.loads(json.dumps(measure(TINY, Peers(), said.append)))
    end_to_end, stages, peers = (figures[name] for name in ("end_to_end", "stages", "peers"))
    assert set(end_to_end["pings_per_cpu_second"]) == {"1", "10", "100", "1000"}
    assert all(each > 0 for each in end_to_end["pings_per_cpu_second"].values())
    assert end_to_end["pings_per_cpu_second"]["1"] < end_to_end["pings_per_cpu_second"]["1000"]
    by_size = end_to_end["by_geofences"]["60"]
    assert {size: each["pings"] for size, each in by_size.items()} == {
        "1": 600,
        "10": 300,
        "100": 1000,
        "1000": 2000,
    }
    assert set(by_size["1"]["microseconds_per_ping"]) == {"door", "engine", "live store"}
    half = end_to_end["latency_by_load"]["0.5"]
    assert half["events"] > 0
    assert end_to_end["latency_ms"] == half["event_ms"]
    assert 0 < half["event_ms"]["p50"] <= half["event_ms"]["p99"]
    assert set(stages) == set(STAGES)
    asked = [name for name in STAGES if name != "fetch"]  # what is remembered is not fetched
    assert all(stages[name]["ours"] > 0 for name in asked)
    assert peers["strtree"]["end_to_end_ratio"] > 0
    assert peers["strtree"]["inside_share"] > 0.03
    assert peers["valkey_geosearch"]["inside_share"] >= peers["strtree"]["inside_share"]
    assert [peers[name]["skipped"][:10] for name in ("postgis", "tile38")] == ["no address", "no address"]
    assert figures["scaling"]["simulated"]["64"] >= figures["scaling"]["simulated"]["1"] > 0
    assert figures["cost_model"]["machines"] > 0
    assert len(said) == steps(TINY)
    assert "valkey_geosearch" in table(figures)


def test_growth_is_drawn_from_what_was_weighed():
    indexes = tuple(weigh_index(count) for count in (60, 200))
    crowds = tuple(weigh_crowd(60, count, 1, 1) for count in (100, 300))
    assert all(each.put_microseconds > 0 and each.match_cold_microseconds > 0 for each in indexes)
    assert all(each.store_bytes_per_idle_device > 0 and each.log_bytes_per_ping > 0 for each in crowds)
    scaling = {"measured": {"1": {"pings_per_second": 10, "model": 12}}, "simulated": {"1": 12, "2": 20}}
    drawn = pictures(Growth(indexes, crowds, crowds), scaling)
    assert all("<polyline" in each for each in drawn.values())


def test_plans_hold_enough_pings():
    for plan in (FULL, QUICK):
        crowd = plan.crowd
        left = crowd.devices * crowd.rounds - crowd.warm_pings - sum(plan.pings.values())
        assert left > 100_000  # for latency
        assert plan.drained.devices * plan.drained.rounds >= plan.drained.warm_pings + plan.drained_pings
        assert plan.staged.rounds > plan.staged.warm_rounds
        assert 0.5 in plan.loads
