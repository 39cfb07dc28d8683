"""A small installation of real processes, and what befalls it: any of them is killed with -9 or paused at any moment,
and whoever looks after them starts again what has ended, as an operator's init system does.
"""

import random
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from tests.service.crowd import send, set_up, settled, stream
from tests.service.process import Served, start
from tests.support.leaks import look_at_output
from tests.support.valkey_cluster import Cluster

if TYPE_CHECKING:
    from tqdm import tqdm

ROLES: Mapping[str, tuple[str, ...]] = {
    "door": ("--role", "api", "--role", "sender"),
    "engine 1": ("--role", "engine"),
    "engine 2": ("--role", "engine"),
}
SETTINGS = {
    "CHALAND_PING_AGE_LIMIT_SECONDS": "172800",
    "CHALAND_LEASE_SECONDS": "2",
    "CHALAND_LIVE_TIMEOUT_SECONDS": "2",
}
STORE = "live store"
PAUSES_SECONDS = (0.2, 4.0)
WATCH_SECONDS = 0.1


class Installation:
    """A door and two engines, and the store they share: an embedded Valkey that one of them owns, or a cluster."""

    def __init__(self, folder: Path, cluster: Cluster | None, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._cluster = cluster
        self._environ = {**SETTINGS, **environ}
        self._port = _free_port()
        self._running: dict[str, Served] = {}
        self._stop = threading.Event()
        self._log = (folder / "chaland.log").open("a")
        self._keeper = threading.Thread(target=self._keep, name="keeper")

    @property
    def door(self) -> Served:
        return self._running["door"]

    def open(self) -> None:
        for name in ROLES:
            self._start(name)
        self._keeper.start()

    def close(self) -> None:
        self._stop.set()
        self._keeper.join()
        for served in reversed(self._running.values()):
            served.process.send_signal(signal.SIGCONT)
            served.stop()
        self._log.close()
        look_at_output((self._folder / "chaland.log").read_text(encoding="utf-8", errors="replace"))

    def strike(self, rng: random.Random) -> str:
        """Kill or pause one process; what is paused goes on after a while. Answers what was done."""
        victim = rng.choice([*ROLES, STORE])
        kills, pause_seconds = rng.random() < 0.5, rng.uniform(*PAUSES_SECONDS)
        if victim == STORE and self._cluster:
            return self._strike_master(self._cluster, rng, kills=kills, pause_seconds=pause_seconds)
        while (process := self._process(victim)) is None:
            time.sleep(WATCH_SECONDS)  # it is just being started again
        _strike(process, kills=kills, pause_seconds=pause_seconds)
        return f"{victim} {'killed' if kills else 'paused'}"

    def _process(self, victim: str) -> psutil.Process | None:
        if victim == STORE:
            return self._server()
        with suppress(psutil.Error):
            return psutil.Process(self._running[victim].process.pid)
        return None

    def _strike_master(
        self, cluster: Cluster, rng: random.Random, *, kills: bool, pause_seconds: float
    ) -> str:
        """One master at a time, and only when the cluster has got over the one before."""
        cluster.await_ok()
        node = rng.choice(sorted(cluster.masters(), key=lambda each: each.port))
        if kills:
            node.kill()
            threading.Timer(pause_seconds, node.start).start()
        else:
            node.signal(signal.SIGSTOP)
            threading.Timer(pause_seconds, node.signal, [signal.SIGCONT]).start()
        return f"master {'killed' if kills else 'paused'}"

    def _server(self) -> psutil.Process | None:
        with suppress(psutil.Error):
            for served in self._running.values():
                for child in psutil.Process(served.process.pid).children():
                    if "valkey" in child.name():
                        return child
        return None

    def _start(self, name: str) -> None:
        port = self._port if name == "door" else 0
        self._running[name] = start(
            "serve", *ROLES[name], data_dir=self._folder, port=port, log=self._log, **self._environ
        )

    def _keep(self) -> None:
        while not self._stop.wait(WATCH_SECONDS):
            for name, served in list(self._running.items()):
                if served.process.poll() is not None:
                    served.stop()
                    with suppress(RuntimeError):  # it ended at once: tried again in a moment
                        self._start(name)


@contextmanager
def installation(folder: Path, cluster: Cluster | None, environ: Mapping[str, str]) -> Iterator[Installation]:
    """Run an installation until the block ends."""
    folder.mkdir(exist_ok=True)
    opened = Installation(folder, cluster, environ)
    opened.open()
    try:
        yield opened
    finally:
        opened.close()


def weather(
    folder: Path,
    *,
    seed: int,
    began_at: float,
    pings: int,
    devices: int,
    body: int,
    strikes: int,
    cycle_steps: int = 40,
    cluster: Cluster | None = None,
    environ: Mapping[str, str] | None = None,
    bar: "tqdm[Any] | None" = None,
) -> tuple[Any, Any, Counter[str]]:
    """Send a crowd's pings through an installation that is struck so often meanwhile, at moments drawn by the seed.
    Answers the events, the messages, and what was done, with how often bodies had to come back.
    """
    rng = random.Random(seed)
    count = -(-pings // body)
    moments = Counter(rng.randrange(count) for _ in range(strikes))
    done: Counter[str] = Counter()
    with installation(folder, cluster, environ or {}) as installed, installed.door.client() as client:
        set_up(client, devices)
        for number, each in enumerate(stream(seed, began_at, pings, devices, body, cycle_steps)):
            for _ in range(moments[number]):
                done[installed.strike(rng)] += 1
            done["bodies sent again"] += send(client, each)
            if bar is not None:
                bar.update(len(each))
        time.sleep(PAUSES_SECONDS[1])  # whatever is paused still goes on
        events, messages = settled(client)
    return events, messages, done


def _strike(process: psutil.Process, *, kills: bool, pause_seconds: float) -> None:
    with suppress(psutil.NoSuchProcess):
        if kills:
            process.kill()
            return
        process.suspend()
        threading.Timer(pause_seconds, _go_on, [process]).start()


def _go_on(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.resume()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
