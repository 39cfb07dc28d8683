"""What the settings say of all campaigns together."""

from collections.abc import Callable
from typing import TypeVar
from zoneinfo import available_timezones

from campaigns.limits.account import Account, caps_from_text
from campaigns.limits.budget import Budget
from campaigns.limits.costs import costs_from_text
from campaigns.limits.money import micros_of
from config import InvalidSettings, Settings

T = TypeVar("T")


def account_of(settings: Settings) -> Account:
    """The limits over all campaigns. Raises `InvalidSettings` that lists every problem."""
    problems: list[str] = []

    def read(setting: str, reader: Callable[[], T]) -> T | None:
        try:
            return reader()
        except ValueError as error:
            problems.append(f"CHALAND_{setting.upper()}: {error}")
            return None

    caps = read("account_caps", lambda: caps_from_text(settings.account_caps))
    spend = read("account_spend_per_day", lambda: _amount(settings.account_spend_per_day))
    costs = read(
        "segment_costs", lambda: costs_from_text(str(settings.sms_segment_price), settings.segment_costs)
    )
    zone = read("account_timezone", lambda: _zone(settings.account_timezone))
    if problems or caps is None or costs is None or zone is None:
        raise InvalidSettings("\n".join(problems))
    return Account(
        caps=caps,
        min_gap_seconds=settings.account_min_gap_seconds or None,
        budget=Budget(messages_per_day=settings.account_messages_per_day or None, spend_per_day=spend),
        zone=zone,
        costs=costs,
        currency=settings.currency,
    )


def _amount(text: str) -> int | None:
    return micros_of(text) if text else None


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"{name!r} is no time zone; write one such as Europe/Paris")
    return name
