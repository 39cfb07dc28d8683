from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import inspect

from campaigns.audience.audience import parse_audience
from campaigns.campaign import CampaignState
from campaigns.decide import Outcome, compose, decide
from campaigns.decision_store import (
    decisions_of,
    decisions_page,
    forget_subject,
    outcome_totals,
    record_decision,
)
from campaigns.errors import InvalidCursor
from campaigns.listing import Filters
from campaigns.message import MessageState
from campaigns.message_store import messages_of, messages_page, sent_before, sent_to
from campaigns.paging import write_cursor
from campaigns.store import (
    campaigns_page,
    delete_campaign,
    due_moves,
    get_campaign,
    live_campaigns,
    put_campaign,
    set_state,
)
from campaigns.tables import attempts, messages, metadata
from consent.countries.hours import window_from_json
from tests.campaigns.cast import BREAD, decided, event, moment
from tests.conftest import MONDAY_NINE

NOW = MONDAY_NINE
HOUR = timedelta(hours=1)
FULL = replace(
    BREAD,
    version=2,
    audience=parse_audience({"any": [{"attribute": "tier", "in": ["gold", 1, True]}]})[0],
    windows=(window_from_json({"days": ["mon"], "from": "22:00", "to": "02:00"}),),
    starts_at=NOW - HOUR,
    ends_at=NOW + timedelta(days=30, microseconds=1),
)


@pytest.fixture
def connection(records):
    with records.writes.begin() as connection:
        yield connection


def record(connection, *causes, at=NOW, subject="ana", campaign=BREAD):
    for cause in causes:
        assert record_decision(connection, *decided(cause, at=at, subject=subject, campaign=campaign))


def test_a_campaign_comes_back_as_it_was_saved(connection):
    for campaign in (BREAD, FULL):
        put_campaign(connection, campaign, NOW)
        assert get_campaign(connection, "bread") == campaign
        assert get_campaign(connection, "bread", lock=True) == campaign
    assert get_campaign(connection, "cake") is None
    set_state(connection, "bread", CampaignState.PAUSED, NOW)
    assert get_campaign(connection, "bread") == replace(FULL, state=CampaignState.PAUSED)
    assert delete_campaign(connection, "bread")
    assert not delete_campaign(connection, "bread")


def test_pages_of_campaigns_go_through_all_of_them_once(connection):
    ids = [f"c{number:02d}" for number in range(7)]
    for campaign_id in ids:
        put_campaign(connection, replace(BREAD, id=campaign_id), NOW)
    seen, cursor = [], None
    while True:
        page = campaigns_page(connection, 3, cursor)
        seen += [campaign.id for campaign in page.items]
        if page.next is None:
            break
        cursor = page.next
    assert seen == ids


def test_live_campaigns_come_by_priority(connection):
    for campaign_id, priority, state in [
        ("a", 10, CampaignState.ACTIVE),
        ("b", 90, CampaignState.SCHEDULED),
        ("c", 10, CampaignState.ACTIVE),
        ("d", 99, CampaignState.PAUSED),
        ("e", 99, CampaignState.DRAFT),
        ("f", 99, CampaignState.ENDED),
    ]:
        put_campaign(connection, replace(BREAD, id=campaign_id, priority=priority, state=state), NOW)
    assert [campaign.id for campaign in live_campaigns(connection)] == ["b", "a", "c"]


def test_due_moves_are_those_that_the_clock_asks_for(connection):
    for campaign_id, changes in {
        "starts": {"state": CampaignState.SCHEDULED, "starts_at": NOW},
        "waits": {"state": CampaignState.SCHEDULED, "starts_at": NOW + HOUR},
        "ends": {"state": CampaignState.ACTIVE, "ends_at": NOW},
        "ends-paused": {"state": CampaignState.PAUSED, "ends_at": NOW - HOUR},
        "runs": {"state": CampaignState.ACTIVE, "starts_at": NOW - HOUR, "ends_at": NOW + HOUR},
        "draft": {"state": CampaignState.DRAFT, "starts_at": NOW - HOUR, "ends_at": NOW - HOUR},
    }.items():
        put_campaign(connection, replace(BREAD, id=campaign_id, **changes), NOW)
    moves = {campaign.id: state for campaign, state in due_moves(connection, NOW)}
    assert moves == {
        "starts": CampaignState.ACTIVE,
        "ends": CampaignState.ENDED,
        "ends-paused": CampaignState.ENDED,
    }
    for campaign_id, state in moves.items():
        set_state(connection, campaign_id, state, NOW)
    assert due_moves(connection, NOW) == []


def test_a_decision_and_its_message_come_back_as_they_were(connection):
    decision, message = decided("fix-1")
    assert record_decision(connection, decision, message)
    assert decisions_of(connection, "ana") == [decision]
    assert messages_of(connection, "ana") == [message]


def test_a_replayed_event_is_decided_once(connection):
    decision, message = decided("fix-1")
    assert record_decision(connection, decision, message)
    later = moment(marketing=None, event=event(cause="fix-1"))
    other = decide(BREAD, later, NOW + HOUR)
    assert other.event == decision.event
    assert not record_decision(connection, other, compose(other, BREAD, later))
    assert not record_decision(connection, decision, message)
    assert decisions_of(connection, "ana") == [decision]
    assert messages_of(connection, "ana") == [message]


