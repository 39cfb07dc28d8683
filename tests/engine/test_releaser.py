from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from campaigns.campaign import Campaign
from campaigns.decide import decide
from campaigns.decision_store import decisions_of, forget_subject, record_decision
from campaigns.message_store import messages_of
from campaigns.store import delete_campaign, put_campaign
from campaigns.tables import held_moments
from campaigns.triggers import held_store
from campaigns.triggers.trigger import Deed, Trigger
from consent.entry import Action, Purpose
from engine.clock import SetClock
from engine.facts import House, gather
from engine.history import done_since
from engine.records import Records
from engine.releaser import Releaser
from geofences import store, visit_store
from geofences.event import EventKind, PlaceEvent
from tests.campaigns.cast import BAKERY, BREAD, event
from tests.conftest import MONDAY_NINE
from tests.engine.test_sender import say, welcome

NOW = MONDAY_NINE
LATER = replace(
    BREAD, trigger=Trigger(EventKind.ENTER, ("bakery",), delay_seconds=600, cancel_if=(Deed.EXIT,))
)

BEYOND = 10**12
"""Seconds of delay, no form's: no calendar here has an instant so late, so that every judgement fails."""


def happen(connection, told: PlaceEvent) -> None:
    store.add_events(connection, [(told, "ana")], NOW)
    visit_store.follow(connection, {told.id})


@pytest.fixture
def held(records: Records, clock: SetClock) -> Releaser:
    """Ana is in the bakery, and an offer to her waits ten minutes."""
    with records.writes.begin() as connection:
        welcome(connection)
        store.put(connection, BAKERY, NOW)
        put_campaign(connection, LATER, NOW)
        happen(connection, event())
        moment = gather(connection, ["ana"], [LATER], NOW).moment(LATER, event(), BAKERY, "ana")
        decision = decide(LATER, moment, NOW)
        assert record_decision(connection, decision, None)
        held_store.hold(connection, decision, moment.event, NOW + timedelta(seconds=600))
    return Releaser(records, clock, House())


def told(records: Records) -> tuple[str, str, int]:
    """Outcome and reason of the one decision, and how many messages there are."""
    with records.reads.connect() as connection:
        [decision] = decisions_of(connection, "ana")
        return decision.outcome.value, decision.reason.value, len(messages_of(connection, "ana"))


def test_a_moment_waits_and_is_then_decided_once(held: Releaser, records: Records, clock: SetClock):
    clock.advance(seconds=599)
    assert (held.run_once(), told(records)) == (0, ("held", "delayed", 0))
    clock.advance(seconds=1)
    assert (held.run_once(), told(records)) == (1, ("message", "ok", 1))
    assert (held.run_once(), told(records)) == (0, ("message", "ok", 1))


def edited(records: Records, campaign: Campaign) -> None:
    with records.writes.begin() as connection:
        put_campaign(connection, replace(campaign, version=2), NOW)


def test_it_is_decided_by_the_facts_of_then(held: Releaser, records: Records, clock: SetClock):
    clock.advance(seconds=300)
    with records.writes.begin() as connection:
        say(connection, Action.WITHDRAW, Purpose.MARKETING, "ana", at=clock())
    clock.advance(seconds=300)
    held.run_once()
    assert told(records) == ("refused", "consent_withdrawn", 0)


def test_one_that_cannot_be_judged_ends_and_holds_up_no_other(
    held: Releaser, records: Records, clock: SetClock
):
    tea, later = replace(LATER, id="tea"), event(NOW + timedelta(seconds=1))
    with records.writes.begin() as connection:
        put_campaign(connection, tea, NOW)
        happen(connection, later)
        moment = gather(connection, ["ana"], [tea], NOW).moment(tea, later, BAKERY, "ana")
        waiting = decide(tea, moment, NOW)
        assert record_decision(connection, waiting, None)
        held_store.hold(connection, waiting, later, NOW + timedelta(seconds=600))
    edited(records, replace(LATER, trigger=replace(LATER.trigger, delay_seconds=BEYOND)))
    clock.advance(seconds=601)
    assert (held.run_once(), held.run_once(), held.unjudged) == (2, 0, 1)
    with records.reads.connect() as connection:
        became = {each.campaign: each.reason.value for each in decisions_of(connection, "ana")}
        assert became == {"bread": "not_judged", "tea": "ok"}
        assert [each.campaign for each in messages_of(connection, "ana")] == ["tea"]


def test_leaving_calls_it_off(held: Releaser, records: Records, clock: SetClock):
    with records.writes.begin() as connection:
        happen(connection, event(NOW + timedelta(seconds=200), kind=EventKind.EXIT))
    clock.advance(seconds=600)
    held.run_once()
    assert told(records) == ("refused", "called_off", 0)


def test_an_edited_campaign_may_wait_longer_and_a_deleted_one_says_nothing(
    held: Releaser, records: Records, clock: SetClock
):
    edited(records, replace(LATER, trigger=replace(LATER.trigger, delay_seconds=900)))
    clock.advance(seconds=600)
    assert (held.run_once(), told(records)) == (1, ("held", "delayed", 0))
    assert held.run_once() == 0
    with records.writes.begin() as connection:
        delete_campaign(connection, LATER.id)
    clock.advance(seconds=300)
    assert (held.run_once(), told(records)) == (1, ("refused", "campaign_not_active", 0))


def test_it_ends_with_its_event_and_goes_with_its_subject(held: Releaser, records: Records, clock: SetClock):
    with records.writes.begin() as connection:
        held_store.cancel_of_event(connection, event().id, NOW)
    assert told(records) == ("refused", "event_retracted", 0)
    with records.writes.begin() as connection:
        assert held_store.due(connection, NOW + timedelta(days=1), 9) == []


def test_an_erasure_takes_it_along(held: Releaser, records: Records):
    with records.writes.begin() as connection:
        forget_subject(connection, "ana")
        assert connection.execute(select(held_moments)).all() == []


def test_who_has_left_before_the_message_goes_gets_none(held: Releaser, records: Records, clock: SetClock):
    clock.advance(seconds=600)
    held.run_once()
    with records.writes.begin() as connection:
        [message] = messages_of(connection, "ana")
        assert done_since(connection, message, LATER, clock()) == frozenset()
        happen(connection, event(NOW + timedelta(seconds=610), kind=EventKind.EXIT))
        assert done_since(connection, message, LATER, clock()) == {Deed.EXIT}
        assert done_since(connection, message, BREAD, clock()) == frozenset()
        clock.advance(days=7)  # the line was down for so long
        assert done_since(connection, message, LATER, clock()) == {Deed.EXIT}
