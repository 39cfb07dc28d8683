"""A worker that is disturbed at every turn tells what an undisturbed one tells, and keeps nothing of who withdrew."""

import random
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from redis.exceptions import RedisError

from engine.ahead import Ahead, Call, Part
from engine.app import Engine
from engine.clock import SetClock
from engine.event_log import decode_event
from engine.live import device_prefix, due_key, events_key, gate_edits_key, gate_key, lease_key, partition_of
from engine.signals import Ping
from engine.track import decode_track
from tests.engine.test_worker import LAT, LON, put_bakery

STEADY, FICKLE = 4, 3
"""Phones that allow everything, and those that withdraw and come back."""
STEPS, STEP_SECONDS = 60, 20
AWAY = LON + 0.01
Told = list[tuple[str, str, float]]


class Disturbed:
    """A door to the live store at which something may happen before each call, and before each answer is heard."""

    def __init__(self, ahead: Ahead, disturb: Callable[[], None]) -> None:
        self._ahead = ahead
        self._disturb = disturb

    def call(self, name: str, calls: Sequence[Call]) -> None:
        self._disturb()
        self._ahead.call(name, calls)

    def call_as_one(self, name: str, parts: Sequence[Part]) -> None:
        self._disturb()
        self._ahead.call_as_one(name, parts)

    def hear(self) -> list:
        self._disturb()
        return self._ahead.hear()

    def drop(self) -> None:
        self._ahead.drop()


class Town:
    """Phones that walk in and out of a bakery, strangers who pass by, and a worker."""

    def __init__(self, engine: Engine, clock: SetClock, name: str, dice: random.Random) -> None:
        self.engine, self.live, self.clock, self.dice = engine, engine.live, clock, dice
        self.name, self.began = name, clock()
        self.phones = [f"{name}-{number}" for number in range(STEADY + FICKLE)]
        self.closed: dict[str, int] = {}
        """Of phones that have withdrawn: how many of their events there were then."""
        self.opened: dict[str, float] = {}
        """Of phones that have come back: when."""
        self.stormy = False
        self.live.client.flushall()  # a log that grows from storm to storm is read again after each loss
        for phone in self.phones:
            self.say(phone, "1")
        engine.worker._ahead.drop()
        engine.worker._ahead = Disturbed(engine.live.ahead("fetch", "commit"), self.disturb)

    def say(self, phone: str, verdict: str) -> None:
        each = partition_of(phone, self.live.partitions)
        keys = [gate_key(each), gate_edits_key(each), due_key(each), device_prefix(each)]
        self.live.script("gate")(keys=keys, args=[verdict, phone])

    def send(self, step: int) -> None:
        now = self.clock().timestamp()
        pings = []
        for number, phone in enumerate(self.phones):
            turn = (step + 9 * number) % 40
            silent = number % 2 == 0 and 10 <= turn < 20  # and dwells by the clock
            if not silent:
                pings.append(Ping(phone, now, LAT, LON if turn < 24 else AWAY, 8.0))
        stranger = f"{self.name}-stranger-{step}"
        self.say(stranger, "1")
        pings.append(Ping(stranger, now, LAT, AWAY, 8.0))
        self.engine.log.append([(now, pings)])

    def told(self, phone: str) -> Told:
        """Events of a phone, with seconds since the town began."""
        stream = events_key(partition_of(phone, self.live.partitions))
        events = [decode_event(parts[b"e"]) for _, parts in self.live.client.xrange(stream)]
        return [
            (each.kind, each.revision, (each.at - self.began).total_seconds())
            for each in events
            if each.device == phone
        ]

    def work(self) -> None:
        """One round, as `Worker.run` does it."""
        worker = self.engine.worker
        try:
            if worker._upset or self.dice.random() < 0.2:
                worker.refresh()
            worker.run_once(block_ms=1)
        except RedisError:
            worker._begin_anew()
        self.check()

    def settle(self) -> None:
        """All that there is to do, in peace."""
        self.stormy, was = False, self.stormy
        worker = self.engine.worker
        for partition in range(self.live.partitions):
            self.live.client.delete(lease_key(partition))
        while True:
            try:
                worker.refresh()
                while worker.run_once():
                    pass
            except RedisError:  # of what happened before
                worker._begin_anew()
            else:
                break
        self.stormy = was
        self.check()

    def check(self) -> None:
        """Nothing is kept, and nothing was told, of phones that have withdrawn."""
        for phone, count in self.closed.items():
            partition = partition_of(phone, self.live.partitions)
            assert not self.live.client.exists(device_prefix(partition) + phone)
            assert self.live.client.zscore(due_key(partition), phone) is None
            assert len(self.told(phone)) == count
        for phone, at in self.opened.items():
            state = self.live.client.get(device_prefix(partition_of(phone, self.live.partitions)) + phone)
            if state:
                assert all(each.at >= at for each in decode_track(state).tail.signs)

    def disturb(self) -> None:
        if not self.stormy or self.dice.random() > 0.25:
            return
        client = self.live.client
        lease = lease_key(self.dice.randrange(self.live.partitions))
        phone = self.dice.choice(self.phones[STEADY:])
        match self.dice.randrange(8):
            case 0:
                client.execute_command("CLIENT", "KILL", "TYPE", "normal")
            case 1:
                client.script_flush()
            case 2 | 3 | 4:
                client.set(lease, "another#1", px=1)
            case _ if phone in self.closed:
                self.say(phone, "1")
                del self.closed[phone]
                self.opened[phone] = self.clock().timestamp()
            case _:
                self.say(phone, self.dice.choice(["0", ""]))
                self.closed[phone] = len(self.told(phone))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # it has no part in this
