"""From what a ping, a phone and a geofence cost to the machines that a country needs, and to the part that gives way
first. Pure; the figures come from a run of the bench.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

GIB = 2**30
BODY = "100"
"""Pings of a body, as phones of a large fleet arrive through a gateway."""
LOG_KEPT_SECONDS = 220
"""So long the signal log keeps what was processed."""


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU microseconds of a ping by part, in bodies of a hundred; of an event at the decider; bytes."""

    door_us: float
    worker_us: float
    store_us: float
    decide_us_per_event: float
    events_per_ping: float
    worker_bytes_per_geofence: float
    worker_bytes_per_device: float
    store_bytes_per_idle_device: float
    store_bytes_per_followed_device: float
    followed_share: float
    log_bytes_per_ping: float
    gate_us_per_shopper: float
    """To project the ledger onto the consent gate, as each process does when it starts."""


@dataclass(frozen=True, slots=True)
class Load:
    """A country: phones that are known, how often each reports, and geofences."""

    devices: int
    every_seconds: float
    geofences: int

    @property
    def pings_per_second(self) -> float:
        """Of all phones together."""
        return self.devices / self.every_seconds


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine, and up to which share its cores and its memory are to be used."""

    cores: int = 16
    memory_bytes: int = 64 * GIB
    busy_share: float = 0.5
    full_share: float = 0.75


COUNTRY = Load(devices=100_000_000, every_seconds=60.0, geofences=100_000)
MACHINE = Machine()


@dataclass(frozen=True, slots=True)
class Part:
    """What one part of the product needs: processes of one busy core each, and bytes over all of them."""

    name: str
    processes: int
    memory_bytes: float

    def machines(self, machine: Machine) -> int:
        """How many machines of its own; the larger of what its cores and its memory ask for."""
        by_cores = self.processes / machine.cores
        by_memory = self.memory_bytes / (machine.memory_bytes * machine.full_share)
        return ceil(max(by_cores, by_memory))


@dataclass(frozen=True, slots=True)
class Limit:
    """Up to how many phones one process of a part, or one machine's memory, is enough."""

    what: str
    devices: float


def parts(costs: Costs, load: Load, machine: Machine) -> list[Part]:
    """What each part needs for this load."""
    per_second = load.pings_per_second
    workers = _processes(per_second * costs.worker_us, machine)
    stores = _processes(per_second * costs.store_us, machine)
    return [
        Part("doors", _processes(per_second * costs.door_us, machine), 0.0),
        Part("workers", workers, _worker_bytes(costs, load, workers)),
        Part("live store shards", stores, _store_bytes(costs, load)),
        Part("deciders", _processes(_decide_us(costs, load), machine), 0.0),
    ]


def limits(costs: Costs, load: Load, machine: Machine) -> list[Limit]:
    """What gives way first when the phones of a country become more and each part is one process, the first first."""
    core_us = 1e6 * load.every_seconds
    memory = machine.memory_bytes * machine.full_share
    per_device = {
        "memory of the live store": _store_bytes(costs, load) / load.devices,
        "memory of the worker": costs.worker_bytes_per_device,
    }
    per_ping = {
        "a core of the door": costs.door_us,
        "a core of the worker": costs.worker_us,
        "the live store's one thread": costs.store_us,
        "the one thread of the decider": costs.events_per_ping * costs.decide_us_per_event,
    }
    left = {
        "memory of the live store": memory,
        "memory of the worker": memory - load.geofences * costs.worker_bytes_per_geofence,
    }
    found = [Limit(what, core_us / us) for what, us in per_ping.items() if us > 0]
    found += [Limit(what, max(left[what], 0.0) / size) for what, size in per_device.items() if size > 0]
    return sorted(found, key=lambda each: each.devices)


def start_seconds(costs: Costs, load: Load) -> float:
    """How long a process reads the ledger before it begins, with a shopper behind each phone."""
    return load.devices * costs.gate_us_per_shopper / 1e6


def memory_of(costs: Costs, load: Load) -> Mapping[str, float]:
    """Bytes over the whole country, by what they are for."""
    return {
        "consent gate (every phone)": load.devices * costs.store_bytes_per_idle_device,
        "tracks (followed phones)": load.devices
        * costs.followed_share
        * costs.store_bytes_per_followed_device,
        "signal log": load.pings_per_second * LOG_KEPT_SECONDS * costs.log_bytes_per_ping,
        "workers, phones": load.devices * costs.worker_bytes_per_device,
        "workers, geofences (each worker)": load.geofences * costs.worker_bytes_per_geofence,
    }


def _store_bytes(costs: Costs, load: Load) -> float:
    memory = memory_of(costs, load)
    return memory["consent gate (every phone)"] + memory["tracks (followed phones)"] + memory["signal log"]


def _worker_bytes(costs: Costs, load: Load, workers: int) -> float:
    memory = memory_of(costs, load)
    return memory["workers, phones"] + workers * memory["workers, geofences (each worker)"]


def _decide_us(costs: Costs, load: Load) -> float:
    return load.pings_per_second * costs.events_per_ping * costs.decide_us_per_event


def _processes(busy_us_per_second: float, machine: Machine) -> int:
    return max(ceil(busy_us_per_second / (1e6 * machine.busy_share)), 1)


def costs_of(figures: Mapping[str, Any]) -> Costs | None:
    """The costs in the figures of a run; None where the run had no time to weigh."""
    if not figures.get("index") or "memory" not in figures:
        return None
    main = figures["work"]["geofences"]
    by_process = figures["end_to_end"]["by_geofences"][str(main)][BODY]["microseconds_per_ping"]
    decisions, memory = figures["decisions"], figures["memory"]
    largest = max(figures["index"].values(), key=lambda each: each["geofences"])
    per_event = decisions["microseconds_per_event"]
    return Costs(
        door_us=by_process["door"],
        worker_us=max(by_process["engine"] - figures["stages"]["decide"]["ours"], 0.0),
        store_us=by_process["live store"],
        decide_us_per_event=per_event,
        events_per_ping=decisions["events_per_ping"],
        worker_bytes_per_geofence=largest["bytes_per_geofence"],
        worker_bytes_per_device=memory["worker_bytes_per_device"],
        store_bytes_per_idle_device=memory["store_bytes_per_idle_device"],
        store_bytes_per_followed_device=memory["store_bytes_per_followed_device"],
        followed_share=memory["followed_share"],
        log_bytes_per_ping=memory["log_bytes_per_ping"],
        gate_us_per_shopper=decisions["gate_microseconds_per_shopper"],
    )


def estimate(figures: Mapping[str, Any], load: Load = COUNTRY, machine: Machine = MACHINE) -> dict[str, Any]:
    """The member `cost_model` of the figures: costs, machines for a country, and what gives way first."""
    costs = costs_of(figures)
    if costs is None:
        return {}
    needed = parts(costs, load, machine)
    return {
        "cost_model": {
            "costs": asdict(costs),
            "load": asdict(load) | {"pings_per_second": round(load.pings_per_second)},
            "machine": asdict(machine),
            "parts": {
                each.name: {
                    "processes": each.processes,
                    "memory_bytes": round(each.memory_bytes),
                    "machines": each.machines(machine),
                }
                for each in needed
            },
            "machines": sum(each.machines(machine) for each in needed),
            "memory_bytes": {name: round(size) for name, size in memory_of(costs, load).items()},
            "breaks_first": [
                {"what": each.what, "devices": round(each.devices)} for each in limits(costs, load, machine)
            ],
            "start_seconds": round(start_seconds(costs, load)),
        }
    }
