import threading
from dataclasses import replace
from itertools import groupby

import msgspec
import pytest
from fastapi.testclient import TestClient
from redis.exceptions import ResponseError

from campaigns.store import put_campaign as put_campaign_as_it_is
from campaigns.triggers.trigger import Trigger
from engine import worker as working
from engine.app import Engine
from engine.batch import Batch
from engine.clock import SetClock
from engine.decider import BATCH_EVENTS
from engine.event_log import decode_event
from engine.leases import Leases
from engine.live import (
    FLEET_PREFIX,
    cursor_key,
    device_prefix,
    done_key,
    due_key,
    events_key,
    gate_edits_key,
    gate_key,
    lease_key,
    log_key,
    partition_of,
)
from engine.places import Places
from engine.privacy.live_holdings import held_of
from engine.signals import Fix, Signal
from engine.track import decode_track
from engine.worker import Worker
from geofences.event import EventKind, PlaceEvent
from tests.campaigns.cast import BREAD
from tests.conftest import MONDAY_NINE
from tests.engine.test_releaser import BEYOND

LAT, LON = 48.8353, 2.2410


@pytest.fixture
def town(client: TestClient) -> TestClient:
    """A bakery with an offer, and ana, who allows everything."""
    put_bakery(client)
    subject = {"phone": "+33639980001", "locale": "fr", "devices": [{"device": "ana-phone"}]}
    client.put("/v1/subjects/ana", json=subject).raise_for_status()
    for consent in ({"purpose": "location"}, {"purpose": "marketing", "channel": "sms"}):
        entry = consent | {"action": "grant", "source": "app", "text_version": "v1"}
        client.post("/v1/subjects/ana/consents", json=entry).raise_for_status()
    put_campaign(client, "bread", "enter", "Fresh bread")
    return client


def put_campaign(client: TestClient, name: str, event: str, text: str) -> None:
    trigger = {"event": event, "geofences": ["bakery"]}
    campaign = {"name": name, "trigger": trigger, "channel": "sms", "template": text}
    client.put(f"/v1/campaigns/{name}", json=campaign).raise_for_status()
    client.post(f"/v1/campaigns/{name}/activate").raise_for_status()


def put_bakery(client: TestClient, lon: float = LON, name: str = "Bakery") -> None:
    feature = {
        "type": "Feature",
        "properties": {"name": name, "radius": 40},
        "geometry": {"type": "Point", "coordinates": [lon, LAT]},
    }
    client.put("/v1/geofences/bakery", json=feature).raise_for_status()


def send(client: TestClient, clock: SetClock, ages: list[float], lon: float = LON) -> None:
    now = clock().timestamp()
    pings = [{"device": "ana-phone", "at": now - age, "lat": LAT, "lon": lon, "accuracy": 8} for age in ages]
    assert client.post("/v1/pings", json={"pings": pings}).json()["accepted"] == len(pings)


WALK_IN = [50, 40, 30, 20, 10, 0]


def items(client: TestClient, path: str) -> list[dict]:
    return client.get(path).raise_for_status().json()["items"]


def test_one_ping_becomes_one_message(town: TestClient, engine: Engine, clock: SetClock):
    send(town, clock, WALK_IN)
    engine.settle()
    [event] = items(town, "/v1/events")
    [decision] = items(town, "/v1/decisions")
    [message] = items(town, "/v1/messages")
    assert (event["kind"], event["geofence"], event["subject"]) == ("enter", "bakery", "ana")
    assert (decision["outcome"], decision["event"]) == ("message", event["id"])
    assert (message["state"], message["text"], message["event"]) == ("sent", "Fresh bread", event["id"])
    assert "lat" not in str(event["evidence"])
    assert engine.log.depth() == 0


def test_sightings_go_through_the_log_and_disturb_no_fix(town: TestClient, engine: Engine, clock: SetClock):
    def hear(*ages: float) -> None:
        beacon = {"namespace": "edd1ebeac04e5defa017", "instance": "0bdb87539b67"}
        heard = {"device": "ana-phone", "rssi": -71, "beacon": beacon}
        several = [heard | {"at": clock().timestamp() - age} for age in ages]
        town.post("/v1/sightings", json={"sightings": several}).raise_for_status()

    hear(55, 45)
    send(town, clock, WALK_IN)
    hear(5)
    engine.settle()
    assert [event["kind"] for event in items(town, "/v1/events")] == ["enter"]
    hear(3)
    hear(2, 1)
    engine.settle()
    assert engine.log.depth() == 0


