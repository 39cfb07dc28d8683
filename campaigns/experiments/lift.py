"""What an experiment shows: how much more often those who got the offer did something, and how sure that is.

Everybody counts in the group that was drawn for them, whether or not the message arrived. Single proportions have Wilson's
score interval (E. B. Wilson 1927, J. Am. Stat. Assoc. 22:209-212), differences Newcombe's hybrid score interval (R. G.
Newcombe 1998, Statistics in Medicine 17:873-890, method 10), both without continuity correction, at 95 %.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import erfc, exp, pi, sqrt
from statistics import NormalDist, fmean, stdev

CONFIDENCE = 0.95
POWER = 0.8
MISMATCH_BELOW = 0.001
"""A split that chance brings about less often than this is off (as in A. Fabijan et al. 2019, KDD '19, 2156-2164)."""
LEAST_PAIRS = 10
"""With fewer pairs of periods, no interval is told."""

_NORMAL = NormalDist()
_Z = _NORMAL.inv_cdf((1 + CONFIDENCE) / 2)


@dataclass(frozen=True, slots=True)
class Arm:
    """So many people, of whom so many did it."""

    name: str
    people: int
    did: int

    @property
    def rate(self) -> float:
        """Between 0 and 1; 0 of nobody."""
        return self.did / self.people if self.people else 0.0


@dataclass(frozen=True, slots=True)
class Interval:
    """From `low` to `high`, both included."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Comparison:
    """`difference` of the rates, treated less control, and its interval; `lift` is the difference as a share of the
    control's rate, None where that is 0. `detectable` is the difference that would be found in four of five runs with
    these numbers of people, None if a group is empty.
    """

    treated: Arm
    control: Arm
    difference: float
    interval: Interval
    lift: float | None
    detectable: float | None

    @property
    def is_clear(self) -> bool:
        """Whether no effect at all lies outside the interval."""
        return 0.0 not in self.interval

    def is_underpowered(self, worthwhile: float) -> bool:
        """Whether a difference of that size might well be missed."""
        return self.detectable is None or self.detectable > worthwhile

    @property
    def incremental(self) -> float:
        """How many of the treated did it because of the offer, by this estimate."""
        return self.difference * self.treated.people


def wilson(arm: Arm) -> Interval:
    """The interval of a rate; everything is possible of nobody."""
    if not arm.people:
        return Interval(0.0, 1.0)
    n, p, zz = arm.people, arm.rate, _Z * _Z
    middle = (p + zz / (2 * n)) / (1 + zz / n)
    half = _Z / (1 + zz / n) * sqrt(p * (1 - p) / n + zz / (4 * n * n))
    # At both ends the formula meets 0 and 1 exactly, and floating point all but.
    return Interval(
        0.0 if not arm.did else max(0.0, middle - half), 1.0 if arm.did == n else min(1.0, middle + half)
    )


def newcombe(treated: Arm, control: Arm) -> Interval:
    """The interval of the difference of two rates."""
    of_treated, of_control = wilson(treated), wilson(control)
    difference = treated.rate - control.rate
    below = sqrt((treated.rate - of_treated.low) ** 2 + (of_control.high - control.rate) ** 2)
    above = sqrt((of_treated.high - treated.rate) ** 2 + (control.rate - of_control.low) ** 2)
    return Interval(difference - below, difference + above)


def compare(treated: Arm, control: Arm) -> Comparison:
    """What the offer, or one variant against another, brought."""
    difference = treated.rate - control.rate
    return Comparison(
        treated,
        control,
        difference,
        newcombe(treated, control),
        difference / control.rate if control.did else None,
        detectable_difference(treated, control),
    )


def detectable_difference(treated: Arm, control: Arm) -> float | None:
    """The smallest difference that is found with a power of 80 %, by the normal approximation with the rate of both
    groups together (S.-C. Chow et al., Sample Size Calculations in Clinical Research, section 4.2); None if a group is
    empty.
    """
    if not (treated.people and control.people):
        return None
    together = Arm("", treated.people + control.people, treated.did + control.did)
    # Of nobody did it we only know the upper end, and the widest rate is the careful one.
    rate = min(0.5, wilson(together).high) if together.rate <= 0.5 else max(0.5, wilson(together).low)
    spread = sqrt(rate * (1 - rate) * (1 / treated.people + 1 / control.people))
    return (_Z + _NORMAL.inv_cdf(POWER)) * spread


def split_probability(people: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """How often chance alone brings a split at least as far from the intended one: Pearson's chi-square test. 1 where
    there is nothing to split.
    """
    names = [name for name in shares if shares[name] > 0]
    total = sum(people.get(name, 0) for name in names)
    if total == 0 or len(names) < 2:
        return 1.0
    whole = sum(shares[name] for name in names)
    expected = {name: total * shares[name] / whole for name in names}
    statistic = sum((people.get(name, 0) - expected[name]) ** 2 / expected[name] for name in names)
    return chi_square_above(statistic, len(names) - 1)


def chi_square_above(statistic: float, freedom: int) -> float:
    """The probability that chi-square exceeds `statistic`, by the finite sums for whole degrees of freedom
    (Abramowitz and Stegun 1964, Handbook of Mathematical Functions, 26.4.4 and 26.4.5).
    """
    half = statistic / 2
    if freedom % 2 == 0:
        term = total = exp(-half)
        for k in range(1, freedom // 2):
            term *= half / k
            total += term
        return min(1.0, total)
    total = erfc(sqrt(half))
    term = 2 * sqrt(half / pi) * exp(-half)
    for k in range(3, freedom + 1, 2):
        total += term
        term *= statistic / k
    return min(1.0, total)


@dataclass(frozen=True, slots=True)
class PeriodCount:
    """One period of one geofence, without its washout: who came into question, and how many of them did it."""

    geofence: str
    number: int
    is_on: bool
    people: int
    did: int


@dataclass(frozen=True, slots=True)
class SwitchbackResult:
    """The mean difference of on less off over `pairs` of periods; `interval` is None while there are too few. `unpaired`
    periods had nobody in the other half, and count for nothing.
    """

    pairs: int
    unpaired: int
    difference: float | None
    interval: Interval | None
    detectable: float | None


def compare_periods(counts: Iterable[PeriodCount]) -> SwitchbackResult:
    """What being on brought: the mean of the differences within pairs of periods, with Student's interval.

    A pair is what was drawn, so it is what counts as one observation, however many people came.
    """
    pairs: dict[tuple[str, int], dict[bool, PeriodCount]] = defaultdict(dict)
    for each in counts:
        if each.people:
            pairs[each.geofence, each.number // 2][each.is_on] = each
    whole = [pair for pair in pairs.values() if len(pair) == 2]
    differences = [
        pair[True].did / pair[True].people - pair[False].did / pair[False].people for pair in whole
    ]
    return _mean_of(differences, unpaired=len(pairs) - len(whole))


def _mean_of(differences: Sequence[float], unpaired: int) -> SwitchbackResult:
    n = len(differences)
    if n < LEAST_PAIRS:
        return SwitchbackResult(n, unpaired, fmean(differences) if n else None, None, None)
    mean, error = fmean(differences), stdev(differences) / sqrt(n)
    half = student_quantile((1 + CONFIDENCE) / 2, n - 1) * error
    detectable = half + _NORMAL.inv_cdf(POWER) * error
    return SwitchbackResult(n, unpaired, mean, Interval(mean - half, mean + half), detectable)


def student_quantile(probability: float, freedom: int) -> float:
    """A quantile of Student's t, by the expansion of Abramowitz and Stegun 26.7.5; at 0.975 within 0.0001 from nine degrees
    of freedom on.
    """
    x = _NORMAL.inv_cdf(probability)
    g1 = (x**3 + x) / 4
    g2 = (5 * x**5 + 16 * x**3 + 3 * x) / 96
    g3 = (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384
    g4 = (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / 92160
    return x + g1 / freedom + g2 / freedom**2 + g3 / freedom**3 + g4 / freedom**4
