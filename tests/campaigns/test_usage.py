from datetime import date

import pytest

from campaigns.limits.budget import ACCOUNT, Budget, Key, Used, What, owner_of
from campaigns.limits.usage import Standing, Usage, usage_json, usages

TODAY = date(2026, 11, 23)
LIFE = Key(owner_of("bread"))


@pytest.mark.parametrize(
    ("reserved", "committed", "limit", "left", "percent", "alarm"),
    [
        (0, 0, 10, 10, 0.0, None),
        (1, 6, 10, 3, 70.0, None),
        (1, 7, 10, 2, 80.0, 80),
        (0, 7999, 10_000, 2001, 79.9, None),
        (0, 9999, 10_000, 1, 99.9, 80),
        (4, 6, 10, 0, 100.0, 100),
        (5, 10, 10, 0, 150.0, 100),
        (0, 0, 0, 0, 100.0, 100),
    ],
)
def test_what_is_left_and_when_it_alarms(reserved, committed, limit, left, percent, alarm):
    usage = Usage(LIFE, What.MESSAGES, limit, reserved, committed)
    assert (usage.left, usage.percent, usage.alarm) == (left, percent, alarm)


def test_each_limit_that_is_set_is_told_money_as_text():
    budget = Budget(messages=100, spend_per_day=2_500_000)
    day = Key(owner_of("bread"), "2026-11-23")
    standing = {day: Standing(Used(1, 80_000), Used(9, 720_001))}
    life, spent = usages(owner_of("bread"), budget, TODAY, standing)
    assert usage_json(life, told=True) == {
        "what": "messages",
        "per": "life",
        "day": None,
        "limit": 100,
        "reserved": 0,
        "committed": 0,
        "left": 100,
        "percent": 0.0,
        "alarm": None,
    }
    told = usage_json(spent, told=True)
    assert (told["per"], told["day"], told["limit"]) == ("day", "2026-11-23", "2.50")
    assert (told["reserved"], told["committed"], told["left"]) == ("0.08", "0.720001", "1.699999")
    assert list(usages(ACCOUNT, Budget(), TODAY, {})) == []


def test_what_is_withheld_tells_the_limit_alone():
    usage = Usage(LIFE, What.MESSAGES, 10, 0, 9)
    told = usage_json(usage, told=False)
    assert told.keys() == usage_json(usage, told=True).keys()
    assert {name for name, value in told.items() if value is not None} == {"what", "per", "limit"}
