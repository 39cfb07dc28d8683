from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.decide import Outcome
from campaigns.gates import Reason
from campaigns.message import MessageState
from campaigns.reporting.funnel import IN_VAIN, KEPT_BACK, OF, Funnel, Happening, Step, fate
from campaigns.reporting.grouping import Group, tell_groups
from tests.conftest import MONDAY_NINE

SENT = Happening("ana", "bakery", MONDAY_NINE, Outcome.MESSAGE, Reason.OK, state=MessageState.DELIVERED)


@pytest.mark.parametrize(
    ("changes", "last", "lost"),
    [
        (
            {"outcome": Outcome.REFUSED, "reason": Reason.CAP_REACHED, "state": None},
            Step.ENTERED,
            "cap_reached",
        ),
        ({"outcome": Outcome.REFUSED, "reason": Reason.HOLDOUT, "state": None}, Step.HELD, "holdout"),
        (
            {"outcome": Outcome.HELD, "reason": Reason.OUTSIDE_WINDOW, "state": None},
            Step.HELD,
            "outside_window",
        ),
        (
            {"outcome": Outcome.REFUSED, "reason": Reason.COUPONS_EXHAUSTED, "state": None},
            Step.ELIGIBLE,
            "coupons_exhausted",
        ),
        ({"state": MessageState.DUE}, Step.ELIGIBLE, "waiting"),
        (
            {"state": MessageState.CANCELLED, "why": Reason.CONSENT_WITHDRAWN},
            Step.ELIGIBLE,
            "consent_withdrawn",
        ),
        ({"state": MessageState.EXPIRED, "why": Reason.TOO_LATE}, Step.ELIGIBLE, "too_late"),
        ({"state": MessageState.FAILED}, Step.ELIGIBLE, "failed"),
        ({"state": MessageState.UNKNOWN}, Step.ELIGIBLE, "outcome_unknown"),
        ({"state": MessageState.SENT}, Step.SENT, "unconfirmed"),
        ({"state": MessageState.UNDELIVERED}, Step.SENT, "undelivered"),
        ({}, Step.DELIVERED, "no_link"),
        ({}, Step.DELIVERED, "no_coupon"),
        ({"clicked": False}, Step.DELIVERED, "not_clicked"),
        ({"redeemed": False}, Step.DELIVERED, "not_redeemed"),
        ({"clicked": True}, Step.CLICKED, "not_visited"),
        ({"state": MessageState.SENT, "clicked": True, "visited": True}, Step.VISITED, "no_coupon"),
    ],
)
def test_each_loss_has_its_reason(changes, last, lost):
    found = fate(replace(SENT, **changes))
    assert max(found.reached, key=list(Step).index) is last
    assert lost in found.lost.values()


happenings = st.builds(
    Happening,
    st.sampled_from([f"person-{number}" for number in range(40)]),
    st.sampled_from(["bakery", "cafe", None]),
    st.just(MONDAY_NINE),
    st.sampled_from(Outcome),
    st.sampled_from(Reason),
    state=st.none() | st.sampled_from(MessageState),
    why=st.none() | st.sampled_from(Reason),
    clicked=st.none() | st.booleans(),
    visited=st.booleans(),
    redeemed=st.none() | st.booleans(),
)


def adds_up(funnel):
    steps = {each["step"]: each for each in funnel}
    for step, of in OF.items():
        lost = sum(steps[step]["lost"].values())
        if step is Step.HELD:
            assert steps[step]["count"] == lost
        else:
            held = steps[Step.HELD]["count"] if step is Step.SENT else 0
            assert steps[of]["count"] == steps[step]["count"] + lost + held


@given(st.lists(happenings, max_size=60))
def test_sums_add_up_whatever_happened(several):
    funnel = Funnel()
    for each in several:
        found = fate(each)
        for step, of in OF.items():  # one reason per loss, and none without a loss
            if of in found.reached and step is not Step.HELD and Step.HELD not in found.reached:
                assert (step in found.reached) != (step in found.lost)
        funnel.add(each)
    adds_up(funnel.json())
    assert funnel.reached[Step.ENTERED] == len(several)


def grouped(*people_of):
    groups = {}
    for number, people in enumerate(people_of):
        group = groups[f"g{number}"] = Group()
        for who in sorted(people):
            group.add(replace(SENT, subject=who), 5)
    return groups


def people(first, last):
    return {f"person-{number:03}" for number in range(first, last)}


def test_a_small_group_goes_into_a_rest_that_does_not_give_it_away():
    found = tell_groups(grouped(people(0, 50), people(50, 60), people(60, 62)), 5)
    # g2 alone would follow from the total, so the smallest of the others goes with it.
    assert (sorted(found.told), found.joined) == (["g0"], 2)
    assert found.rest.reached[Step.ENTERED] == 12


def test_small_groups_that_are_many_people_together_need_no_other():
    found = tell_groups(grouped(people(0, 50), people(50, 53), people(53, 56)), 5)
    assert (sorted(found.told), found.joined) == (["g0"], 2)


def test_the_same_few_people_in_many_groups_are_still_few():
    found = tell_groups(grouped(people(0, 50), people(50, 53), people(50, 53), people(50, 53)), 5)
    assert (sorted(found.told), found.joined) == ([], 4)
    assert tell_groups(grouped(people(0, 3), people(0, 3)), 5).withheld


@given(st.lists(st.sets(st.integers(0, 40), min_size=1, max_size=12), min_size=1, max_size=8))
def test_nothing_that_follows_from_the_figures_is_about_few_people(sets):
    sets = [{f"person-{number:02}" for number in each} for each in sets]
    groups, by_key = grouped(*sets), {f"g{number}": each for number, each in enumerate(sets)}
    found = tell_groups(groups, 5)
    assert all(len(by_key[key]) >= 5 for key in found.told)
    left = set().union(*(each for key, each in by_key.items() if key not in found.told)) if sets else set()
    if found.withheld:
        assert not found.told
    elif left:
        assert len(left) >= 5
        assert found.rest.reached[Step.ENTERED] == sum(
            len(each) for key, each in by_key.items() if key not in found.told
        )
    assert sum(each.people for each in found.told.values()) + (
        found.rest.reached[Step.ENTERED] if found.rest else 0
    ) == (0 if found.withheld else sum(map(len, sets)))


def test_who_is_kept_back_was_eligible():
    for reason in Reason:
        kept = replace(SENT, outcome=Outcome.REFUSED, reason=reason, state=None)
        assert kept.is_eligible == (reason in KEPT_BACK | IN_VAIN)
