"""Posts bodies to the door over many connections at once, from the calling process, which is not counted: as fast as
they are answered, or at a pace that does not wait for answers to come.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.bench.installation import KEY, Served

Floats = NDArray[np.float64]
CONNECTIONS = 64
TURNED_AWAY = (429, 503)
PAUSE_SECONDS = 0.05
"""Before a body that was turned away is sent again."""


@dataclass(frozen=True, slots=True)
class Sent:
    """For each body when it was due to be sent, and when its 202 came, on the monotonic clock; nan where `seconds`
    were over before. `turned_away` counts answers that asked to come back.
    """

    due: Floats
    accepted: Floats
    turned_away: int

    @property
    def bodies(self) -> int:
        """How many were sent and accepted; always the first ones."""
        return int(np.count_nonzero(~np.isnan(self.accepted)))


def send(
    served: Served, bodies: Sequence[bytes], *, per_second: float | None = None, seconds: float = float("inf")
) -> Sent:
    """Post every body once, at this pace if there is one, until it has taken so many seconds."""
    return asyncio.run(_Run(served, bodies, per_second, seconds).run())


class _Run:
    def __init__(
        self, served: Served, bodies: Sequence[bytes], per_second: float | None, seconds: float
    ) -> None:
        self._served = served
        self._waiting = iter(enumerate(bodies))
        self._connections = min(CONNECTIONS, len(bodies))
        self._due = np.full(len(bodies), np.nan)
        self._accepted = np.full(len(bodies), np.nan)
        self._per_second = per_second
        self._seconds = seconds
        self._turned_away = 0

    async def run(self) -> Sent:
        """Send them."""
        self._began = time.monotonic()
        await asyncio.gather(*(self._one() for _ in range(self._connections)))
        return Sent(self._due, self._accepted, self._turned_away)

    async def _one(self) -> None:
        reader, writer = await asyncio.open_connection(self._served.host, self._served.port)
        try:
            for number, body in self._waiting:
                due = time.monotonic()
                if self._per_second is not None:
                    due = self._began + number / self._per_second
                    await asyncio.sleep(max(due - time.monotonic(), 0))
                if due > self._began + self._seconds:
                    return
                self._due[number] = due
                while not await _posted(reader, writer, body):
                    self._turned_away += 1
                    await asyncio.sleep(PAUSE_SECONDS)
                self._accepted[number] = time.monotonic()
        finally:
            writer.close()


async def _posted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> bool:
    """False when the door asks to come back."""
    writer.write(
        b"POST /v1/pings HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n" % (KEY.encode(), len(body)) + body
    )
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    answer = await reader.readexactly(length)
    status = int(head.split(b" ", 2)[1])
    if status not in (202, *TURNED_AWAY):
        raise RuntimeError(f"the door answered {status}: {answer[:200]!r}")
    return status == 202
