"""Who gets which variant, and who gets nothing so that the difference can be told: drawn by a hash, no state kept.

A draw is SHA-256 over what is drawn, the experiment's id and the unit, so anybody can draw it again. The version of the
campaign is no part of it: when weights or percentages change, everybody stays where they are, except for as many as
must move. A new experiment id draws everybody anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from math import log
from typing import Any

from campaigns.content.languages import Template

BUCKETS = 10_000
PER_PERCENT = BUCKETS // 100


class Group(StrEnum):
    """Why somebody who might have had the offer gets none."""

    HOLDOUT = "holdout"
    GLOBAL_CONTROL = "global_control"
    SWITCHED_OFF = "switched_off"


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to say it; `weight` is its share of the sum of all weights."""

    name: str
    weight: int
    template: Template


@dataclass(frozen=True, slots=True)
class Switchback:
    """A geofence is on in one of each two periods, which of them is drawn. What happens in the first
    `washout_seconds` of a period may still come from the one before, and is left out of the comparison.
    """

    period_seconds: int
    washout_seconds: int


@dataclass(frozen=True, slots=True)
class Experiment:
    """What a campaign tries out. `id` is the salt of its draws. Reports warn when an effect of `smallest_effect_points`, in
    points of a percentage, might well be missed.
    """

    id: str
    holdout_percent: int = 0
    variants: tuple[Variant, ...] = ()
    switchback: Switchback | None = None
    smallest_effect_points: float = 2.0


@dataclass(frozen=True, slots=True)
class Control:
    """The group that no campaign speaks to; one salt for the whole installation."""

    percent: int = 0
    salt: str = "global"


NO_CONTROL = Control()


@dataclass(frozen=True, slots=True)
class Period:
    """A geofence's turn in a switchback, counted from 1970."""

    number: int
    is_on: bool
    is_washout: bool


@dataclass(frozen=True, slots=True)
class Lot:
    """What was drawn for a subject at a moment: the group that keeps the offer from them, if one does, and what the
    draw rests on.
    """

    group: Group | None
    drawn: Mapping[str, Any]


def draw_lot(
    experiment: Experiment | None, control: Control, subject: str, geofence: str, now: datetime
) -> Lot:
    """Whether the offer is kept back."""
    drawn = draw_control(control, subject)
    lot = lot_of(experiment, drawn, subject, geofence, now)
    return Lot(lot.group, {**drawn, **lot.drawn})


def draw_control(control: Control, subject: str) -> dict[str, int]:
    """What was drawn for the subject among all campaigns; nothing where no group is kept."""
    if not control.percent:
        return {}
    mine = bucket("control", control.salt, subject)
    return {"control_bucket": mine, "control_below": control.percent * PER_PERCENT}


def lot_of(
    experiment: Experiment | None, drawn: Mapping[str, Any], subject: str, geofence: str, now: datetime
) -> Lot:
    """Whether the offer is kept back, given what `draw_control` drew. The global control group comes first: who is in it is
    in no campaign's comparison.
    """
    controlled = "control_bucket" in drawn or drawn.get("group") == Group.GLOBAL_CONTROL
    if controlled and drawn["control_bucket"] < drawn["control_below"]:
        return Lot(Group.GLOBAL_CONTROL, {"group": Group.GLOBAL_CONTROL.value, "unit": "subject"})
    if experiment is None:
        return Lot(None, {})
    if experiment.switchback:
        period = period_at(experiment, geofence, now)
        told = {
            "experiment": experiment.id,
            "unit": "geofence and period",
            "period": period.number,
            "on": period.is_on,
            "washout": period.is_washout,
        }
        return Lot(None if period.is_on else Group.SWITCHED_OFF, told)
    limit = experiment.holdout_percent * PER_PERCENT
    mine = bucket("holdout", experiment.id, subject)
    told = {
        "experiment": experiment.id,
        "unit": "subject",
        "bucket": mine,
        "buckets": BUCKETS,
        "held_below": limit,
    }
    return Lot(Group.HOLDOUT if mine < limit else None, told)


def draw_variant(experiment: Experiment | None, subject: str) -> Variant | None:
    """The variant that is the subject's, for those held out too; None where nothing is varied.

    Weighted rendezvous hashing (Schindelhauer and Schomaker, "Weighted distributed hash tables", SPAA 2005): each variant
    draws -ln(u)/weight, and the least wins. So a changed weight moves people to or from that variant alone.
    """
    if experiment is None or not experiment.variants:
        return None

    def lot(variant: Variant) -> float:
        u = (_drawn("variant", experiment.id, variant.name, subject) + 0.5) / 2**64
        return -log(u) / variant.weight

    return min(experiment.variants, key=lot)


def period_at(experiment: Experiment, geofence: str, now: datetime) -> Period:
    """The geofence's period at `now`. Of each two periods one is on; the hash tells which, so that neither is always
    the morning.
    """
    assert experiment.switchback
    length = experiment.switchback.period_seconds
    number, since = divmod(int(now.timestamp()), length)
    pair, second = divmod(number, 2)
    first_is_on = bucket("switchback", experiment.id, geofence, str(pair)) < BUCKETS // 2
    return Period(number, first_is_on != bool(second), since < experiment.switchback.washout_seconds)


def bucket(*cause: str) -> int:
    """From 0 to `BUCKETS` - 1, always the same for the same cause."""
    return _drawn(*cause) % BUCKETS


def _drawn(*cause: str) -> int:
    # Each part is preceded by its length, so that no two causes read the same.
    joined = "".join(f"{len(part)}:{part}" for part in cause)
    return int.from_bytes(sha256(joined.encode()).digest()[:8])


def experiment_json(experiment: Experiment | None) -> dict[str, Any] | None:
    """The experiment as the API writes it, every default spelled out."""
    if experiment is None:
        return None
    switchback = experiment.switchback
    return {
        "id": experiment.id,
        "holdout_percent": experiment.holdout_percent,
        "variants": [
            {"name": each.name, "weight": each.weight, "template": each.template}
            for each in experiment.variants
        ],
        "switchback": {
            "period_seconds": switchback.period_seconds,
            "washout_seconds": switchback.washout_seconds,
        }
        if switchback
        else None,
        "smallest_effect_points": experiment.smallest_effect_points,
    }


def experiment_from_json(raw: Mapping[str, Any] | None) -> Experiment | None:
    """Read back what `experiment_json` wrote."""
    if raw is None:
        return None
    switchback = raw["switchback"]
    return Experiment(
        id=raw["id"],
        holdout_percent=raw["holdout_percent"],
        variants=tuple(Variant(each["name"], each["weight"], each["template"]) for each in raw["variants"]),
        switchback=Switchback(switchback["period_seconds"], switchback["washout_seconds"])
        if switchback
        else None,
        smallest_effect_points=raw["smallest_effect_points"],
    )