def test_a_step_to_the_till_becomes_a_message(town: TestClient, engine: Engine, clock: SetClock):
    ids = {"namespace": "edd1ebeac04e5defa017", "instance": "0bdb87539b67"}
    till = ids | {"geofence": "bakery", "tx_power": -59, "zone": "till"}
    town.put("/v1/beacons/bakery-till", json=till).raise_for_status()
    put_campaign(town, "card", "zone", "Your loyalty card, please")
    now = clock().timestamp()
    several = [
        {"device": "ana-phone", "at": now - 30, "event": "enter", "beacon": ids},
        *({"device": "ana-phone", "at": now - age, "rssi": -62, "beacon": ids} for age in (20, 15, 10)),
    ]
    assert town.post("/v1/sightings", json={"sightings": several}).json()["accepted"] == 4
    engine.settle()
    [zone] = items(town, "/v1/events?kind=zone")
    assert (zone["geofence"], zone["beacon"], zone["zone"]) == ("bakery", "bakery-till", "till")
    assert zone["evidence"]["distance_m"] < 3
    [message] = items(town, "/v1/messages?campaign=card")
    assert (message["event"], message["text"]) == (zone["id"], "Your loyalty card, please")
    send(
        town, clock, [19, 16, 12]
    )  # between what was heard: the past is gone through again, and stays as it was
    engine.settle()
    assert items(town, "/v1/events?kind=zone") == [zone]
    assert len(items(town, "/v1/messages?campaign=card")) == 1


def test_an_event_taken_twice_is_decided_and_sent_once(town: TestClient, engine: Engine, clock: SetClock):
    send(town, clock, WALK_IN)
    engine.worker.refresh()
    engine.worker.run_once()
    stream = events_key(partition_of("ana-phone", engine.live.partitions))
    entries = engine.live.client.xrange(stream)
    assert len(entries) == 1
    engine.settle()
    engine.live.client.xadd(stream, entries[0][1])  # as if the acknowledgement had been lost
    engine.settle()
    assert [len(items(town, f"/v1/{path}")) for path in ("events", "decisions", "messages")] == [1, 1, 1]
    assert engine.live.client.xlen(stream) == 0


def test_a_decision_goes_by_the_place_as_it_is_now(town: TestClient, engine: Engine, clock: SetClock):
    offer = town.get("/v1/campaigns/bread").json()
    settings = {key: offer[key] for key in ("name", "trigger", "channel")}
    settings |= {
        "template": "Come to {{ geofence }}",
        "cap": [{"max": 9, "per_seconds": 60}],
        "per_visit": "many",
    }
    town.put("/v1/campaigns/bread", json=settings).raise_for_status()
    send(town, clock, WALK_IN)
    engine.settle()
    put_bakery(town, name="Boulangerie")
    stream = events_key(partition_of("ana-phone", engine.live.partitions))
    clock.advance(hours=2)
    send(town, clock, WALK_IN)
    engine.settle()
    assert engine.live.client.xlen(stream) == 0
    texts = [message["text"] for message in items(town, "/v1/messages")]
    assert texts == ["Come to Boulangerie", "Come to Bakery"]


def test_a_worker_that_lost_its_lease_writes_nothing(town: TestClient, engine: Engine, clock: SetClock):
    engine.worker.refresh()
    partition = partition_of("ana-phone", engine.live.partitions)
    engine.live.client.set(lease_key(partition), "another#99")
    send(town, clock, WALK_IN)
    engine.worker.run_once()
    assert not list(engine.live.client.scan_iter("*:dev:*"))
    assert engine.live.client.xlen(events_key(partition)) == 0
    assert engine.log.depth() == 1
    engine.live.client.delete(lease_key(partition))
    engine.settle()
    assert len(items(town, "/v1/messages")) == 1


def test_a_decider_that_lost_its_lease_writes_nothing(town: TestClient, engine: Engine, clock: SetClock):
    send(town, clock, WALK_IN)
    engine.worker.refresh()
    engine.worker.run_once()
    partition = partition_of("ana-phone", engine.live.partitions)
    lease = engine.live.client.getset(lease_key(partition), "another#99")
    assert engine.decider.run_once() == 0
    assert items(town, "/v1/events") == []
    assert engine.live.client.xlen(events_key(partition)) == 1
    engine.live.client.set(lease_key(partition), lease)
    assert engine.decider.run_once() == 1
    assert len(items(town, "/v1/events")) == 1


