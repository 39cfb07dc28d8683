"""What Twilio's error codes mean for consent and address; the table is `twilio_codes.toml`, with sources and dates."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any


class Effect(StrEnum):
    """What follows from an error code; `unknown` ones change nothing, like `ours` and `passing`."""

    OPTED_OUT = "opted_out"
    ADDRESS_DEAD = "address_dead"
    STRIKE = "strike"
    OURS = "ours"
    PASSING = "passing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Code:
    """One line of the table. So many `strikes` within `within_days`, and the address counts as dead."""

    effect: Effect
    meaning: str
    source: str
    strikes: int = 1
    within_days: int = 0


UNKNOWN = Code(Effect.UNKNOWN, meaning="not in the table", source="")


@dataclass(frozen=True, slots=True)
class Table:
    """Every code we know, and between which days somebody answers for it."""

    reviewed: date
    review_by: date
    codes: Mapping[str, Code]


@cache
def table() -> Table:
    """The table as it is shipped."""
    raw: dict[str, Any] = tomllib.loads(
        files("campaigns.delivery.channels").joinpath("twilio_codes.toml").read_text("utf-8")
    )
    reviewed, review_by = raw.pop("reviewed"), raw.pop("review_by")
    codes = {
        code: Code(Effect(effect), **line) for effect, lines in raw.items() for code, line in lines.items()
    }
    return Table(reviewed, review_by, codes)


def meaning_of(code: str | None) -> Code:
    """The line of a code, `UNKNOWN` if there is none."""
    return table().codes.get(code or "", UNKNOWN)
