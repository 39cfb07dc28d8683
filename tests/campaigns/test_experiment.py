from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from campaigns.campaign import campaign_from_json, campaign_json
from campaigns.decide import Outcome, compose, decide
from campaigns.errors import InvalidCampaign
from campaigns.experiments.experiment import (
    BUCKETS,
    Control,
    Experiment,
    Group,
    Switchback,
    Variant,
    bucket,
    draw_lot,
    draw_variant,
    period_at,
)
from campaigns.form import CampaignForm, campaign_of
from campaigns.gates import GateName, Reason, Verdict
from tests.campaigns.cast import ANA, BREAD, event, moment
from tests.conftest import MONDAY_NINE

NOW = MONDAY_NINE
PEOPLE = [f"person-{number}" for number in range(10_000)]
NOBODY = Control()


def variants(*weights):
    return tuple(
        Variant(name, weight, f"Bread {name}") for name, weight in zip("abcde", weights, strict=False)
    )


def drawn(experiment, people=PEOPLE):
    return {who: draw_variant(experiment, who).name for who in people}


def held(percent, salt="bread"):
    experiment = Experiment(salt, holdout_percent=percent)
    return {who for who in PEOPLE if draw_lot(experiment, NOBODY, who, "bakery", NOW).group}


def test_a_draw_is_sha_256_of_its_cause_and_never_changes():
    assert [bucket("holdout", "bread", who) for who in ("ana", "ben", "")] == [2434, 8441, 5430]
    assert draw_variant(Experiment("bread", variants=variants(1, 1)), "ana").name == "b"
    assert bucket("ab", "c") != bucket("a", "bc")


def test_shares_are_as_the_weights_say():
    counted = Counter(drawn(Experiment("bread", variants=variants(5, 3, 2))).values())
    for name, share in (("a", 0.5), ("b", 0.3), ("c", 0.2)):
        assert counted[name] / len(PEOPLE) == pytest.approx(share, abs=0.02)
    assert len(held(10)) / len(PEOPLE) == pytest.approx(0.1, abs=0.01)


def test_a_changed_weight_moves_people_to_or_from_that_variant_alone():
    was = drawn(Experiment("bread", variants=variants(1, 1, 1)))
    heavier = drawn(Experiment("bread", variants=variants(2, 1, 1)))
    moved = {who for who in PEOPLE if was[who] != heavier[who]}
    assert {heavier[who] for who in moved} == {"a"}
    assert len(moved) / len(PEOPLE) == pytest.approx(2 / 4 - 1 / 3, abs=0.02)
    fewer = drawn(Experiment("bread", variants=variants(1, 1, 1)[:2]))
    assert all(fewer[who] == was[who] for who in PEOPLE if was[who] != "c")
    again = drawn(Experiment("bread-2", variants=variants(1, 1, 1)))
    assert sum(was[who] == again[who] for who in PEOPLE) / len(PEOPLE) == pytest.approx(1 / 3, abs=0.02)


def test_a_larger_holdout_lets_nobody_out_and_a_smaller_one_takes_nobody_in():
    assert held(5) < held(10) < held(20)
    assert len(held(10, "cake") & held(10)) / len(PEOPLE) == pytest.approx(0.01, abs=0.005)


def test_holdout_and_variant_are_drawn_apart():
    experiment = Experiment("bread", holdout_percent=20, variants=variants(1, 1))
    among_held = Counter(drawn(experiment, sorted(held(20))).values())
    assert among_held["a"] / among_held.total() == pytest.approx(0.5, abs=0.05)


def test_the_global_control_group_is_the_same_for_every_campaign_and_comes_first():
    control = Control(10, "shop")
    bread, cake = (
        {
            who
            for who in PEOPLE
            if draw_lot(experiment, control, who, "bakery", NOW).group is Group.GLOBAL_CONTROL
        }
        for experiment in (Experiment("bread", holdout_percent=50), None)
    )
    assert bread == cake
    assert len(bread) / len(PEOPLE) == pytest.approx(0.1, abs=0.01)


def test_a_geofence_is_on_in_one_of_each_two_periods_and_not_always_in_the_same():
    experiment = Experiment("bread", switchback=Switchback(12 * 3600, 1800))
    start = NOW.replace(hour=0)
    turns = [
        [period_at(experiment, f"store-{store}", start + timedelta(hours=12 * half)) for half in (0, 1)]
        for store in range(200)
    ]
    assert all(morning.is_on != evening.is_on for morning, evening in turns)
    assert sum(morning.is_on for morning, _ in turns) == pytest.approx(100, abs=25)
    weeks = [period_at(experiment, "bakery", start + timedelta(days=day)).is_on for day in range(60)]
    assert sum(weeks) == pytest.approx(30, abs=12)
    assert period_at(experiment, "bakery", start + timedelta(seconds=1799)).is_washout
    assert not period_at(experiment, "bakery", start + timedelta(seconds=1800)).is_washout


def one_of(group, experiment, control=NOBODY):
    return next(who for who in PEOPLE if draw_lot(experiment, control, who, "bakery", NOW).group is group)