def test_an_event_that_cannot_be_judged_is_kept_and_holds_up_no_other(
    town: TestClient, engine: Engine, clock: SetClock, caplog: pytest.LogCaptureFixture
):
    here = {"type": "Point", "coordinates": [LON, LAT]}
    cafe = {"type": "Feature", "properties": {"name": "Cafe", "radius": 40}, "geometry": here}
    town.put("/v1/geofences/cafe", json=cafe).raise_for_status()
    broken = replace(BREAD, id="broken", trigger=Trigger(EventKind.ENTER, ("cafe",), delay_seconds=BEYOND))
    with engine.records.writes.begin() as connection:
        put_campaign_as_it_is(connection, broken, clock())
    send(town, clock, WALK_IN)
    engine.settle()
    assert {event["geofence"] for event in items(town, "/v1/events")} == {"bakery", "cafe"}
    assert [decision["campaign"] for decision in items(town, "/v1/decisions")] == ["bread"]
    assert [message["state"] for message in items(town, "/v1/messages")] == ["sent"]
    partition = partition_of("ana-phone", engine.live.partitions)
    assert engine.live.client.xlen(events_key(partition)) == 0
    assert engine.decider.unjudged == 1
    [told] = [each for each in town.get("/readyz").json()["attention"] if "judged" in each]
    assert told.startswith("1 events or moments could not be judged")
    assert "an event could not be judged (OverflowError)" in caplog.text
    engine.live.client.xadd(events_key(partition), {"e": b"no event", "more": "than we know"})
    assert (engine.decider.run_once(), engine.decider.run_once(), engine.decider.unjudged) == (1, 0, 2)


def test_a_decider_waits_only_after_a_batch_that_took_all_there_were(engine: Engine):
    class Stop(threading.Event):
        waits = 0

        def wait(self, timeout: float | None = None) -> bool:
            self.waits += 1
            self.left = engine.live.client.xlen(events_key(partition))
            self.set()
            return True

    engine.worker.refresh()
    partition = partition_of("ana-phone", engine.live.partitions)
    told = PlaceEvent("", "ana-phone", EventKind.ENTER, "bakery", MONDAY_NINE, MONDAY_NINE, 0.9)
    for number in range(2 * BATCH_EVENTS + 1):
        told = replace(told, id=str(number))
        engine.live.client.xadd(events_key(partition), {"e": msgspec.msgpack.encode(told)})
    stop = Stop()
    engine.decider.run(stop)
    assert (stop.left, stop.waits) == (0, 1)


def test_a_decider_waits_while_what_it_sees_is_not_its_own_any_more(engine: Engine):
    class Stop(threading.Event):
        looks = waits = 0

        def is_set(self) -> bool:
            self.looks += 1
            return self.looks > 3

        def wait(self, timeout: float | None = None) -> bool:
            self.waits += 1
            return False

    engine.worker.refresh()
    partition = partition_of("ana-phone", engine.live.partitions)
    told = PlaceEvent("", "ana-phone", EventKind.ENTER, "bakery", MONDAY_NINE, MONDAY_NINE, 0.9)
    for number in range(BATCH_EVENTS):
        each = replace(told, id=str(number))
        engine.live.client.xadd(events_key(partition), {"e": msgspec.msgpack.encode(each)})
    engine.live.client.set(lease_key(partition), "another#99")
    stop = Stop()
    engine.decider.run(stop)
    assert (engine.live.client.xlen(events_key(partition)), stop.waits) == (BATCH_EVENTS, 3)


def test_a_worker_starts_from_where_the_live_store_is(town: TestClient, engine: Engine, clock: SetClock):
    """As after a failover to a replica that lacked the last commit, or a restore."""
    partition = partition_of("ana-phone", engine.live.partitions)
    keys = [cursor_key(partition), done_key(partition), events_key(partition), due_key(partition)]
    send(town, clock, WALK_IN[:1])
    engine.settle()
    before = [(key, engine.live.client.dump(key)) for key in [*keys, *engine.live.client.keys("*:dev:*")]]
    send(town, clock, WALK_IN[1:])
    engine.worker.run_once()
    assert engine.live.client.xlen(events_key(partition)) == 1
    for key, dump in before:
        engine.live.client.delete(key)
        if dump:
            engine.live.client.restore(key, 0, dump)
    engine.settle()
    assert [event["kind"] for event in items(town, "/v1/events")] == ["enter"]
    assert engine.log.depth() == 0


def test_an_edited_geofence_is_matched_within_a_second_without_a_restart(
    town: TestClient, engine: Engine, clock: SetClock
):
    engine.settle()
    put_bakery(town, LON + 0.01)
    engine.worker._places._looked_at -= 1  # a second later
    send(town, clock, WALK_IN)
    engine.settle()
    assert items(town, "/v1/events") == []
    clock.advance(minutes=2)
    send(town, clock, WALK_IN, LON + 0.01)
    engine.settle()
    assert [event["geofence"] for event in items(town, "/v1/events")] == ["bakery"]
    town.delete("/v1/geofences/bakery").raise_for_status()
    engine.worker._places._looked_at -= 1
    engine.settle()
    assert len(engine.worker._places.index) == 0


def test_the_worker_waits_when_decisions_fall_behind(town: TestClient, engine: Engine, clock: SetClock):
    engine.worker._event_limit_entries = 0
    send(town, clock, WALK_IN)
    engine.settle()
    assert engine.log.depth() == 1
    engine.worker._event_limit_entries = 10
    engine.settle()
    assert engine.log.depth() == 0