def test_racing_replays_leave_one_decision_and_one_message(records):
    decision, message = decided("fix-1")

    def replay(_):
        with records.writes.begin() as connection:
            return record_decision(connection, decision, message)

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(replay, range(24)))
    assert sorted(outcomes)[-2:] == [False, True]
    with records.reads.connect() as connection:
        assert decisions_of(connection, "ana") == [decision]
        assert messages_of(connection, "ana") == [message]


def of_bread(connection, since, before=None):
    sent = sent_before(connection, before, since) if before else sent_to(connection, ["ana"], since)["ana"]
    return [each for each in sent if each.campaign == "bread"]


def test_recent_messages_are_those_that_may_have_reached_someone(connection):
    for number, state in enumerate(MessageState):
        at = NOW + number * HOUR
        record(connection, f"fix-{number}", at=at)
        went = {"state": state.value, "sent_at": at}
        connection.execute(messages.update().where(messages.c.created_at == at).values(went))
    record(connection, "other-subject", subject="ben")
    record(connection, "other-campaign", campaign=replace(BREAD, id="cake"))
    counted = [
        NOW + number * HOUR
        for number, state in enumerate(MessageState)
        if state not in (MessageState.FAILED, MessageState.EXPIRED, MessageState.CANCELLED)
    ]
    assert [each.at for each in of_bread(connection, NOW - HOUR)] == counted
    assert [each.at for each in of_bread(connection, NOW)] == counted[1:]
    second = next(message for message in messages_of(connection, "ana") if message.created_at == counted[1])
    others = [counted[0], *counted[2:]]
    assert [each.at for each in of_bread(connection, NOW - HOUR, before=second)] == others
    assert [each.at for each in of_bread(connection, NOW, before=second)] == others[1:]
    connection.execute(messages.update().where(messages.c.created_at > second.created_at).values(state="due"))
    assert [each.at for each in of_bread(connection, NOW - HOUR, before=second)] == counted[:1]
    of_all = sent_to(connection, ["ana", "ben", "zoe"], NOW - HOUR)
    assert {each.campaign for each in of_all["ana"]} == {"bread", "cake"}
    assert [each.geofence for each in of_all["ben"]] == ["bakery"]
    assert of_all["zoe"] == []


@pytest.mark.parametrize(
    ("values", "at"),
    [
        ({"state": "due"}, 900),
        ({"state": "sending"}, 900),
        ({"state": "unknown", "next_at": NOW + timedelta(seconds=70)}, 70),
        ({"state": "unknown", "next_at": NOW + HOUR}, 900),
        ({"state": "sent", "sent_at": NOW + HOUR}, 3600),
    ],
)
def test_a_message_counts_from_when_it_went_or_at_the_latest_will_go(connection, values, at):
    record(connection, "fix-1")
    connection.execute(messages.update().values(values))
    went = NOW + timedelta(seconds=at)
    assert [each.at for each in of_bread(connection, went - timedelta(seconds=1))] == [went]
    assert of_bread(connection, went) == []


def test_history_is_paged_newest_first_and_filtered(connection):
    for number in range(5):
        record(connection, f"fix-{number}", f"twin-{number}", at=NOW + number * HOUR)
    record(connection, "ben", subject="ben", at=NOW + 9 * HOUR)
    for page_of in (decisions_page, messages_page):
        seen, cursor = [], None
        while True:
            page = page_of(connection, Filters(subject="ana"), 3, cursor)
            seen += page.items
            if page.next is None:
                break
            cursor = page.next
        keys = [(getattr(item, "at", None) or item.created_at, item.id) for item in seen]
        assert keys == sorted(keys, reverse=True)
        assert len(set(keys)) == 10
        assert {item.subject for item in seen} == {"ana"}

        def count(page_of=page_of, **filters):
            return len(page_of(connection, Filters(**filters), 200).items)

        assert count() == 11
        assert count(since=NOW + HOUR, until=NOW + 3 * HOUR) == 4
        assert count(event=seen[0].event) == 1
        assert count(campaign="cake") == 0
        assert count(geofence="bakery", subject="ben") == 1


def test_a_made_up_cursor_is_refused(connection):
    twisted = [write_cursor("a"), write_cursor("no date", "x"), write_cursor("a", "b", "c")]
    for cursor in ("", "x", "[]", "é", "AAAA", *twisted):
        with pytest.raises(InvalidCursor):
            decisions_page(connection, Filters(), 5, cursor)


def test_a_forgotten_subject_leaves_nothing(connection):
    record(connection, "fix-1", "fix-2")
    record(connection, "fix-3", subject="ben")
    message = messages_of(connection, "ana")[0]
    connection.execute(attempts.insert().values(message=message.id, number=1, started_at=NOW))
    forget_subject(connection, "ana")
    assert decisions_of(connection, "ana") == []
    assert messages_of(connection, "ana") == []
    assert connection.execute(attempts.select()).all() == []
    assert len(messages_of(connection, "ben")) == 1


def test_outcomes_are_counted(connection):
    record(connection, "fix-1", "fix-2")
    refused = moment(marketing=None, event=event(cause="fix-3"))
    record_decision(connection, decide(BREAD, refused, NOW), None)
    assert outcome_totals(connection) == {"message": 2, "refused": 1}
    assert len(decisions_page(connection, Filters(outcome=Outcome.REFUSED), 9).items) == 1


def test_every_constraint_and_index_has_a_name(records):
    found = inspect(records.writes)
    for table in metadata.sorted_tables:
        assert all(index["name"] for index in found.get_indexes(table.name))
        assert all(unique["name"] for unique in found.get_unique_constraints(table.name))
        assert all(index.name for index in table.indexes)
        assert all(constraint.name for constraint in table.constraints)
