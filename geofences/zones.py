"""Which part of a store is the phone in? Of the beacons heard lately the nearest counts, once it is near and heard to be
so again; each stay is told once. One step per hearing, pure.
"""

from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from geofences import ranging
from geofences.ranging import SHOP_RANGING, Ranging, RangingPolicy, Zone, probability_within

REGIONS_LIMIT = 20
"""So many regions a phone watches at most (Core Location's own limit)."""


class Radio(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A beacon as one hearing has it: how loud it was, its calibrated power at one metre (dBm), its path loss, its id,
    and the part of its store that it stands for ("" where it only stands for itself).
    """

    rssi_dbm: float
    power_dbm: float
    path_loss: float
    beacon: str
    zone: str = ""


@dataclass(frozen=True, slots=True)
class ZonePolicy:
    """The figures of zones."""

    ranging: RangingPolicy = SHOP_RANGING
    confirm_seconds: float = 2.0
    """A phone that is near for less than this walks past, or was misheard."""
    again_seconds: float = 60.0
    """Back in a zone after less than this, it is still the same stay."""
    beacons_limit: int = 8
    """So many beacons are followed for one phone; of more the one not heard for longest is let go."""


SHOP_ZONES = ZonePolicy()


class Zones(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a phone hears, by radio key, and where that puts it. Times are unix seconds of the phone's clock."""

    heard: dict[str, Ranging] = msgspec.field(default_factory=dict)
    by: str = ""
    """The beacon to go by; "" when none is heard."""
    here: str = ""
    """The zone that the phone seems to be in; "" when its beacon is far."""
    since: float = 0.0
    told: dict[str, float] = msgspec.field(default_factory=dict)
    """Zones that were told, and when the phone was last in each."""
    regions: dict[str, str] = msgspec.field(default_factory=dict)
    """The beacons that the phone says it is in the region of, and the geofence of each."""


class Arrival(NamedTuple):
    """A phone came into a zone. `at` is when it was first heard to be near; `confidence` the probability of its being
    so now.
    """

    at: float
    confidence: float
    ranging: Ranging


SILENCE = Zones()


def hear(
    was: Zones, at: float, key: str, radio: Radio, geofence: str, policy: ZonePolicy
) -> tuple[Zones, Arrival | None]:
    """Take a hearing of the beacon of this radio key into account, later than all before it."""
    heard = {name: each for name, each in was.heard.items() if at - each.at <= policy.ranging.stale_seconds}
    now = heard[key] = ranging.step(
        heard.get(key), at, radio.rssi_dbm, radio.power_dbm, radio.path_loss, policy.ranging
    )
    if len(heard) > policy.beacons_limit:
        del heard[min(sorted(heard), key=lambda name: heard[name].at)]
    by = ranging.nearest(heard, at, was.by, policy.ranging) or ""
    told = {name: last for name, last in was.told.items() if at - last <= policy.again_seconds}
    if by != key:
        stays = by == was.by
        here, since = (was.here, was.since) if stays else ("", 0.0)
        return Zones(heard, by, here, since, told, was.regions), None
    if now.zone not in (Zone.IMMEDIATE, Zone.NEAR):
        return Zones(heard, by, "", 0.0, told, was.regions), None
    here = f"{geofence}/{radio.zone or radio.beacon}"
    since = was.since if here == was.here and now.hearings > 1 else at
    arrival = None
    if at - since >= policy.confirm_seconds or here in told:
        if here not in told:
            sure = probability_within(policy.ranging.near_m, now, at, policy.ranging)
            arrival = Arrival(since, sure, now)
        told[here] = at
    return Zones(heard, by, here, since, told, was.regions), arrival


def still(was: Zones, at: float, policy: ZonePolicy) -> Zones | None:
    """What is worth keeping of a phone that reports something else at `at`; None when that is nothing."""
    lately = [each.at for each in was.heard.values()] + list(was.told.values())
    return was if was.regions or (lately and at - max(lately) <= policy.again_seconds) else None


def begin(was: Zones, key: str, geofence: str) -> Zones:
    """The phone says itself that it began to hear this beacon."""
    others = [(name, place) for name, place in was.regions.items() if name != key]
    return msgspec.structs.replace(was, regions=dict([*others, (key, geofence)][-REGIONS_LIMIT:]))


def end(was: Zones, key: str) -> Zones:
    """The phone says itself that it does not hear this beacon any more, or none whose key begins so."""
    heard = {name: each for name, each in was.heard.items() if not f"{name}:".startswith(f"{key}:")}
    regions = {name: place for name, place in was.regions.items() if name != key}
    if was.by not in heard:
        return Zones(heard, told=was.told, regions=regions)
    return msgspec.structs.replace(was, heard=heard, regions=regions)
