"""The verdicts on a fleet of beacons."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofences.fleet import K_PHONES, NOTHING_HEARD, Figures, Verdict, judge, shown_phones

WELL = Figures(
    hearings=900,
    first_at=0.0,
    last_at=9e5,
    hours=40,
    place_hours=50,
    battery_mv=2950.0,
    phones=60,
    near_phones=50,
)


def verdicts(**change: object) -> list[Verdict]:
    figures = {name: getattr(WELL, name) for name in WELL.__slots__} | change
    return [finding.verdict for finding in judge(Figures(**figures))]


def test_one_that_is_well_or_never_heard_has_no_verdict():
    assert judge(WELL) == judge(NOTHING_HEARD) == ()


def test_a_low_battery_is_told_with_its_figure():
    [finding] = judge(Figures(hearings=3, battery_mv=2210.4))
    assert (finding.verdict, finding.evidence) == (Verdict.BATTERY_LOW, {"battery_mv": 2210})
    assert "2210 mV" in finding.reason


@pytest.mark.parametrize(
    ("change", "silent"),
    [
        ({"quiet_hours": 3}, False),  # an hour or three without it may be chance
        ({"quiet_hours": 5}, True),
        ({"quiet_hours": 5, "hours": 20}, False),  # it was never heard so regularly
        ({"quiet_hours": 20, "hours": 20}, True),
        ({"quiet_hours": 30, "hours": 11, "place_hours": 11}, False),  # too new to know
        ({"quiet_hours": 0}, False),  # the place is closed, or nobody comes: others are silent as well
    ],
)
def test_silent_is_who_was_heard_regularly_and_is_not_while_others_are(change, silent):
    assert verdicts(**change) == [Verdict.SILENT] * silent


@pytest.mark.parametrize(
    ("near", "far", "changes", "expected"),
    [
        (50, 4, 9, []),
        (0, 5, 0, [Verdict.MOVED]),
        (3, 40, 1, [Verdict.MOVED]),
        (20, 40, 1, []),  # carried away today: the old place still counts
        (50, 40, 1, []),
        (50, 5, 4, [Verdict.CLONED]),
        (4, 50, 9, [Verdict.MOVED]),
        (4, 10, 9, []),
    ],
)
def test_moved_is_heard_elsewhere_only_and_cloned_is_heard_in_both_places(near, far, changes, expected):
    assert verdicts(near_phones=near, far_phones=far, changes=changes, far_m=812.0) == expected


counts = st.integers(0, 12)


@given(counts, counts, counts)
def test_no_word_on_where_a_beacon_is_rests_on_few_phones(near: int, far: int, changes: int):
    found = judge(Figures(near_phones=near, far_phones=far, changes=changes, far_m=2000.0))
    for finding in found:
        assert finding.evidence["far_phones"] >= K_PHONES
        assert finding.evidence.get("near_phones", K_PHONES) >= K_PHONES


def test_few_phones_are_not_counted_aloud():
    assert [shown_phones(count) for count in (0, 4, 5, 60)] == [None, None, 5, 60]
