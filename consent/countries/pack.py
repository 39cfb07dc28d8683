"""The rule packs: one file a country, with its zones, its regions and its rules."""

import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache, lru_cache
from importlib import resources
from itertools import combinations
from typing import Any

from consent.countries.rule import Holidays, Rule, rule_from_toml
from consent.entry import Channel


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a country with rules or holidays of its own. `code` is ISO 3166-2 (``FR-67``).

    A store may lie in it if it keeps one of `zones` (empty: any) and lies in `box` (west, south, east, north in
    degrees; None: anywhere); a number suggests it if it begins with one of `prefixes`. Where it has numbers of its own, so
    that they tell who lives there and who does not, `dials` is how these begin.
    """

    code: str
    calendar: str | None
    zones: frozenset[str]
    box: tuple[float, float, float, float] | None
    prefixes: tuple[str, ...]
    dials: tuple[str, ...] = ()

    def may_hold(self, zone: str, lon: float, lat: float) -> bool:
        """Whether a place with this zone and position may lie in it."""
        if self.zones and zone not in self.zones:
            return False
        if self.box is None:
            return True
        west, south, east, north = self.box
        return west <= lon <= east and south <= lat <= north


@dataclass(frozen=True, slots=True)
class Pack:
    """What is known of one country, by its ISO 3166 code."""

    country: str
    name: str
    zones: frozenset[str]
    regions: Mapping[str, Region] = field(hash=False)
    rules: tuple[Rule, ...]

    def told_by(self, apart: Collection[str]) -> tuple[frozenset[str], frozenset[str]]:
        """The regions in which a reader may be, and their clocks. `apart` are those that have numbers of their own and that
        the reader's number is of; without any, the reader may be wherever there are none.
        """
        if here := [region for region in self.regions.values() if region.code in apart]:
            return frozenset(region.code for region in here), frozenset[str]().union(*(r.zones for r in here))
        away = [region for region in self.regions.values() if region.dials]
        codes = frozenset(self.regions).difference(region.code for region in away)
        return codes, self.zones.difference(*(region.zones for region in away))


@cache
def packs() -> tuple[Pack, ...]:
    """Every pack, by country."""
    folder = resources.files("consent.countries")
    files = sorted(file.name for file in folder.iterdir() if file.name.endswith(".toml"))
    return tuple(pack_from_toml(folder.joinpath(file).read_text(encoding="utf-8")) for file in files)


def pack_from_toml(text: str) -> Pack:
    """Read a pack. Raises `ValueError` or `KeyError` for one that is wrong."""
    raw = tomllib.loads(text)
    country = raw["country"]
    named: dict[str, Mapping[str, Any]] = {
        name: {"zones": raw["zones"][:1]} for name in raw.get("regions", ())
    }
    regions = [_region(country, name, given) for name, given in {**named, **raw.get("region", {})}.items()]
    rules = tuple(rule_from_toml(each, country) for each in raw["rule"])
    for one, other in combinations(rules, 2):
        if one.id == other.id and _overlap(one, other):
            raise ValueError(f"{one.id}: two versions are in force at once")
    zones = frozenset(raw["zones"]).union(*(region.zones for region in regions))
    return Pack(country, raw["name"], zones, {region.code: region for region in regions}, rules)


def pack_of(country: str) -> Pack | None:
    """The pack of a country, or None."""
    return next((pack for pack in packs() if pack.country == country), None)


@lru_cache(maxsize=1024)
def pack_with_zone(zone: str) -> Pack | None:
    """The pack of the country that keeps this time zone, or None."""
    current = current_name(zone)
    return next((pack for pack in packs() if current in pack.zones), None)


def current_name(zone: str) -> str:
    """The name that a zone has today: ``America/New_York`` for ``US/Eastern``."""
    return _renamed().get(zone, zone)


@lru_cache(maxsize=4096)
def rules_in_force(areas: frozenset[str], day: date, channel: Channel) -> tuple[Rule, ...]:
    """The rules of these countries and regions that count on a day, in the order of the packs."""
    return tuple(
        rule for rule in all_rules() if rule.area in areas and channel in rule.channels and rule.in_force(day)
    )


def all_rules() -> Iterator[Rule]:
    """Every version of every rule."""
    return (rule for pack in packs() for rule in pack.rules)


def overdue(day: date) -> list[Rule]:
    """The rules whose day of review has passed; those that are out of force by then need none."""
    return [rule for rule in all_rules() if rule.review_by < day and (rule.end is None or day < rule.end)]


def calendars_of(rule: Rule, areas: Iterable[str]) -> list[str | None]:
    """The calendars by which a rule about holidays counts for these areas: the country's, and those of regions."""
    assert isinstance(rule.content, Holidays)
    pack = pack_of(rule.area)
    regions = [pack.regions[area] for area in sorted(areas) if pack and area in pack.regions]
    return [None, *dict.fromkeys(region.calendar for region in regions if region.calendar)]


@cache
def _renamed() -> Mapping[str, str]:
    """Old names of zones, with the new ones. What is a zone of its own in some country is no old name, even where its
    clocks have long been those of a neighbour's.
    """
    folder = resources.files("tzdata").joinpath("zoneinfo")
    table = folder.joinpath("zone.tab").read_text(encoding="utf-8").splitlines()
    own = {line.split("\t")[2] for line in table if not line.startswith("#")}
    rows = (line.split() for line in folder.joinpath("tzdata.zi").read_text(encoding="utf-8").splitlines())
    return {row[2]: row[1] for row in rows if row[0] == "L" and row[2] not in own}


def _region(country: str, name: str, raw: Mapping[str, Any]) -> Region:
    box = raw.get("box")
    has_calendar = "prefixes" not in raw or "calendar" in raw
    return Region(
        code=f"{country}-{name}",
        calendar=raw.get("calendar", name) if has_calendar else None,
        zones=frozenset(raw.get("zones", ())),
        box=None if box is None else (box[0], box[1], box[2], box[3]),
        prefixes=tuple(raw.get("prefixes", ())),
        dials=tuple(raw.get("dials", ())),
    )


def _overlap(one: Rule, other: Rule) -> bool:
    return (other.end is None or one.start < other.end) and (one.end is None or other.start < one.end)
