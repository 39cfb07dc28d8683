from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from campaigns.campaign import campaign_from_json, campaign_json, finished_text
from campaigns.content import link_routes
from campaigns.content.click import Opener, judge, opening_of
from campaigns.content.link_store import (
    MAX_CLICKS,
    clicked_among,
    clicks_of,
    forget_subject,
    links_of,
    record_opening,
)
from campaigns.content.links import link_policy
from campaigns.content.short_link import SAMPLE_TOKEN, shortened, targets_of
from campaigns.coupons import store as coupon_store
from campaigns.coupons.coupon import CouponOffer, Pool
from campaigns.decide import decide
from campaigns.decision_store import record_decision
from campaigns.fulfilment import fulfil
from campaigns.tables import clicks, messages, short_links
from campaigns.wording import Wording
from engine.doors.web import speak_problem_json
from tests.campaigns.cast import BREAD, event, moment
from tests.conftest import MONDAY_NINE

NOW = MONDAY_NINE
SHOP = link_policy("shop.example *.deals.example", "https://c.example")
LONG = "https://shop.example/" + "a" * 150
LINKED = replace(
    BREAD, template=f"Bread: {LONG} or x.deals.example/b. Stop: https://c.example/u/abc", short_links=True
)
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1"
DESK = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0 Safari/537.36"
SHORT = f"https://c.example/l/{SAMPLE_TOKEN}"


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("See https://shop.example/a.", f"See {SHORT}."),
        ("(shop.example/a,b)", f"({SHORT})"),
        ("https://shop.example/a https://shop.example/a/b", f"{SHORT} {SHORT}"),
        ("https://c.example/p/abc", "https://c.example/p/abc"),
        ("https://c.example/u/abc", "https://c.example/u/abc"),
        ("us@shop.example", "us@shop.example"),
        ("evil.example", "evil.example"),
        ("Fresh bread until 10.30", "Fresh bread until 10.30"),
    ],
)
def test_a_link_elsewhere_is_shortened_and_the_way_out_is_not(text, short):
    assert shortened(text, SHOP) == short


def test_segments_are_counted_with_the_shortened_text():
    text = finished_text(replace(LINKED, max_segments=1), {}, Wording(SHOP))
    assert text == f"Bread: {SHORT} or {SHORT}. Stop: https://c.example/u/abc"
    assert targets_of(LINKED.template, SHOP) == [LONG, "x.deals.example/b"]


def test_whether_links_are_shortened_is_read_back():
    assert campaign_from_json(campaign_json(LINKED)) == LINKED


@pytest.mark.parametrize(
    ("method", "headers", "after", "others", "opener"),
    [
        ("GET", {"user-agent": PHONE}, 3, [], Opener.READER),
        ("GET", {"user-agent": DESK}, 10, [], Opener.READER),
        ("GET", {"user-agent": DESK}, 9.9, [], Opener.SOON),
        ("HEAD", {"user-agent": PHONE}, 60, [], Opener.HEAD),
        ("GET", {"user-agent": PHONE, "sec-purpose": "prefetch;prerender"}, 60, [], Opener.AHEAD),
        ("GET", {"user-agent": PHONE, "x-purpose": "preview"}, 60, [], Opener.AHEAD),
        ("GET", {}, 60, [], Opener.MACHINE),
        ("GET", {"user-agent": " "}, 60, [], Opener.MACHINE),
        ("GET", {"user-agent": "WhatsApp/2.23.20.0 A"}, 60, [], Opener.MACHINE),
        (
            "GET",
            {"user-agent": "Mozilla/5.0 (Macintosh) facebookexternalhit/1.1 Facebot Twitterbot/1.0"},
            60,
            [],
            Opener.MACHINE,
        ),
        ("GET", {"user-agent": "Mozilla/5.0 (compatible; Googlebot/2.1)"}, 60, [], Opener.MACHINE),
        ("GET", {"user-agent": "curl/8.5.0"}, 60, [], Opener.MACHINE),
        ("GET", {"user-agent": "python-requests/2.32"}, 60, [], Opener.MACHINE),
        ("GET", {"user-agent": "Mozilla/5.0 HeadlessChrome/131.0 Safari/537.36"}, 60, [], Opener.MACHINE),
        ("GET", {"user-agent": PHONE}, 60, [60.9], Opener.BURST),
        ("GET", {"user-agent": PHONE}, 60, [59], Opener.READER),
    ],
)
def test_a_reader_is_told_from_a_machine(method, headers, after, others, opener):
    opening = opening_of(method, headers, NOW + timedelta(seconds=after))
    assert judge(opening, NOW, [NOW + timedelta(seconds=other) for other in others]) is opener


@pytest.fixture
def tokens(records):
    """The tokens of Ana's message with two links, sent at nine."""
    with records.writes.begin() as connection:
        now = moment(event=event(), links=SHOP)
        decision, message = fulfil(connection, decide(LINKED, now, NOW), LINKED, now, NOW)
        record_decision(connection, decision, message)
        assert fulfil(connection, decision, LINKED, now, NOW) == (decision, None)
        connection.execute(update(messages).values(sent_at=NOW))
        held = set(connection.scalars(select(short_links.c.token)))
    found = [
        part.removeprefix("https://c.example/l/").rstrip(".")
        for part in message.text.split()
        if "/l/" in part
    ]
    assert len(set(found)) == len(held) == 2
    assert not held & set(found)
    return found


