"""How fast one, two and four workers empty a full log on this machine, beside what the queueing model says."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from config import Settings
from engine.bench.installation import POLL_SECONDS, serving
from engine.bench.queueing import Demand
from engine.bench.rates import warm_up
from engine.bench.sending import send
from engine.bench.stages import Line
from engine.bench.work import Feed, Work
from engine.clock import wall_clock
from engine.live import open_live

BODY = 100
WORKER_STAGES = ("read", "fetch", "match", "detect", "commit", "decide")
EDGES = (0.9, 0.1)
"""Measured is what lies between these shares of the log: all workers have begun, and none is done."""
STEPS_LEAST = 5
"""Between fewer rounds than this their lengths say nothing: two that end at once would count as endless speed."""


@dataclass(frozen=True, slots=True)
class Drained:
    """So many workers took so many pings a second off the log."""

    workers: int
    pings: int
    per_second: float


def drain(settings: Settings, work: Work, workers: int, warm: int, pings: int) -> Drained:
    """Let workers wait while the log is filled, then let them go. `warm` pings go before. What the live store held
    is gone first, as these phones' clocks may begin anew.
    """
    live = open_live("", settings.data_dir, settings.partitions)
    live.client.flushall()
    live.close()
    with serving(settings, workers) as served:
        feed = Feed(work, wall_clock().timestamp())
        warm_up(served, feed, warm)
        _, bodies = feed.take(pings, BODY)
        for each in served.workers:
            each.suspend()
        try:
            send(served, bodies)
            full = served.depth()
        finally:
            for each in served.workers:
                each.resume()
        seen = [(time.monotonic(), full)]
        while seen[-1][1]:
            time.sleep(POLL_SECONDS)
            seen.append((time.monotonic(), served.depth()))
    return Drained(workers, pings, pings * share_per_second(seen))


def share_per_second(seen: Sequence[tuple[float, int]]) -> float:
    """Which share of a log is worked off in a second, from its depths (seconds, entries): over the middle part."""
    at, depth = np.array(seen, dtype=np.float64).T
    left = depth / depth[0]
    inner = np.flatnonzero((left <= EDGES[0]) & (left >= EDGES[1]))
    if len(np.unique(left[inner])) < STEPS_LEAST:  # few steps, each a large part of it
        return 1.0 / float(at[-1] - at[0])
    first, last = inner[0], inner[-1]
    return float((left[first] - left[last]) / (at[last] - at[first]))


def demands(line: Line) -> tuple[Demand, Demand]:
    """What a ping takes of a worker process, with its decider, and of the live store: while a log is drained, and while
    doors append to it too.
    """
    spent = line.meter.spent
    worker = sum(spent[name].ours for name in WORKER_STAGES)
    store = sum(spent[name].server for name in WORKER_STAGES)
    appending = spent["append"].server
    per_ping = 1e6 / line.pings
    return (
        Demand(worker * per_ping, store * per_ping),
        Demand(worker * per_ping, (store + appending) * per_ping),
    )
