from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from campaigns.audience import list_store
from campaigns.audience.audience import parse_audience
from campaigns.campaign import Campaign
from campaigns.decide import decide
from campaigns.decision_store import record_decision
from campaigns.gates import Reason
from campaigns.limits.cap import Sent
from consent.entry import Action, Channel, Purpose
from engine.facts import gather
from engine.reach import reach_of
from engine.records import Records
from geofences import store, visit_store
from geofences.event import EventKind, PlaceEvent
from tests.campaigns.cast import BAKERY, BREAD, decided, event
from tests.conftest import MONDAY_NINE
from tests.engine.test_sender import say, welcome

NOW = MONDAY_NINE
CLINIC = replace(
    BAKERY, id="clinic", properties={"sensitive_override": {"by": "Dr. B", "reason": "own shop"}}
)


def speaking_to(raw: dict[str, Any]) -> Campaign:
    audience, errors = parse_audience(raw)
    assert errors == ()
    return replace(BREAD, audience=audience)


def visit(connection, place: str, at: datetime, subject: str = "ana") -> None:
    for kind, when in ((EventKind.ENTER, at), (EventKind.EXIT, at + timedelta(minutes=20))):
        made = PlaceEvent(f"{subject} {kind} {place} {when}", "p", kind, place, when, when, 1.0)
        store.add_events(connection, [(made, subject)], NOW)
        visit_store.follow(connection, {made.id})


@pytest.fixture
def conn(records: Records):
    """Ana was in the bakery twice, ten and forty days ago, and at the clinic; she got an offer on Friday. Ben was nowhere."""
    with records.writes.begin() as connection:
        welcome(connection)
        welcome(connection, "ben", "+33639980012")
        for subject in ("ana", "ben"):
            say(connection, Action.GRANT, Purpose.PROFILING, subject)
        store.put_many(connection, [BAKERY, CLINIC], NOW)
        for days in (10, 40):
            visit(connection, "bakery", NOW - timedelta(days=days))
        visit(connection, "clinic", NOW - timedelta(days=2))
        record_decision(connection, *decided("fix-0", at=NOW - timedelta(days=3)))
        list_store.put_list(connection, "staff", ["ben", "nobody"], NOW)
        yield connection


@pytest.mark.parametrize(
    ("raw", "inside"),
    [
        ({"visited": {"tags": ["city-centre"], "since_days": 30}}, {"ana"}),
        ({"visited": {"geofences": ["bakery"], "count": {"min": 2}}}, {"ana"}),
        ({"visited": {"geofences": ["bakery"], "since_days": 30, "count": {"min": 2}}}, set()),
        ({"visited": {"geofences": ["clinic"]}}, set()),
        ({"visited": {"any": True, "since_days": 5}}, set()),
        ({"visited": {"any": True, "count": {"max": 0}}}, {"ben"}),
        ({"received": {"campaign": "bread", "since_days": 4}}, {"ana"}),
        ({"received": {"campaign": "other"}}, set()),
        ({"not": {"received": {"since_seconds": 3600}}}, {"ana", "ben"}),
        ({"list": "staff"}, {"ben"}),
        ({"all": [{"not": {"list": "staff"}}, {"visited": {"any": True}}]}, {"ana"}),
    ],
)
def test_whom_a_campaign_speaks_to_by_what_they_did(conn, raw, inside):
    campaign = speaking_to(raw)
    facts = gather(conn, ["ana", "ben"], [campaign], NOW)
    moments = {subject: facts.moment(campaign, event(), BAKERY, subject) for subject in ("ana", "ben")}
    reasons = {subject: decide(campaign, moment, NOW).reason for subject, moment in moments.items()}
    assert {subject for subject, reason in reasons.items() if reason is not Reason.NOT_IN_AUDIENCE} == inside
    found = reach_of(conn, campaign, NOW)
    assert (found.subjects, found.examined, found.in_audience) == (2, 2, len(inside))
    assert found.reachable == len(inside)


def test_reach_counts_whom_an_offer_may_reach(conn):
    say(conn, Action.WITHDRAW, Purpose.MARKETING, "ana", at=NOW)
    everyone = reach_of(conn, BREAD, NOW)
    assert (everyone.in_audience, everyone.reachable) == (2, 1)
    say(conn, Action.WITHDRAW, Purpose.PROFILING, "ben", at=NOW)
    chosen = reach_of(conn, speaking_to({"visited": {"any": True, "count": {"max": 0}}}), NOW)
    assert (chosen.in_audience, chosen.reachable) == (0, 0), "ben is not looked at for what he did"
    on_list = reach_of(conn, speaking_to({"list": "staff"}), NOW)
    assert (on_list.in_audience, on_list.reachable) == (1, 1)
    assert reach_of(conn, replace(BREAD, channel=Channel.PUSH), NOW).reachable == 0


