"""Runs the bench: each part in turn, and what it found as one set of figures."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from config import Settings
from engine.bench import cost_model
from engine.bench.budget import Budget
from engine.bench.footprint import apart, weigh_crowd, weigh_index
from engine.bench.installation import Served, fill, serving, settings_for
from engine.bench.latency import Latency, campaign, latency, percentiles
from engine.bench.peer_servers import postgis, tile38
from engine.bench.peers import Task, local_peers, ratios
from engine.bench.plan import Plan
from engine.bench.queueing import throughput
from engine.bench.rates import Rate, rate, table_of, warm_up
from engine.bench.scaling import demands, drain
from engine.bench.stages import Line, open_line
from engine.bench.work import EVERY_SECONDS, INSIDE_SHARE, SEED, Feed, Work, make_geofences, make_work
from engine.clock import wall_clock
from engine.records import open_records
from geofences.geofence import Geofence

HEADLINE_BODY = 100
HEADLINE_LOAD = 0.5
WAITING_LEASE_SECONDS = 15.0
"""Workers that wait while a log is filled must not lose what they hold."""
SIMULATED = (1, 2, 4, 8, 16, 32, 64)
"""Workers, each with a core of its own."""

PEER_SECONDS = 10.0
"""With less left, peers get a tenth of the pings."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Peers:
    """Where peers with servers of their own are; empty where there is none."""

    postgis: str = ""
    tile38: str = ""


@dataclass(frozen=True, slots=True)
class _Place:
    """A data directory that is filled, and with what."""

    settings: Settings
    geofences: Sequence[Geofence]


@dataclass(frozen=True, slots=True)
class Latencies:
    """By load: when no campaign runs, and while one messages everybody who enters, whose decisions and messages take far
    more of the machine than their events.
    """

    silent: Mapping[float, Latency]
    talking: Mapping[float, Latency]


def measure(plan: Plan, peers: Peers, say: Say) -> dict[str, Any]:
    """Do all of the plan; `say` is told what comes next. Answers what `chaland bench --json` writes."""
    budget = Budget(plan.budget_seconds)
    by_geofences: dict[str, Any] = {}
    figures: dict[str, Any] = {"work": _work_of(plan)}
    for count in plan.geofences:
        with tempfile.TemporaryDirectory(prefix="chaland-bench-") as folder:
            say(f"{count:,} geofences: filling")
            place = _Place(settings_for(Path(folder)), make_geofences(count))
            fill(place.settings, place.geofences, plan.crowd.devices)
            found, loads = _end_to_end(plan, place, budget, say)
            by_geofences[str(count)] = table_of(found)
            if count == plan.main:
                figures["end_to_end"] = _headline(found, loads) | {"by_geofences": by_geofences}
                figures |= _of_the_main_place(plan, place, found, peers, budget, say)
    figures |= _footprints(plan, budget, say)
    return figures | cost_model.estimate(figures)


def steps(plan: Plan) -> int:
    """How often `measure` says what comes next."""
    in_each_place = 2 + len(plan.pings)
    once = 2 * len(plan.loads) + 2 + len(plan.workers) + len(plan.index_sizes) + 1
    return len(plan.geofences) * in_each_place + once


def _work_of(plan: Plan) -> dict[str, Any]:
    return {
        "geofences": plan.main,
        "devices": plan.crowd.devices,
        "each_reports_every_seconds": EVERY_SECONDS,
        "inside_share": INSIDE_SHARE,
        "order": "random",
        "seed": SEED,
        "cores": psutil.cpu_count(),
    }


def _end_to_end(plan: Plan, place: _Place, budget: Budget, say: Say) -> tuple[dict[int, Rate], Latencies]:
    geofences = len(place.geofences)
    say(f"{geofences:,} geofences: starting, and warming up")
    work = make_work(plan.crowd.devices, plan.crowd.rounds, geofences)
    with serving(place.settings) as served:
        feed = Feed(work, wall_clock().timestamp())
        warm_up(served, feed, plan.crowd.warm_pings, budget.share(0.2, 120.0))
        found: dict[int, Rate] = {}
        for size, pings in plan.pings.items():
            say(f"{geofences:,} geofences: {size} pings a body")
            found[size] = rate(served, feed, size, pings, budget.share(0.08, plan.rate_seconds))
        if geofences != plan.main:
            return found, Latencies({}, {})
        return found, _latencies(plan, served, work, feed, found[HEADLINE_BODY].per_cpu_second, budget, say)


