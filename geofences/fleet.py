"""Is each beacon of the fleet well? From running figures of what phones hear of it to verdicts with reasons, pure.

The figures are counts, sums and times; none is a position, and none tells of a phone alone. What says where a beacon
is rests on at least `K_PHONES` different phones, and so does every figure about phones that is shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

K_PHONES = 5
"""Fewer phones than this are nobody's business."""


class Verdict(StrEnum):
    """What can be wrong with a beacon."""

    BATTERY_LOW = "battery_low"
    SILENT = "silent"
    MOVED = "moved"
    CLONED = "cloned"


@dataclass(frozen=True, slots=True)
class FleetPolicy:
    """The figures that verdicts go by."""

    battery_low_mv: float = 2400.0
    """A lithium coin cell gives 3000 mV for most of its life; below this it has days or weeks left."""
    heard_hours: int = 12
    """A beacon that was heard in fewer hours than this was not heard regularly yet."""
    quiet_hours: int = 4
    """Hours in which others at the place were heard and this one was not; when nobody is there, nobody is missed."""
    chance: float = 0.001
    """By accident a beacon that was heard so regularly may be quiet for so long with at most this probability."""
    most_share: float = 0.95
    """However regularly a beacon was heard, it may miss an hour."""
    moved_share: float = 0.8
    """Of the phones that heard it and knew where they were, so many were far from its place."""
    cloned_changes: int = 4
    """So often the hearings changed between near its place and far from it, each time within minutes. One that was
    carried away changes once."""


STORE_FLEET = FleetPolicy()


@dataclass(frozen=True, slots=True)
class Figures:
    """What phones heard of one beacon. Times in unix seconds. Hours are those of the clock in which something was
    heard. Figures about phones are of today and yesterday (UTC).
    """

    hearings: int = 0
    first_at: float | None = None
    last_at: float | None = None
    hours: int = 0
    """Hours in which it was heard."""
    place_hours: int = 0
    """Of the hours in which any beacon of its place was heard: those from its first hearing to its last."""
    quiet_hours: int = 0
    """The same, since its last."""
    battery_mv: float | None = None
    """Smoothed; None where it never said."""
    phones: int = 0
    """Different phones that heard it."""
    near_phones: int = 0
    """Those that were near its place."""
    far_phones: int = 0
    """Those that were farther from it than it can be heard; a phone may be among both."""
    far_m: float | None = None
    """Mean distance of far hearings from its place."""
    changes: int = 0
    """How often hearings changed between near and far within minutes."""


NOTHING_HEARD = Figures()


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict, in words why, and the figures that it rests on."""

    verdict: Verdict
    reason: str
    evidence: Mapping[str, float]


def judge(figures: Figures, policy: FleetPolicy = STORE_FLEET) -> tuple[Finding, ...]:
    """All that is wrong with a beacon; nothing when it is well, or too little is known."""
    found = (_battery(figures, policy), _silent(figures, policy), _elsewhere(figures, policy))
    return tuple(each for each in found if each is not None)


def shown_phones(count: int) -> int | None:
    """A number of phones as people may see it; None for fewer than `K_PHONES`."""
    return count if count >= K_PHONES else None


def _battery(figures: Figures, policy: FleetPolicy) -> Finding | None:
    if figures.battery_mv is None or figures.battery_mv >= policy.battery_low_mv:
        return None
    said = f"its battery is at {figures.battery_mv:.0f} mV; below {policy.battery_low_mv:.0f} mV it is to be changed"
    return Finding(Verdict.BATTERY_LOW, said, {"battery_mv": round(figures.battery_mv)})


def _silent(figures: Figures, policy: FleetPolicy) -> Finding | None:
    """By how regularly it was heard, as a share of the hours in which anything at its place was heard."""
    if figures.hours < policy.heard_hours or figures.quiet_hours < policy.quiet_hours:
        return None
    share = min(figures.hours / max(figures.place_hours, figures.hours), policy.most_share)
    chance = (1 - share) ** figures.quiet_hours
    if chance > policy.chance:
        return None
    said = (
        f"it was heard in {share:.0%} of the hours in which its place had phones about, and not in the last "
        f"{figures.quiet_hours} of them"
    )
    evidence = {
        "heard_share": round(share, 2),
        "quiet_hours": figures.quiet_hours,
        "chance": round(chance, 6),
    }
    return Finding(Verdict.SILENT, said, evidence)


def _elsewhere(figures: Figures, policy: FleetPolicy) -> Finding | None:
    """Cloned when it is heard at its place and away from it at once, moved when it is heard away only."""
    near, far = figures.near_phones, figures.far_phones
    if far < K_PHONES:
        return None
    evidence = {"near_phones": float(near), "far_phones": float(far)}
    away = "far"
    if figures.far_m is not None:
        evidence["far_m"] = round(figures.far_m)
        away = f"{figures.far_m:.0f} m"
    if near >= K_PHONES and figures.changes >= policy.cloned_changes:
        said = f"{near} phones heard it at its place and {far} phones {away} away from it, minutes apart"
        return Finding(Verdict.CLONED, said, evidence | {"changes": float(figures.changes)})
    if far / (near + far) < policy.moved_share:
        return None
    if near < K_PHONES:
        del evidence["near_phones"]
    said = f"{far} phones heard it {away} away from its place, and hardly any there"
    return Finding(Verdict.MOVED, said, evidence)