def test_a_message_made_since_counts_as_received(conn):
    campaign = speaking_to({"received": {"campaign": "cake"}})
    facts = gather(conn, ["ben"], [campaign], NOW)
    assert facts.moment(campaign, event(), BAKERY, "ben").past.times.popitem()[1] == 0
    facts._known["ben"].sent.append(Sent(NOW, "e", "cake", None, Channel.SMS))
    assert facts.moment(campaign, event(), BAKERY, "ben").past.times.popitem()[1] == 1


def test_lists_go_with_their_subject(conn):
    assert list_store.sizes(conn) == {"staff": 1}, "who is not known is left out"
    list_store.put_list(conn, "staff", ["ana", "ben"], NOW)
    list_store.forget_subject(conn, "ben")
    assert list_store.lists_of(conn, ["ana", "ben"], ["staff"]) == {"ana": {"staff"}, "ben": frozenset()}
    assert list_store.delete_list(conn, "staff")
    assert not list_store.delete_list(conn, "staff")


@pytest.mark.parametrize(
    "database_url", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)
def test_a_list_that_is_put_twice_at_once_holds_what_the_later_one_said(records: Records):
    with records.writes.begin() as connection:
        for subject, phone in (("ana", "+33639980010"), ("ben", "+33639980012")):
            welcome(connection, subject, phone)

    def put(members):
        with records.writes.begin() as other:
            return list_store.put_list(other, "vip", members, NOW)

    with ThreadPoolExecutor(1) as pool:
        with records.writes.begin() as connection:
            list_store.put_list(connection, "vip", ["ana"], NOW)
            later = pool.submit(put, ["ben"])
            with pytest.raises(TimeoutError):
                later.result(timeout=0.3)
        assert later.result(timeout=10) == (1, 0)
    with records.reads.connect() as connection:
        assert list_store.lists_of(connection, ["ana", "ben"], ["vip"]) == {
            "ana": frozenset(),
            "ben": {"vip"},
        }


def test_few_are_not_spoken_to_by_conduct_and_small_counts_are_withheld(client: TestClient):
    people = [f"s{number:02d}" for number in range(11)]
    for subject in people:
        client.put(f"/v1/subjects/{subject}", json={"attributes": {}}).raise_for_status()
    body = {"trigger": {"event": "enter", "any": True}, "name": "x", "channel": "sms", "template": "Hello"}
    refused = client.put("/v1/campaigns/few", json=body | {"audience": {"list": "vip"}})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "audience"
    put = client.put("/v1/lists/vip", json={"subjects": [*people[:9], "stranger"]}).raise_for_status()
    assert put.json() == {"list": "vip", "subjects": None, "unknown": None}
    assert client.get("/v1/lists").json()["items"] == [{"list": "vip", "subjects": None}]
    client.put("/v1/campaigns/few", json=body | {"audience": {"list": "vip"}}).raise_for_status()
    reach = client.post("/v1/campaigns/few/reach").raise_for_status().json()
    assert (reach["in_audience"], reach["reachable"], reach["minimum"]) == (None, None, 10)
    small = client.post("/v1/campaigns/few/activate")
    assert (small.status_code, small.json()["code"]) == (409, "audience_too_small")
    put = client.put("/v1/lists/vip", json={"subjects": [*people, "stranger"]}).raise_for_status()
    assert put.json() == {"list": "vip", "subjects": 11, "unknown": 1}
    reach = client.post("/v1/campaigns/few/reach").json()
    assert (reach["in_audience"], reach["reachable"], reach["estimated"]) == (11, None, False)
    client.post("/v1/campaigns/few/activate").raise_for_status()
    narrowed = client.put("/v1/campaigns/few", json=body | {"audience": {"visited": {"any": True}}})
    assert narrowed.json()["code"] == "audience_too_small"
    fewer = client.put("/v1/lists/vip", json={"subjects": people[:9]})
    assert (fewer.status_code, fewer.json()["code"]) == (409, "audience_too_small")
    assert client.get("/v1/lists").json()["items"] == [{"list": "vip", "subjects": 11}], "nothing was changed"
    named = client.delete("/v1/lists/vip")
    assert (named.status_code, named.json()["code"]) == (409, "list_in_use")
    assert "few" in named.json()["detail"]
    client.post("/v1/campaigns/few/end").raise_for_status()
    assert client.delete("/v1/lists/vip").status_code == 204
    assert client.delete("/v1/lists/vip").status_code == 404
    assert client.put("/v1/lists/vip", json={"subjects": []}).status_code == 422