def test_a_disturbed_worker_tells_the_same_and_nothing_of_who_withdrew(
    client: TestClient, engine: Engine, clock: SetClock, pytestconfig: pytest.Config
):
    put_bakery(client)
    for seed in range(pytestconfig.getoption("worker_storms")):
        told = []
        for kind in ("calm", "storm"):
            town = Town(engine, clock, f"{kind}-{seed}", random.Random(seed))
            for step in range(STEPS):
                town.stormy = kind == "storm"
                town.send(step)
                for _ in range(town.dice.choice((1, 1, 1, 2)) if town.stormy else 0):
                    town.work()
                if kind == "calm" or step % 10 == 9:
                    town.settle()
                clock.advance(seconds=STEP_SECONDS)
            town.settle()
            told.append([town.told(phone) for phone in town.phones[:STEADY]])
            clock.set(town.began + timedelta(hours=3))
            town.settle()
        calm, storm = told
        assert all({kind for kind, _, _ in each} == {"enter", "dwell", "exit"} for each in calm), seed
        assert storm == calm, seed


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_phone_without_a_track_that_comes_back_while_its_signals_are_detected_is_skipped(
    client: TestClient, engine: Engine, clock: SetClock
):
    put_bakery(client)
    town = Town(engine, clock, "town", random.Random(0))
    engine.worker.refresh()
    phone = town.phones[1]

    def go_and_come_back() -> None:
        for verdict in ("0", "1"):
            town.say(phone, verdict)

    town.send(0)
    engine.worker._ahead = Disturbed(engine.live.ahead("fetch", "commit"), lambda: None)
    written = engine.worker._ahead.call_as_one

    def call_as_one(name: str, parts: Sequence[Part]) -> None:
        go_and_come_back()
        written(name, parts)

    engine.worker._ahead.call_as_one = call_as_one  # type: ignore[method-assign]
    engine.worker.run_once()
    held = {
        each
        for each in town.phones
        if engine.live.client.exists(device_prefix(partition_of(each, engine.live.partitions)) + each)
    }
    assert held == {town.phones[0], town.phones[5]}, (
        "they are at the bakery, as the one that has come back is"
    )
    assert engine.worker._world.passers.last(phone) is None
