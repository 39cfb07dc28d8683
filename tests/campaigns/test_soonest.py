from datetime import UTC, datetime, timedelta

import pytest

from campaigns.country_rules import CountryRules, Reading
from campaigns.triggers.soonest import soonest
from consent.countries.hours import WEEK, Day, Window
from consent.countries.place import Anywhere
from consent.entry import Channel
from consent.phone import origin_of

SPANISH = Reading(Anywhere(), origin_of("+34600123456"), Channel.SMS)
WEEKEND = Window(frozenset({Day.SAT, Day.SUN}), 10 * 60, 18 * 60)
EVENING = Window(frozenset(WEEK), 19 * 60 + 30, 20 * 60)
FRIDAY = datetime(2026, 11, 27, 19, 30, tzinfo=UTC)
"""20:30 in Madrid, 19:30 on the Canary Islands."""


@pytest.mark.parametrize(
    ("windows", "enforced", "first"),
    [
        ([], True, datetime(2026, 11, 28, 8, 0, tzinfo=UTC)),  # eight o'clock on the islands, too
        ([], False, FRIDAY),
        ([WEEKEND], True, datetime(2026, 11, 28, 10, 0, tzinfo=UTC)),
        ([WEEKEND], False, datetime(2026, 11, 28, 10, 0, tzinfo=UTC)),
        ([EVENING], False, None),  # half an hour that is never the same on both clocks
    ],
)
def test_the_first_minute_at_which_hours_and_rules_are_open(windows, enforced, first):
    rules = CountryRules(enforced=enforced)
    late = FRIDAY + timedelta(days=7)
    assert soonest(windows, rules, SPANISH, FRIDAY, late) == first
    if first is not None and first != FRIDAY:
        assert soonest(windows, rules, SPANISH, FRIDAY, first) is None, "too late"
        assert soonest(windows, rules, SPANISH, FRIDAY, first + timedelta(seconds=1)) == first


def test_where_nobody_knows_the_rules_there_is_no_such_minute():
    nowhere = Reading(Anywhere(), None, Channel.PUSH)
    assert soonest([], CountryRules(), nowhere, FRIDAY, FRIDAY + timedelta(days=7)) is None
    assert (
        soonest([WEEKEND], CountryRules(enforced=False), nowhere, FRIDAY, FRIDAY + timedelta(days=7)) is None
    )
