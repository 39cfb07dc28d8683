"""What is counted is counted once, though it is taken again."""

import msgspec
import pytest
from fastapi.testclient import TestClient
from prometheus_client import REGISTRY
from redis.exceptions import RedisError

from engine.app import Engine
from engine.clock import SetClock
from engine.live import events_key, lease_key, partition_of
from geofences.event import EventKind, PlaceEvent
from tests.conftest import MONDAY_NINE
from tests.engine.test_worker import WALK_IN, send, town

__all__ = ["town"]

PARTITION = partition_of("ana-phone", 4)


def count(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"chaland_{name}_total", labels) or 0.0


def test_late_pings_of_a_commit_that_was_refused_are_counted_when_it_is_not(
    town: TestClient, engine: Engine, clock: SetClock
):
    send(town, clock, WALK_IN)
    engine.settle()
    before = [count(name) for name in ("pings_late", "pings_processed")]
    send(town, clock, [40, 30, 20])  # a second time
    engine.live.client.set(lease_key(PARTITION), "another#99")
    assert engine.worker.run_once() == 0
    assert [count(name) for name in ("pings_late", "pings_processed")] == before
    engine.live.client.delete(lease_key(PARTITION))
    engine.settle()
    late, processed = before
    assert [count(name) for name in ("pings_late", "pings_processed")] == [late + 3, processed + 3]


def test_events_that_are_dropped_are_counted_when_they_are_acknowledged(
    town: TestClient, engine: Engine, clock: SetClock
):
    """The live store refuses to delete them at first; what is recorded by then is no news the second time."""
    send(town, clock, WALK_IN)
    engine.worker.refresh()
    engine.worker.run_once()
    client, stream = engine.live.client, events_key(PARTITION)
    stranger = PlaceEvent("1", "stranger", EventKind.ENTER, "bakery", MONDAY_NINE, MONDAY_NINE, 0.9)
    client.xadd(stream, {"e": msgspec.msgpack.encode(stranger)})
    dropped, decided = count("events_dropped"), count("decisions", outcome="message", reason="ok")
    client.execute_command("ACL", "SETUSER", "default", "-xdel")
    try:
        for _ in range(2):
            with pytest.raises(RedisError):
                engine.decider.run_once()
    finally:
        client.execute_command("ACL", "SETUSER", "default", "+xdel")
    assert count("events_dropped") == dropped
    assert engine.decider.run_once() == 2
    assert count("events_dropped") == dropped + 1
    assert count("decisions", outcome="message", reason="ok") == decided + 1