def test_whoever_is_held_out_passed_every_other_gate_and_the_decision_says_so():
    experiment = Experiment("bread", holdout_percent=20)
    campaign = replace(BREAD, experiment=experiment)
    who = one_of(Group.HOLDOUT, experiment)
    decision = decide(campaign, moment(recipient=replace(ANA, id=who)), NOW)
    assert (decision.outcome, decision.reason) == (Outcome.REFUSED, Reason.HOLDOUT)
    assert [gate.gate for gate in decision.gates if gate.verdict is not Verdict.PASS] == [GateName.HOLDOUT]
    [told] = [gate.input for gate in decision.gates if gate.gate is GateName.HOLDOUT]
    assert told["bucket"] == bucket("holdout", "bread", who) < told["held_below"] == 2000
    assert told["buckets"] == BUCKETS
    # Whatever else stands in the way comes first, so that they compare with those who were messaged.
    decision = decide(campaign, moment(recipient=replace(ANA, id=who, channels=frozenset())), NOW)
    assert decision.reason is Reason.NO_ADDRESS
    assert list(GateName)[-1] is GateName.HOLDOUT


def test_control_group_and_switchback_have_reasons_of_their_own():
    control = Control(10)
    who = one_of(Group.GLOBAL_CONTROL, None, control)
    decision = decide(BREAD, moment(recipient=replace(ANA, id=who), control=control), NOW)
    assert decision.reason is Reason.GLOBAL_CONTROL
    campaign = replace(BREAD, experiment=Experiment("bread", switchback=Switchback(3600, 0)))
    hours = [NOW + timedelta(hours=hours) for hours in (0, 1)]
    reasons = [decide(campaign, moment(event=event(at)), at).reason for at in hours]
    assert reasons == [Reason.OK, Reason.SWITCHED_OFF]


def test_each_variant_says_its_own_and_decision_and_message_name_it():
    campaign = replace(BREAD, experiment=Experiment("bread", variants=variants(1, 1)))
    said = set()
    for who in PEOPLE[:20]:
        now = moment(recipient=replace(ANA, id=who))
        decision = decide(campaign, now, NOW)
        message = compose(decision, campaign, now)
        assert message.text == f"Bread {decision.variant}"
        assert message.variant == decision.variant
        said.add(message.text)
    assert said == {"Bread a", "Bread b"}


def test_whoever_cannot_be_told_one_variant_is_told_none():
    named = (Variant("a", 1, "Bread"), Variant("b", 1, "{{ first_name }}"))
    campaign = replace(BREAD, experiment=Experiment("bread", variants=named))
    for who in PEOPLE[:10]:
        decision = decide(campaign, moment(recipient=replace(ANA, id=who, attributes={})), NOW)
        assert decision.reason is Reason.TEXT_REFUSED


FORM = {
    "name": "Bread",
    "trigger": {"event": "enter", "geofences": ["bakery"]},
    "channel": "sms",
    "template": "Fresh bread",
}


def saved(experiment):
    return campaign_of(
        CampaignForm.model_validate(FORM | {"experiment": experiment}), "bread", BREAD.state
    ).experiment


def test_what_is_not_given_takes_its_default_and_is_read_back():
    experiment = saved({"variants": [{"name": "a", "weight": 3}, {"name": "b", "template": "Warm bread"}]})
    assert experiment == Experiment(
        "bread", variants=(Variant("a", 3, "Fresh bread"), Variant("b", 1, "Warm bread"))
    )
    for each in (
        experiment,
        saved({"switchback": {"period_seconds": 86_400, "washout_seconds": 3600}}),
        None,
    ):
        campaign = replace(BREAD, experiment=each)
        assert campaign_from_json(campaign_json(campaign)) == campaign
    stored = campaign_json(BREAD)
    del stored["experiment"]
    assert campaign_from_json(stored) == BREAD


@pytest.mark.parametrize(
    ("experiment", "field"),
    [
        ({}, "experiment"),
        ({"variants": [{"name": "a"}]}, "experiment.variants"),
        ({"variants": [{"name": "a"}, {"name": "a"}]}, "experiment.variants"),
        (
            {"variants": [{"name": "a"}, {"name": "b", "template": "{{"}]},
            "experiment.variants[1].template",
        ),
        (
            {"holdout_percent": 5, "switchback": {"period_seconds": 3600, "washout_seconds": 0}},
            "experiment.switchback",
        ),
        (
            {"switchback": {"period_seconds": 3600, "washout_seconds": 1801}},
            "experiment.switchback.washout_seconds",
        ),
    ],
)
def test_an_experiment_that_breaks_a_rule_is_refused(experiment, field):
    with pytest.raises(InvalidCampaign) as refused:
        saved(experiment)
    assert [error.field for error in refused.value.errors] == [field]


@pytest.mark.parametrize(
    "experiment",
    [
        {"holdout_percent": 91},
        {"holdout_percent": 2.5},
        {"variants": [{"name": "a", "weight": 0}, {"name": "b"}]},
        {"variants": [{"name": "a b"}, {"name": "b"}]},
        {"switchback": {"period_seconds": 60, "washout_seconds": 0}},
        {"holdout": 5},
    ],
)
def test_an_experiment_out_of_its_limits_is_refused(experiment):
    with pytest.raises(ValueError, match="validation error"):
        saved(experiment)
