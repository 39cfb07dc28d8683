"""What an experiment came to, person by person: who was drawn for which arm, what they did, and whether that is sure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from campaigns.experiments.experiment import Experiment, period_at
from campaigns.experiments.lift import (
    LEAST_PAIRS,
    MISMATCH_BELOW,
    Arm,
    Comparison,
    Interval,
    PeriodCount,
    SwitchbackResult,
    compare,
    compare_periods,
    split_probability,
    wilson,
)
from campaigns.gates import Reason
from campaigns.reporting.funnel import Happening

OFFER, TREATED, HOLDOUT, GLOBAL_CONTROL = "offer", "treated", "holdout", "global_control"
VISITED, CLICKED, REDEEMED = "visited", "clicked", "redeemed"
METRICS = (VISITED, CLICKED, REDEEMED)
_KEPT_BACK = {Reason.HOLDOUT: HOLDOUT, Reason.GLOBAL_CONTROL: GLOBAL_CONTROL}


@dataclass(slots=True)
class Trial:
    """Takes people in one by one. Only what was decided under the current experiment's id counts.

    Everybody counts in the arm first drawn for them, whatever was drawn later, from their first eligible moment on:
    until then nobody had been treated, so the arms compare. `moved` are those for whom changed weights drew another arm later.
    """

    current: Experiment | None
    experiments: Mapping[int, Experiment | None]
    """Of each version of the campaign."""
    people: Counter[str] = field(default_factory=Counter)
    did: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    expected: Counter[str] = field(default_factory=Counter)
    """Of the arms of the experiment, by the shares that were in force when each person was drawn."""
    moved: int = 0
    _periods: dict[tuple[str, int], list[int]] = field(default_factory=dict)
    _is_on: dict[tuple[str, int], bool] = field(default_factory=dict)

    def add(self, happenings: Sequence[Happening]) -> None:
        """Count one person, by all their happenings, the oldest first."""
        counted = [each for each in happenings if each.is_eligible and self._is_current(each)]
        if not counted:
            return
        if self.current and self.current.switchback:
            self._add_to_periods(self.current, counted)
            return  # who is on is a matter of the place and the hour, not of the person
        first = counted[0]
        arm = arm_of(first)
        self.people[arm] += 1
        did = self.did[arm]
        did[VISITED] += first.visited
        did[CLICKED] += any(bool(each.clicked) for each in counted)
        did[REDEEMED] += any(bool(each.redeemed) for each in counted)
        self.moved += any(arm_of(each) != arm for each in counted)
        if arm != GLOBAL_CONTROL:
            self.expected.update(shares_of(self._experiment_of(first)))

    def arm(self, name: str, metric: str) -> Arm:
        """How many of an arm did it; `TREATED` is all that got an offer."""
        names = (
            [name] if name != TREATED else [each for each in self.people if each not in _KEPT_BACK.values()]
        )
        return Arm(
            name, sum(self.people[each] for each in names), sum(self.did[each][metric] for each in names)
        )

    def periods(self) -> SwitchbackResult:
        """What being on brought, where stores are switched on and off."""
        return compare_periods(
            PeriodCount(geofence, number, self._is_on[geofence, number], people, did)
            for (geofence, number), (people, did) in self._periods.items()
        )

    def fewest_in_periods(self) -> int:
        """How many people the smaller side of a switchback had, counted once a period."""
        people = Counter({True: 0, False: 0})
        for key, (several, _) in self._periods.items():
            people[self._is_on[key]] += several
        return min(people.values())

    def _add_to_periods(self, experiment: Experiment, counted: Iterable[Happening]) -> None:
        met = set()
        for each in counted:
            if each.geofence is None or each.reason is Reason.GLOBAL_CONTROL:
                continue
            period = period_at(experiment, each.geofence, each.at)
            key = each.geofence, period.number
            if period.is_washout or key in met:
                continue
            met.add(key)
            count = self._periods.setdefault(key, [0, 0])
            count[0] += 1
            count[1] += each.visited
            self._is_on[key] = period.is_on

    def _experiment_of(self, happening: Happening) -> Experiment | None:
        return self.experiments.get(happening.version) if happening.version is not None else None

    def _is_current(self, happening: Happening) -> bool:
        if self.current is None:
            return True
        then = self._experiment_of(happening)
        return then is not None and then.id == self.current.id


def arm_of(happening: Happening) -> str:
    """Where an eligible happening counts."""
    return _KEPT_BACK.get(happening.reason) or happening.variant or OFFER


def shares_of(experiment: Experiment | None) -> dict[str, float]:
    """What part of people each arm is meant to have."""
    if experiment is None or experiment.switchback:
        return {}
    held = experiment.holdout_percent / 100
    whole = sum(each.weight for each in experiment.variants)
    shares = {each.name: (1 - held) * each.weight / whole for each in experiment.variants}
    return {HOLDOUT: held, **(shares or {OFFER: 1 - held})}


def results_json(trial: Trial, least: int) -> dict[str, Any]:
    """The arms, the comparisons and what is to be said against them. Arms of fewer than `least` people are withheld."""
    names = sorted(trial.people)
    small = {name for name in names if trial.people[name] < least}
    comparisons = [each for each in _comparisons(trial) if not _is_small(each[1], small, least)]
    split = split_probability(trial.people, trial.expected)
    worthwhile = trial.current.smallest_effect_points / 100 if trial.current else None
    return {
        "id": trial.current.id if trial.current else None,
        "interval": "95 %; Wilson for rates, Newcombe (method 10) for differences, Student for switchbacks",
        "arms": [_arm_json(trial, name, withheld=name in small) for name in names],
        "comparisons": [_comparison_json(metric, each, worthwhile) for metric, each in comparisons],
        "switchback": _switchback_json(trial.periods()) if trial.fewest_in_periods() >= least else None,
        "moved": trial.moved if trial.moved >= least else None,
        "split_probability": None if small else split,
        "warnings": list(_warnings(trial, [each for _, each in comparisons], split, small, worthwhile)),
    }


def _comparisons(trial: Trial) -> Iterable[tuple[str, Comparison]]:
    """Offers against nothing; and each variant against the first."""
    for kept in (HOLDOUT, GLOBAL_CONTROL):
        if trial.people[kept]:
            yield VISITED, compare(trial.arm(TREATED, VISITED), trial.arm(kept, VISITED))
    variants = [each.name for each in trial.current.variants] if trial.current else []
    for other in variants[1:]:
        for metric in METRICS:
            yield metric, compare(trial.arm(other, metric), trial.arm(variants[0], metric))


def _is_small(comparison: Comparison, small: set[str], least: int) -> bool:
    arms = (comparison.treated, comparison.control)
    return any(arm.name in small or arm.people < least for arm in arms)


def _arm_json(trial: Trial, name: str, *, withheld: bool) -> dict[str, Any]:
    if withheld:
        return {"arm": name, "withheld": True}
    told: dict[str, Any] = {"arm": name, "people": trial.people[name]}
    for metric in METRICS if name not in _KEPT_BACK.values() else (VISITED,):
        arm = trial.arm(name, metric)
        told[metric] = {"count": arm.did, "rate": _short(arm.rate), "interval": _ends(wilson(arm))}
    return told


def _comparison_json(metric: str, found: Comparison, worthwhile: float | None) -> dict[str, Any]:
    return {
        "metric": metric,
        "arm": found.treated.name,
        "against": found.control.name,
        "difference": _short(found.difference),
        "interval": _ends(found.interval),
        "lift": None if found.lift is None else _short(found.lift),
        "clear": found.is_clear,
        "incremental": round(found.incremental, 1),
        "detectable_difference": None if found.detectable is None else _short(found.detectable),
        "underpowered": worthwhile is not None and found.is_underpowered(worthwhile),
    }


def _switchback_json(found: SwitchbackResult) -> dict[str, Any]:
    return {
        "metric": VISITED,
        "pairs": found.pairs,
        "unpaired": found.unpaired,
        "difference": None if found.difference is None else _short(found.difference),
        "interval": _ends(found.interval) if found.interval else None,
        "clear": found.interval is not None and 0.0 not in found.interval,
        "detectable_difference": None if found.detectable is None else _short(found.detectable),
    }


def _warnings(
    trial: Trial,
    comparisons: Sequence[Comparison],
    split: float,
    small: set[str],
    worthwhile: float | None,
) -> Iterable[str]:
    if small:
        yield f"withheld, as too few people are in it: {', '.join(sorted(small))}"
    elif split < MISMATCH_BELOW:
        yield (
            f"the split is off: chance alone brings it about with a probability of {split:.1g}; "
            "find out why before you trust any comparison"
        )
    if worthwhile is not None and any(each.is_underpowered(worthwhile) for each in comparisons):
        yield f"underpowered: with so few people a difference of {worthwhile * 100:g} points may well be missed"
    if trial.current and trial.current.switchback:
        found = trial.periods()
        if found.pairs < LEAST_PAIRS:
            yield f"underpowered: {found.pairs} pairs of periods; an interval needs {LEAST_PAIRS}"
        elif worthwhile is not None and (found.detectable or 0) > worthwhile:
            yield f"underpowered: a difference of {worthwhile * 100:g} points may well be missed"
    if len(comparisons) > 1:
        yield f"{len(comparisons)} comparisons at 95 % each: one in twenty is clear by chance alone"


def _ends(interval: Interval) -> list[float]:
    return [_short(interval.low), _short(interval.high)]


def _short(value: float) -> float:
    return round(value, 5)
