from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from campaigns.arbitration import Because, Claim, rounds, won
from geofences.geofence import Circle
from tests.campaigns.cast import BAKERY, BREAD, event
from tests.conftest import MONDAY_NINE

MALL = replace(BAKERY, id="mall", shape=Circle(7.42, 43.73, 300))
SECOND = timedelta(seconds=1)


def claim(campaign=BREAD, geofence=BAKERY, subject="ana", **of_event):
    place = geofence.id if geofence else "gone"
    return Claim(campaign, event(geofence=place, **of_event), geofence, subject)


@pytest.mark.parametrize(
    ("first", "second", "because"),
    [
        (claim(replace(BREAD, id="z", priority=51)), claim(), Because.PRIORITY),
        (claim(replace(BREAD, id="z", value=0.5)), claim(), Because.VALUE),
        (claim(), claim(replace(BREAD, id="a"), MALL), Because.SMALLEST),
        (claim(), claim(replace(BREAD, id="a"), None), Because.SMALLEST),
        (
            claim(replace(BREAD, id="z"), evidence={"distance_m": 3.0}),
            claim(evidence={"distance_m": 4.0}),
            Because.NEAREST,
        ),
        (claim(evidence={"distance_m": 4.0}), claim(replace(BREAD, id="a")), Because.NEAREST),
        (claim(replace(BREAD, id="a")), claim(), Because.ID),
    ],
)
def test_the_first_difference_decides(first, second, because):
    for both in ([first, second], [second, first]):
        [asked] = rounds(both)
        assert asked == [first, second]
    assert won(first, second).because is because


def test_what_happens_within_a_minute_is_one_moment_and_every_shopper_has_their_own():
    at = [MONDAY_NINE, MONDAY_NINE + 60 * SECOND, MONDAY_NINE + 61 * SECOND, MONDAY_NINE + 122 * SECOND]
    claims = [claim(at=each) for each in at] + [claim(subject="ben", at=MONDAY_NINE + SECOND)]
    for seed in range(5):
        found = list(rounds(Random(seed).sample(claims, len(claims))))
        assert [(each[0].subject, [one.event.at for one in each]) for each in found] == [
            ("ana", at[:2]),
            ("ben", [MONDAY_NINE + SECOND]),
            ("ana", at[2:3]),
            ("ana", at[3:]),
        ]
