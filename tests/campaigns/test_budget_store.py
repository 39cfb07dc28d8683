from dataclasses import replace
from datetime import date, timedelta

import pytest
from sqlalchemy import literal, select, text, update

from campaigns.decision_store import forget_subject, record_decision
from campaigns.limits.account import Account
from campaigns.limits.budget import ACCOUNT, Budget, Counted, Key, Used, limit_json, limits_of, owner_of
from campaigns.limits.budget_store import (
    _unsettled,
    has_unsettled,
    lock_counters,
    read_counters,
    settle,
    standing_of,
)
from campaigns.message import MessageState
from campaigns.tables import UNSETTLED, budget_counters, messages
from tests.campaigns.cast import decided
from tests.conftest import MONDAY_NINE

DAY = date(2026, 11, 23)
LIFE, TODAY = Key(owner_of("bread")), Key(owner_of("bread"), "2026-11-23")
ALL_TODAY = Key(ACCOUNT, "2026-11-23")
WANTED = [ALL_TODAY, TODAY, LIFE]


@pytest.fixture
def connection(records):
    with records.writes.begin() as opened:
        yield opened


def decide(connection, cause="fix-1", **more):
    """A message is decided, and reserved where it is counted."""
    counters = lock_counters(connection, WANTED, ["bread"], DAY)
    decision, message = decided(cause, **more)
    record_decision(connection, decision, message, counted=counters.counts(message))
    counters.reserve(message)
    counters.write(connection)
    return message


def used(connection):
    return read_counters(connection, ["bread"], DAY)


def standing(connection, key=LIFE):
    row = connection.execute(
        select(budget_counters).where(budget_counters.c.owner == key.owner, budget_counters.c.day == key.day)
    ).one()
    return row.reserved_messages, row.committed_messages


def test_a_message_is_reserved_by_its_decision_and_committed_once_it_went(connection):
    message = decide(connection)
    assert used(connection) == dict.fromkeys(WANTED, Used(1, message.cost_micros))
    assert message.cost_micros == 80_000
    for state, counts in (
        (MessageState.SENDING, (1, 0)),
        (MessageState.SENT, (0, 1)),
        (MessageState.FAILED, (0, 0)),  # the provider's second thoughts
        (MessageState.DELIVERED, (0, 1)),
    ):
        connection.execute(update(messages).values(state=state.value))
        settle(connection)
        assert not has_unsettled(connection)
        assert settle(connection) == 0
        assert {standing(connection, key) for key in WANTED} == {counts}


@pytest.mark.parametrize("state", [MessageState.FAILED, MessageState.EXPIRED, MessageState.CANCELLED])
def test_what_never_went_is_given_back(connection, state):
    decide(connection)
    connection.execute(update(messages).values(state=state.value))
    assert settle(connection) == 1
    assert used(connection) == dict.fromkeys(WANTED, Used())


def test_a_budget_that_comes_later_counts_what_was_said_before(connection):
    for number, state in enumerate(MessageState):
        decision, message = decided(f"fix-{number}", at=MONDAY_NINE + timedelta(seconds=number))
        record_decision(connection, decision, message)
        connection.execute(update(messages).where(messages.c.id == message.id).values(state=state.value))
    assert used(connection) == {}
    counters = lock_counters(connection, WANTED, ["bread"], DAY)
    assert counters.used[LIFE].messages == 6
    assert standing(connection) == (2, 4)
    connection.execute(update(messages).where(messages.c.state == "due").values(state="cancelled"))
    settle(connection)
    assert standing(connection) == (1, 4)


def test_a_counter_counts_on_while_no_budget_asks_for_it(connection):
    decide(connection, "fix-1")
    counters = lock_counters(connection, [], ["bread"], DAY)
    decision, message = decided("fix-2", at=MONDAY_NINE + timedelta(seconds=1))
    assert counters.counts(message)
    record_decision(connection, decision, message, counted=True)
    counters.reserve(message)
    counters.write(connection)
    assert used(connection)[LIFE].messages == 2


def test_where_no_campaign_asks_nothing_is_made_or_held(connection):
    assert lock_counters(connection, [ALL_TODAY], [], DAY).used == {}
    assert connection.execute(select(budget_counters)).all() == []


def test_who_is_erased_takes_no_reservation_along(connection):
    decide(connection)
    forget_subject(connection, "ana")
    assert used(connection) == dict.fromkeys(WANTED, Used())


def test_a_limit_has_room_up_to_its_last_millionth():
    budget = Budget(messages=2, spend_per_day=240_000)
    [many, spend] = limits_of(owner_of("bread"), budget, DAY, {LIFE: Used(1, 0), TODAY: Used(2, 160_000)})
    assert many.has_room(80_000)
    assert not replace(many, used=2).has_room(0)
    assert spend.has_room(80_000)
    assert not spend.has_room(80_001)
    assert limit_json(spend) == {
        "of": "campaign",
        "campaign": "bread",
        "what": "spend",
        "day": "2026-11-23",
        "limit": "0.24",
        "used": "0.16",
    }


def test_a_day_is_one_of_the_account_s_time_zone():
    late = MONDAY_NINE.replace(hour=22, minute=59)
    assert Account(zone="Europe/Paris").day(late) == DAY
    assert Account(zone="Europe/Paris").day(late + timedelta(minutes=1)) == DAY + timedelta(days=1)
    assert Account(zone="Pacific/Auckland").day(late) == DAY + timedelta(days=1)


def test_what_is_unsettled_is_what_stands_otherwise_than_its_state_says(connection):
    for counted in Counted:
        for state in MessageState:
            row = select(literal(counted.value).label("counted"), literal(state.value).label("state"))
            found = connection.execute(select(text("1")).select_from(row.subquery()).where(UNSETTLED)).first()
            assert (found is not None) == (standing_of(state) is not counted), (counted, state)


def test_settling_looks_at_no_message_that_is_settled(connection):
    message = decide(connection)
    connection.execute(update(messages).values(state="sent", counted="committed"))
    kept = connection.execute(select(messages)).one()._asdict()
    more = [kept | {"id": f"m{number:04}", "event": f"e{number}"} for number in range(3000)]
    connection.execute(messages.insert(), more)
    on_postgresql = connection.dialect.name == "postgresql"
    if on_postgresql:
        connection.execute(text("ANALYZE messages"))
    asked = _unsettled(500).with_for_update(skip_locked=True)
    said = str(asked.compile(connection, compile_kwargs={"literal_binds": True}))
    explain = "EXPLAIN " if on_postgresql else "EXPLAIN QUERY PLAN "
    plan = " ".join(str(row) for row in connection.execute(text(explain + said)))
    assert "ix_messages_unsettled" in plan, plan
    assert settle(connection) == 0
    connection.execute(update(messages).where(messages.c.id == message.id).values(state="failed"))
    assert settle(connection) == 1
