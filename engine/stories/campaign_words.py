"""The words in which a story says what else a campaign's trigger asks for: ``, visit 3 this month, unless exit``."""

import re
from collections.abc import Callable, Mapping
from typing import Any


def conditions(words: str) -> dict[str, Any]:
    """The further members of a trigger. Raises `ValueError`."""
    found: dict[str, Any] = {}
    for clause in filter(None, (each.strip() for each in words.split(","))):
        for pattern, members in _CLAUSES.items():
            if match := re.fullmatch(pattern, clause):
                found |= members(match.groupdict())
                break
        else:
            raise ValueError(f"{clause!r} is none of: {', '.join(FORMS)}")
    return found


_CLAUSES: Mapping[str, Callable[[Mapping[str, str]], Mapping[str, Any]]] = {
    r"visit (?P<n>\d+) this month": lambda said: {"visit": {"number": int(said["n"]), "per": "month"}},
    r"visit (?P<n>\d+) in (?P<days>\d+) days": lambda said: {
        "visit": {"number": int(said["n"]), "per": {"days": int(said["days"])}}
    },
    r"after (?P<days>\d+) days away": lambda said: {"absent_days": int(said["days"])},
    r"for (?P<minutes>\d+) minutes": lambda said: {"dwell_minutes": int(said["minutes"])},
    r"(?P<minutes>\d+) minutes later": lambda said: {"delay_seconds": int(said["minutes"]) * 60},
    r"unless (?P<deed>\w+)": lambda said: {"cancel_if": [said["deed"]]},
    r"while open": lambda _: {"opening_hours": True},
}
FORMS = (
    "visit 3 this month",
    "visit 3 in 30 days",
    "after 30 days away",
    "for 20 minutes",
    "10 minutes later",
    "unless exit",
    "while open",
)