def test_a_withdrawal_before_the_decision_leaves_no_event(town: TestClient, engine: Engine, clock: SetClock):
    send(town, clock, WALK_IN)
    engine.worker.refresh()
    engine.worker.run_once()
    entry = {"purpose": "location", "action": "withdraw", "source": "app"}
    town.post("/v1/subjects/ana/consents", json=entry).raise_for_status()
    engine.settle()
    assert [items(town, f"/v1/{path}") for path in ("events", "decisions", "messages")] == [[], [], []]


def test_a_withdrawal_before_the_sending_cancels_the_message(
    town: TestClient, engine: Engine, clock: SetClock
):
    send(town, clock, WALK_IN)
    engine.worker.refresh()
    engine.worker.run_once()
    engine.decider.run_once()
    entry = {"purpose": "marketing", "channel": "sms", "action": "withdraw", "source": "app"}
    town.post("/v1/subjects/ana/consents", json=entry).raise_for_status()
    engine.settle()
    [message] = items(town, "/v1/messages")
    assert (message["state"], message["sent_at"]) == ("cancelled", None)


def test_a_campaign_moves_at_its_times(town: TestClient, engine: Engine, clock: SetClock):
    campaign = {
        "name": "Later",
        "trigger": {"event": "enter", "geofences": ["bakery"]},
        "channel": "sms",
        "template": "Later",
        "starts_at": "2026-11-23T08:10:00Z",
        "ends_at": "2026-11-23T08:20:00Z",
    }
    town.put("/v1/campaigns/later", json=campaign).raise_for_status()
    town.post("/v1/campaigns/later/activate").raise_for_status()
    states = []
    for _ in range(3):
        engine.rounds.move_campaigns()
        states.append(town.get("/v1/campaigns/later").json()["state"])
        clock.advance(minutes=10)
    assert states == ["scheduled", "active", "ended"]


def test_an_export_holds_everything_and_an_erasure_leaves_nothing(
    town: TestClient, engine: Engine, clock: SetClock
):
    send(town, clock, WALK_IN)
    engine.settle()
    export = town.get("/v1/subjects/ana/export").raise_for_status().json()
    assert [len(export[part]) for part in ("events", "decisions", "messages", "consents")] == [1, 1, 1, 2]
    town.delete("/v1/subjects/ana").raise_for_status()
    assert town.get("/v1/subjects/ana/export").status_code == 404
    assert [items(town, f"/v1/{path}") for path in ("events", "decisions", "messages")] == [[], [], []]
    assert not list(engine.live.client.scan_iter("*:dev:*"))


def test_a_phone_that_falls_silent_dwells_by_the_clock(town: TestClient, engine: Engine, clock: SetClock):
    for _ in range(6):
        send(town, clock, WALK_IN)
        engine.settle()
        clock.advance(minutes=1)
    known = {event["kind"] for event in items(town, "/v1/events")}
    assert known == {"enter", "dwell"}
    town.put("/v1/subjects/bob", json={"phone": "+33639980002", "devices": [{"device": "bob-phone"}]})
    grant = {"purpose": "location", "action": "grant", "source": "app", "text_version": "v1"}
    town.post("/v1/subjects/bob/consents", json=grant).raise_for_status()

    def seen(ages: list[float]) -> None:
        now = clock().timestamp()
        pings = [
            {"device": "bob-phone", "at": now - age, "lat": LAT, "lon": LON, "accuracy": 8} for age in ages
        ]
        assert town.post("/v1/pings", json={"pings": pings}).json()["accepted"] == len(ages)
        engine.settle()

    for _ in range(5):
        seen([50, 40, 30, 20, 10, 0])
        clock.advance(minutes=1)
    assert [event["kind"] for event in items(town, "/v1/events?device=bob-phone")] == ["enter"]
    engine.settle()
    kinds = [event["kind"] for event in items(town, "/v1/events?device=bob-phone")]
    assert sorted(kinds) == ["dwell", "enter"]


def test_what_turns_out_not_to_have_happened_is_taken_back_with_its_message(
    town: TestClient, engine: Engine, clock: SetClock
):
    clock.advance(minutes=5)
    now = clock().timestamp()

    def report(rows: list[tuple[float, float]]) -> None:
        pings = [
            {"device": "ana-phone", "at": now + at, "lat": LAT, "lon": lon, "accuracy": 8} for at, lon in rows
        ]
        assert town.post("/v1/pings", json={"pings": pings}).json()["accepted"] == len(rows)
        engine.worker.run_once()
        engine.decider.run_once()

    engine.worker.refresh()
    out = LON + 0.0015
    report([(-60 + 10 * number, out) for number in range(4)])
    report([(0, LON)])
    [event] = items(town, "/v1/events")
    [message] = items(town, "/v1/messages")
    assert (event["kind"], event["retracted_at"], message["state"]) == ("enter", None, "due")
    report([(-1, out), (-2, out)])
    report([(2, out)])
    [event] = items(town, "/v1/events")
    [message] = items(town, "/v1/messages")
    assert event["retracted_at"] is not None
    assert message["state"] == "cancelled"
    engine.settle()
    assert items(town, "/v1/messages")[0]["sent_at"] is None


