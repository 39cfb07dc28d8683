"""The live store as a cluster: commands find their master, also after it has changed."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from engine.cluster import names_cluster
from engine.doors.limits import RateLimit
from engine.doors.problem import Problem
from engine.durability import Durability, NotDurable
from engine.leases import Leases
from engine.live import Live, gate_key, log_key, open_live, partition_of, tag, without_password
from engine.log import START, Refusal, SignalLog
from engine.signals import Ping
from tests.support.valkey_cluster import Cluster, Node, valkey_cluster

PARTITIONS = 8
DEVICES = [f"device-{number}" for number in range(40)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with valkey_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def live(cluster: Cluster, tmp_path: Path) -> Iterator[Live]:
    """An empty live store on three masters."""
    cluster.await_ok()
    for node in cluster.masters():
        with node.client() as client:
            client.flushall()
    opened = open_live(
        cluster.url,
        tmp_path,
        PARTITIONS,
        timeout_seconds=1,
        durability=Durability(1, disk=False, timeout_seconds=0.5),
    )
    with opened.pipeline() as pipeline:
        for device in DEVICES:
            pipeline.hset(gate_key(partition_of(device, PARTITIONS)), device, 1)
        pipeline.execute()
    yield opened
    opened.close()


def arrivals(at: float) -> list[tuple[float, list[Ping]]]:
    return [(at, [Ping(device, at, 48.0, 2.0, 10.0) for device in DEVICES])]


def read(log: SignalLog) -> list[tuple[str, float]]:
    """Every signal in the log."""
    entries = log.read(dict.fromkeys(range(PARTITIONS), START), count=100, block_ms=1)
    return sorted(
        (signal.device, signal.received_at)
        for each in entries.values()
        for entry in each
        for signal in entry.signals
    )


def test_partitions_lie_on_every_master_and_one_round_reaches_them_all(cluster: Cluster, live: Live):
    assert len({cluster.master_of(log_key(each)).port for each in range(PARTITIONS)}) == 3
    with live.pipeline() as pipeline:
        for partition in range(PARTITIONS):
            pipeline.set(f"{tag(partition)}:x", partition)
            pipeline.hset(f"{tag(partition)}:h", "field", partition)
            pipeline.hgetall(f"{tag(partition)}:h")
        answers = pipeline.execute()
    assert answers[::3] == [True] * PARTITIONS
    assert answers[2::3] == [{b"field": str(each).encode()} for each in range(PARTITIONS)]
    assert live.answers()
    assert live.version().endswith("cluster")


def test_one_append_goes_to_all_partitions_and_one_read_takes_it_from_there(live: Live):
    log = SignalLog(live, limit_entries=100)
    assert log.append(arrivals(1.5)) == {}
    assert read(log) == sorted((device, 1.5) for device in DEVICES)
    assert log.depth() == PARTITIONS
    began = time.monotonic()
    newest = dict.fromkeys(range(PARTITIONS), b"9999999999999-0")
    assert log.read(newest, count=1, block_ms=100) == {}
    assert time.monotonic() - began >= 0.1
    log.trim(dict.fromkeys(range(PARTITIONS), b"9999999999999-0"), kept_ms=-1000)
    assert read(log) == []


def test_leases_and_limits_are_kept_on_a_cluster_too(live: Live):
    ana, bob = Leases(live, "ana", 10), Leases(live, "bob", 10)
    for each in (ana, bob, ana, bob):
        each.refresh()
    assert [len(each.held) for each in (ana, bob)] == [4, 4]
    assert ana.ours(range(PARTITIONS)) == ana.held.keys()
    ana.release_all()
    bob.refresh()
    assert len(bob.held) == PARTITIONS
    limit = RateLimit(live, 3)
    for _ in range(3):
        limit.spend("key")
    with pytest.raises(Problem, match="3 requests per second"):
        limit.spend("key")


def test_a_script_is_known_to_a_new_master_and_commands_follow_it(cluster: Cluster, live: Live):
    log = SignalLog(live, limit_entries=100)
    log.append(arrivals(1.5))
    was = cluster.master_of(log_key(0))
    replica = replica_of(cluster, was)
    with replica.client() as client:
        client.execute_command("CLUSTER FAILOVER")
    eventually(lambda: cluster.master_of(log_key(0)) is replica)
    cluster.await_ok()
    eventually(lambda: log.append(arrivals(2.5)) == {})
    assert {at for _, at in read(log)} == {1.5, 2.5}


def test_what_no_replica_holds_is_not_accepted_and_the_other_masters_go_on(cluster: Cluster, live: Live):
    log = SignalLog(live, limit_entries=100)
    replica = replica_of(cluster, cluster.master_of(log_key(0)))
    here = {
        each
        for each in range(PARTITIONS)
        if cluster.master_of(log_key(each)) is cluster.master_of(log_key(0))
    }
    replica.kill()
    refusals = log.append(arrivals(1.5))
    assert {partition_of(device, PARTITIONS) in here for device in DEVICES} == {True, False}
    alone = [device for device in DEVICES if partition_of(device, PARTITIONS) in here]
    assert refusals == dict.fromkeys(alone, Refusal.UNAVAILABLE)
    with live.pipeline(durable=True) as pipeline, pytest.raises(NotDurable):
        pipeline.set(f"{tag(0)}:x", 1).execute()
    replica.start()
    cluster.await_ok()
    assert log.append(arrivals(2.5)) == {}


def test_disks_hold_what_is_asked_to_be_on_disk(live: Live):
    live.durability = Durability(1, disk=True, timeout_seconds=3)
    assert SignalLog(live, limit_entries=100).append(arrivals(1.5)) == {}


def test_a_master_that_died_is_an_error_for_its_partitions_until_its_replica_has_taken_over(
    cluster: Cluster, live: Live
):
    log = SignalLog(live, limit_entries=100)
    log.append(arrivals(1.5))
    died = cluster.master_of(log_key(0))
    died.kill()
    assert Refusal.UNAVAILABLE in log.append(arrivals(2.5)).values()
    assert not live.answers()
    eventually(live.answers)
    assert (DEVICES[0], 1.5) in read(log)
    died.start()
    cluster.await_ok()
    eventually(lambda: log.append(arrivals(3.5)) == {})
    signals = set(read(log))
    assert signals >= {(device, at) for device in DEVICES for at in (1.5, 3.5)}


def test_a_slot_on_its_way_to_another_master_is_asked_for_there(cluster: Cluster, live: Live):
    """As while an operator moves slots: the new owner answers for what it has already (ASK)."""
    key = f"{tag(0)}:moving"
    source = cluster.master_of(key)
    target = next(each for each in cluster.masters() if each is not source)
    with source.client() as of_source, target.client() as of_target:
        slot = of_source.execute_command("CLUSTER KEYSLOT", key)
        names = [bytes(each.execute_command("CLUSTER MYID")).decode() for each in (of_source, of_target)]
        of_target.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", names[0])
        of_source.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", names[1])
        assert live.client.set(key, "there")
        assert live.client.get(key) == b"there"
        assert of_target.execute_command("CLUSTER COUNTKEYSINSLOT", slot) == 1
        for each in (of_source, of_target):
            each.execute_command("CLUSTER SETSLOT", slot, "STABLE")


def test_a_cluster_that_is_not_there_is_an_error_at_once(tmp_path: Path):
    with pytest.raises(RedisError):
        open_live("redis+cluster://127.0.0.1:1,127.0.0.1:2", tmp_path, PARTITIONS)


def test_a_single_server_waits_for_replicas_too(live: Live, valkey_server: str, tmp_path: Path):
    with Redis.from_url(valkey_server) as client:
        client.flushall()
    alone = open_live(valkey_server, tmp_path, PARTITIONS, durability=Durability(1, timeout_seconds=0.05))
    device = DEVICES[0]
    alone.client.hset(gate_key(partition_of(device, PARTITIONS)), device, 1)
    assert SignalLog(alone, 100).append([(1.0, [Ping(device, 1.0, 48.0, 2.0, 10.0)])]) == {
        device: Refusal.UNAVAILABLE
    }
    with alone.pipeline(durable=True) as pipeline, pytest.raises(NotDurable, match="held by 0 replicas of 1"):
        pipeline.set("x", 1).execute()
    alone.client.flushall()
    alone.close()


def test_a_url_names_a_cluster_and_is_shown_without_its_password():
    url = "redis+cluster://ana:secret@10.0.0.1:7000,10.0.0.2:7000"
    assert names_cluster(url)
    assert not names_cluster("redis://10.0.0.1:7000/0")
    assert without_password(url) == "redis+cluster://***@10.0.0.1:7000,10.0.0.2:7000"


def replica_of(cluster: Cluster, master: Node) -> Node:
    for node in cluster.nodes:
        with Redis(port=node.port) as client:
            role = client.execute_command("ROLE")
        if role[0] == b"slave" and int(role[2]) == master.port:
            return node
    raise LookupError(master.port)


def eventually(holds: Callable[[], bool]) -> None:
    """Real servers change roles in real time; twenty seconds are far more than they need."""
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
