"""What is used of a budget, as marketers may see it: reserved, committed, left, and whether it runs out."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from campaigns.limits.budget import EVER, NOTHING, Budget, Key, Used, What
from campaigns.limits.money import money_text

ALARMS_PERCENT = (80, 100)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a counter holds: for messages that wait, and for messages that went."""

    reserved: Used = NOTHING
    committed: Used = NOTHING

    @property
    def used(self) -> Used:
        """Both together; so much is gone from the budget."""
        one, other = self.reserved, self.committed
        return Used(one.messages + other.messages, one.micros + other.micros)


@dataclass(frozen=True, slots=True)
class Usage:
    """One limit and what is used of it, in messages or in millionths of money."""

    key: Key
    what: What
    limit: int
    reserved: int
    committed: int

    @property
    def used(self) -> int:
        """What counts against the limit."""
        return self.reserved + self.committed

    @property
    def left(self) -> int:
        """What may still be used; a limit that was lowered since may be overrun, and nothing is left then."""
        return max(0, self.limit - self.used)

    @property
    def percent(self) -> float:
        """How much is used, to a tenth; rounded down, so that 100 is never said too early."""
        return self.used * 1000 // self.limit / 10 if self.limit else 100.0

    @property
    def alarm(self) -> int | None:
        """The highest alarm that is reached, in percent."""
        return max(
            (percent for percent in ALARMS_PERCENT if is_reached(self.used, self.limit, percent)),
            default=None,
        )


def is_reached(used: int, limit: int, percent: int) -> bool:
    """Whether so many percent of a limit are used, exactly."""
    return used * 100 >= limit * percent


def usages(owner: str, budget: Budget, day: date, standing: Mapping[Key, Standing]) -> Iterator[Usage]:
    """Each limit that a budget sets, over a whole life and on the day."""
    for key, messages, spend in (
        (Key(owner), budget.messages, budget.spend),
        (Key(owner, day.isoformat()), budget.messages_per_day, budget.spend_per_day),
    ):
        now = standing.get(key, Standing())
        if messages is not None:
            yield Usage(key, What.MESSAGES, messages, now.reserved.messages, now.committed.messages)
        if spend is not None:
            yield Usage(key, What.SPEND, spend, now.reserved.micros, now.committed.micros)


def usage_json(usage: Usage, *, told: bool) -> dict[str, Any]:
    """A limit as the API writes it, money as text. Where it is not to be `told`, what is used is null: too few people stand
    behind it.
    """
    shown: Callable[[int], int | str] = money_text if usage.what is What.SPEND else int
    said = {
        "what": usage.what.value,
        "per": "life" if usage.key.day == EVER else "day",
        "day": usage.key.day or None,
        "limit": shown(usage.limit),
    }
    used = {
        "reserved": shown(usage.reserved),
        "committed": shown(usage.committed),
        "left": shown(usage.left),
        "percent": usage.percent,
        "alarm": usage.alarm,
    }
    return said | (used if told else dict.fromkeys(used))
