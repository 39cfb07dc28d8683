import math
import os
import random

import pytest

from campaigns.experiments.experiment import (
    Control,
    Experiment,
    Switchback,
    Variant,
    draw_lot,
    draw_variant,
    period_at,
)
from campaigns.experiments.lift import (
    MISMATCH_BELOW,
    Arm,
    PeriodCount,
    chi_square_above,
    compare,
    compare_periods,
    newcombe,
    split_probability,
    student_quantile,
    wilson,
)
from tests.conftest import MONDAY_NINE


@pytest.fixture(scope="session")
def runs():
    """Simulated experiments; EXPERIMENTS=2000 for a finer look."""
    return int(os.environ.get("EXPERIMENTS", "200"))


def is_likely(count, runs, chance=0.05):
    """Within three standard deviations of what is to be expected."""
    return abs(count - chance * runs) <= 3 * math.sqrt(runs * chance * (1 - chance))


@pytest.mark.parametrize(
    ("treated", "control", "low", "high"),
    [  # Newcombe 1998, Statistics in Medicine 17:873-890, table II, method 10
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_newcombes_own_examples(treated, control, low, high):
    found = newcombe(Arm("t", treated[1], treated[0]), Arm("c", control[1], control[0]))
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@pytest.mark.parametrize(
    ("did", "people", "low", "high"),
    [  # Newcombe 1998, Statistics in Medicine 17:857-872, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (0, 0, 0.0, 1.0),
        (20, 20, 0.8389, 1.0),
    ],
)
def test_wilsons_interval(did, people, low, high):
    found = wilson(Arm("a", people, did))
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_quantiles_are_those_of_the_tables():
    tabled = {1: 3.841459, 2: 5.991465, 3: 7.814728, 4: 9.487729, 9: 16.918978}
    for freedom, statistic in tabled.items():
        assert chi_square_above(statistic, freedom) == pytest.approx(0.05, abs=1e-6)
    assert chi_square_above(0, 3) == 1
    for freedom, quantile in {9: 2.262157, 10: 2.228139, 20: 2.085963, 100: 1.983972}.items():
        assert student_quantile(0.975, freedom) == pytest.approx(quantile, abs=1e-4)


def test_a_comparison_tells_lift_and_what_could_have_been_found():
    found = compare(Arm("offer", 9000, 1080), Arm("holdout", 1000, 100))
    assert found.difference == pytest.approx(0.02)
    assert found.lift == pytest.approx(0.2)
    assert found.incremental == pytest.approx(180)
    # (1.96 + 0.84) * sqrt(p (1 - p) (1/9000 + 1/1000)) with the upper end of p = 1180 in 10000
    assert found.detectable == pytest.approx(0.0307, abs=0.001)
    assert found.is_underpowered(0.02)
    assert not found.is_underpowered(0.05)
    nobody = compare(Arm("offer", 5, 0), Arm("holdout", 0, 0))
    assert (nobody.lift, nobody.detectable, nobody.is_clear) == (None, None, False)
    assert nobody.is_underpowered(1)


def test_a_split_that_is_off_is_noticed():
    assert split_probability({"a": 5000, "b": 5000}, {"a": 1, "b": 1}) == 1
    assert split_probability({"a": 5100, "b": 4900}, {"a": 1, "b": 1}) == pytest.approx(0.0455, abs=1e-4)
    assert split_probability({"a": 5300, "b": 4700}, {"a": 1, "b": 1}) < MISMATCH_BELOW
    assert split_probability({"a": 3000, "b": 1000}, {"a": 3, "b": 1}) == 1
    assert split_probability({"a": 100}, {"a": 1, "b": 1}) < MISMATCH_BELOW
    assert split_probability({}, {"a": 1, "b": 1}) == 1
    assert split_probability({"a": 9}, {"a": 1}) == 1


def people_of(run, number=1000):
    return [f"run-{run}-person-{each}" for each in range(number)]


def holdout_run(run, chance_treated, chance_held, percent=50):
    """One experiment: everybody is drawn as the engine draws them, then comes by or not."""
    experiment, dice = Experiment(f"experiment-{run}", holdout_percent=percent), random.Random(run)
    counts = {True: [0, 0], False: [0, 0]}
    for who in people_of(run):
        treated = draw_lot(experiment, Control(), who, "bakery", MONDAY_NINE).group is None
        counts[treated][0] += 1
        counts[treated][1] += dice.random() < (chance_treated if treated else chance_held)
    return compare(Arm("offer", *counts[True]), Arm("holdout", *counts[False]))


def test_experiments_without_effect_raise_one_alarm_in_twenty(tell, runs):
    found = [holdout_run(run, 0.1, 0.1) for run in range(runs)]
    alarms = sum(each.is_clear for each in found)
    shares = {"offer": 1.0, "holdout": 1.0}
    off = sum(
        split_probability({"offer": each.treated.people, "holdout": each.control.people}, shares)
        < MISMATCH_BELOW
        for each in found
    )
    tell(
        f"A/A: {alarms} of {runs} experiments without effect raise an alarm ({alarms / runs:.1%}); {off} splits are off"
    )
    assert is_likely(alarms, runs)
    assert is_likely(off, runs, MISMATCH_BELOW)


def test_planted_lifts_lie_within_their_interval(tell, runs):
    for lift in (0.03, 0.1):
        found = [holdout_run(run, 0.1 + lift, 0.1) for run in range(runs)]
        covered = sum(lift in each.interval for each in found)
        seen = sum(each.is_clear and each.difference > 0 for each in found)
        tell(
            f"a lift of {lift:.0%} points lies within the interval in {covered} of {runs} experiments, and is found in {seen}"
        )
        assert is_likely(runs - covered, runs)


def test_variants_without_effect_raise_no_more_alarms(runs):
    shares, alarms, off = {"a": 2.0, "b": 1.0}, 0, 0
    for run in range(runs):
        experiment = Experiment(f"e-{run}", variants=(Variant("a", 2, ""), Variant("b", 1, "")))
        dice, counts = random.Random(run), {"a": [0, 0], "b": [0, 0]}
        for who in people_of(run, 500):
            mine = counts[draw_variant(experiment, who).name]
            mine[0] += 1
            mine[1] += dice.random() < 0.2
        alarms += compare(Arm("b", *counts["b"]), Arm("a", *counts["a"])).is_clear
        off += split_probability({name: each[0] for name, each in counts.items()}, shares) < MISMATCH_BELOW
    assert is_likely(alarms, runs)
    assert is_likely(off, runs, MISMATCH_BELOW)


def switchback_run(run, effect):
    """A month of half days at eight stores, each with its own crowd, and mornings busier than evenings."""
    experiment, dice = (
        Experiment(f"switchback-{run}", switchback=Switchback(43_200, 3600)),
        random.Random(run),
    )
    counts = []
    for store in range(8):
        base = dice.uniform(0.05, 0.2)
        for half in range(60):
            at = MONDAY_NINE.timestamp() // 86_400 * 86_400 + half * 43_200
            period = period_at(
                experiment, f"store-{store}", MONDAY_NINE.fromtimestamp(at, MONDAY_NINE.tzinfo)
            )
            chance = base + (0.05 if half % 2 else 0) + (effect if period.is_on else 0)
            people = dice.randrange(10, 40)
            did = sum(dice.random() < chance for _ in range(people))
            counts.append(PeriodCount(f"store-{store}", period.number, period.is_on, people, did))
    return compare_periods(counts)


def test_switchbacks_are_judged_by_pairs_of_periods(tell, runs):
    runs //= 2
    idle = [switchback_run(run, 0) for run in range(runs)]
    planted = [switchback_run(run, 0.04) for run in range(runs)]
    alarms = sum(0 not in each.interval for each in idle)
    covered = sum(0.04 in each.interval for each in planted)
    tell(
        f"switchback: {alarms} of {runs} without effect raise an alarm; 4 points are covered in {covered} of {runs}"
    )
    assert is_likely(alarms, runs)
    assert is_likely(runs - covered, runs)
    assert planted[0].pairs == 240


def test_a_switchback_with_few_or_lonely_periods_says_nothing():
    few = [PeriodCount("s", number, bool(number % 2), 10, 1) for number in range(18)]
    assert compare_periods(few).interval is None
    lonely = compare_periods([PeriodCount("s", 0, True, 5, 1), PeriodCount("s", 1, False, 0, 0)])
    assert (lonely.pairs, lonely.unpaired, lonely.difference) == (0, 1, None)
