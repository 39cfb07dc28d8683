"""How fast so many workers are together, from what one ping takes of each part: a closed queueing network, solved
exactly by mean value analysis (Reiser and Lavenberg, Journal of the ACM 27, 1980). Pure.

Each worker goes round: it computes, on one of the machine's cores, and then waits for the live store, which serves one
script at a time. Times of service are taken to be exponential, so waiting is overstated a little.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Demand:
    """CPU microseconds of a ping: in a worker, and in the live store."""

    worker_us: float
    store_us: float


def throughput(demand: Demand, workers: int, cores: int | None = None) -> float:
    """Pings per second of so many workers with one live store, on a machine with so many cores; with a core for each
    process when `cores` is None.
    """
    servers = workers if cores is None else cores
    computing: Sequence[float] = (1.0,)
    at_store = rate = 0.0
    for population in range(1, workers + 1):
        computing_us = demand.worker_us * sum(
            (count + 1) / min(count + 1, servers) * share for count, share in enumerate(computing)
        )
        store_us = demand.store_us * (1 + at_store)
        rate = population / (computing_us + store_us)
        at_store = rate * store_us
        computing = _computing(computing, rate * demand.worker_us, servers)
    everything_busy = cores / (demand.worker_us + demand.store_us) if cores is not None else float("inf")
    return min(rate, everything_busy) * 1e6


def _computing(before: Sequence[float], busy: float, servers: int) -> Sequence[float]:
    """The probabilities that 0, 1, ... workers compute, from those with one worker less; `busy` cores are, on average."""
    some = [busy / min(count, servers) * share for count, share in enumerate(before, start=1)]
    free = (
        servers
        - busy
        - sum((servers - count) * share for count, share in enumerate(some[: servers - 1], start=1))
    )
    return (max(free / servers, 0.0), *some)
