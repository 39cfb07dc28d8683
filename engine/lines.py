"""The lines to providers, as all processes together use them: may a call be made now, and how did it go?

What is shared is in the live store: a breaker for each line (`campaigns/delivery/breaker.py`), buckets that bound calls per
second, and what went out today. Texts have one line, ``sms``; pushes one for each service and app (`engine/pushing.py`).
What has no limits of its own has no line, and everything may go.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import cast

from campaigns.delivery import breaker
from campaigns.delivery.breaker import NEW, Breaker, BreakerPolicy, BreakerState
from campaigns.delivery.channels.channel import DeliveryError
from consent.entry import Channel
from engine.clock import Now
from engine.live import Live

DAY_KEPT_MS = 2 * 86_400_000
BREAKER_KEPT_MS = 86_400_000
EXCHANGES = 50
"""Attempts to put a breaker in place before somebody else does. One result that is not counted does no harm."""
BUSY_SECONDS = 1.0
"""Pause of a line whose provider says that it is busy, and not for how long."""
LONGEST_BUSY_SECONDS = 300.0
SECOND_YES = "second_yes"
"""What the texts that ask for a second yes are counted as, beside the calls of the line that they go over."""
PREFIX_CHARS = 7
"""The plus and six digits: a country and a block of one network's numbers."""


class Short(StrEnum):
    """Why not all calls that were wanted may be made."""

    NOTHING = ""
    BREAKER = "breaker"
    PAUSE = "pause"
    RATE = "rate"
    DAY = "day"
    SPEND = "spend"
    PREFIX = "prefix"


