import asyncio
from collections.abc import Sequence

import pytest

from engine.appender import CROWD, WAITING_LIMIT, Appender, Outcome
from engine.live import Live, gate_key, partition_of
from engine.log import Refusal, SignalLog
from engine.signals import Ping

PING = Ping("ana", 1.0, 48.83, 2.24, 10.0)


async def append(appender: Appender, received_at: float, reports: Sequence[Ping]) -> Outcome:
    told: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    appender.append(received_at, reports, told.set_result)
    return await told


@pytest.fixture
def log(live: Live) -> SignalLog:
    live.client.hset(gate_key(partition_of("ana", live.partitions)), "ana", "1")
    return SignalLog(live, limit_entries=1000)


def test_what_comes_meanwhile_is_appended_together(log: SignalLog):
    async def run() -> None:
        appender = Appender(log)
        refusals = await asyncio.gather(*(append(appender, float(at), [PING]) for at in range(50)))
        assert not any(refusals)

    asyncio.run(run())
    assert 1 <= log.depth() < 10  # entries, of 50 requests


def test_a_lone_request_waits_for_nobody(log: SignalLog):
    async def run() -> None:
        appender = Appender(log)
        for at in range(3):
            assert await append(appender, float(at), [PING]) == {}
            assert log.depth() == at + 1

    asyncio.run(run())


def test_more_than_may_wait_is_told_to_come_back(log: SignalLog):
    async def run() -> None:
        appender = Appender(log)
        refusals = await asyncio.gather(
            append(appender, 0.0, [PING]), append(appender, 0.0, [PING] * WAITING_LIMIT)
        )
        assert refusals == [{}, {"ana": Refusal.LOG_FULL}]
        assert await append(appender, 0.0, [PING]) == {}

    asyncio.run(run())


def test_a_sender_that_cannot_be_told_does_not_stop_the_others(log: SignalLog):
    def gone(_outcome: Outcome) -> None:
        raise ConnectionResetError

    async def run() -> None:
        appender = Appender(log)
        first = asyncio.create_task(append(appender, 0.0, [PING]))
        await asyncio.sleep(0)
        appender.append(0.0, [PING], gone)
        answers = await asyncio.gather(first, append(appender, 0.0, [PING]))
        assert answers == [{}] * 2

    asyncio.run(run())


def test_what_a_crowd_leaves_waiting_is_appended_too(log: SignalLog):
    async def run() -> None:
        appender = Appender(log)
        for _ in range(3):
            answers = await asyncio.gather(*(append(appender, 0.0, [PING]) for _ in range(CROWD + 1)))
            assert answers == [{}] * (CROWD + 1)
        assert await append(appender, 0.0, [PING]) == {}

    asyncio.run(run())


def test_every_request_hears_of_a_store_that_does_not_answer_and_the_next_one_is_served(
    log: SignalLog, live: Live
):
    async def run() -> None:
        appender = Appender(log)
        key = gate_key(partition_of("ana", live.partitions))
        live.client.delete(key)
        live.client.set(key, "not a hash")
        answers = await asyncio.gather(*(append(appender, 0.0, [PING]) for _ in range(3)))
        assert answers == [{"ana": Refusal.UNAVAILABLE}] * 3
        live.client.delete(key)
        live.client.hset(key, "ana", "1")
        assert await append(appender, 0.0, [PING]) == {}

    asyncio.run(run())
