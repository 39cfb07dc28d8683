"""What a run of the bench does, as data: the full one, and a quick one that ends within a minute on any machine."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Crowd:
    """So many phones, reporting for so many rounds of ten seconds, of which the first only warm up: by then whoever
    was inside at the start has dwelled.
    """

    devices: int
    rounds: int = 85
    warm_rounds: int = 33

    @property
    def warm_pings(self) -> int:
        """Pings of the rounds that only warm up."""
        return self.warm_rounds * self.devices


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything."""

    geofences: tuple[int, ...]
    """One installation for each; the headline is of `main`."""
    main: int
    crowd: Crowd
    pings: Mapping[int, int]
    """Pings a body -> pings to send."""
    rate_seconds: float
    """No size of body is sent for longer."""
    loads: tuple[float, ...]
    """Pings a second as shares of those for which one CPU second was measured to be enough; 0.5 is the headline."""
    latency_seconds: float
    staged: Crowd
    peer_pings: int
    workers: tuple[int, ...]
    drained: Crowd
    drained_pings: int
    index_sizes: tuple[int, ...]
    weighed: Crowd
    budget_seconds: float | None
    """Within which everything is to end, at the price of fewer pings; None takes what it takes."""


FULL = Plan(
    geofences=(1_000, 10_000, 100_000),
    main=10_000,
    crowd=Crowd(10_000, rounds=700),
    pings={1: 20_000, 10: 100_000, 100: 300_000, 1000: 300_000},
    rate_seconds=60.0,
    loads=(0.1, 0.25, 0.5, 0.75),
    latency_seconds=8.0,
    staged=Crowd(5_000),
    peer_pings=300_000,
    workers=(1, 2, 4),
    drained=Crowd(5_000, rounds=200),
    drained_pings=800_000,
    index_sizes=(1_000, 10_000, 100_000),
    weighed=Crowd(100_000, rounds=3, warm_rounds=1),
    budget_seconds=None,
)
QUICK = Plan(
    geofences=(10_000,),
    main=10_000,
    crowd=Crowd(2_500, rounds=340),
    pings={1: 8_000, 10: 30_000, 100: 60_000, 1000: 60_000},
    rate_seconds=2.5,
    loads=(0.5,),
    latency_seconds=3.5,
    staged=Crowd(2_000, rounds=73),
    peer_pings=50_000,
    workers=(),
    drained=Crowd(0),
    drained_pings=0,
    index_sizes=(10_000,),
    weighed=Crowd(20_000, rounds=2, warm_rounds=1),
    budget_seconds=38.0,
)
