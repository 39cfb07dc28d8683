"""What a failover loses: entries are appended without a break while a master is killed, or paused until its replica has
taken over; afterwards the accepted ones are looked for.
"""

import signal
import tempfile
import threading
import time
from pathlib import Path

from redis.exceptions import RedisError

from engine.durability import Durability
from engine.live import Live, gate_key, log_key, open_live, partition_of
from engine.log import START, SignalLog
from engine.signals import Ping
from tests.support.valkey_cluster import Cluster

PARTITIONS = 3
WRITERS = 4
DEVICE = "device"
AWAY_SECONDS = 3.0
BEFORE_SECONDS = 0.5
PAGE = 1000


def measure(cluster: Cluster, *, replicas: int, pauses: bool) -> tuple[int, int]:
    """One failover. Answers how many entries were accepted, and how many of these are not there afterwards."""
    cluster.await_ok()
    with tempfile.TemporaryDirectory() as folder:
        live = open_live(
            cluster.url,
            Path(folder),
            PARTITIONS,
            timeout_seconds=5,
            durability=Durability(replicas, timeout_seconds=1),
        )
        try:
            return _measure(cluster, live, pauses=pauses)
        finally:
            live.close()


def _measure(cluster: Cluster, live: Live, *, pauses: bool) -> tuple[int, int]:
    partition = partition_of(DEVICE, PARTITIONS)
    live.client.delete(log_key(partition))
    live.client.hset(gate_key(partition), DEVICE, 1)
    accepted: set[float] = set()
    stop = threading.Event()
    writers = [
        threading.Thread(target=_write, args=(live, stop, accepted, number)) for number in range(WRITERS)
    ]
    for each in writers:
        each.start()
    time.sleep(BEFORE_SECONDS)
    master = cluster.master_of(log_key(partition))
    if pauses:
        master.signal(signal.SIGSTOP)
    else:
        master.kill()
    time.sleep(AWAY_SECONDS)
    if pauses:
        master.signal(signal.SIGCONT)
    else:
        master.start()
    time.sleep(BEFORE_SECONDS)
    stop.set()
    for each in writers:
        each.join()
    cluster.await_ok()
    found = _found(live, partition)
    return len(accepted), len(accepted - found)


def _write(live: Live, stop: threading.Event, accepted: set[float], number: int) -> None:
    log = SignalLog(live, limit_entries=10_000_000)
    at = float(number)
    while not stop.is_set():
        at += WRITERS
        if not log.append([(at, [Ping(DEVICE, at, 48.0, 2.0, 10.0)])]):
            accepted.add(at)


def _found(live: Live, partition: int) -> set[float]:
    """When the entries that are there were received."""
    log, after, found = SignalLog(live, 0), START, set[float]()
    deadline = time.monotonic() + 20
    while True:
        try:
            entries = log.read({partition: after}, PAGE, block_ms=1).get(partition, [])
        except RedisError:
            assert time.monotonic() < deadline
            continue
        if not entries:
            return found
        found |= {float(entry.signals.columns[0, 0]) for entry in entries}
        after = entries[-1].id
