from dataclasses import replace
from datetime import timedelta

from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import select

from campaigns.decide import compose, decide
from campaigns.decision_store import record_decision
from campaigns.gates import Reason
from campaigns.limits.account import Account
from campaigns.limits.budget import Budget
from campaigns.store import put_campaign
from campaigns.triggers.trigger import Deed, Trigger
from engine.decider import Decider
from engine.facts import House, gather
from geofences import store
from geofences.event import EventKind, Revision
from geofences.tables import visits
from tests.campaigns.cast import BAKERY, BREAD, decided, event
from tests.conftest import MONDAY_NINE
from tests.engine.test_sender import welcome

NOW = MONDAY_NINE


def test_facts_are_what_the_records_hold(records):
    with records.writes.begin() as connection:
        welcome(connection)
        record_decision(connection, *decided("fix-1", at=NOW - timedelta(hours=1)))
        facts = gather(connection, ["ana", "nobody"], [BREAD], NOW)
    now = facts.moment(BREAD, event(), BAKERY, "ana")
    assert now.recipient.attributes == {"first_name": "Ana"}
    assert now.recipient.origin.zones
    assert now.marketing.allowed
    assert now.location.allowed
    assert [sent.at for sent in now.sent] == [NOW - timedelta(minutes=45)]  # at the latest, as it waits
    for stranger in ("nobody", None):
        assert facts.moment(BREAD, event(), BAKERY, stranger).recipient is None


def test_what_was_just_decided_counts(records):
    with records.writes.begin() as connection:
        welcome(connection)
        facts = gather(connection, ["ana"], [BREAD], NOW)
    moment = facts.moment(BREAD, event(), BAKERY, "ana")
    facts.count(compose(decide(BREAD, moment, NOW), BREAD, moment))
    full = facts.moment(BREAD, event(), BAKERY, "ana")
    assert decide(BREAD, full, NOW).reason is Reason.CAP_REACHED


def test_what_no_campaign_of_the_event_asks_for_is_neither_read_nor_held(records):
    calls_off = Trigger(EventKind.ENTER, ("elsewhere",), delay_seconds=600, cancel_if=(Deed.PURCHASE,))
    house = House(account=Account(budget=Budget(messages_per_day=9)))
    decider = Decider(None, records, None, lambda: NOW, house)
    said: list[str] = []
    with records.writes.begin() as connection:
        welcome(connection)
        store.put(connection, BAKERY, NOW)
        put_campaign(connection, replace(BREAD, id="elsewhere", trigger=calls_off), NOW)
        sqlalchemy_event.listen(connection, "before_cursor_execute", lambda *told: said.append(told[2]))
        assert decider.decide_on(connection, [event(cause="1")], {"phone-1": "ana"}) == []
        assert said
        assert not [each for each in said if "budget_counters" in each or "carts" in each]
        put_campaign(connection, BREAD, NOW)
        later = [event(NOW + timedelta(seconds=number), cause=str(number)) for number in (2, 3)]
        decider.decide_on(connection, later[:1], {"phone-1": "ana"})
        assert [each for each in said if each.startswith("INSERT INTO budget_counters")]
        said.clear()
        decider.decide_on(connection, later[1:], {"phone-1": "ana"})
        assert [each for each in said if "budget_counters" in each]
        assert not [
            each for each in said if each.startswith("INSERT INTO budget_counters") or "carts" in each
        ]


def test_visits_are_as_an_event_stands_that_was_told_and_amended_in_one_batch(records):
    decider = Decider(None, records, None, lambda: NOW)

    def told(minute, kind, cause, **changes):
        return event(NOW + timedelta(minutes=minute), kind=kind, cause=cause, **changes)

    exit_told = told(90, EventKind.EXIT, "exit")
    amended = replace(exit_told, at=NOW + timedelta(minutes=30), revision=Revision.AMENDED)
    with records.writes.begin() as connection:
        welcome(connection)
        entered = [told(0, EventKind.ENTER, "first"), told(60, EventKind.ENTER, "second")]
        decider.decide_on(connection, entered, {"phone-1": "ana"})
        decider.decide_on(connection, [exit_told, amended], {"phone-1": "ana"})
        stays = connection.execute(select(visits).order_by(visits.c.entered_at)).all()
    assert [each.ended_by for each in stays] == [exit_told.id, None]
