"""kill -9 in mid-stream: every accepted ping is processed once, and no message is doubled."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

from tests.service.crowd import Body, assert_same, send, set_up, settled, stream
from tests.service.process import Served, chaland

PINGS = 8_000
DEVICES = 100
BODY = 200
KILLS = 4
SETTINGS = {"CHALAND_PING_AGE_LIMIT_SECONDS": "86400", "CHALAND_LEASE_SECONDS": "1"}
"""A dead process's leases hold up the next one until they run out."""


def run(folder: Path, bodies: list[Body], kills: set[int]) -> tuple[Any, Any]:
    """Send every body, killing the process right after the bodies whose numbers are in `kills` were accepted."""
    number = 0
    first = True
    while True:
        with (
            chaland("serve", data_dir=folder, **SETTINGS) as served,
            served.client() as client,
        ):
            if first:
                set_up(client, DEVICES)
                first = False
            number = _until_killed(served, client, bodies, number, kills)
            if number == len(bodies):
                return settled(client)


def _until_killed(
    served: Served, client: httpx2.Client, bodies: list[Body], number: int, kills: set[int]
) -> int:
    while number < len(bodies):
        assert send(client, bodies[number]) == 0
        number += 1
        if number in kills:
            served.kill()
            return number
    return number


def test_a_killed_engine_loses_nothing_and_doubles_nothing(tmp_path: Path, tell: Callable[[str], None]):
    bodies = list(stream(11, time.time() - 3600, PINGS, DEVICES, BODY))
    kills = set(random.Random(5).sample(range(5, len(bodies) - 5), KILLS))
    (tmp_path / "calm").mkdir()
    (tmp_path / "stormy").mkdir()
    calm = run(tmp_path / "calm", bodies, set())
    stormy = run(tmp_path / "stormy", bodies, kills)
    assert len(calm[0]) > 150
    assert_same(calm, stormy)
    tell(f"{PINGS} pings, {KILLS} kills: {len(calm[0])} events, {len(calm[1])} messages, in both runs")
