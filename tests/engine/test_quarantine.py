"""An entry that cannot be read holds up nothing, is lost by nobody's silence, and is not kept for ever."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from fastapi.testclient import TestClient
from redis import Redis

from engine import quarantine
from engine.app import Engine
from engine.clock import SetClock
from engine.live import (
    cursor_key,
    events_key,
    gate_edits_key,
    lease_key,
    log_key,
    partition_of,
    quarantine_key,
)
from engine.log import SignalLog, entry_of
from engine.quarantine import KEPT_HOURS, Of, Quarantine
from geofences.event import EventKind, PlaceEvent
from tests.conftest import MONDAY_NINE
from tests.engine.test_worker import WALK_IN, items, send, town
from tests.support.command import chaland

__all__ = ["town"]

PHONE = "ana-phone"
PARTITION = partition_of(PHONE, 4)
LOG, EVENTS = log_key(PARTITION), events_key(PARTITION)
NEWER = msgspec.msgpack.encode(["a column more", [PHONE], b"", {}, {}])


@pytest.fixture
def database_url(tmp_path: Path, sqlite_pattern: Path) -> str:
    """One is enough: it is about the live store."""
    shutil.copyfile(sqlite_pattern, tmp_path / "records.sqlite")
    return f"sqlite:///{tmp_path / 'records.sqlite'}"


@pytest.fixture
def server(engine: Engine) -> Redis:
    return engine.live.client


def attention(client: TestClient) -> list[str]:
    return [each for each in client.get("/readyz").json()["attention"] if "could not be read" in each]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"g": "0", "s": b"no signals"}, "ValidationError"),
        ({"g": "0", "s": NEWER}, "ValidationError"),
        ({"g": "0", "s": b"\x93"}, "DecodeError"),
        ({"g": "0", "s": msgspec.msgpack.encode([[PHONE], b"\0" * 8, {}])}, "ValueError"),
        ({"g": "0", "s": msgspec.msgpack.encode([[PHONE], b"\0" * 41, {}])}, "ValueError"),
        ({"g": "0", "s": msgspec.msgpack.encode([[PHONE], b"\0" * 64, {}])}, "ValueError"),
        ({"g": "none", "s": b"\x93\x90\xc4\0\x80"}, "ValueError"),
        ({"g": "0", "s": b"\x93\x90\xc4\0\x80", "z": "newer"}, "ValueError"),
    ],
)
def test_what_is_wrong_with_an_entry_is_told_by_kind_alone(fields: dict[str, str | bytes], why: str):
    parts = [each.encode() if isinstance(each, str) else each for pair in fields.items() for each in pair]
    entry = entry_of(b"1-0", parts)
    assert (entry.unreadable, len(entry.signals), entry.id) == (why, 0, b"1-0")
    assert not quarantine.is_readable(Of.SIGNALS, parts)


def test_an_entry_that_cannot_be_read_is_set_aside_alone(
    town: TestClient, engine: Engine, server: Redis, clock: SetClock, caplog: pytest.LogCaptureFixture
):
    send(town, clock, WALK_IN[:3])
    unreadable = server.xadd(LOG, {"g": "0", "s": NEWER})
    send(town, clock, WALK_IN[3:])
    engine.settle()
    assert [event["kind"] for event in items(town, "/v1/events")] == ["enter"]
    assert [message["state"] for message in items(town, "/v1/messages")] == ["sent"]
    assert (engine.log.depth(), engine.worker.failures) == (0, 0)
    [kept] = engine.quarantine.all()
    assert (kept.of, kept.id, kept.why, kept.parts) == (
        Of.SIGNALS,
        unreadable,
        "ValidationError",
        [b"g", b"0", b"s", NEWER],
    )
    assert caplog.text.count(f"an entry is set aside: {kept.name} (ValidationError)") == 1
    assert PHONE not in caplog.text
    assert attention(town) == [
        "1 entries of signals could not be read and are kept for 24 hours; see `chaland quarantine list`"
    ]
    assert 'chaland_quarantined_entries{stream="signals"} 1.0' in town.get("/metrics").text
    [phone] = town.get("/v1/subjects/ana/export").raise_for_status().json()["live"]
    assert len(phone["signals"]) == 6


def test_an_entry_is_set_aside_once_whoever_comes_to_it(engine: Engine, server: Redis):
    """A worker that took it and could not commit, and the one after it."""
    engine.worker.refresh()
    unreadable = server.xadd(LOG, {"g": "0", "s": NEWER})
    lease = engine.leases.held[PARTITION]
    aside = engine.quarantine
    assert aside.keep(Of.SIGNALS, PARTITION, lease, [(unreadable, "Kind")]) == 1
    assert engine.worker.run_once() == 1
    assert aside.counts() == {Of.SIGNALS: 1, Of.EVENTS: 0}
    server.set(lease_key(PARTITION), "another#99")
    later = server.xadd(LOG, {"g": "0", "s": NEWER})
    assert aside.keep(Of.SIGNALS, PARTITION, lease, [(later, "Kind")]) is None
    assert engine.worker.run_once() == 0
    assert PARTITION not in engine.leases.held
    assert aside.counts()[Of.SIGNALS] == 1
    assert server.get(cursor_key(PARTITION)) == unreadable


def test_an_entry_older_than_what_is_kept_is_kept_all_the_same(engine: Engine, server: Redis):
    engine.worker.refresh()
    lease = engine.leases.held[PARTITION]
    server.xadd(LOG, {"g": "0", "s": NEWER}, id="5-0")
    server.xadd(quarantine_key(LOG), {"why": "Kind", "g": "0", "s": NEWER}, id="9-0")
    assert engine.quarantine.keep(Of.SIGNALS, PARTITION, lease, [(b"5-0", "Kind")]) == 1
    assert engine.quarantine.counts()[Of.SIGNALS] == 2


def test_a_partition_whose_quarantine_is_full_waits_alone(
    town: TestClient, engine: Engine, server: Redis, clock: SetClock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(quarantine, "LIMIT_ENTRIES", 2)
    other = (PARTITION + 1) % 4
    for _ in range(2):
        server.xadd(LOG, {"g": "0", "s": NEWER})
    send(town, clock, WALK_IN)
    for _ in range(2):
        server.xadd(LOG, {"g": "0", "s": NEWER})
    server.xadd(log_key(other), {"g": "0", "s": NEWER})
    engine.settle()
    assert [event["kind"] for event in items(town, "/v1/events")] == ["enter"]
    assert (engine.log.depth(), engine.quarantine.counts()[Of.SIGNALS]) == (2, 3)
    first = next(engine.quarantine.entries(Of.SIGNALS, PARTITION))
    assert engine.quarantine.drop([first]) == 1
    engine.settle()
    assert engine.log.depth() == 1


def test_an_event_that_cannot_be_read_is_set_aside_alone(
    town: TestClient, engine: Engine, server: Redis, clock: SetClock, caplog: pytest.LogCaptureFixture
):
    engine.worker.refresh()
    server.xadd(EVENTS, {"e": b"no event", "more": "than we know"})
    send(town, clock, WALK_IN)
    engine.settle()
    assert [message["state"] for message in items(town, "/v1/messages")] == ["sent"]
    assert (server.xlen(EVENTS), engine.decider.unjudged) == (0, 1)
    [kept] = engine.quarantine.all()
    assert (kept.of, kept.why, kept.parts) == (
        Of.EVENTS,
        "ValidationError",
        [b"e", b"no event", b"more", b"than we know"],
    )
    assert f"an entry is set aside: {kept.name}" in caplog.text
    assert attention(town)[0].startswith("1 entries of events")


def test_an_event_stays_where_it_is_while_the_quarantine_is_full(
    engine: Engine, server: Redis, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(quarantine, "LIMIT_ENTRIES", 1)
    engine.worker.refresh()
    told = PlaceEvent("1", PHONE, EventKind.ENTER, "bakery", MONDAY_NINE, MONDAY_NINE, 0.9)
    for entry in (b"no event", b"nor this", msgspec.msgpack.encode(told)):
        server.xadd(EVENTS, {"e": entry})
    assert (engine.decider.run_once(), engine.decider.run_once()) == (2, 0)
    assert [fields for _, fields in server.xrange(EVENTS)] == [{b"e": b"nor this"}]


@pytest.fixture
def operator(engine: Engine, valkey_server: str) -> Iterator[object]:
    """The command, beside an engine on the same live store."""

    def typed(*words: str):
        return chaland(
            "quarantine",
            *words,
            data_dir=engine.settings.data_dir,
            CHALAND_VALKEY_URL=valkey_server,
            CHALAND_PARTITIONS="4",
        )

    return typed


def test_an_operator_lists_retries_and_drops(
    town: TestClient, engine: Engine, server: Redis, clock, operator
):
    """One entry was damaged; the other was written by a version that is installed now."""
    send(town, clock, WALK_IN)
    [(_, readable)] = server.xrange(LOG)
    server.xtrim(LOG, maxlen=0)
    damaged = server.xadd(LOG, {"g": "0", "s": NEWER})
    newer = server.xadd(LOG, readable)
    engine.worker.refresh()
    lease = engine.leases.held[PARTITION]
    faults = [(damaged, "ValidationError"), (newer, "ValidationError")]
    assert engine.quarantine.keep(Of.SIGNALS, PARTITION, lease, faults, leave=True) == 2
    names = [f"signals/{PARTITION}/{each.decode()}" for each in (damaged, newer)]

    told = operator("list")
    lines = [line.split("  ") for line in told.stdout.splitlines()]
    assert (told.returncode, [line[0] for line in lines]) == (1, names)
    assert [line[3:] for line in lines] == [
        ["ValidationError", "cannot be read"],
        ["ValidationError", "can be read"],
    ]
    told = operator("retry")
    assert (told.returncode, told.stdout) == (1, "1 entries were put back, 1 stay\n")
    engine.settle()
    assert [event["kind"] for event in items(town, "/v1/events")] == ["enter"]
    assert operator("drop").returncode == 2
    told = operator("drop", names[1])
    assert (told.returncode, told.stderr.split(";")[0]) == (2, f"nothing is set aside as {names[1]}")
    assert operator("drop", names[0]).stdout == "1 entries were dropped\n"
    told = operator("list")
    assert (told.returncode, told.stdout, told.stderr.splitlines()[-1]) == (0, "", "0 entries are set aside")


def test_what_is_put_back_is_heard_by_the_consent_of_then_and_now(
    town: TestClient, engine: Engine, server: Redis, clock: SetClock
):
    """She withdrew, and allowed again, while it lay aside."""
    send(town, clock, WALK_IN)
    [(entry, _)] = server.xrange(LOG)
    engine.worker.refresh()
    aside, lease = engine.quarantine, engine.leases.held[PARTITION]
    assert aside.keep(Of.SIGNALS, PARTITION, lease, [(entry, "Kind")], leave=True) == 1
    for action in ("withdraw", "grant"):
        consent = {"purpose": "location", "action": action, "source": "app", "text_version": "v1"}
        town.post("/v1/subjects/ana/consents", json=consent).raise_for_status()
    assert int(server.get(gate_edits_key(PARTITION))) > 0
    [kept] = aside.all()
    assert not aside.put_back(kept, 0)
    assert aside.put_back(kept, 1000)
    assert not aside.put_back(kept, 1000), "it has gone"
    engine.settle()
    assert server.get(cursor_key(PARTITION)) == server.xinfo_stream(LOG)["last-generated-id"]
    assert (items(town, "/v1/events"), list(aside.all())) == ([], [])


def test_an_erasure_takes_what_nobody_can_search(town: TestClient, engine: Engine, server: Redis, clock):
    """Her signals go, and what cannot be read of her partition; her neighbours' stay."""
    neighbour = next(
        name for name in (f"ben-{n}-phone" for n in range(99)) if partition_of(name, 4) == PARTITION
    )
    ben = {"phone": "+33639980002", "locale": "fr", "devices": [{"device": neighbour}]}
    town.put("/v1/subjects/ben", json=ben).raise_for_status()
    allowed = {"purpose": "location", "action": "grant", "source": "app", "text_version": "v1"}
    town.post("/v1/subjects/ben/consents", json=allowed).raise_for_status()
    fix = {"at": clock().timestamp(), "lat": 48.0, "lon": 2.0, "accuracy": 8}
    pings = [fix | {"device": PHONE}, fix | {"device": neighbour}]
    assert town.post("/v1/pings", json={"pings": pings}).json()["accepted"] == 2
    told = PlaceEvent("1", PHONE, EventKind.ENTER, "bakery", MONDAY_NINE, MONDAY_NINE, 0.9)
    engine.worker.refresh()
    aside, lease = engine.quarantine, engine.leases.held[PARTITION]
    [(both, _)] = server.xrange(LOG)
    waiting = server.xadd(LOG, {"g": "0", "s": PHONE.encode() + b" and more"})
    torn = server.xadd(LOG, {"g": "0", "s": NEWER})
    assert aside.keep(Of.SIGNALS, PARTITION, lease, [(both, "Kind"), (torn, "Kind")], leave=True) == 2
    events = [server.xadd(EVENTS, {"e": each}) for each in (b"torn", msgspec.msgpack.encode(told))]
    assert aside.keep(Of.EVENTS, PARTITION, lease, [(each, "Kind") for each in events], leave=True) == 2
    server.xadd(EVENTS, {"e": b"torn too"})
    elsewhere = server.xadd(quarantine_key(log_key((PARTITION + 1) % 4)), {"why": "Kind", "g": "0", "s": b""})

    town.delete("/v1/subjects/ana").raise_for_status()

    left = list(aside.all())
    assert {each.id for each in left} == {both, elsewhere}
    [kept] = [each for each in left if each.partition == PARTITION]
    assert entry_of(kept.id, kept.parts).signals.devices == [neighbour]
    assert kept.why == "Kind"
    dumps = [server.dump(key) or b"" for key in server.scan_iter()]
    assert not any(PHONE.encode() in dump for dump in dumps)
    assert server.xlen(EVENTS) == 0
    [entry] = SignalLog(engine.live, 10).read({PARTITION: b"0-0"}, 10, 0)[PARTITION]
    assert (entry.id, entry.unreadable, len(entry.signals)) == (waiting, "", 0)