@dataclass(frozen=True, slots=True, kw_only=True)
class LineLimits:
    """Of one line over one `sender` (a number, a name, a service): calls per second of all senders and of this one,
    messages a day, money a day at so much a segment, and texts to numbers of one prefix within a window.
    """

    sender: str
    per_second: float
    sender_per_second: float
    messages_per_day: int
    spend_per_day: float
    segment_price: float
    texts_per_prefix: int
    prefix_window_seconds: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How a line is just now; one that was not `used` for a day has nothing to tell. `room` is how many calls it would
    take at once.
    """

    breaker: Breaker
    paused_until: datetime | None
    room: int
    used: bool

    def opens_at(self, now: datetime) -> datetime | None:
        """When a call may be tried; None if it may be now."""
        waits = (self.paused_until, None if self.breaker.state is BreakerState.CLOSED else self.breaker.until)
        return max((until for until in waits if until is not None and until > now), default=None)


@dataclass(frozen=True, slots=True)
class Grant:
    """How many calls may be made, and what kept the others back."""

    count: int
    short: Short = Short.NOTHING


class Lines:
    """Asked by any number of threads and processes. Raises `RedisError` when the live store does not answer."""

    def __init__(
        self,
        live: Live,
        limits: Mapping[str, LineLimits],
        now: Now,
        policy: BreakerPolicy = BreakerPolicy(),  # noqa: B008  # frozen
    ) -> None:
        self._live: Live | None = live
        self._limits = limits
        self._now = now
        self._policy = policy
        self._calls = live.script("calls")
        self._spend = live.script("spend")
        self._exchange = live.script("exchange")
        self._known: dict[str, BreakerState] = {}
        self._kept: dict[str, tuple[bytes, Breaker]] = {}

    def grant(self, line: str, wanted: int) -> Grant:
        """How many of the wanted calls may be made now."""
        if line not in self._limits or wanted <= 0:
            return Grant(wanted)
        now = self._now()
        allowed = wanted

        def let_through(was: Breaker) -> Breaker:
            nonlocal allowed
            after, allowed = breaker.grant(was, wanted, now, self._policy)
            return after

        kept = self._change(line, let_through)
        if allowed == 0:
            return Grant(0, Short.BREAKER)
        granted, short = self._take(line, allowed, now)
        if granted == 0 and kept.state is BreakerState.HALF_OPEN:
            self._change(line, lambda was: breaker.unused(was, now))
        return Grant(granted, Short.BREAKER if granted == allowed < wanted else short)

    def unused(self, line: str, count: int = 1) -> None:
        """So many calls were granted, and not made."""
        if line not in self._limits or count <= 0:
            return
        now = self._now()
        self._take(line, -count, now)
        if self._known.get(line) is BreakerState.HALF_OPEN:
            self._change(line, lambda was: breaker.unused(was, now))

    def spend(self, line: str, address: str, segments: int) -> Short:
        """Count a message that is about to go; or what is used up, and then it must not."""
        return self._count_spending(line, address, segments, 1)

    def unspend(self, line: str, address: str, segments: int) -> None:
        """A message that was counted surely did not go."""
        self._count_spending(line, address, segments, -1)

    def _count_spending(self, line: str, address: str, segments: int, sign: int) -> Short:
        limits = self._limits.get(line)
        if limits is None:
            return Short.NOTHING
        now = self._now()
        window = int(now.timestamp()) // limits.prefix_window_seconds
        answer = self._spend(
            keys=[
                f"{_prefix(line)}spent:{now:%Y-%m-%d}",
                f"{_prefix(line)}to:{address[:PREFIX_CHARS]}:{window}",
            ],
            args=[
                segments * limits.segment_price,
                limits.spend_per_day,
                limits.texts_per_prefix,
                DAY_KEPT_MS,
                limits.prefix_window_seconds * 1000,
                sign,
            ],
        )
        return Short(answer.decode())

    def heard(self, line: str, *, well: bool, outcome: str = "") -> None:
        """A call has ended; `well` is whether the provider did its part, whatever it said of the message. An `outcome` is
        counted with it.
        """
        counted = False
        if line in self._limits:
            now = self._now()
            known = self._kept.get(line)
            if known is not None and known[1].state is not BreakerState.CLOSED:
                known = None  # a result may be for another state by now
            _, counted = self._exchanged(
                line, lambda was: breaker.heard(was, now, self._policy, well=well), known, outcome
            )
        if outcome and not counted:
            self.count(line, outcome)

    def failed(self, line: str, error: DeliveryError) -> None:
        """A call has ended in that error."""
        if error.busy:
            self.busy(line, error.retry_after_seconds)
        else:
            self.heard(line, well=error.permanent and not error.shut_out)

    def count(self, line: str, outcome: str) -> None:
        """A call has ended so: told to the metrics of all processes."""
        if self._live is not None:
            self._live.client.hincrby(f"{_prefix(line)}outcomes", outcome, 1)

    def counted(self, line: str, outcome: str) -> int:
        """How often calls have ended so."""
        found = self._live.client.hget(f"{_prefix(line)}outcomes", outcome) if self._live else None
        return int(found) if isinstance(found, bytes) else 0

    def busy(self, line: str, seconds: float | None) -> None:
        """The provider wants no call for so long."""
        self.pause(line, min(max(seconds or 0, BUSY_SECONDS), LONGEST_BUSY_SECONDS))

    def pause(self, line: str, seconds: float) -> None:
        """No call is made for so long."""
        if line in self._limits:
            until_ms = int((self._now().timestamp() + seconds) * 1000)
            self._shared.client.set(f"{_prefix(line)}pause", until_ms, px=int(seconds * 1000) + 1000)

    def is_good(self, line: str) -> bool:
        """Whether this process, when it last heard, knew the line to be good; the store is not asked."""
        return self._known.get(line) is not BreakerState.OPEN

    def used_up(self, channel: Channel) -> frozenset[Short]:
        """What of today is used up on any line of the channel: `DAY` the messages, `SPEND` the money for one more segment."""
        return frozenset().union(*(self._used_up(line) for line in self.lines_of(channel)))

    def _used_up(self, line: str) -> frozenset[Short]:
        limits = self._limits.get(line)
        if limits is None:
            return frozenset()
        day = f"{self._now():%Y-%m-%d}"
        calls, spent = (
            float(cast("bytes | None", self._shared.client.get(f"{_prefix(line)}{what}:{day}")) or 0)
            for what in ("calls", "spent")
        )
        reached = {
            Short.DAY: calls >= limits.messages_per_day,
            Short.SPEND: spent + limits.segment_price > limits.spend_per_day + 1e-9,  # as the script has it
        }
        return frozenset(short for short, is_reached in reached.items() if is_reached)

    def lines_of(self, channel: Channel) -> list[str]:
        """The lines that the channel's calls go over."""
        return [line for line in self._limits if line.partition(".")[0] == channel.value]

    def breakers(self) -> dict[Channel, Breaker]:
        """The breaker of every channel that has a line: of several, the one that lets calls through soonest. Lines that
        were not called for a day count only where none was.
        """
        found = {}
        for channel in Channel:
            kept = [self._read(line) for line in self.lines_of(channel)]
            if kept:
                used = [was for text, was in kept if text]
                found[channel] = breaker.healthiest(used or [NEW])
        return found

    def most_at_once(self, line: str) -> int:
        """How many calls the line's rate ever grants together."""
        limits = self._limits[line]
        return math.floor(max(1.0, min(limits.per_second, limits.sender_per_second)))

    def standing(self, line: str) -> Standing:
        """How a line is just now."""
        limits = self._limits[line]
        text, kept = self._read(line)
        client, now = self._shared.client, self._now()
        paused_ms = cast("bytes | None", client.get(f"{_prefix(line)}pause"))
        held = cast("list[bytes | None]", client.hmget(f"{_prefix(line)}rate", ["tokens", "at"]))
        paused_until = datetime.fromtimestamp(int(paused_ms) / 1000, UTC) if paused_ms else None
        return Standing(
            kept,
            paused_until if paused_until and paused_until > now else None,
            _room(held[0], held[1], limits.per_second, now) if kept.state is BreakerState.CLOSED else 1,
            used=bool(text or paused_ms),
        )

    @property
    def _shared(self) -> Live:
        if self._live is None:
            raise LookupError("a channel without a line has nothing to share")
        return self._live

    def _take(self, line: str, wanted: int, now: datetime) -> tuple[int, Short]:
        limits = self._limits[line]
        start = _prefix(line)
        granted, short = self._calls(
            keys=[
                f"{start}rate",
                f"{start}rate:{limits.sender}",
                f"{start}calls:{now:%Y-%m-%d}",
                f"{start}pause",
            ],
            args=[
                int(now.timestamp() * 1000),
                wanted,
                limits.per_second,
                limits.sender_per_second,
                limits.messages_per_day,
                DAY_KEPT_MS,
            ],
        )
        return granted, Short(short.decode())

    def _change(self, line: str, change: Callable[[Breaker], Breaker]) -> Breaker:
        """Put the breaker that follows from the kept one in its place; nobody else's change is lost."""
        return self._exchanged(line, change)[0]

    def _exchanged(
        self,
        line: str,
        change: Callable[[Breaker], Breaker],
        known: tuple[bytes, Breaker] | None = None,
        outcome: str = "",
    ) -> tuple[Breaker, bool]:
        """The same, and whether it was put there, with the outcome counted. It is first tried with what this process knows,
        if that is given: if another was there meanwhile, the store refuses, and it is read.
        """
        after, put = NEW, False
        for _ in range(EXCHANGES):
            text, was = known or self._read(line)
            known, after = None, change(was)
            if after == was:
                break
            new = breaker.to_text(after).encode()
            start = _prefix(line)
            put = bool(
                self._exchange(
                    keys=[f"{start}breaker", f"{start}outcomes"], args=[text, new, BREAKER_KEPT_MS, outcome]
                )
            )
            if put:
                self._kept[line] = new, after
                break
        self._known[line] = after.state
        return after, put

    def _read(self, line: str) -> tuple[bytes, Breaker]:
        text = self._shared.client.get(f"{_prefix(line)}breaker")
        return (text, breaker.from_text(text.decode())) if isinstance(text, bytes) else (b"", NEW)


class NoLines(Lines):
    """No channel has a line: for those without a provider."""

    def __init__(self) -> None:
        self._live = None
        self._limits = {}
        self._known = {}
        self._kept = {}


def _room(tokens: bytes | None, at_ms: bytes | None, per_second: float, now: datetime) -> int:
    """Whole calls that are left in a bucket, as the script has it."""
    most = max(per_second, 1.0)
    if tokens is None or at_ms is None:
        return math.floor(most)
    passed_seconds = max(now.timestamp() - float(at_ms) / 1000, 0.0)
    return math.floor(min(most, float(tokens) + passed_seconds * per_second))


def _prefix(line: str) -> str:
    return f"send:{{{line}}}:"