def test_a_partition_that_was_not_asked_for_ahead_is_not_taken_to_be_caught_up_with(
    town: TestClient, engine: Engine, clock: SetClock, monkeypatch: pytest.MonkeyPatch
):
    """Where there is room again since, what waits may tell that the phone has left before its dwell was due."""
    monkeypatch.setattr(working, "FEW_SIGNALS", 0)
    ours = partition_of("ana-phone", engine.live.partitions)
    other = next(
        each for each in map("bob-{}".format, range(99)) if partition_of(each, engine.live.partitions) != ours
    )
    town.put("/v1/subjects/bob", json={"phone": "+33639980002", "devices": [{"device": other}]})
    grant = {"purpose": "location", "action": "grant", "source": "app", "text_version": "v1"}
    town.post("/v1/subjects/bob/consents", json=grant).raise_for_status()
    for seconds in (54, 54, 54, 54, 20):
        send(town, clock, WALK_IN)
        engine.settle()
        clock.advance(seconds=seconds)
    send(town, clock, [8, 4, 0], LON + 0.01)
    clock.advance(seconds=40)
    ping = {"device": other, "at": clock().timestamp(), "lat": LAT, "lon": LON + 0.01, "accuracy": 8}
    town.post("/v1/pings", json={"pings": [ping]}).raise_for_status()
    worker = engine.worker
    worker._full_looked._next = float("inf")
    worker._full.add(ours)
    assert worker.run_once(block_ms=1) == 1
    worker._full.clear()
    worker.run_once(block_ms=1)
    worker.run_once()
    told = [decode_event(fields[b"e"]) for _, fields in engine.live.client.xrange(events_key(ours))]
    assert [event.kind for event in told] == ["exit"]


def test_a_commit_that_is_refused_for_its_cursor_alone_keeps_the_lease(
    town: TestClient, engine: Engine, clock: SetClock
):
    """As after a failover to a replica that lacked the last commit, found while the next one is written."""
    engine.settle()
    send(town, clock, WALK_IN)
    partition = partition_of("ana-phone", engine.live.partitions)
    lease = engine.leases.held[partition]
    engine.live.client.set(cursor_key(partition), "0-1")
    assert engine.worker.run_once() == 0
    assert engine.leases.held[partition] == lease
    engine.settle()
    assert [event["kind"] for event in items(town, "/v1/events")] == ["enter"]
    assert engine.log.depth() == 0


def test_a_round_is_bounded_in_signals_and_takes_one_entry_at_least(
    town: TestClient, engine: Engine, clock: SetClock, monkeypatch: pytest.MonkeyPatch
):
    engine.settle()
    monkeypatch.setattr(working, "SIGNALS_AT_ONCE", 10)
    for age in range(7, 0, -1):
        send(town, clock, [10 * age, 10 * age - 4, 10 * age - 8])
    send(town, clock, [each / 10 for each in range(12)])
    send(town, clock, [0])
    assert [engine.worker.run_once() for _ in range(6)] == [3, 2, 2, 1, 1, 0]
    assert engine.log.depth() == 0


def test_a_round_that_fails_is_told_and_taken_again(
    town: TestClient, engine: Engine, clock: SetClock, caplog: pytest.LogCaptureFixture
):
    partition = partition_of("ana-phone", engine.live.partitions)
    client = engine.live.client
    send(town, clock, WALK_IN)
    now = clock().timestamp()
    nonsense = Signal("ana-phone", 1e300, Fix(now, LAT, LON, 8.0, None, None))  # there is no such year
    entry = client.xadd(
        log_key(partition), {"g": client.get(gate_edits_key(partition)), "s": Batch.of([nonsense]).encoded()}
    )

    class Mending(threading.Event):
        """Takes away, at the second failure, what cannot be; set once there is an event."""

        waits = 0

        def wait(self, timeout: float | None = None) -> bool:
            self.waits += 1
            assert not client.exists(cursor_key(partition)), "nothing is skipped"
            assert partition in engine.leases.held
            if self.waits == 2:
                client.xdel(log_key(partition), entry)
            return False

        def is_set(self) -> bool:
            return client.xlen(events_key(partition)) > 0

    stop = Mending()
    engine.worker.run(stop, refresh_seconds=3600)
    assert (stop.waits, engine.worker.failures) == (2, 2)
    assert caplog.text.count("worker: a round failed (OverflowError); beginning anew") == 2
    [told] = [each for each in town.get("/readyz").json()["attention"] if "worker" in each]
    assert told.startswith("2 rounds of the worker failed since the start")


def key_of_track(engine: Engine) -> str:
    partition = partition_of("ana-phone", engine.live.partitions)
    return device_prefix(partition) + "ana-phone"


