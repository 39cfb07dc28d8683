"""A breaker between us and one provider: opens when calls keep failing, and lets a single one through to see if they
still do. Pure; who shares one keeps it somewhere all can read.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class BreakerState(StrEnum):
    """Closed lets every call through, open none, half open one at a time."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """Opens after so many failures in a row, or when of at least `least_calls` within a window so great a part failed.

    It stays open for `open_seconds`, twice as long each time a probe fails, up to `longest_seconds`. A probe that says
    nothing for `probe_seconds` has died with its process, and another may go.
    """

    consecutive: int = 5
    ratio: float = 0.5
    least_calls: int = 20
    window_seconds: float = 60
    open_seconds: float = 30
    longest_seconds: float = 300
    probe_seconds: float = 30


@dataclass(frozen=True, slots=True)
class Breaker:
    """What is known of the calls. `until` is when an open one lets a probe go, and a half open one the next."""

    state: BreakerState = BreakerState.CLOSED
    until: datetime | None = None
    openings: int = 0
    consecutive: int = 0
    window_at: datetime | None = None
    calls: int = 0
    failures: int = 0


NEW = Breaker()


def grant(breaker: Breaker, wanted: int, now: datetime, policy: BreakerPolicy) -> tuple[Breaker, int]:
    """How many of the wanted calls may be made now, and the breaker after that."""
    if breaker.state is BreakerState.CLOSED or wanted <= 0:
        return breaker, wanted
    if breaker.until is not None and now < breaker.until:
        return breaker, 0
    awaited = now + timedelta(seconds=policy.probe_seconds)
    return replace(breaker, state=BreakerState.HALF_OPEN, until=awaited), 1


def unused(breaker: Breaker, now: datetime) -> Breaker:
    """A probe was let through, and no call came of it: the next may go at once."""
    return replace(breaker, until=now) if breaker.state is BreakerState.HALF_OPEN else breaker


def heard(breaker: Breaker, now: datetime, policy: BreakerPolicy, *, well: bool) -> Breaker:
    """The breaker once a call ended; `well` is whether the provider did its part, whatever it said of the message."""
    match breaker.state:
        case BreakerState.OPEN:
            return breaker  # a call from before it opened
        case BreakerState.HALF_OPEN:
            return NEW if well else _opened(breaker, now, policy)
        case BreakerState.CLOSED:
            counted = _counted(breaker, now, policy, well=well)
            return _opened(counted, now, policy) if _is_too_much(counted, policy) else counted


def _counted(breaker: Breaker, now: datetime, policy: BreakerPolicy, *, well: bool) -> Breaker:
    began = breaker.window_at
    if began is None or not began <= now < began + timedelta(seconds=policy.window_seconds):
        breaker = replace(breaker, window_at=now, calls=0, failures=0)
    return replace(
        breaker,
        consecutive=0 if well else breaker.consecutive + 1,
        calls=breaker.calls + 1,
        failures=breaker.failures + (not well),
    )


def _is_too_much(breaker: Breaker, policy: BreakerPolicy) -> bool:
    many = breaker.calls >= policy.least_calls and breaker.failures >= policy.ratio * breaker.calls
    return breaker.consecutive >= policy.consecutive or many


def _opened(breaker: Breaker, now: datetime, policy: BreakerPolicy) -> Breaker:
    seconds = min(policy.open_seconds * 2**breaker.openings, policy.longest_seconds)
    openings = min(breaker.openings + 1, 32)
    return Breaker(BreakerState.OPEN, now + timedelta(seconds=seconds), openings)


def healthiest(breakers: Collection[Breaker]) -> Breaker:
    """Of the breakers of several lines, any of which would do, the one that lets calls through soonest."""
    order = (BreakerState.CLOSED, BreakerState.HALF_OPEN, BreakerState.OPEN)
    return min(
        breakers, key=lambda each: (order.index(each.state), each.until.timestamp() if each.until else 0)
    )


def to_text(breaker: Breaker) -> str:
    """As it is kept; the same breaker is always the same text."""
    values = {name: getattr(breaker, name) for name in Breaker.__slots__}
    return json.dumps(values, default=datetime.isoformat, separators=(",", ":"))


def from_text(text: str) -> Breaker:
    """What `to_text` wrote."""
    values = json.loads(text)
    times = {name: datetime.fromisoformat(values[name]) for name in ("until", "window_at") if values[name]}
    return Breaker(**values | times | {"state": BreakerState(values["state"])})
