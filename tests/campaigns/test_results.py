from dataclasses import replace
from datetime import timedelta

import pytest

from campaigns.decide import Outcome
from campaigns.experiments.experiment import Experiment, Switchback, Variant, draw_variant, period_at
from campaigns.gates import Reason
from campaigns.message import MessageState
from campaigns.reporting.funnel import Happening
from campaigns.reporting.report import Report, ReportPolicy, report_csv
from campaigns.reporting.results import Trial, results_json
from tests.campaigns.test_funnel import adds_up
from tests.conftest import MONDAY_NINE

NOW = MONDAY_NINE
HALF = Experiment("bread", holdout_percent=50)
SENT = Happening("", "bakery", NOW, Outcome.MESSAGE, Reason.OK, version=1, state=MessageState.DELIVERED)
HELD = Happening("", "bakery", NOW, Outcome.REFUSED, Reason.HOLDOUT, version=1)


def trial(experiment=HALF):
    return Trial(experiment, {1: experiment})


def take(taking, kind, people, visitors, **changes):
    for number in range(people):
        taking.add([replace(kind, subject=f"{kind.reason}-{number}", visited=number < visitors, **changes)])
    return taking


def test_treated_are_compared_with_those_held_out():
    taken = take(take(trial(), SENT, 1000, 200), HELD, 1000, 150)
    found = results_json(taken, 10)
    [told] = found["comparisons"]
    assert (told["metric"], told["arm"], told["against"]) == ("visited", "treated", "holdout")
    assert (told["difference"], told["lift"], told["incremental"]) == (0.05, 0.33333, 50.0)
    assert told["interval"] == [0.0167, 0.08323]
    assert told["clear"]
    assert found["split_probability"] == 1
    assert [each["arm"] for each in found["arms"]] == ["holdout", "offer"]
    assert found["warnings"] == [
        "underpowered: with so few people a difference of 2 points may well be missed"
    ]


def test_a_split_that_is_off_is_warned_of():
    found = results_json(take(take(trial(), SENT, 1000, 200), HELD, 800, 150), 10)
    assert any("the split is off" in each for each in found["warnings"])


def test_the_split_is_held_against_the_shares_of_then():
    weights = {1: HALF, 2: Experiment("bread", holdout_percent=10)}
    taken = Trial(weights[2], weights)
    take(take(taken, SENT, 500, 50), HELD, 500, 50)
    take(take(taken, SENT, 900, 50, version=2), HELD, 100, 50, version=2)
    assert results_json(taken, 10)["split_probability"] == pytest.approx(1)


def test_arms_of_few_people_are_withheld():
    found = results_json(take(take(trial(), SENT, 1000, 200), HELD, 9, 3), 10)
    assert found["arms"][0] == {"arm": "holdout", "withheld": True}
    assert found["comparisons"] == []
    assert found["split_probability"] is None
    assert found["warnings"] == ["withheld, as too few people are in it: holdout"]


def test_everybody_counts_where_they_were_first_drawn_and_once():
    taken = trial()
    later = NOW + timedelta(hours=1)
    taken.add(
        [
            replace(SENT, subject="ana", outcome=Outcome.REFUSED, reason=Reason.CAP_REACHED, state=None),
            replace(SENT, subject="ana"),
            replace(HELD, subject="ana", at=later, visited=True),
        ]
    )
    taken.add([replace(HELD, subject="ben", outcome=Outcome.REFUSED, reason=Reason.NO_CONSENT)])
    assert (dict(taken.people), taken.moved) == ({"offer": 1}, 1)
    assert taken.arm("offer", "visited").did == 0


def test_what_another_experiment_drew_does_not_count():
    versions = {1: Experiment("old", holdout_percent=50), 2: HALF, 3: None}
    taken = Trial(HALF, versions)
    for version in (1, 2, 3, None):
        taken.add([replace(SENT, subject=f"person-{version}", version=version)])
    assert taken.people.total() == 1