def test_a_phone_that_is_remembered_is_not_asked_for(town: TestClient, engine: Engine, clock: SetClock):
    send(town, clock, WALK_IN)
    engine.settle()
    clock.advance(seconds=20)
    send(town, clock, [10, 0])
    engine.live.client.config_resetstat()
    assert engine.worker.run_once() == 1
    assert engine.live.client.info("commandstats")["cmdstat_evalsha"]["calls"] == 1  # the commit


def test_a_timer_that_stays_as_it_is_is_written_once(town: TestClient, engine: Engine, clock: SetClock):
    timers = due_key(partition_of("ana-phone", engine.live.partitions))

    def written(lon: float) -> tuple[bool, bool]:
        """Whether the phone has a timer after a ping from there, and whether the timers were written to."""
        clock.advance(seconds=20)
        send(town, clock, [0], lon)
        engine.live.client.config_resetstat()
        engine.worker.run_once()
        stats = engine.live.client.info("commandstats")
        touched = {"cmdstat_zadd", "cmdstat_zrem"} & stats.keys()
        return engine.live.client.zscore(timers, "ana-phone") is not None, bool(touched)

    away = LON + 0.005
    send(town, clock, [20, 0], away)
    engine.settle()
    assert [written(away), written(away)] == [(False, False)] * 2
    send(town, clock, WALK_IN)
    engine.settle()
    due = engine.live.client.zscore(timers, "ana-phone")
    assert [written(LON), written(LON)] == [(True, False)] * 2
    assert engine.live.client.zscore(timers, "ana-phone") == due
    told = [written(away) for _ in range(6)]
    assert told.count((False, True)) == 1, "when it has left"
    assert [each for each, _ in groupby(told)] == [(True, False), (False, True), (False, False)]
    engine.worker._begin_anew()  # who reads a track anew does not know what timer it has
    engine.worker.refresh()
    assert [written(away), written(away)] == [(False, True), (False, False)]


def test_what_was_withdrawn_is_not_written_back_by_a_worker_that_remembers_it(
    town: TestClient, engine: Engine, clock: SetClock
):
    send(town, clock, WALK_IN)
    engine.settle()
    assert engine.live.client.exists(key_of_track(engine))
    clock.advance(seconds=20)
    send(town, clock, [10, 0])
    for action in ("withdraw", "grant"):
        entry = {"purpose": "location", "action": action, "source": "app", "text_version": "v1"}
        town.post("/v1/subjects/ana/consents", json=entry).raise_for_status()
        clock.advance(seconds=1)
    partition = partition_of("ana-phone", engine.live.partitions)
    assert engine.live.client.hget(gate_key(partition), "ana-phone") == b"1%b" % engine.live.client.get(
        gate_edits_key(partition)
    )
    engine.settle()
    assert not engine.live.client.exists(key_of_track(engine))
    clock.advance(seconds=20)
    send(town, clock, [0])
    engine.settle()
    track = decode_track(engine.live.client.get(key_of_track(engine)))
    assert len(track.tail.signs) == 1


def test_what_follows_a_batch_that_was_refused_is_refused_too(
    town: TestClient, engine: Engine, clock: SetClock
):
    partition = partition_of("ana-phone", engine.live.partitions)
    engine.settle()
    cursor = engine.live.client.get(cursor_key(partition))
    ours = engine.live.client.getset(lease_key(partition), "someone else#99")
    send(town, clock, WALK_IN[:3])
    assert engine.worker.run_once(block_ms=1) == 1  # it cannot know yet
    send(town, clock, WALK_IN[3:])
    engine.worker.run_once(block_ms=1)
    assert engine.live.client.get(cursor_key(partition)) == cursor
    assert not engine.live.client.exists(events_key(partition))
    engine.live.client.set(lease_key(partition), ours)
    engine.live.client.delete(lease_key(partition))
    engine.settle()
    assert [event["kind"] for event in items(town, "/v1/events")] == ["enter"]


def put_bob_elsewhere(client: TestClient, engine: Engine) -> str:
    """A second phone that may be heard, in another partition than ana's. Answers its name."""
    names = (f"bob-phone-{number}" for number in range(100))
    anas = partition_of("ana-phone", engine.live.partitions)
    name = next(each for each in names if partition_of(each, engine.live.partitions) != anas)
    subject = {"phone": "+33639980002", "devices": [{"device": name}]}
    client.put("/v1/subjects/bob", json=subject).raise_for_status()
    grant = {"purpose": "location", "action": "grant", "source": "app", "text_version": "v1"}
    client.post("/v1/subjects/bob/consents", json=grant).raise_for_status()
    return name