@pytest.fixture
def browser(records, clock, tokens):
    clock.set(NOW + timedelta(minutes=1))
    app = FastAPI()
    app.include_router(link_routes.router(reads=records.reads, writes=records.writes, now=clock, links=SHOP))
    speak_problem_json(app)
    with TestClient(app, follow_redirects=False) as client:
        client.headers["user-agent"] = PHONE
        yield client


def test_whoever_opens_a_link_is_sent_on_and_a_reader_counts_once(browser, records, clock, tokens):
    first, second = tokens
    answer = browser.get(f"/l/{first}")
    assert (answer.status_code, answer.headers["location"]) == (302, LONG)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    clock.set(NOW + timedelta(minutes=2))
    assert browser.get(f"/l/{second}").headers["location"] == "https://x.deals.example/b"
    assert browser.head(f"/l/{second}").status_code == 302
    with records.writes.begin() as connection:
        [message] = connection.scalars(select(messages.c.id))
        assert clicked_among(connection, [message, "another"]) == {message}
        assert sorted(each["opener"] for each in clicks_of(connection, "ana")) == ["head", "reader", "reader"]
        assert {each["target"] for each in links_of(connection, "ana")} == {LONG, "https://x.deals.example/b"}
        stored = str(connection.execute(select(clicks)).all())
        assert "Mozilla" not in stored
        assert "testclient" not in stored
        forget_subject(connection, "ana")
        assert clicks_of(connection, "ana") == []
    assert browser.get(f"/l/{first}").json()["code"] == "link_unknown"


def test_whoever_opens_every_link_at_once_is_a_machine(browser, records, tokens):
    for token in tokens:
        browser.get(f"/l/{token}")
    with records.reads.connect() as connection:
        assert {each["opener"] for each in clicks_of(connection, "ana")} == {"burst"}
        assert clicked_among(connection, connection.scalars(select(messages.c.id)).all()) == set()


@pytest.mark.parametrize(
    "database_url", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)
def test_links_that_are_opened_at_the_very_same_time_wait_for_each_other(records, tokens):
    openings = [opening_of("GET", {"user-agent": PHONE}, NOW + timedelta(minutes=1))] * 2
    with ThreadPoolExecutor(1) as pool:
        with records.writes.begin() as connection:
            record_opening(connection, tokens[0], openings[0])

            def other():
                with records.writes.begin() as theirs:
                    return record_opening(theirs, tokens[1], openings[1])

            second = pool.submit(other)
            with pytest.raises(TimeoutError):
                second.result(timeout=0.3)
        assert second.result(timeout=10) is Opener.BURST
    with records.reads.connect() as connection:
        assert {each["opener"] for each in clicks_of(connection, "ana")} == {"burst"}


@pytest.mark.parametrize("token", ["A" * 12, "short", "x" * 500, "../../etc", "%00"])
def test_a_link_that_is_none_leads_nowhere(browser, token):
    answer = browser.get(f"/l/{token}")
    assert answer.status_code in (404, 422)
    assert "location" not in answer.headers


def test_a_host_that_may_not_be_linked_any_more_is_closed(records, clock, tokens):
    app = FastAPI()
    only = link_policy("", "https://c.example")
    app.include_router(link_routes.router(reads=records.reads, writes=records.writes, now=clock, links=only))
    speak_problem_json(app)
    answer = TestClient(app, follow_redirects=False).get(f"/l/{tokens[0]}")
    assert (answer.status_code, answer.json()["code"]) == (410, "link_closed")


def test_openings_are_kept_up_to_a_limit(browser, records, tokens):
    with records.writes.begin() as connection:
        link = connection.scalar(select(short_links.c.token).where(short_links.c.target == LONG))
        rows = [
            {"id": str(i), "link": link, "message": "m", "at": NOW, "opener": "machine"}
            for i in range(MAX_CLICKS)
        ]
        connection.execute(clicks.insert(), rows)
    assert browser.get(f"/l/{tokens[0]}").status_code == 302
    with records.reads.connect() as connection:
        assert len(clicks_of(connection, "ana")) == MAX_CLICKS


def test_a_message_may_have_a_coupon_and_short_links(records):
    both = replace(LINKED, template="{{ coupon }}: https://shop.example/a", coupon=CouponOffer("bread"))
    with records.writes.begin() as connection:
        coupon_store.put_pool(connection, Pool("bread", "Bread", 0, None), NOW)
        coupon_store.import_codes(connection, "bread", [(1, "BREAD-1")])
        now = moment(event=event(), links=SHOP)
        _, message = fulfil(connection, decide(both, now, NOW), both, now, NOW)
        assert message.text.startswith("BREAD-1: https://c.example/l/")
        assert SAMPLE_TOKEN not in message.text
