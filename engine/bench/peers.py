"""The same pings against the same geofences through what else there is: how many a CPU second each of them tells the
geofences of. Peers match and do nothing more: no HTTP, no consent, no states, no events, nothing on disk.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import shapely

from engine.bench.work import RADIUS_M, SPREAD, Work
from engine.live import open_live
from geofences.geofence import Geofence
from geofences.geojson import feature_from_geofence

AT_ONCE = 1000
PIPELINE = 512
SEARCH_M = RADIUS_M * (1 + SPREAD)
"""So far from the middle a corner may be."""


@dataclass(frozen=True, slots=True)
class Peer:
    """What a peer took for so many pings, of which `inside` were in a geofence. `by` says whose time was counted."""

    name: str
    pings: int
    inside: int
    seconds: float
    by: str

    @property
    def per_second(self) -> float:
        """Pings per second of the time that was counted."""
        return self.pings / max(self.seconds, 1e-9)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A peer that was not asked, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Task:
    """What each peer gets: the outlines of the geofences, and pings."""

    outlines: Sequence[Any]
    lon: np.ndarray[Any, np.dtype[np.float64]]
    lat: np.ndarray[Any, np.dtype[np.float64]]
    device: np.ndarray[Any, np.dtype[np.int64]]

    @classmethod
    def of(cls, geofences: Sequence[Geofence], work: Work) -> "Task":
        """All pings of the work."""
        outlines = [shapely.geometry.shape(feature_from_geofence(each)["geometry"]) for each in geofences]
        return cls(outlines, work.lon, work.lat, work.device)

    def __len__(self) -> int:
        return len(self.lon)

    def chunks(self, size: int) -> Sequence[slice]:
        """The pings in portions."""
        return [slice(first, first + size) for first in range(0, len(self), size)]


def local_peers(task: Task, folder: Path) -> list[Peer | Skipped]:
    """Those that need no server but the one that we carry."""
    return [strtree(task), geopandas(task), *geosearch(task, folder)]


def strtree(task: Task) -> Peer:
    """The STRtree of shapely in this process, a thousand pings at once."""
    tree = shapely.STRtree(task.outlines)
    tree.query(shapely.points(task.lon[:1], task.lat[:1]), predicate="intersects")
    inside, began = 0, time.process_time()
    for some in task.chunks(AT_ONCE):
        points = shapely.points(task.lon[some], task.lat[some])
        inside += len(np.unique(tree.query(points, predicate="intersects")[0]))
    return Peer("strtree", len(task), inside, time.process_time() - began, "CPU, in process")


def geopandas(task: Task) -> Peer | Skipped:
    """The spatial join of geopandas in this process, if it is installed."""
    if find_spec("geopandas") is None:
        return Skipped("geopandas", "not installed; pip install geopandas")
    pandas: Any = import_module("geopandas")
    places = pandas.GeoDataFrame(geometry=list(task.outlines), crs=4326)
    assert places.sindex is not None
    inside, began = 0, time.process_time()
    for some in task.chunks(AT_ONCE):
        points = pandas.GeoDataFrame(geometry=pandas.points_from_xy(task.lon[some], task.lat[some]), crs=4326)
        inside += pandas.sjoin(points, places, predicate="within").index.nunique()
    return Peer("geopandas", len(task), inside, time.process_time() - began, "CPU, in process")


def geosearch(task: Task, folder: Path) -> list[Peer]:
    """The bundled Valkey: the middles of the geofences in a geo set, and for each ping a search around it, with the
    commands pipelined. It answers candidates only, as it knows no polygons. Once the server's time alone is counted,
    and once that of its client, which is ours, as well.
    """
    live = open_live("", folder, 1)
    try:
        assert live.child
        assert live.child.process
        server = psutil.Process(live.child.process.pid)
        middles = [(*each.centroid.coords[0], str(place)) for place, each in enumerate(task.outlines)]
        for first in range(0, len(middles), PIPELINE):
            live.client.geoadd(
                "places", [part for each in middles[first : first + PIPELINE] for part in each]
            )
        before, began, candidates = _cpu_seconds(server), time.process_time(), 0
        for some in task.chunks(PIPELINE):
            with live.client.pipeline(transaction=False) as pipeline:
                for lon, lat in zip(task.lon[some].tolist(), task.lat[some].tolist(), strict=True):
                    pipeline.geosearch("places", longitude=lon, latitude=lat, radius=SEARCH_M, unit="m")
                candidates += sum(1 for found in pipeline.execute() if found)
        spent, ours = _cpu_seconds(server) - before, time.process_time() - began
    finally:
        live.close()
    return [
        Peer("valkey_geosearch", len(task), candidates, spent, "CPU of the server"),
        Peer("valkey_geosearch_client", len(task), candidates, spent + ours, "CPU of server and client"),
    ]


def ratios(peers: Sequence[Peer | Skipped], ours: Mapping[str, float]) -> dict[str, Any]:
    """Every peer's figures, with ours as multiples of them; for one that was not asked, why."""
    return {
        each.name: {"skipped": each.why}
        if isinstance(each, Skipped)
        else {
            "pings_per_cpu_second": round(each.per_second),
            "counted": each.by,
            "pings": each.pings,
            "inside_share": round(each.inside / each.pings, 4),
            **{f"{name}_ratio": round(figure / each.per_second, 2) for name, figure in ours.items()},
        }
        for each in peers
    }


def _cpu_seconds(process: psutil.Process) -> float:
    return float(sum(process.cpu_times()[:2]))


def local_process(pid: int, named: str) -> psutil.Process | None:
    """The process of a server that runs on this machine, by which its CPU time is known; None for another machine's."""
    try:
        process = psutil.Process(pid)
        return process if named in process.name() else None
    except psutil.Error:
        return None


def timed(process: psutil.Process | None, run: Callable[[], int]) -> tuple[int, float, str]:
    """What `run` answers, the seconds that it took, and whose: the server's CPU time where it can be seen."""
    before, began = _cpu_seconds(process) if process else 0.0, time.monotonic()
    answer = run()
    if process:
        return answer, _cpu_seconds(process) - before, "CPU of the server"
    return answer, time.monotonic() - began, "elapsed, as the server is on another machine"