def test_what_was_built_on_a_refused_batch_is_not_remembered(
    town: TestClient, engine: Engine, clock: SetClock
):
    """Though the refusal is heard while another phone, in another partition, is asked for."""
    partition = partition_of("ana-phone", engine.live.partitions)
    bob = put_bob_elsewhere(town, engine)
    engine.settle()
    engine.live.client.set(lease_key(partition), "someone else#99")
    send(town, clock, WALK_IN[:5])
    assert engine.worker.run_once(block_ms=1) == 1
    send(town, clock, WALK_IN[5:])
    ping = {"device": bob, "at": clock().timestamp(), "lat": LAT, "lon": LON, "accuracy": 8}
    town.post("/v1/pings", json={"pings": [ping]}).raise_for_status()
    engine.worker.run_once(block_ms=1)
    engine.live.client.delete(lease_key(partition))
    engine.settle()
    assert [event["kind"] for event in items(town, "/v1/events?device=ana-phone")] == ["enter"]


def test_a_partition_that_comes_back_is_taken_up_as_another_worker_left_it(
    town: TestClient, engine: Engine, clock: SetClock
):
    """Though that one took no signals, so that the cursor is where it was: as after a pause longer than a lease."""
    partition = partition_of("ana-phone", engine.live.partitions)
    for _ in range(5):
        send(town, clock, WALK_IN)
        engine.worker.refresh()
        engine.worker.run_once()
        clock.advance(minutes=1)
    engine.live.client.delete(lease_key(partition))
    settings = engine.settings
    other = Worker(
        engine.live,
        engine.log,
        Leases(engine.live, "other", settings.lease_seconds),
        Places(engine.records, settings.data_dir / "others-geofences"),
        clock,
        batch_entries=settings.batch_entries,
        state_expiry_seconds=settings.state_expiry_seconds,
        event_limit_entries=settings.event_limit_entries,
        log_kept_entries=settings.log_limit_entries,
    )
    other.refresh()
    assert other.run_once() == 1  # the timer
    other.close()
    engine.worker.refresh()
    send(town, clock, [0])
    engine.worker.run_once()
    told = [decode_event(parts[b"e"]) for _, parts in engine.live.client.xrange(events_key(partition))]
    assert [event.kind for event in told] == [EventKind.ENTER, EventKind.DWELL]


def test_a_worker_without_work_hears_what_became_of_its_last_commit(
    town: TestClient, engine: Engine, clock: SetClock
):
    engine.worker.refresh()
    partition = partition_of("ana-phone", engine.live.partitions)
    engine.live.client.set(lease_key(partition), "another#99")
    send(town, clock, WALK_IN)
    assert engine.worker.run_once(block_ms=1) == 1
    assert partition in engine.leases.held
    engine.worker.run_once(block_ms=1)
    assert partition not in engine.leases.held


def test_where_a_phone_was_before_a_withdrawal_is_forgotten_with_its_track(
    town: TestClient, engine: Engine, clock: SetClock
):
    send(town, clock, WALK_IN)
    engine.settle()
    assert engine.worker._world.passers.last("ana-phone")
    for action in ("withdraw", "grant"):
        entry = {"purpose": "location", "action": action, "source": "app", "text_version": "v1"}
        town.post("/v1/subjects/ana/consents", json=entry).raise_for_status()
        clock.advance(seconds=1)
    send(town, clock, [0])
    engine.settle()
    track = decode_track(engine.live.client.get(key_of_track(engine)))
    assert [each.at for each in track.tail.signs] == [clock().timestamp()]


def come_back(client: TestClient, clock: SetClock) -> None:
    """Ana withdraws, and allows it again."""
    for action in ("withdraw", "grant"):
        entry = {"purpose": "location", "action": action, "source": "app", "text_version": "v1"}
        client.post("/v1/subjects/ana/consents", json=entry).raise_for_status()
        clock.advance(seconds=1)


@pytest.mark.parametrize("met", [False, True], ids=["new", "met far away before"])
def test_what_waits_from_before_a_withdrawal_is_not_heard_though_the_phone_has_come_back(
    town: TestClient, engine: Engine, clock: SetClock, *, met: bool
):
    if met:
        send(town, clock, [60], LON + 1)
        engine.settle()
        assert engine.worker._world.passers.last("ana-phone")
    send(town, clock, WALK_IN)
    come_back(town, clock)
    send(town, clock, [0])
    sent_at = clock().timestamp()
    engine.settle()
    track = decode_track(engine.live.client.get(key_of_track(engine)))
    assert [each.at for each in track.tail.signs] == [sent_at]
    assert engine.worker._world.passers.last("ana-phone")[0] == sent_at
    assert engine.log.depth() == 0


def test_where_a_phone_was_before_a_withdrawal_is_not_read_again(
    town: TestClient, engine: Engine, clock: SetClock
):
    send(town, clock, [0], LON + 1)
    engine.settle()
    come_back(town, clock)
    engine.worker._begin_anew()
    engine.settle()
    assert engine.worker._world.passers.last("ana-phone") is None
    send(town, clock, [0], LON + 1)
    engine.settle()
    engine.worker._begin_anew()
    engine.settle()
    assert engine.worker._world.passers.last("ana-phone")


