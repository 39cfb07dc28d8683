from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from campaigns.campaign import campaign_json
from campaigns.coupons.coupon import CouponState
from campaigns.decide import compose, decide
from campaigns.decision_store import record_decision
from campaigns.experiments.experiment import NO_CONTROL, Experiment, Group, draw_lot
from campaigns.message import MessageState
from campaigns.reporting import routes as report_routes
from campaigns.reporting.report import ReportPolicy
from campaigns.reporting.store import read_report
from campaigns.store import put_campaign
from campaigns.tables import (
    campaign_versions,
    clicks,
    coupon_pools,
    coupons,
    decisions,
    messages,
    short_links,
)
from consent.store import put_subject
from consent.subject import Device, Subject
from engine.doors.web import speak_problem_json
from geofences import store as geofence_store
from geofences.geofence import Kind
from geofences.sensitive import OVERRIDE
from geofences.tables import visits
from tests.campaigns.cast import ANA, BAKERY, BREAD, event, moment
from tests.campaigns.test_funnel import adds_up
from tests.conftest import MONDAY_NINE

NOW = MONDAY_NINE
MINUTE = timedelta(minutes=1)
TRIED = replace(BREAD, short_links=True, experiment=Experiment("bread", holdout_percent=50))
PEOPLE = [f"person-{number:02}" for number in range(40)]
HELD = {
    who for who in PEOPLE if draw_lot(TRIED.experiment, NO_CONTROL, who, "bakery", NOW).group is Group.HOLDOUT
}


@pytest.fixture
def day(records):
    """Forty people enter the bakery; every second of them comes again within the hour, and one too late."""
    with records.writes.begin() as connection:
        put_campaign(connection, TRIED, NOW)
        geofence_store.put(connection, BAKERY, NOW)
        for number, who in enumerate(PEOPLE):
            put_subject(connection, Subject(who, devices=(Device(f"phone-{number}"),)), NOW)
            now = moment(event=event(cause=who, device=f"phone-{number}"), recipient=replace(ANA, id=who))
            decision = decide(TRIED, now, NOW)
            record_decision(connection, decision, compose(decision, TRIED, now))
            came = NOW + (30 * MINUTE if number % 2 else timedelta(hours=25))
            row = {"id": f"visit-{number}", "subject": who, "device": "sealed", "geofence": "bakery"}
            connection.execute(visits.insert().values(**row, entered_at=came))
        connection.execute(update(messages).values(state=MessageState.DELIVERED.value, sent_at=NOW))
        for message, opener in zip(
            connection.scalars(select(messages.c.id).order_by(messages.c.id)),
            ("reader", "machine"),
            strict=False,
        ):
            about = {"token": f"t-{opener}", "message": message, "subject": "person", "campaign": "bread"}
            link = about | {"target": "https://shop.example", "made_at": NOW}
            connection.execute(short_links.insert().values(link))
            click = {"id": opener, "link": f"t-{opener}", "message": message, "at": NOW, "opener": opener}
            connection.execute(clicks.insert().values(click))
        pool = {"id": "pool", "name": "Pool", "alert_below": 0, "longest_chars": 4, "made_at": NOW}
        connection.execute(coupon_pools.insert().values(pool))
        first = connection.scalar(select(messages.c.id).order_by(messages.c.id).limit(1))
        code = {"code": "sealed", "shown": "sealed", "pool": "pool", "number": 1, "message": first}
        connection.execute(coupons.insert().values(code | {"state": CouponState.REDEEMED.value}))
    return records


def test_a_report_is_read_with_visits_and_adds_up(day):
    with day.reads.connect() as connection:
        found = read_report(connection, TRIED, ReportPolicy(least_people=5), NOW, NOW + MINUTE)
        later = read_report(connection, TRIED, ReportPolicy(), NOW + MINUTE, NOW + 2 * MINUTE)
    told = found.json()
    adds_up(told["funnel"])
    steps = {each["step"]: each for each in told["funnel"]}
    assert steps["entered"]["count"] == steps["eligible"]["count"] == len(PEOPLE) == told["people"]
    assert steps["held"]["lost"] == {"holdout": len(HELD)}
    sent = [number for number, who in enumerate(PEOPLE) if who not in HELD]
    assert steps["delivered"]["count"] == len(sent)
    assert steps["visited"]["count"] == sum(number % 2 for number in sent)
    assert steps["redeemed"]["count"] == 1
    assert steps["clicked"]["count"] == 1
    assert steps["clicked"]["lost"] == {"not_clicked": len(sent) - 1}
    assert told["cost"]["segments"] == len(sent)
    arms = {each["arm"]: each for each in told["experiment"]["arms"]}
    held = [number for number, who in enumerate(PEOPLE) if who in HELD]
    assert arms["holdout"]["visited"]["count"] == sum(number % 2 for number in held)
    assert [each["hour"] for each in told["by_hour"]] == ["09"]
    assert later.json()["withheld"]


def test_after_an_offer_about_no_place_a_visit_to_any_store_counts(day):
    def visited() -> int:
        told = read_report(connection, TRIED, ReportPolicy(), NOW, NOW + MINUTE).json()
        return next(each["count"] for each in told["funnel"] if each["step"] == "visited")

    with day.writes.begin() as connection:
        at_the_bakery = visited()
        connection.execute(update(decisions).values(geofence=None))
        assert visited() == at_the_bakery
        geofence_store.put(connection, replace(BAKERY, kind=Kind.SITE), NOW)
        assert visited() == 0
        private = replace(BAKERY, properties={OVERRIDE: "its owner"})
        geofence_store.put(connection, private, NOW)
        assert visited() == 0


def test_without_short_links_nothing_is_told_of_clicks(day):
    plain = campaign_json(replace(TRIED, short_links=False))
    with day.writes.begin() as connection:
        connection.execute(update(campaign_versions).values(definition=plain))
        told = read_report(connection, TRIED, ReportPolicy(), NOW, NOW + MINUTE).json()
    [clicked] = [each for each in told["funnel"] if each["step"] == "clicked"]
    assert (clicked["count"], clicked["lost"]) == (0, {"no_link": len(PEOPLE) - len(HELD)})


def test_reports_come_as_json_and_csv(day):
    app = FastAPI()
    app.include_router(report_routes.router(reads=day.reads, now=lambda: NOW, policy=ReportPolicy()))
    speak_problem_json(app)
    with TestClient(app) as client:
        told = client.get("/v1/campaigns/bread/report").json()
        assert (told["campaign"], told["state"], told["withheld"]) == ("bread", "active", False)
        assert not any(who in str(told) for who in PEOPLE)
        asked = client.get("/v1/campaigns/bread/report", params={"format": "csv"})
        accepted = client.get("/v1/campaigns/bread/report", headers={"Accept": "text/csv"})
        assert asked.text == accepted.text
        assert asked.headers["content-type"].startswith("text/csv")
        assert "all,,entered,,,40\r\n" in asked.text
        refused = client.get("/v1/campaigns/bread/report", params={"format": "pdf"})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "format")
        assert client.get("/v1/campaigns/cake/report").status_code == 404
