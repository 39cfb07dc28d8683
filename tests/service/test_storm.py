"""Every process and the live store are killed and paused, in mid-stream; `make chaos` does the same at length."""

import time
from collections.abc import Callable
from pathlib import Path

from tests.service.crowd import assert_same
from tests.service.storm import weather

PINGS = 8_000
DEVICES = 40
BODY = 100
STRIKES = 5


def test_whatever_is_killed_or_paused_the_events_are_the_same(tmp_path: Path, tell: Callable[[str], None]):
    crowd = {"seed": 21, "began_at": time.time() - 3600, "pings": PINGS, "devices": DEVICES, "body": BODY}
    *calm, _ = weather(tmp_path / "calm", strikes=0, **crowd)
    *stormy, done = weather(tmp_path / "stormy", strikes=STRIKES, **crowd)
    assert len(calm[0]) > 200
    assert_same(calm, stormy)
    tell(f"{PINGS} pings: {len(calm[0])} events, {len(calm[1])} messages in both runs; {dict(done)}")
