"""What the live store keeps of a device, and of nobody else, is taken out of its streams."""

import threading

import pytest

from consent import erasure
from engine.live import events_key, gate_key, log_key, open_live, partition_of
from engine.log import SignalLog
from engine.privacy.erasure import Erasures, rewrite_own_file
from engine.signals import Ping
from tests.consent.cast import minute
from tests.support.traces import files_in, traces


@pytest.fixture
def erasures(live, records, clock):
    return Erasures(live, records, clock)


@pytest.fixture
def neighbours(live):
    """Two devices of one partition, both allowed."""
    first = "ana-phone"
    mates = (f"ben-phone-{number}" for number in range(1000))
    second = next(each for each in mates if partition_of(each, 4) == partition_of(first, 4))
    live.client.hset(gate_key(partition_of(first, 4)), mapping={first: "1", second: "1"})
    return first, second


def ping(device, at=1000.0):
    return Ping(device=device, at=at, lat=48.8, lon=2.3, accuracy=8.0)


def info(live, stream):
    told = live.client.xinfo_stream(stream)
    return {name: told[name] for name in ("length", "entries-added", "last-generated-id")}


def kept(live, partition):
    entries = SignalLog(live, 1000).read({partition: b"0-0"}, 10_000, 0).get(partition, [])
    return [
        (entry.id, tuple(entry.signals.devices), tuple(each.at for each in map(_what, entry.signals)))
        for entry in entries
    ]


def _what(signal):
    return signal.what


def test_a_device_is_gone_from_the_log_and_all_else_is_as_it_was(live, erasures, neighbours, valkey_dir):
    ana, ben = neighbours
    partition = partition_of(ana, 4)
    log = SignalLog(live, 1000)
    for at in range(300):
        body = [ping(ben, at), ping(ana, at)] if at % 3 else [ping(ana, at)]
        assert log.append([(1.0, body)]) == {}
    before, told = kept(live, partition), info(live, log_key(partition))
    live.client.hdel(gate_key(partition), ana)
    erasures.forget_devices([ana])
    assert info(live, log_key(partition)) == told
    assert kept(live, partition) == [
        (
            entry,
            tuple(name for name in devices if name != ana),
            tuple(t for n, t in zip(devices, at, strict=True) if n != ana),
        )
        for entry, devices, at in before
    ]
    assert log.append([(1.0, [ping(ben, 999)])]) == {}
    assert traces(files_in(valkey_dir), {"device": ana})  # still in the file, until it is written anew
    with erasures._records.writes.begin() as connection:
        connection.execute(erasure.erasures.insert().values(id="1", erased_at=minute(0)))
    assert erasures.settle() == 1
    assert erasures.settle() == 0
    for _ in range(200):
        if not traces(files_in(valkey_dir), {"device": ana}):
            break
        threading.Event().wait(0.02)  # the server removes its old files in the background
    assert traces(files_in(valkey_dir), {"device": ana}) == set()


def test_deleted_entries_leave_no_bytes_behind(live, erasures, neighbours):
    ana, ben = neighbours
    partition = partition_of(ana, 4)
    log = SignalLog(live, 1000)
    log.append([(1.0, [ping(ana)])])
    log.append([(1.0, [ping(ben)])])
    first = kept(live, partition)[0][0]
    live.client.xdel(log_key(partition), first)
    assert ana.encode() in live.client.dump(log_key(partition))  # as the server keeps it
    live.client.hdel(gate_key(partition), ana)
    erasures.forget_devices([ana])
    assert ana.encode() not in live.client.dump(log_key(partition))
    assert [devices for _, devices, _ in kept(live, partition)] == [(ben,)]


def test_an_empty_stream_keeps_its_place(live, erasures):
    partition = partition_of("ana-phone", 4)
    live.client.xdel(events_key(partition), live.client.xadd(events_key(partition), {"e": b"\x80"}))
    told = info(live, events_key(partition))
    erasures.forget_devices(["ana-phone"])
    assert info(live, events_key(partition)) == told
    assert not live.client.exists(log_key(partition))
    erasures.forget_devices(["ana-phone"])


def test_what_is_appended_meanwhile_is_not_lost(live, erasures, neighbours):
    ana, ben = neighbours
    partition = partition_of(ana, 4)
    log = SignalLog(live, 100_000)
    log.append([(1.0, [ping(ana, at) for at in range(50)])])
    live.client.hdel(gate_key(partition), ana)
    stop, sent = threading.Event(), []

    def appending():
        while not stop.is_set():
            log.append([(1.0, [ping(ben, float(len(sent)))])])
            sent.append(float(len(sent)))

    threads = [threading.Thread(target=appending)]
    threads += [threading.Thread(target=erasures.forget_devices, args=([ana],)) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads[1:]:
        each.join()
    stop.set()
    threads[0].join()
    entries = kept(live, partition)
    assert [at for _, _, times in entries for at in times] == sent
    assert info(live, log_key(partition))["entries-added"] == len(sent) + 1
    assert not live.client.keys("*:cop*")


def test_our_own_server_forgets_in_its_file_what_is_no_longer_kept_and_a_guest_leaves_it_alone(tmp_path):
    ours = open_live("", tmp_path, 4)
    guest = open_live("", tmp_path, 4)
    traced = lambda: traces(files_in(tmp_path), {"it": "zoes-phone"})  # noqa: E731
    try:
        ours.client.set("it", "zoes-phone")
        ours.client.delete("it")
        rewrite_own_file(guest)
        assert traced()
        rewrite_own_file(ours)
        assert not traced()
    finally:
        guest.close()
        ours.close()
