from pathlib import Path

from engine.live import Live, cursor_key, gate_key, log_key, open_live, partition_of
from engine.log import START, Refusal, SignalLog
from engine.signals import Heard, HeardBeacon, Ping, Sighting


def allow(live: Live, *devices: str, verdict: str = "1") -> None:
    for device in devices:
        live.client.hset(gate_key(partition_of(device, live.partitions)), device, verdict)


def sent(*devices: str, received_at: float = 1.0):
    return [(received_at, [Ping(device, 1.0 + at, 48.0, 2.0, 10.0) for at, device in enumerate(devices)])]


def test_only_devices_that_may_be_heard_are_stored(live: Live):
    allow(live, "ana")
    allow(live, "bob", verdict="0")
    log = SignalLog(live, limit_entries=100)
    assert log.append(sent("ana", "bob", "carl")) == {
        "bob": Refusal.NO_CONSENT,
        "carl": Refusal.UNKNOWN_DEVICE,
    }
    stored = [str(live.client.dump(key)) for key in live.client.scan_iter("*:log")]
    assert any("ana" in each for each in stored)
    assert not any("bob" in each or "carl" in each for each in stored)


def test_what_was_appended_is_read_in_order_after_the_cursor(live: Live):
    allow(live, "ana")
    log = SignalLog(live, limit_entries=100)
    for received_at in (1.5, 2.5, 3.5):
        log.append(sent("ana", received_at=received_at))
    partition = partition_of("ana", live.partitions)
    entries = log.read({partition: START}, count=2, block_ms=1)[partition]
    assert [signal.received_at for entry in entries for signal in entry.signals] == [1.5, 2.5]
    later = log.read({partition: entries[-1].id}, count=10, block_ms=1)[partition]
    [signal] = later[0].signals
    assert (signal.device, signal.received_at) == ("ana", 3.5)
    assert (signal.what.at, signal.what.lat, signal.what.accuracy) == (1.0, 48.0, 10.0)
    assert log.read({partition: later[-1].id}, count=10, block_ms=1) == {}
    assert log.read({partition: later[-1].id}, count=10, block_ms=0) == {}  # and not for ever


def test_an_entry_carries_fixes_and_sightings_alike(live: Live):
    allow(live, "ana")
    log = SignalLog(live, limit_entries=100)
    door = HeardBeacon("f7826da6-4fa2-4e98-8024-bc5b71e0893e", 101, 1)
    heard = [Sighting("ana", at, -70.0 - at, door) for at in (1.5, 2.5)]
    log.append([(3.0, [Ping("ana", 1.0, 48.0, 2.0, 10.0), *heard])])
    log.append([(4.0, heard[:1])])
    partition = partition_of("ana", live.partitions)
    both, alone = log.read({partition: START}, count=9, block_ms=1)[partition]
    assert [each.what.at for each in both.signals] == [1.0, 1.5, 2.5]
    assert [each.what for each in both.signals[1:]] == [
        Heard(1.5, -71.5, None, door.key),
        Heard(2.5, -72.5, None, door.key),
    ]
    assert [each.received_at for each in alone.signals] == [4.0]


def test_a_full_partition_says_so_and_keeps_what_it_has(live: Live):
    allow(live, "ana")
    log = SignalLog(live, limit_entries=2)
    assert [log.append(sent("ana")) for _ in range(3)] == [{}, {}, {"ana": Refusal.LOG_FULL}]
    assert log.depth() == 2


def test_a_store_that_is_gone_is_a_verdict_not_an_exception(tmp_path: Path):
    live = open_live("", tmp_path, partitions=4)
    log = SignalLog(live, limit_entries=2)
    live.child.stop()
    assert log.append(sent("ana")) == {"ana": Refusal.UNAVAILABLE}
    live.close()


def test_the_cursor_starts_before_everything(live: Live):
    log = SignalLog(live, limit_entries=2)
    assert log.cursors([0, 1]) == {0: START, 1: START}
    live.client.set(cursor_key(0), "5-1")
    assert log.cursors([0, 1]) == {0: b"5-1", 1: START}
    assert log_key(0) == "{p00}:log"


def in_partition(live: Live, wanted: int) -> str:
    return next(
        name for name in map("phone-{}".format, range(99)) if partition_of(name, live.partitions) == wanted
    )


def test_each_partition_of_an_append_is_judged_by_itself(live: Live):
    names = [in_partition(live, partition) for partition in range(4)]
    allow(live, names[0], names[2], names[3])
    allow(live, names[1], verdict="0")
    log = SignalLog(live, limit_entries=1)
    log.append(sent(names[2]))
    live.client.set(log_key(3), "no stream")
    assert log.append(sent(*names)) == {
        names[1]: Refusal.NO_CONSENT,
        names[2]: Refusal.LOG_FULL,
        names[3]: Refusal.UNAVAILABLE,
    }
    assert live.client.xlen(log_key(0)) == 1


def test_who_waits_for_several_partitions_is_answered_once_with_all_of_an_append(live: Live):
    names = [in_partition(live, partition) for partition in range(4)]
    allow(live, *names)
    log = SignalLog(live, limit_entries=9)
    reader = log.reader()
    cursors = dict.fromkeys(range(4), START)
    reader.ask(cursors, 9, 5000)
    log.append(sent(*names))
    assert sorted(reader.read(cursors, 9, 5000)) == [0, 1, 2, 3]
    reader.drop()


def test_what_was_asked_for_ahead_counts_only_where_the_cursor_has_not_moved(live: Live):
    names = [in_partition(live, partition) for partition in range(3)]
    allow(live, *names)
    log = SignalLog(live, limit_entries=9)
    log.append(sent(*names))
    reader = log.reader()
    reader.ask({0: START, 1: START}, 9, 1)
    assert list(reader.read({0: START, 1: b"9999999999999-0"}, 9, 1)) == [0]
    assert sorted(reader.read({0: START, 2: START}, 9, 1)) == [0, 2]
    reader.ask({0: START}, 9, 1)
    reader.drop()
    assert list(reader.read({1: START}, 9, 1)) == [1]
    reader.drop()


def test_what_was_not_asked_for_ahead_is_read_too(live: Live):
    """A partition that was taken over meanwhile, or in which there is room again, may have a backlog."""
    names = [in_partition(live, partition) for partition in range(2)]
    allow(live, *names)
    log = SignalLog(live, limit_entries=9)
    log.append(sent(*names))
    reader = log.reader()
    reader.ask({0: START}, 9, 1)
    assert sorted(reader.read({0: START, 1: START, 2: START}, 9, 1)) == [0, 1]
    reader.drop()
