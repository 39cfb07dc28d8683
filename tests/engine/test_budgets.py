"""Budgets are watched, and what is used of them can be asked."""

import logging
from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import update

from campaigns.campaign import CampaignState
from campaigns.decision_store import record_decision
from campaigns.limits.account import Account
from campaigns.limits.budget import Budget, What
from campaigns.limits.budget_store import lock_counters
from campaigns.limits.routes import router
from campaigns.message import MessageState
from campaigns.store import put_campaign
from campaigns.tables import messages
from engine import metrics
from engine.budgets import Budgets
from engine.doors.web import speak_problem_json
from engine.facts import House, hold_counters
from tests.campaigns.cast import BREAD, decided
from tests.conftest import MONDAY_NINE as NOW

ACCOUNT = Account(budget=Budget(messages_per_day=20))
LIMITED = replace(BREAD, budget=Budget(messages=10, spend_per_day=1_000_000))
PAUSED = replace(LIMITED, id="cake", state=CampaignState.PAUSED)
MINIMUM = 3


@pytest.fixture
def town(records):
    with records.writes.begin() as connection:
        for campaign in (LIMITED, PAUSED, replace(BREAD, id="tea")):
            put_campaign(connection, campaign, NOW)
    return records


@pytest.fixture
def budgets(town, clock):
    return Budgets(town, ACCOUNT, clock)


def say(records, count, start=0, campaign=LIMITED, *, at=NOW):
    """So many messages, each to somebody else."""
    with records.writes.begin() as connection:
        counters = hold_counters(connection, [campaign], at, House(account=ACCOUNT))
        for number in range(start, start + count):
            decision, message = decided(f"fix-{number}", at=at, campaign=campaign, subject=f"s{number}")
            record_decision(connection, decision, message, counted=counters.counts(message))
            counters.reserve(message)
        counters.write(connection)


def alarms():
    return [metrics.BUDGETS_AT.labels(percent)._value.get() for percent in ("80", "100")]


def told(caplog):
    found = [record.getMessage() for record in caplog.records if record.name == "engine.budgets"]
    caplog.clear()
    return found


def test_every_limit_of_the_account_and_of_live_campaigns_is_watched(town, budgets):
    assert [
        (each.key.owner, each.key.day, each.what, each.limit, each.used) for each in budgets.limits()
    ] == [
        ("account", "2026-11-23", What.MESSAGES, 20, 0),
        ("campaign:bread", "", What.MESSAGES, 10, 0),
        ("campaign:bread", "2026-11-23", What.SPEND, 1_000_000, 0),
    ]
    say(town, 2)
    assert [each.used for each in budgets.limits()] == [2, 2, 160_000]


def test_an_alarm_is_raised_at_80_and_at_100_percent_and_told_once(town, budgets, caplog):
    caplog.set_level(logging.WARNING)
    say(town, 7)
    assert (budgets.alarm(), alarms(), told(caplog)) == ([], [0, 0], [])
    say(town, 1, 7)
    assert [(each.key.owner, each.what, each.used) for each in budgets.alarm()] == [
        ("campaign:bread", What.MESSAGES, 8)
    ]
    assert alarms() == [1, 0]
    assert told(caplog) == ["80 percent of the messages of campaign:bread are used"]
    budgets.alarm()
    assert told(caplog) == []
    say(town, 2, 8)
    assert [each.used for each in budgets.alarm()] == [10, 800_000]
    assert alarms() == [2, 1]
    assert told(caplog) == [
        "80 percent of the spend of campaign:bread are used",
        "100 percent of the messages of campaign:bread are used",
    ]


def test_a_new_day_begins_anew_and_what_was_told_of_the_old_one_is_forgotten(town, budgets, clock, caplog):
    caplog.set_level(logging.WARNING)
    say(town, 10)
    budgets.alarm()
    assert len(told(caplog)) == 3
    clock.set(NOW + timedelta(days=1))
    assert [(each.key.day, each.what) for each in budgets.alarm()] == [("", What.MESSAGES)]
    assert told(caplog) == [], "of a whole life it was told"
    assert {key.day for key, _, _ in budgets._told} == {""}
    say(town, 10, 10, at=clock())
    budgets.alarm()
    assert told(caplog) == ["80 percent of the spend of campaign:bread are used"]


