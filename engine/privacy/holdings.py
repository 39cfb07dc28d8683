"""What is held where, for what and for how long: `holdings.toml`, which export, purge and data-protection sheet share."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from sqlalchemy import ColumnElement, FromClause, Table

from config import Settings
from engine.schema import METADATA

About = Literal["shopper", "business", "security"]
Kept = Literal["days", "subject", "with", "owner", "ever"]


@dataclass(frozen=True, slots=True)
class Period:
    """Rows are removed `days` after the instant in the column `start`, unless a column holds the value in `unless`."""

    days: int
    start: str
    unless: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Through:
    """Rows without a subject belong to whom the rows of `table` belong to whose column `there` equals ours, `here`."""

    table: str
    here: str
    there: str


@dataclass(frozen=True, slots=True)
class Holding:
    """One table: what is in it, whose it is, where the export shows it (or why it is `hidden`), until when it is kept."""

    table: Table
    about: About
    data: str
    why: str
    kept: Kept
    subject: str | None = None
    through: Through | None = None
    section: str = ""
    rows: Literal["many", "one"] = "many"
    periods: tuple[Period, ...] = ()
    activity: str | None = None
    reason: str = ""
    hidden: str = ""

    @property
    def is_exported(self) -> bool:
        """Whether the rows of a subject are in their export."""
        return self.about == "shopper" and not self.hidden

    @property
    def duration(self) -> str:
        """How long, in words."""
        match self.kept:
            case "days":
                return ", ".join(_in_words(period) for period in self.periods)
            case "subject":
                return "until the subject is erased"
            case "with":
                return f"as long as {self.reason}"
            case "owner":
                return "until its owner deletes it"
            case "ever":
                return f"for ever: {self.reason}"


@dataclass(frozen=True, slots=True)
class LiveHolding:
    """One family of keys of the live store."""

    name: str
    about: About
    keys: tuple[str, ...]
    data: str
    why: str
    kept: str

    def has(self, key: str) -> bool:
        """Whether a key of the live store belongs to this family."""
        return any(fnmatchcase(key, _pattern(each)) for each in self.keys)


def holdings(settings: Settings) -> tuple[Holding, ...]:
    """Every table, with the periods that are set. Raises KeyError for one that is declared but is no table."""
    tables = {table.name: table for metadata in METADATA for table in metadata.sorted_tables}
    return tuple(_holding(tables[name], said, settings) for name, said in _declared()["tables"].items())


def undeclared() -> set[str]:
    """Tables of which nothing is declared."""
    names = {table.name for metadata in METADATA for table in metadata.sorted_tables}
    return names - _declared()["tables"].keys()


def live_holdings() -> tuple[LiveHolding, ...]:
    """Every family of keys of the live store."""
    return tuple(
        LiveHolding(
            name=name,
            about=said["about"],
            keys=(said["key"],) if isinstance(said["key"], str) else tuple(said["key"]),
            data=said["data"],
            why=said["why"],
            kept=said["kept"],
        )
        for name, said in _declared()["live"].items()
    )


def in_order_of_reference(several: Sequence[Holding]) -> list[Holding]:
    """Tables that others refer to come last, so that rows can be removed in this order."""
    order = [table.name for metadata in METADATA for table in metadata.sorted_tables]
    return sorted(several, key=lambda each: -order.index(each.table.name))


def whose(holding: Holding, several: Sequence[Holding]) -> tuple[FromClause, ColumnElement[str]]:
    """A table's rows joined to what names their subject, and the column that does."""
    if holding.subject is not None:
        return holding.table, holding.table.c[holding.subject]
    through = holding.through
    if through is None:
        raise LookupError(f"{holding.table.name} is about shoppers and does not say whose its rows are")
    leading = next(each for each in several if each.table.name == through.table)
    rows, subject = whose(leading, several)
    return holding.table.join(rows, holding.table.c[through.here] == leading.table.c[through.there]), subject


def _holding(table: Table, said: Mapping[str, Any], settings: Settings) -> Holding:
    through = said.get("through")
    return Holding(
        table=table,
        about=said["about"],
        data=said["data"],
        why=said["why"],
        kept=said["kept"],
        subject=said.get("subject"),
        through=Through(**through) if through else None,
        section=said.get("section", table.name),
        rows=said.get("rows", "many"),
        periods=tuple(_period(each, settings) for each in said.get("periods", ())),
        activity=said.get("activity"),
        reason=said.get("reason", ""),
        hidden=said.get("hidden", ""),
    )


def _period(said: Mapping[str, Any], settings: Settings) -> Period:
    days = said["days"] if isinstance(said["days"], int) else getattr(settings, said["days"])
    return Period(days, said["from"], said.get("unless", {}))


def _in_words(period: Period) -> str:
    unless = "".join(f", unless {column} is {value or 'empty'}" for column, value in period.unless.items())
    return (
        f"{period.days} days from `{period.start}`{unless}"
        if period.days
        else f"until `{period.start}`{unless}"
    )


def _pattern(key: str) -> str:
    return key.replace("{p}", "{p[0-9][0-9]}").replace("{device}", "*")


@cache
def _declared() -> dict[str, dict[str, Any]]:
    return tomllib.loads(files("engine.privacy").joinpath("holdings.toml").read_text("utf-8"))