def test_a_phone_of_which_it_was_not_kept_when_it_was_allowed_is_heard_as_long_as_no_gate_closes(
    town: TestClient, engine: Engine, clock: SetClock
):
    partition = partition_of("ana-phone", engine.live.partitions)
    names = (f"bob-phone-{number}" for number in range(100))
    bob = next(each for each in names if partition_of(each, engine.live.partitions) == partition)
    gate = gate_key(partition)
    engine.live.client.hset(gate, mapping={"ana-phone": "1", bob: "1"})  # as an older version left it
    tracks = []
    for closes in (False, True):
        send(town, clock, [0])
        if closes:
            engine.gate._say("0", [bob])
            send(town, clock, [0.5])
        engine.settle()
        tracks.append(decode_track(engine.live.client.get(key_of_track(engine))).signals)
    assert tracks == [1, 2]
    engine.gate.rebuild()
    assert engine.live.client.hgetall(gate) == {b"ana-phone": b"12"}, "bob is nobody's"


def test_a_track_that_expired_is_not_remembered(town: TestClient, engine: Engine, clock: SetClock):
    """Though its phone sends what tells nothing, which renews no track."""
    send(town, clock, WALK_IN)
    engine.settle()
    engine.live.client.delete(
        key_of_track(engine), due_key(partition_of("ana-phone", engine.live.partitions))
    )
    beacon = {"namespace": "edd1ebeac04e5defa017", "instance": "0bdb87539b67"}
    for _ in range(5):
        clock.advance(minutes=4)
        heard = {"device": "ana-phone", "at": clock().timestamp(), "rssi": -71, "beacon": beacon}
        town.post("/v1/sightings", json={"sightings": [heard]}).raise_for_status()
        assert engine.worker.run_once() == 1
    send(town, clock, [0])
    engine.worker.run_once()
    assert decode_track(engine.live.client.get(key_of_track(engine))).signals == 1


def test_one_partition_that_cannot_be_written_stops_no_other(
    town: TestClient, engine: Engine, clock: SetClock
):
    bob = put_bob_elsewhere(town, engine)
    engine.settle()
    anas, bobs = (partition_of(each, engine.live.partitions) for each in ("ana-phone", bob))
    engine.live.client.set(done_key(anas), "no number")
    now = clock().timestamp()
    pings = [
        {"device": device, "at": now - age, "lat": LAT, "lon": LON, "accuracy": 8}
        for device in ("ana-phone", bob)
        for age in WALK_IN
    ]
    town.post("/v1/pings", json={"pings": pings}).raise_for_status()
    with pytest.raises(ResponseError, match="not an integer"):
        engine.worker.run_once()
    assert engine.live.client.xlen(events_key(bobs)) == 1


def test_a_sighting_of_a_phone_that_was_skipped_is_not_counted(
    town: TestClient, engine: Engine, clock: SetClock
):
    ids = {"namespace": "edd1ebeac04e5defa017", "instance": "0bdb87539b67"}
    town.put("/v1/beacons/till", json=ids | {"geofence": "bakery", "tx_power": -59}).raise_for_status()
    send(town, clock, WALK_IN)
    engine.settle()
    sighting = {"device": "ana-phone", "at": clock().timestamp(), "rssi": -62, "beacon": ids}

    counted = []
    for withdrawn in (False, True):
        town.post("/v1/sightings", json={"sightings": [sighting]}).raise_for_status()
        if withdrawn:
            entry = {"purpose": "location", "action": "withdraw", "source": "app"}
            town.post("/v1/subjects/ana/consents", json=entry).raise_for_status()
        engine.settle()
        counted.append(engine.live.client.hget(f"{FLEET_PREFIX}b:till", "hearings"))
    assert counted == [b"1", b"1"]


def test_a_track_that_cannot_be_read_costs_its_phone_what_was_known_of_it_and_holds_up_nobody(
    town: TestClient, engine: Engine, clock: SetClock, caplog: pytest.LogCaptureFixture
):
    send(town, clock, WALK_IN)
    engine.settle()
    engine.live.client.set(key_of_track(engine), b"\x97nonsense")
    [held] = held_of(engine.live, engine.log, ["ana-phone"])
    assert held["state"] == {"unreadable": b"\x97nonsense".hex()}
    engine.live.client.delete(lease_key(partition_of("ana-phone", engine.live.partitions)))
    engine.worker.refresh()  # under another lease it remembers nothing
    clock.advance(seconds=20)
    send(town, clock, [0])
    engine.settle()
    assert "a track cannot be read" in caplog.text
    assert decode_track(engine.live.client.get(key_of_track(engine))).signals < len(WALK_IN)
    assert engine.worker.failures == 0