def test_what_never_went_is_given_back_and_the_alarm_ends(town, budgets):
    say(town, 8)
    assert len(budgets.alarm()) == 1
    assert budgets.settle() == 0
    with town.writes.begin() as connection:
        connection.execute(update(messages).values(state=MessageState.EXPIRED.value))
    assert budgets.settle() == 8
    assert (budgets.alarm(), alarms(), budgets.settle()) == ([], [0, 0], 0)


@pytest.fixture
def door(town, clock):
    app = FastAPI()
    speak_problem_json(app)
    app.include_router(router(reads=town.reads, now=clock, account=ACCOUNT, minimum=MINIMUM))
    with TestClient(app) as client:
        yield client


def test_what_is_used_of_budgets_is_listed(town, door):
    say(town, 3)
    with town.writes.begin() as connection:
        first = messages.c.subject == "s0"
        connection.execute(update(messages).where(first).values(state=MessageState.SENT.value))
    Budgets(town, ACCOUNT, lambda: NOW).settle()
    answer = door.get("/v1/budgets").json()
    assert (answer["day"], answer["timezone"], answer["currency"]) == ("2026-11-23", "Europe/Paris", "EUR")
    account, bread, cake = answer["items"]
    day = {"what": "messages", "per": "day", "day": "2026-11-23", "limit": 20}
    used = {"reserved": 2, "committed": 1, "left": 17, "percent": 15.0, "alarm": None}
    assert account == {"of": "account", "campaign": None, "state": None, "limits": [day | used]}
    assert (bread["campaign"], bread["state"], cake["state"]) == ("bread", "active", "paused")
    life, spent = bread["limits"]
    assert (life["per"], life["reserved"], life["committed"], life["left"]) == ("life", 2, 1, 7)
    assert (spent["limit"], spent["reserved"], spent["left"]) == ("1.00", "0.16", "0.76")


def test_what_few_shoppers_used_is_withheld(town, door):
    say(town, 2)
    for item in door.get("/v1/budgets").json()["items"]:
        for limit in item["limits"]:
            assert limit["limit"]
            assert {limit[name] for name in ("reserved", "committed", "left", "percent", "alarm")} == {None}


def test_a_budget_that_nothing_was_reserved_from_yet_counts_what_was_said(town, door):
    with town.writes.begin() as connection:
        lock_counters(connection, [], ["bread"], NOW.date())
        for number in range(4):
            subject = f"s{number}"
            record_decision(connection, *decided(f"fix-{number}", subject=subject, campaign=LIMITED))
    [bread] = door.get("/v1/budgets", params={"campaign": "bread"}).json()["items"]
    assert [limit["reserved"] for limit in bread["limits"]] == [4, "0.32"]


def test_budgets_are_paged_and_asked_for_by_campaign(town, door):
    first = door.get("/v1/budgets", params={"limit": 1}).json()
    assert [item["campaign"] for item in first["items"]] == [None, "bread"], "the account's comes besides"
    last = door.get("/v1/budgets", params={"limit": 1, "cursor": first["next"]}).json()
    assert ([item["campaign"] for item in last["items"]], last["next"]) == (["cake"], None)
    assert door.get("/v1/budgets", params={"campaign": "tea"}).json()["items"] == []
    with town.writes.begin() as connection:
        put_campaign(connection, replace(PAUSED, state=CampaignState.ENDED), NOW)
    assert [item["campaign"] for item in door.get("/v1/budgets").json()["items"]] == [None, "bread"]
    [ended] = door.get("/v1/budgets", params={"campaign": "cake"}).json()["items"]
    assert ended["state"] == "ended"
    assert door.get("/v1/budgets", params={"campaign": "nobody"}).status_code == 404
    assert door.get("/v1/budgets", params={"cursor": "x"}).status_code == 422
