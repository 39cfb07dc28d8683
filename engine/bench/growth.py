"""What a ping costs as geofences and phones become more, in pictures. It takes a long while and a lot of memory."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from engine.bench.footprint import CrowdFootprint, IndexFootprint, apart, weigh_crowd, weigh_index
from engine.bench.plot import Axes, Points, svg

P = ParamSpec("P")
T = TypeVar("T")

GEOFENCES = (1_000, 10_000, 100_000, 1_000_000)
DEVICES = (10_000, 100_000, 1_000_000, 10_000_000)
AMONG_DEVICES = 5_000
AMONG_GEOFENCES = 10_000
WARM_ROUNDS = 33
ROUNDS = 53
CROWD_WARM_ROUNDS = 8
CROWD_ROUNDS = 10
STEPS = 2 * len(GEOFENCES) + len(DEVICES)
"""So often `grow` says what comes next."""


@dataclass(frozen=True, slots=True)
class Growth:
    """Each curve's points, smallest first."""

    indexes: tuple[IndexFootprint, ...]
    by_geofences: tuple[CrowdFootprint, ...]
    by_devices: tuple[CrowdFootprint, ...]

    def table(self) -> dict[str, Any]:
        """The figures as they are written to a file."""
        return {
            "indexes": [each.table() for each in self.indexes],
            "by_geofences": [each.table() for each in self.by_geofences],
            "by_devices": [each.table() for each in self.by_devices],
        }


def grow(
    say: Callable[[str], None],
    geofences: tuple[int, ...] = GEOFENCES,
    devices: tuple[int, ...] = DEVICES,
) -> Growth:
    """Measure all points, each in a process of its own."""
    indexes: list[IndexFootprint] = []
    places: list[CrowdFootprint] = []
    crowds: list[CrowdFootprint] = []
    for count in geofences:
        say(f"an index of {count:,} geofences")
        indexes.append(_apart(weigh_index, count))
        say(f"pings among {count:,} geofences")
        places.append(_apart(weigh_crowd, count, AMONG_DEVICES, WARM_ROUNDS, ROUNDS - WARM_ROUNDS))
    for count in devices:
        say(f"pings of {count:,} phones")
        rounds = CROWD_ROUNDS - CROWD_WARM_ROUNDS
        crowds.append(_apart(weigh_crowd, AMONG_GEOFENCES, count, CROWD_WARM_ROUNDS, rounds))
    return Growth(tuple(indexes), tuple(places), tuple(crowds))


def pictures(growth: Growth, scaling: Mapping[str, Any]) -> dict[str, str]:
    """File name -> SVG."""
    return {
        "bench-geofences.svg": svg(
            Axes("Cost of a ping by number of geofences", "geofences", "CPU microseconds a ping"),
            _curves({each.geofences: each for each in growth.by_geofences}),
        ),
        "bench-devices.svg": svg(
            Axes("Cost of a ping by number of phones", "phones", "CPU microseconds a ping"),
            _curves({each.devices: each for each in growth.by_devices}),
        ),
        "bench-scaling.svg": svg(
            Axes("Pings a second by number of workers", "workers", "pings/s", log_x=True, log_y=True),
            _scaling(scaling),
        ),
    }


def write(folder: Path, growth: Growth, scaling: Mapping[str, Any]) -> list[Path]:
    """Write the pictures; answers their files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, picture in pictures(growth, scaling).items():
        (folder / name).write_text(picture, encoding="utf-8")
        files.append(folder / name)
    return files


def _curves(points: Mapping[int, CrowdFootprint]) -> Mapping[str, Points]:
    """All stages together, and each."""
    stages = next(iter(points.values())).microseconds_by_stage
    return {"all stages": [(count, each.microseconds_per_ping) for count, each in points.items()]} | {
        name: [(count, each.microseconds_by_stage[name]) for count, each in points.items()] for name in stages
    }


def _scaling(scaling: Mapping[str, Any]) -> dict[str, Points]:
    measured = {int(count): each for count, each in scaling["measured"].items()}
    lines: dict[str, Points] = {}
    if measured:
        lines["measured here"] = [(count, each["pings_per_second"]) for count, each in measured.items()]
        lines["model, this machine"] = [(count, each["model"]) for count, each in measured.items()]
    return lines | {
        "model, a core each": [(int(count), rate) for count, rate in scaling["simulated"].items()]
    }


def _apart(run: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    found = apart(inf, run, *args, **kwargs)
    assert found is not None
    return found
