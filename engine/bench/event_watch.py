"""Watches the event logs from a process beside us, so that it is not held up by what we do."""

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, cast

from redis import Redis

from engine.live import Live, events_key
from engine.round_trip import ask, raised

BLOCK_MS = 50


@dataclass(slots=True)
class Watch:
    """A watch that is under way."""

    ours: Connection

    def read(self) -> list[tuple[bytes, float]]:
        """End the watch; every event that came, as the log holds it, and when it was read (monotonic seconds)."""
        self.ours.send(None)
        return cast("list[tuple[bytes, float]]", self.ours.recv())


@contextmanager
def watching(live: Live) -> Iterator[Watch]:
    """Watch the event logs of this live store, from when the block begins."""
    ours, theirs = multiprocessing.Pipe()
    assert live.child
    keys = [events_key(each) for each in range(live.partitions)]
    process = multiprocessing.get_context("spawn").Process(
        target=watch_events, args=(str(live.child.socket), keys, theirs)
    )
    process.start()
    ours.recv()
    try:
        yield Watch(ours)
    finally:
        process.join(10)
        if process.is_alive():
            process.kill()
        ours.close()


def watch_events(socket: str, keys: Sequence[str], to: Connection) -> None:
    """Read new entries of these event logs as they come, until something is sent; then answer all that were read. Runs
    in a process of its own.
    """
    read: list[tuple[bytes, float]] = []
    with Redis(unix_socket_path=socket, protocol=2) as client:
        after: dict[Any, Any] = {key.encode(): _newest(client, key) for key in keys}
        to.send(None)
        while True:
            over = to.poll()
            [answer] = raised(ask(client, [("XREAD", "BLOCK", BLOCK_MS, "STREAMS", *after, *after.values())]))
            now = time.monotonic()
            for key, entries in answer or ():
                after[key] = entries[-1][0]
                read += [(data, now) for _, (_, data) in entries]
            if over and not answer:
                break
    to.send(read)


def _newest(client: "Redis", key: str) -> bytes:
    """The id of the last entry that was ever added."""
    if not client.exists(key):
        return b"0-0"
    return cast("bytes", cast("Any", client.xinfo_stream(key))["last-generated-id"])
