from pathlib import Path

from engine.live import Live, cursor_key, gate_key, log_key, open_live, partition_of
from engine.log import START, SignalLog, Verdict
from engine.signals import Heard, HeardBeacon, Ping, Sighting, encode_signals


def allow(live: Live, *devices: str, verdict: str = "1") -> None:
    for device in devices:
        live.client.hset(gate_key(partition_of(device, live.partitions)), device, verdict)


def packed(*devices: str):
    return encode_signals([Ping(device, 1.0 + at, 48.0, 2.0, 10.0) for at, device in enumerate(devices)])


def test_only_devices_that_may_be_heard_are_stored(live: Live):
    allow(live, "ana")
    allow(live, "bob", verdict="0")
    log = SignalLog(live, limit_entries=100)
    verdicts = log.append(packed("ana", "bob", "carl"), received_at=5.0)
    assert verdicts == {
        "ana": Verdict.ACCEPTED,
        "bob": Verdict.NO_CONSENT,
        "carl": Verdict.UNKNOWN_DEVICE,
    }
    stored = [str(live.client.dump(key)) for key in live.client.scan_iter("*:log")]
    assert any("ana" in each for each in stored)
    assert not any("bob" in each or "carl" in each for each in stored)


def test_what_was_appended_is_read_in_order_after_the_cursor(live: Live):
    allow(live, "ana")
    log = SignalLog(live, limit_entries=100)
    for received_at in (1.5, 2.5, 3.5):
        log.append(packed("ana"), received_at)
    partition = partition_of("ana", live.partitions)
    entries = log.read({partition: START}, count=2, block_ms=1)[partition]
    assert [entry.received_at for entry in entries] == [1.5, 2.5]
    later = log.read({partition: entries[-1].id}, count=10, block_ms=1)[partition]
    assert [entry.received_at for entry in later] == [3.5]
    [(device, signals)] = later[0].signals
    [fix] = signals.fixes
    assert (device, fix.at, fix.lat, fix.accuracy) == ("ana", 1.0, 48.0, 10.0)
    assert log.read({partition: later[-1].id}, count=10, block_ms=1) == {}


def test_an_entry_carries_fixes_and_sightings_alike(live: Live):
    allow(live, "ana")
    log = SignalLog(live, limit_entries=100)
    door = HeardBeacon("f7826da6-4fa2-4e98-8024-bc5b71e0893e", 101, 1)
    heard = [Sighting("ana", at, -70.0 - at, door) for at in (1.5, 2.5)]
    log.append(encode_signals([Ping("ana", 1.0, 48.0, 2.0, 10.0), *heard]), 3.0)
    log.append(encode_signals(heard[:1]), 4.0)
    partition = partition_of("ana", live.partitions)
    both, alone = log.read({partition: START}, count=9, block_ms=1)[partition]
    [(_, signals)] = both.signals
    assert [fix.at for fix in signals.fixes] == [1.0]
    assert signals.heard == [Heard(1.5, -71.5, None, door.key), Heard(2.5, -72.5, None, door.key)]
    [(device, signals)] = alone.signals
    assert (device, signals.fixes, len(signals.heard)) == ("ana", [], 1)


def test_a_full_partition_says_so_and_keeps_what_it_has(live: Live):
    allow(live, "ana")
    log = SignalLog(live, limit_entries=2)
    assert [log.append(packed("ana"), 1.0)["ana"] for _ in range(3)] == [
        Verdict.ACCEPTED,
        Verdict.ACCEPTED,
        Verdict.LOG_FULL,
    ]
    assert log.depth() == 2


def test_a_store_that_is_gone_is_a_verdict_not_an_exception(tmp_path: Path):
    live = open_live("", tmp_path, partitions=4)
    log = SignalLog(live, limit_entries=2)
    live.child.stop()
    assert log.append(packed("ana"), 1.0) == {"ana": Verdict.UNAVAILABLE}
    live.close()


def test_the_cursor_starts_before_everything(live: Live):
    log = SignalLog(live, limit_entries=2)
    assert log.cursor(0) == START
    live.client.set(cursor_key(0), "5-1")
    assert log.cursor(0) == b"5-1"
    assert log_key(0) == "{p00}:log"
