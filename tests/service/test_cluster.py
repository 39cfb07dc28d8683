"""The same code on a cluster and PostgreSQL: two engines, a master killed in mid-stream, another paused until its
replica has taken over. What was accepted is processed once.
"""

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import pytest

from engine.live import cursor_key, log_key, open_live
from tests.conftest import new_database
from tests.service.crowd import assert_same, send, set_up, settled, stream
from tests.service.process import chaland
from tests.support.valkey_cluster import Cluster, valkey_cluster

PINGS = 10_000
DEVICES = 50
BODY = 100
KILL_AFTER, PAUSE_AFTER = 30, 60
"""Bodies."""
AWAY_SECONDS = 3.0
"""Longer than a failover takes. With one replica each, and one replica that has to hold what is accepted, a shard
accepts nothing until both of its servers are there again.
"""
SETTINGS = {
    "CHALAND_PING_AGE_LIMIT_SECONDS": "86400",
    "CHALAND_LEASE_SECONDS": "3",
    "CHALAND_LIVE_TIMEOUT_SECONDS": "2",
}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with valkey_cluster(tmp_path) as running:
        yield running


@pytest.mark.postgresql
def test_masters_that_die_or_stall_lose_nothing_and_double_nothing(
    cluster: Cluster, postgresql_server: str, tmp_path: Path
):
    bodies = list(stream(12, time.time() - 3600, PINGS, DEVICES, BODY))
    with chaland("serve", data_dir=tmp_path, **SETTINGS) as served, served.client() as client:
        set_up(client, DEVICES)
        for body in bodies:
            send(client, body)
        calm = settled(client)
    environ = SETTINGS | {
        "CHALAND_DATABASE_URL": new_database(postgresql_server, "chaland_cluster"),
        "CHALAND_VALKEY_URL": cluster.url,
        "CHALAND_DURABLE_REPLICAS": "1",
    }
    roles = [word for role in ("api", "engine", "sender") for word in ("--role", role)]
    began = time.monotonic()
    with (
        chaland("serve", *roles, data_dir=tmp_path, **environ) as served,
        chaland("serve", "--role", "engine", data_dir=tmp_path, **environ),
        served.client() as client,
    ):
        set_up(client, DEVICES)
        returned = 0
        killed, paused = cluster.master_of(log_key(0)), cluster.master_of(log_key(2))
        for number, body in enumerate(bodies):
            if number == KILL_AFTER:
                killed.kill()
                Timer(AWAY_SECONDS, killed.start).start()
            if number == PAUSE_AFTER:
                cluster.await_ok()
                paused.signal(signal.SIGSTOP)
                Timer(AWAY_SECONDS, paused.signal, [signal.SIGCONT]).start()
            returned += send(client, body)
        stormy = settled(client)
    assert len(calm[0]) > 300
    assert_same(calm, stormy)
    assert returned > 0
    live = open_live(cluster.url, tmp_path, partitions=4)
    assert [live.client.exists(cursor_key(each)) for each in range(4)] == [1, 1, 1, 1]
    live.close()
    print(
        f"{PINGS} pings, a master killed and one paused: {len(calm[0])} events in both runs; "
        f"{returned} bodies came back, {time.monotonic() - began:.0f} s"
    )
