"""What the heads of requests said, remembered: a sender's requests differ in their bodies and in little else, and to read
the same head again costs more than to take in a body with one ping.
"""

import time
from dataclasses import dataclass

from engine.doors.web import Caller
from engine.signals import SignalKind

HEADS_LIMIT = 1_000
HEAD_LIMIT_BYTES = 1_000
"""Of those that are remembered; a longer one is read each time."""
KEPT_SECONDS = 60.0
"""They hold keys, so that they are forgotten after so long, all at once."""


@dataclass(frozen=True, slots=True)
class Head:
    """A plain request with signals, on a connection that stays open: what it brings, who sends it, and how many bytes
    of body follow.
    """

    kind: SignalKind
    caller: Caller
    length: int


class Heads:
    """By the bytes of a head, with the empty line after it, what it says."""

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}
        self._until = 0.0

    def __len__(self) -> int:
        return len(self._known)

    def find(self, data: bytes) -> tuple[Head, bytes] | None:
        """If these bytes are exactly one request whose head is remembered: what that says, and the body."""
        if time.monotonic() >= self._until:
            self._known.clear()
            return None
        end = data.find(b"\r\n\r\n") + 4
        head = self._known.get(data[:end])
        return (head, data[end:]) if head and len(data) == end + head.length else None

    def remember(self, data: bytes, head: Head) -> None:
        """That the bytes of a whole request, which were read as one and as nothing else, begin with this head."""
        end = len(data) - head.length
        if end > HEAD_LIMIT_BYTES or data.find(b"\r\n\r\n") + 4 != end:
            return
        now = time.monotonic()
        if len(self._known) >= HEADS_LIMIT or now >= self._until:
            self._known.clear()
            self._until = now + KEPT_SECONDS
        self._known[data[:end]] = head
