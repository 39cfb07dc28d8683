"""Where a message is read, as far as anyone can tell: the store's place, and what the number suggests."""

import re
from dataclasses import dataclass
from functools import lru_cache

from consent.countries.pack import Pack, Region, current_name, pack_of, pack_with_zone, packs

REGION_CODE = re.compile(r"[A-Z]{2}(?:-[A-Z0-9]{1,3})?")
"""ISO 3166: a country (``FR``), or a part of one (``FR-67``)."""


@dataclass(frozen=True, slots=True)
class Store:
    """The place where the shopper is. `region` is an ISO 3166 code if somebody said it; the position is its middle."""

    zone: str
    region: str | None
    lon: float
    lat: float


@dataclass(frozen=True, slots=True)
class Anywhere:
    """In place of a store, where a message is about no place. `country` (ISO 3166) is where its sender says that readers
    without a telling number are; None if nobody says so.
    """

    country: str | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """What a number tells of its holder; never the number. No `zones`: nothing is known. `apart` are the regions
    with numbers of their own that it is of.
    """

    zones: tuple[str, ...]
    areas: frozenset[str]
    apart: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Concerned:
    """Every clock that must show a permitted time, the store's first if there is one, and every country and region whose
    rules count.

    `unknown` says why nobody can tell; then nothing is permitted.
    """

    zones: tuple[str, ...] = ()
    areas: frozenset[str] = frozenset()
    unknown: str | None = None


def concerned(store: Store | Anywhere | None, origin: Origin | None) -> Concerned:
    """Who is concerned by a message at the store (None: it is gone) to a number (None: to somebody without one).

    A region that nobody named counts if the store may lie in it: the strictest of what is possible holds.
    """
    if isinstance(store, Anywhere):
        return _without_store(store.country, origin)
    if store is None:
        return Concerned(unknown="no_store")
    areas = areas_of_store(store)
    if not areas:
        return Concerned(unknown="no_rules_for_store")
    if origin is None:
        return Concerned((store.zone,), areas)
    if not origin.zones:
        return Concerned(unknown="no_zone_for_number")
    return Concerned(tuple(dict.fromkeys((store.zone, *origin.zones))), areas | origin.areas)


@lru_cache(maxsize=4096)
def _without_store(country: str | None, origin: Origin | None) -> Concerned:
    """Who is concerned by a message about no place: every zone and region in which a reader with this number may be, as a
    number tells its country and no more. The `country` that the sender names counts where the number's has no rules, or
    where there is no number.
    """
    if origin is not None and not origin.zones:
        return Concerned(unknown="no_zone_for_number")
    told = [pack for pack in packs() if origin is not None and pack.country in origin.areas]
    found = told or [pack for pack in packs() if pack.country == country]
    if not found:
        return Concerned(unknown="no_country")
    apart = origin.apart if told and origin else frozenset()
    zones, areas = set(origin.zones if origin else ()), set(origin.areas if origin else ())
    for pack in found:
        regions, clocks = pack.told_by(apart)
        areas |= {pack.country, *regions}
        zones |= clocks
    return Concerned(tuple(sorted(zones)), frozenset(areas))


def areas_of_store(store: Store) -> frozenset[str]:
    """The countries and regions in which the store lies, or may lie; empty if there is a pack for none."""
    by_zone = pack_with_zone(store.zone)
    named = pack_of(store.region[:2]) if store.region else None
    areas = {pack.country for pack in (by_zone, named) if pack}
    if named is not None and store.region is not None and "-" in store.region:
        areas.add(store.region)
    elif by_zone is not None:
        areas |= {each.code for each in _possible(by_zone, store)}
    return frozenset(areas)


def areas_of_number(phone: str, zones: tuple[str, ...]) -> frozenset[str]:
    """The countries and regions that an E.164 number suggests, by its zones and its first digits."""
    found = {pack.country for zone in zones if (pack := pack_with_zone(zone))}
    regions = (region for pack in packs() if pack.country in found for region in pack.regions.values())
    return frozenset(found | {region.code for region in regions if phone.startswith(region.prefixes)})


def regions_apart(phone: str) -> frozenset[str]:
    """The regions with numbers of their own that an E.164 number is of."""
    regions = (region for pack in packs() for region in pack.regions.values() if region.dials)
    return frozenset(region.code for region in regions if phone.startswith(region.dials))


def _possible(pack: Pack, store: Store) -> list[Region]:
    zone = current_name(store.zone)
    return [each for each in pack.regions.values() if each.may_hold(zone, store.lon, store.lat)]