def test_variants_are_compared_with_the_first_by_visits_clicks_and_redemptions():
    named = (Variant("a", 1, ""), Variant("b", 1, ""))
    experiment = Experiment("bread", variants=named)
    taken = trial(experiment)
    for number in range(2000):
        who = f"person-{number}"
        variant = draw_variant(experiment, who).name
        taken.add([replace(SENT, subject=who, variant=variant, clicked=variant == "b" and number % 2 == 0)])
    found = results_json(taken, 10)
    told = {each["metric"]: each for each in found["comparisons"]}
    assert [(each["arm"], each["against"]) for each in told.values()] == [("b", "a")] * 3
    assert told["clicked"]["clear"]
    assert not told["visited"]["clear"]
    assert "3 comparisons at 95 % each: one in twenty is clear by chance alone" in found["warnings"]


def test_a_switchback_is_told_by_periods():
    experiment = Experiment("bread", switchback=Switchback(43_200, 3600))
    taken = trial(experiment)
    start = NOW.replace(hour=2)
    for number in range(40):
        at = start + timedelta(hours=12 * number)
        on = period_at(experiment, "bakery", at).is_on
        for person in range(10):
            kind = SENT if on else replace(HELD, reason=Reason.SWITCHED_OFF)
            visited = person < (4 if on else 2 + number % 2)
            taken.add([replace(kind, subject=f"person-{number}-{person}", at=at, visited=visited)])
        washed = start.replace(hour=0) + timedelta(hours=12 * number)
        taken.add([replace(SENT, subject=f"washed-{number}", at=washed, visited=True)])
    found = results_json(taken, 10)
    assert found["arms"] == []
    assert results_json(taken, 1000)["switchback"] is None
    told = found["switchback"]
    assert (told["pairs"], told["unpaired"]) == (20, 0)
    assert told["difference"] == pytest.approx(0.15, abs=0.04)
    assert told["clear"]


ZONES = {"bakery": "Europe/Paris"}


def report(people, **policy):
    made = Report(ReportPolicy(**policy), trial(), ZONES)
    for number in range(people):
        at = NOW + timedelta(hours=number % 2)
        made.add([replace(SENT, subject=f"person-{number}", at=at, visited=True, segments=2)])
    return made.json()


def test_a_report_tells_funnel_cost_and_groups():
    told = report(100, segment_price=0.07)
    assert told["people"] == 100
    assert told["cost"] == {"messages": 100, "segments": 200, "amount": 14.0, "currency": "EUR"}
    assert report(100)["cost"]["amount"] is None
    assert [(each["hour"], each["people"]) for each in told["by_hour"]] == [("09", 50), ("10", 50)]
    assert [each["geofence"] for each in told["by_geofence"]] == ["bakery"]
    assert told["by_variant"] == []
    for funnel in (told["funnel"], *(each["funnel"] for each in told["by_hour"])):
        adds_up(funnel)


def test_a_report_on_few_people_tells_nothing():
    assert report(9) == {"minimum_group": 10, "withheld": True}
    assert report(9, least_people=1)["people"] == 9
    assert report_csv(report(9)).splitlines() == ["breakdown,group,step,of,reason,count"]


def test_an_hour_with_few_people_does_not_follow_from_the_others():
    told = report(15)
    assert [each["hour"] for each in told["by_hour"]] == ["(rest)"]
    assert told["by_hour"][0]["joined"] == 2


def test_a_csv_has_the_same_counts():
    told = report(100)
    lines = [line.split(",") for line in report_csv(told).splitlines()]
    assert lines[0] == ["breakdown", "group", "step", "of", "reason", "count"]
    assert ["all", "", "visited", "delivered", "", "100"] in lines
    assert ["hour", "09", "clicked", "delivered", "no_link", "50"] in lines
    made = Report(ReportPolicy(), trial(), {})
    for number in range(20):
        made.add([replace(SENT, subject=f"person-{number}", geofence="-1+1")])
    assert "'-1+1" in report_csv(made.json())


def test_what_an_incremental_visit_costs_is_told_where_it_is_clear():
    made = Report(ReportPolicy(segment_price=0.1), trial(), ZONES)
    for number in range(1000):
        made.add([replace(SENT, subject=f"sent-{number}", visited=number < 200, segments=1)])
        made.add([replace(HELD, subject=f"held-{number}", visited=number < 150)])
    [told] = made.json()["experiment"]["comparisons"]
    assert told["cost_per_incremental"] == 2.0  # 100 EUR for 50 visits more
