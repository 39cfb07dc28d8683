"""The consent gate of the live store against the ledger."""

import pytest
from fastapi.testclient import TestClient

from engine import gate
from engine.app import Engine
from engine.live import device_prefix, due_key, gate_edits_key, gate_key, partition_of

SUBJECTS = [f"s{number}" for number in range(7)]


def devices_of(subject: str) -> list[str]:
    return [f"{subject}-phone", f"{subject}-watch"]


def consent(client: TestClient, subject: str, action: str) -> None:
    entry = {"purpose": "location", "action": action, "source": "app", "text_version": "1"}
    client.post(f"/v1/subjects/{subject}/consents", json=entry).raise_for_status()


@pytest.fixture
def crowd(client: TestClient) -> TestClient:
    """Seven subjects of two devices each: the first three allow, one allowed once, the others never said."""
    for subject in SUBJECTS:
        devices = [{"device": device} for device in devices_of(subject)]
        client.put(f"/v1/subjects/{subject}", json={"devices": devices}).raise_for_status()
    for subject in SUBJECTS[:4]:
        consent(client, subject, "grant")
    consent(client, SUBJECTS[3], "withdraw")
    return client


def everything(engine: Engine) -> tuple[dict[bytes, bytes], list[bytes | None]]:
    """The gate of all partitions, and how often each has closed."""
    client, partitions = engine.live.client, range(engine.live.partitions)
    held: dict[bytes, bytes] = {}
    for partition in partitions:
        held |= {name: verdict[:1] for name, verdict in client.hgetall(gate_key(partition)).items()}
    return held, [client.get(gate_edits_key(partition)) for partition in partitions]


EXPECTED = {
    device.encode(): b"1" if subject in SUBJECTS[:3] else b"0"
    for subject in SUBJECTS
    for device in devices_of(subject)
}


@pytest.mark.parametrize("page", [1, 2, 7, 500])
def test_a_gate_that_is_lost_is_made_anew(crowd: TestClient, engine: Engine, monkeypatch, page):
    monkeypatch.setattr(gate, "REBUILD_PAGE", page)
    engine.live.client.flushall()
    assert engine.gate.rebuild() == len(SUBJECTS)
    assert everything(engine)[0] == EXPECTED


def test_a_rebuild_changes_what_differs_and_nothing_else(crowd: TestClient, engine: Engine):
    before = everything(engine)
    assert before[0] == EXPECTED
    engine.gate.rebuild()
    assert everything(engine) == before
    denied = "s5-phone"
    partition = partition_of(denied, engine.live.partitions)
    engine.live.client.hset(gate_key(partition), denied, "1")
    stranger = "nobodys-phone"
    engine.live.client.hset(gate_key(partition_of(stranger, engine.live.partitions)), stranger, "1")
    engine.live.client.set(device_prefix(partition) + denied, b"track")
    engine.live.client.zadd(due_key(partition), {denied: 1.0})
    engine.live.client.hdel(gate_key(partition_of("s0-phone", engine.live.partitions)), "s0-phone")
    engine.gate.rebuild()
    held, edits = everything(engine)
    assert held == EXPECTED
    assert int(edits[partition] or 0) > int(before[1][partition] or 0), "it has closed for a device"
    assert not engine.live.client.exists(device_prefix(partition) + denied)
    assert engine.live.client.zcard(due_key(partition)) == 0


def test_a_rebuild_mends_what_was_opened_at_a_count_that_was_lost(crowd: TestClient, engine: Engine):
    """Signals are appended with the count as it is now: none of them would be heard for a long time."""
    partition = partition_of("s0-phone", engine.live.partitions)
    count = engine.live.client.get(gate_edits_key(partition)) or b"0"
    engine.live.client.hset(gate_key(partition), "s0-phone", b"1%d" % (int(count) + 1))
    engine.gate.rebuild()
    assert engine.live.client.hget(gate_key(partition), "s0-phone") == b"1" + count


def test_a_track_that_goes_is_counted_though_its_gate_was_not_open(crowd: TestClient, engine: Engine):
    """As after somebody deleted the gate: a worker that remembers the track must look again."""
    partition = partition_of("s0-phone", engine.live.partitions)
    engine.live.client.delete(gate_key(partition))
    engine.live.client.set(device_prefix(partition) + "s0-phone", b"track")
    before = int(engine.live.client.get(gate_edits_key(partition)) or 0)
    engine.gate.withdrawing("s0")
    assert int(engine.live.client.get(gate_edits_key(partition)) or 0) == before + 1
