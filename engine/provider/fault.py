"""What goes wrong on request: one call after the other as a test says, or so often as a plan says, from a seed."""

import random
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, TypeVar

from engine.provider.exchange import DROPPED, HUNG, Answer, Request

Item = TypeVar("Item")


class Kind(StrEnum):
    """A way to fail, as ``--fault KIND=CHANCE`` names it."""

    LATENCY = "latency"
    """The answer comes late."""
    TOO_MANY = "429"
    """Refused, and surely not taken."""
    ERROR = "500"
    """An error, and every second time the message was taken all the same."""
    HANG = "hang"
    """No answer at all; every second time the message was taken."""
    DROP = "drop"
    """Taken, but the connection breaks before that is said."""
    DUPLICATE = "duplicate"
    """A callback comes twice."""
    SHUFFLE = "shuffle"
    """A message's callbacks come in another order."""
    MISSING = "missing"
    """A callback never comes."""


OF_CALLS: Final = (Kind.HANG, Kind.DROP, Kind.ERROR, Kind.TOO_MANY)


class InvalidPlan(ValueError):
    """A plan of faults that cannot be; says which part, and what was allowed."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one call. `accept` says whether the message is created all the same."""

    status: int = 0
    code: int = 0
    body: bytes | None = None
    hang: bool = False
    drop: bool = False
    accept: bool = False
    problem_json: bool = False
    delay_seconds: float = 0.0
    retry_after_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """How often each kind happens (0 to 1). The same `seed` and the same calls give the same faults."""

    chances: Mapping[Kind, float] = field(default_factory=dict)
    seed: int = 0
    latency_seconds: float = 1.0


NO_FAULTS = Plan()


def plan_from_json(raw: Any) -> Plan:
    """Read ``{"429": 0.1, "drop": 0.02, "seed": 7, "latency_seconds": 0.5}``. Raises `InvalidPlan`."""
    if not isinstance(raw, dict):
        raise InvalidPlan("a plan is an object: kinds of fault with their chances, seed, latency_seconds")
    chances: dict[Kind, float] = {}
    plan = Plan()
    for name, value in raw.items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise InvalidPlan(f"{name}: must be a number")
        if name == "seed":
            plan = replace(plan, seed=int(value))
        elif name == "latency_seconds":
            plan = replace(plan, latency_seconds=_within(name, value, 60))
        elif name in set(Kind):
            chances[Kind(name)] = _within(name, value, 1)
        else:
            raise InvalidPlan(f"{name}: no such fault; there are {', '.join(Kind)}, seed, latency_seconds")
    return replace(plan, chances=chances)


def plan_json(plan: Plan) -> dict[str, Any]:
    """The plan, as `plan_from_json` reads it."""
    chances = {kind.value: chance for kind, chance in plan.chances.items()}
    return chances | {"seed": plan.seed, "latency_seconds": plan.latency_seconds}


def _within(name: str, value: float, most: float) -> float:
    if not 0 <= value <= most:
        raise InvalidPlan(f"{name}: must be from 0 to {most}")
    return float(value)


class Faults:
    """Says of each call and of each callback whether it goes wrong; may be asked from several threads."""

    def __init__(self, plan: Plan = NO_FAULTS) -> None:
        self._lock = threading.Lock()
        self._next: dict[str, deque[Fault]] = {}
        self.follow(plan)

    def follow(self, plan: Plan) -> None:
        """From now on it is this plan, from its beginning."""
        with self._lock:
            self.plan = plan
            # One source for each kind, so that the chance of one does not move the others.
            self._sources = {kind: random.Random(f"{plan.seed} {kind}") for kind in Kind}  # noqa: S311  # no secret

    def fail_next(self, *faults: Fault, method: str = "POST") -> None:
        """Let the coming calls of a method fail so, one each, whatever the plan says."""
        with self._lock:
            self._next.setdefault(method, deque()).extend(faults)

    def of_call(self, method: str) -> Fault | None:
        """What goes wrong with the call that has just come."""
        with self._lock:
            if waiting := self._next.get(method):
                return waiting.popleft()
            fault = next((self._fault(kind) for kind in OF_CALLS if self._happens(kind)), None)
            late = self.plan.latency_seconds if self._happens(Kind.LATENCY) else 0.0
        return fault if not late else replace(fault or Fault(), delay_seconds=late)

    def of_callbacks(self, callbacks: Iterable[Item]) -> list[Item]:
        """A message's callbacks as they really go out: some twice, some never, perhaps in another order."""
        with self._lock:
            sent = [
                each
                for each in callbacks
                if not self._happens(Kind.MISSING)
                for _ in range(2 if self._happens(Kind.DUPLICATE) else 1)
            ]
            if self._happens(Kind.SHUFFLE):
                self._sources[Kind.SHUFFLE].shuffle(sent)
        return sent

    def _happens(self, kind: Kind) -> bool:
        chance = self.plan.chances.get(kind, 0.0)
        return chance > 0 and self._sources[kind].random() < chance

    def _fault(self, kind: Kind) -> Fault:
        other = self._sources[kind].random() < 0.5  # a coin
        match kind:
            case Kind.HANG:
                return Fault(hang=True, accept=other)
            case Kind.DROP:
                return Fault(drop=True, accept=True)
            case Kind.ERROR:
                return Fault(500, 20500, accept=other)
            case _:
                return Fault(429, 20429, problem_json=other)


def retry_after(fault: Fault) -> dict[str, str]:
    """The header of a fault that says when to come again."""
    return {"Retry-After": str(fault.retry_after_seconds)} if fault.retry_after_seconds else {}


def answered(faults: Faults, request: Request, take: Callable[[Request], Answer]) -> Answer:
    """The answer of a push service, which `take` gives, or what a fault makes of it."""
    fault = faults.of_call(request.method)
    if fault is None or not (fault.status or fault.hang or fault.drop):
        return replace(take(request), delay_seconds=fault.delay_seconds if fault else 0.0)
    if fault.accept:
        take(request)
    if fault.hang or fault.drop:
        return replace(HUNG if fault.hang else DROPPED, delay_seconds=fault.delay_seconds)
    return Answer(
        fault.status, fault.body or b"", headers=retry_after(fault), delay_seconds=fault.delay_seconds
    )
