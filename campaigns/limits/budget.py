"""Budgets: how many messages may go and what they may cost, over a campaign's life and a day, and over a day of the account."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from campaigns.limits.money import micros_of, money_text

ACCOUNT = "account"
EVER = ""
"""Where a day would stand, of what counts over a campaign's whole life."""


class What(StrEnum):
    """What a limit counts."""

    MESSAGES = "messages"
    SPEND = "spend"


class Counted(StrEnum):
    """How a message stands in the counters of budgets."""

    RESERVED = "reserved"
    COMMITTED = "committed"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of messages and of money in millionths, of a whole life and of a day; None: no limit."""

    messages: int | None = None
    messages_per_day: int | None = None
    spend: int | None = None
    spend_per_day: int | None = None

    @property
    def is_limited(self) -> bool:
        """Whether there is any limit."""
        return self != NO_BUDGET


NO_BUDGET = Budget()


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What is counted together: a campaign's messages, or all, over its life or on one day (ISO 8601)."""

    owner: str
    day: str = EVER


@dataclass(frozen=True, slots=True)
class Used:
    """What is reserved or went already."""

    messages: int = 0
    micros: int = 0


NOTHING = Used()


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of a budget, and what is used of it."""

    key: Key
    what: What
    limit: int
    used: int

    def has_room(self, cost: int) -> bool:
        """Whether one more message of that cost, in millionths, stays within it."""
        return self.used + (1 if self.what is What.MESSAGES else cost) <= self.limit


def owner_of(campaign: str) -> str:
    """The name under which a campaign's messages are counted."""
    return f"campaign:{campaign}"


def keys_of(owner: str, budget: Budget, day: date) -> list[Key]:
    """What must be counted for a budget."""
    keys = []
    if budget.messages is not None or budget.spend is not None:
        keys.append(Key(owner))
    if budget.messages_per_day is not None or budget.spend_per_day is not None:
        keys.append(Key(owner, day.isoformat()))
    return keys


def limits_of(owner: str, budget: Budget, day: date, used: Mapping[Key, Used]) -> Iterator[Limit]:
    """Each limit that is set, and what is used of it."""
    for key, messages, spend in (
        (Key(owner), budget.messages, budget.spend),
        (Key(owner, day.isoformat()), budget.messages_per_day, budget.spend_per_day),
    ):
        so_far = used.get(key, NOTHING)
        if messages is not None:
            yield Limit(key, What.MESSAGES, messages, so_far.messages)
        if spend is not None:
            yield Limit(key, What.SPEND, spend, so_far.micros)


def budget_json(budget: Budget) -> dict[str, Any] | None:
    """A budget as the API writes it; None where there is none."""
    if not budget.is_limited:
        return None
    return {
        "messages": budget.messages,
        "messages_per_day": budget.messages_per_day,
        "spend": _money(budget.spend),
        "spend_per_day": _money(budget.spend_per_day),
    }


def budget_from_json(raw: Mapping[str, Any] | None) -> Budget:
    """Read back what `budget_json` wrote."""
    if raw is None:
        return NO_BUDGET
    spend, spend_per_day = raw.get("spend"), raw.get("spend_per_day")
    return Budget(
        messages=raw.get("messages"),
        messages_per_day=raw.get("messages_per_day"),
        spend=None if spend is None else micros_of(spend),
        spend_per_day=None if spend_per_day is None else micros_of(spend_per_day),
    )


def limit_json(limit: Limit) -> dict[str, Any]:
    """A limit as gates and lists tell it; money as text."""
    shown: Callable[[int], int | str] = money_text if limit.what is What.SPEND else int
    owner, _, campaign = limit.key.owner.partition(":")
    return {
        "of": owner,
        "campaign": campaign or None,
        "what": limit.what.value,
        "day": limit.key.day or None,
        "limit": shown(limit.limit),
        "used": shown(limit.used),
    }


def limit_from_json(raw: Mapping[str, Any]) -> Limit:
    """Read back what `limit_json` wrote."""
    what = What(raw["what"])
    read: Callable[[Any], int] = micros_of if what is What.SPEND else int
    owner = ACCOUNT if raw["campaign"] is None else owner_of(raw["campaign"])
    return Limit(Key(owner, raw["day"] or EVER), what, read(raw["limit"]), read(raw["used"]))


def _money(micros: int | None) -> str | None:
    return None if micros is None else money_text(micros)