def _latencies(
    plan: Plan, served: Served, work: Work, feed: Feed, full: float, budget: Budget, say: Say
) -> Latencies:
    def at(load: float) -> Latency:
        return latency(served, work, feed, load * full, budget.share(0.2, plan.latency_seconds))

    silent, talking = {}, {}
    for load in plan.loads:
        say(f"latency at {load:.0%} of what a CPU second is enough for")
        silent[load] = at(load)
    with campaign(served):
        for load in plan.loads:
            say(f"the same at {load:.0%}, while everyone who enters is messaged")
            talking[load] = at(load)
    return Latencies(silent, talking)


def _headline(found: dict[int, Rate], loads: Latencies) -> dict[str, Any]:
    half = loads.silent[HEADLINE_LOAD]
    return {
        "pings_per_cpu_second": {str(size): round(each.per_cpu_second) for size, each in found.items()},
        "latency_ms": percentiles(half.event_ms),
        "latency_after_answer_ms": percentiles(half.accepted_ms),
        "latency_by_load": {str(load): each.table() for load, each in loads.silent.items()},
        "latency_by_load_messaging": {str(load): each.table() for load, each in loads.talking.items()},
    }


def _of_the_main_place(
    plan: Plan, place: _Place, found: dict[int, Rate], peers: Peers, budget: Budget, say: Say
) -> dict[str, Any]:
    say("stage by stage")
    line = _staged(plan, place, budget)
    stages = line.table()
    say("peers")
    pings = plan.peer_pings if budget.left() > PEER_SECONDS else plan.peer_pings // 10
    task = Task.of(place.geofences, make_work(pings, 1, len(place.geofences)))
    with tempfile.TemporaryDirectory(prefix="chaland-bench-") as folder:
        asked = [
            *local_peers(task, Path(folder)),
            postgis(task, peers.postgis),
            tile38(task, peers.tile38),
        ]
    ours = {
        "end_to_end": found[HEADLINE_BODY].per_cpu_second,
        "match": stages["match"]["pings_per_cpu_second"],
    }
    return {
        "stages": stages,
        "decisions": {
            "events_per_ping": round(line.events / line.pings, 5),
            "microseconds_per_event": round(line.decide_us_per_event, 1),
            "gate_microseconds_per_shopper": round(line.gate_us_per_shopper, 1),
        },
        "peers": ratios(asked, ours),
        "scaling": _scaling(plan, place, line, say),
    }


def _staged(plan: Plan, place: _Place, budget: Budget) -> Line:
    """A line that has taken the staged crowd's pings, closed again."""
    crowd = plan.staged
    records = open_records(place.settings.records_url, place.settings.vault_keys)
    work = make_work(crowd.devices, crowd.rounds, len(place.geofences))
    with tempfile.TemporaryDirectory(prefix="chaland-bench-") as folder:
        line = open_line(settings_for(Path(folder)), place.geofences, crowd.devices, records=records)
        try:
            feed = Feed(work, wall_clock().timestamp())
            line.take(feed, crowd.warm_pings, budget.share(0.2, 600.0))
            line.begin()
            line.take(feed, len(feed), budget.share(0.2, 600.0))
        finally:
            line.close()
            records.close()
    return line


def _scaling(plan: Plan, place: _Place, line: Line, say: Say) -> dict[str, Any]:
    """Measured on this machine, and as the queueing model has it, here and with a core for each."""
    draining, running = demands(line)
    settings = settings_for(place.settings.data_dir, lease_seconds=WAITING_LEASE_SECONDS)
    measured = {}
    for workers in plan.workers:
        say(f"{workers} workers")
        work = make_work(plan.drained.devices, plan.drained.rounds, len(place.geofences))
        drained = drain(settings, work, workers, plan.drained.warm_pings, plan.drained_pings)
        measured[str(workers)] = {
            "pings_per_second": round(drained.per_second),
            "model": round(throughput(draining, workers, psutil.cpu_count())),
        }
    return {
        "demand_us": {"draining": asdict(draining), "running": asdict(running)},
        "measured": measured,
        "simulated": {str(count): round(throughput(running, count)) for count in SIMULATED},
    }


def _footprints(plan: Plan, budget: Budget, say: Say) -> dict[str, Any]:
    index = {}
    for count in plan.index_sizes:
        say(f"an index of {count:,} geofences")
        if found := apart(budget.left(), weigh_index, count):
            index[str(count)] = found.table()
    say("memory of phones")
    weighed = plan.weighed
    rounds = weighed.rounds - weighed.warm_rounds
    crowd = apart(budget.left(), weigh_crowd, 1_000, weighed.devices, weighed.warm_rounds, rounds)
    return {"index": index} | ({"memory": crowd.table()} if crowd else {})