def test_an_erasure_takes_what_is_put_back_while_it_runs(
    town: TestClient, engine: Engine, server: Redis, clock, monkeypatch: pytest.MonkeyPatch
):
    send(town, clock, WALK_IN)
    engine.worker.refresh()
    [(entry, _)] = server.xrange(LOG)
    lease = engine.leases.held[PARTITION]
    assert engine.quarantine.keep(Of.SIGNALS, PARTITION, lease, [(entry, "Kind")], leave=True) == 1
    swap = engine.erasures._swap

    def swap_and_put_back(calls):
        answers = swap(calls)
        for each in engine.quarantine.all():
            engine.quarantine.put_back(each, 10)
        return answers

    monkeypatch.setattr(engine.erasures, "_swap", swap_and_put_back)
    engine.erasures.forget_devices([PHONE])
    assert list(engine.quarantine.all()) == []
    assert not any(PHONE.encode() in fields[b"s"] for _, fields in server.xrange(LOG))


def test_a_day_later_it_is_gone(live):
    aside, key = Quarantine(live), quarantine_key(LOG)
    now_ms = live.client.time()[0] * 1000
    for age_hours in (KEPT_HOURS + 0.01, KEPT_HOURS - 0.01, 0):
        fields = {"why": "Kind", "g": "0", "s": b""}
        live.client.xadd(key, fields, id=f"{now_ms - int(age_hours * 3_600_000)}-0")
    assert (aside.sweep(), aside.sweep()) == (1, 0)
    assert len(list(aside.all())) == 2
