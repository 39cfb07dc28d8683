import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from campaigns.coupons import store as coupon_store
from campaigns.coupons.coupon import Pool
from campaigns.coupons.store import Wanted
from campaigns.limits.budget import ACCOUNT
from campaigns.message import message_json
from campaigns.message_store import messages_of_rows
from campaigns.reporting.report import ReportPolicy
from campaigns.tables import budget_counters, coupons, decisions, messages
from engine.app import Engine
from engine.clock import SetClock
from engine.recordings.recorded import Unreadable
from engine.recordings.replay import line
from engine.stories.handset import Handset, Spot
from engine.trials.backtest import Backtest, clear_leftovers, portions, summary
from engine.trials.past_events import Told, events_of_file, made_up_events, recorded_events
from engine.trials.scratch import make_scratch
from engine.trials.trial_runs import NothingToTry, chosen_campaigns, source_of
from geofences.event import EventKind, Revision
from tests.campaigns.cast import event
from tests.conftest import ADMIN_KEY, MONDAY_NINE

BEGIN = MONDAY_NINE
SHOPS = {"bakery": Spot(43.73, 7.42), "cafe": Spot(43.735, 7.43)}
PEOPLE = [f"person-{number:02}" for number in range(12)]
STEP = timedelta(seconds=20)
HOURS_OF_VISITS = (0, 1, 4)
"""After nine; so many times everybody comes to one of the shops."""
CAMPAIGNS = {
    "bread": {
        "name": "Bread",
        "trigger": {"event": "enter", "geofences": ["bakery"]},
        "channel": "sms",
        "template": "unused",
        "cap": [{"max": 1, "per_seconds": 7200}],
        "experiment": {
            "holdout_percent": 20,
            "variants": [
                {"name": "plain", "template": "{{ first_name }}, fresh bread at {{ geofence }}"},
                {"name": "warm", "weight": 2, "template": "{{ first_name }}, warm bread"},
            ],
        },
    },
    "coffee": {
        "name": "Coffee",
        "trigger": {"event": "exit", "any": True},
        "channel": "sms",
        "template": "Come back for a coffee",
        "windows": [{"days": ["mon"], "from": "09:00", "to": "12:00"}],
        "audience": {"attribute": "tier", "in": ["gold"]},
        "priority": 80,
    },
    "later": {
        "name": "Later",
        "trigger": {"event": "enter", "geofences": ["cafe"], "delay_seconds": 70},
        "channel": "sms",
        "template": "Still here?",
    },
    "lunch": {
        "name": "Lunch",
        "trigger": {"event": "dwell", "geofences": ["cafe"]},
        "channel": "sms",
        "template": "Lunch, {{ first_name }}?",
        "cap": [{"max": 2, "per_seconds": 86400}],
    },
}


@pytest.fixture
def shop(settings, clock) -> Iterator["Shop"]:
    opened = Shop(replace(settings, global_control_percent=5), clock)
    yield opened
    opened.close()


class Shop:
    """An engine with two shops, twelve people and three campaigns; `day` lets a day pass."""

    def __init__(self, settings, clock: SetClock) -> None:
        self.clock = clock
        self.engine = Engine(settings, clock)
        self.engine.open()
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        self.client = TestClient(self.engine.web(), base_url="https://offers.example.org", headers=headers)
        self.phones = {who: Handset(f"phone-of-{who}") for who in PEOPLE}
        for name, (lat, lon) in SHOPS.items():
            place = {
                "type": "Feature",
                "properties": {"name": name, "kind": "store", "radius": 40, "dwell_seconds": 120},
                "geometry": {"type": "Point", "coordinates": [lon, lat]},
            }
            self.call("PUT", f"/v1/geofences/{name}", place)
        for number, who in enumerate(PEOPLE):
            subject = {
                "phone": f"+33639980{number:03}",
                "timezone": "Europe/Paris",
                "attributes": {"first_name": f"Ana{number}", "tier": "gold" if number % 2 else "silver"},
                "devices": [{"device": f"phone-of-{who}"}],
            }
            self.call("PUT", f"/v1/subjects/{who}", subject)
            self.consent(who, "location")
            if number:
                self.consent(who, "marketing", "sms")
        for name, said in CAMPAIGNS.items():
            self.call("PUT", f"/v1/campaigns/{name}", said)
            self.call("POST", f"/v1/campaigns/{name}/activate")

    def close(self) -> None:
        self.client.close()
        self.engine.close()

    def call(self, method, path, body=None):
        answer = self.client.request(method, path, json=body)
        assert answer.status_code < 300, answer.json().get("errors")
        return answer.json() if answer.content else None

    def consent(self, who, purpose, channel=None, action="grant") -> None:
        said = {"purpose": purpose, "action": action, "source": "test", "text_version": "v1"}
        self.call("POST", f"/v1/subjects/{who}/consents", said | ({"channel": channel} if channel else {}))

    def day(self) -> None:
        for round_, hours in enumerate(HOURS_OF_VISITS):
            start = BEGIN + timedelta(hours=hours)
            if round_ == 2:
                self.clock.set(start - STEP)
                self.consent(PEOPLE[0], "marketing", "sms")
                self.consent(PEOPLE[1], "marketing", "sms", "withdraw")
                self.consent(PEOPLE[2], "location", action="withdraw")
            for step in range(18):
                self.clock.set(start + step * STEP)
                self.move_all(step, round_)

    def move_all(self, step, round_) -> None:
        """Everybody comes, one step after the other, stays for nine steps and goes away."""
        now, pings = self.clock(), []
        for number, phone in enumerate(self.phones.values()):
            shop = list(SHOPS.values())[(number + round_) % 2]
            inside = number % 3 < step - 2 <= number % 3 + 9
            phone.measure(now, shop if inside else shop.east(250), 8)
            pings += phone.to_send(now)
        answer = self.client.post("/v1/pings", json={"pings": pings})
        assert answer.status_code == 202
        self.engine.settle()


def told_of(records) -> tuple[list[str], list[tuple]]:
    """Every message as the API writes it, and every decision without its gates."""
    with records.reads.connect() as connection:
        rows = connection.execute(select(messages).order_by(messages.c.id)).all()
        said = [json.dumps(message_json(each)) for each in messages_of_rows(connection, rows)]
        columns = [
            decisions.c[name]
            for name in ("id", "campaign", "at", "outcome", "reason", "variant", "version", "subject")
        ]
        decided = connection.execute(select(*columns).order_by(decisions.c.id)).all()
    return said, [tuple(row) for row in decided]


def at_their_time(several):
    """Without those of the campaign that waits."""
    return [each for each in several if "later" not in str(each)]


def backtest(engine) -> Backtest:
    tried = chosen_campaigns(engine.records, [])
    return Backtest(engine.records, engine.settings.vault_keys, engine.settings.data_dir, tried, engine.house)


def test_a_day_tried_out_afterwards_gives_the_messages_that_were_sent(shop, tell):
    shop.day()
    live_said, live_decided = told_of(shop.engine.records)
    until = shop.clock() + STEP
    with shop.engine.records.reads.connect() as connection, backtest(shop.engine) as run:
        tally = run.run(recorded_events(connection, BEGIN - STEP, until))
        said, decided = told_of(run.scratch)
        reports = run.reports(ReportPolicy(least_people=2))
    assert at_their_time(said) == at_their_time(live_said)
    assert at_their_time(decided) == at_their_time(live_decided)
    # What waited is let go at its instant, where the live engine looks once a second, here at every step.
    assert len(said) == len(live_said)
    assert [row[0] for row in decided] == [row[0] for row in live_decided]
    assert sum("Still here?" in each for each in said) > 3
    reasons = {row[4] for row in decided}
    assert {"ok", "holdout", "cap_reached", "no_consent", "consent_withdrawn"} <= reasons
    assert not list(shop.engine.settings.data_dir.glob("backtest-*"))
    sent = sum(report["cost"]["messages"] for report in reports.values())
    assert sent == len(said) > 10
    tell(
        f"backtest equals live: {tally.events} events, {len(decided)} decisions, {len(said)} messages, byte for byte"
    )


def over_http(shop) -> None:
    """The same as a marketer sees it: aggregates, and nothing of anybody."""

    def ask(**body):
        return shop.client.post("/v1/campaigns/bread/backtest", json=body)

    answer = ask(since=(BEGIN - STEP).isoformat())
    assert answer.json()["report"]["people"] >= 10
    assert answer.json()["events"] > 100
    assert not any(who in answer.text for who in PEOPLE)

    def field_of(**body):
        return ask(**body).json()["errors"][0]["field"]

    assert field_of(since="2026-11-24T00:00:00Z", until="2026-11-23T00:00:00Z") == "since"
    assert field_of(since="yesterday") == "since"
    assert field_of(days=3) == "days"
    assert shop.client.post("/v1/campaigns/cake/backtest", json={}).status_code == 404


def told(kind=EventKind.ENTER, seconds=0, **changes) -> Told:
    at = MONDAY_NINE + timedelta(seconds=seconds)
    return Told(event(at, kind=kind, **changes), at)


def test_nobody_occurs_at_two_instants_in_a_portion():
    devices = ["a", "b", "a2", "c", "b"]
    owners = {"a": "ana", "a2": "ana", "b": "ben"}
    block = [told(seconds=number, device=device) for number, device in enumerate(devices)]
    parts = [[each.event.device for each in part] for part in portions(block, owners)]
    assert parts == [["a", "b"], ["a2", "c", "b"]]
    together = [told(device=device, cause=device) for device in ("a", "a2", "b")]
    assert len(list(portions(together, owners))) == 1  # who goes first at one instant is for the judge


def test_what_replay_wrote_is_read_back(tmp_path):
    said = [told().event, told(EventKind.EXIT, 60).event]
    amended = replace(said[1], at=said[1].at - timedelta(seconds=9), revision=Revision.AMENDED)
    retracted = replace(said[0], revision=Revision.RETRACTED, emitted=said[1].emitted)
    file = tmp_path / "events.jsonl"
    file.write_text("".join(map(line, [*said, amended, retracted])))
    found = [each.event for each in events_of_file(file)]
    assert [(each.kind, each.revision, each.at) for each in found] == [
        (each.kind, each.revision, each.at) for each in (*said, amended, retracted)
    ]
    assert (found[2].id, found[3].id) == (found[1].id, found[0].id)
    assert len({each.id for each in found}) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"device":"a","kind":"jump","geofence":"g","at":1,"emitted":1}', "kind must be one of"),
        ('{"device":"a","kind":"retracted","geofence":"g","at":1,"emitted":1}', "with `of`"),
        (
            '{"device":"a","kind":"retracted","of":"enter","geofence":"g","at":1,"emitted":1}',
            "not told before",
        ),
        ('{"device":"a","kind":"enter","geofence":"g","at":1}', "emitted"),
    ],
)
def test_an_events_file_that_is_wrong_is_refused(tmp_path, text, words):
    file = tmp_path / "events.jsonl"
    file.write_text(text)
    with pytest.raises(Unreadable, match=words):
        list(events_of_file(file))


def test_made_up_events_are_the_same_every_time_and_in_order():
    moments = [(EventKind.ENTER, "bakery"), (EventKind.ENTER, "cafe")]

    def make():
        return list(made_up_events(["a", "b"], moments, 100, MONDAY_NINE, timedelta(hours=1)))

    assert make() == make()
    assert len({each.event.id for each in make()}) == 100
    assert [each.at for each in make()] == sorted(each.at for each in make())


def test_a_backtest_needs_campaigns_people_and_places(records):
    with pytest.raises(NothingToTry, match="no campaign cake"):
        chosen_campaigns(records, ["cake"])
    with pytest.raises(NothingToTry, match="no campaign is live"):
        chosen_campaigns(records, [])
    day = MONDAY_NINE, MONDAY_NINE + timedelta(days=1)
    with pytest.raises(NothingToTry, match="nobody is known"):
        source_of(records, [], *day, file=None, made_up=10, length=timedelta(days=1))


def test_the_summary_tells_why_not_when_and_at_what_cost():
    funnel = [
        {"step": "entered", "of": None, "count": 100, "lost": {}},
        {"step": "eligible", "of": "entered", "count": 40, "lost": {"cap_reached": 60}},
        {"step": "held", "of": "eligible", "count": 4, "lost": {"holdout": 4}},
        {"step": "sent", "of": "eligible", "count": 36, "lost": {}},
    ]
    cost = {"messages": 36, "segments": 36, "amount": 2.88, "currency": "EUR"}
    report = {
        "withheld": False,
        "people": 50,
        "funnel": funnel,
        "cost": cost,
        "by_geofence": [],
        "by_variant": [],
    }
    lines = list(summary("bread", report | {"by_hour": [{"hour": "09", "funnel": funnel}]}))
    assert lines == [
        "bread: 100 moments of 50 people",
        "  messages     36 of 40 eligible, 4 held back",
        "  why not      cap_reached 60, holdout 4",
        "  by hour      09 36",
        "  cost         36 messages, 36 segments, 2.88 EUR",
    ]
    assert "nothing is told" in next(iter(summary("bread", {"withheld": True, "minimum_group": 10})))


def test_a_scratch_store_has_codes_free_and_knows_no_budget_or_click_of_later(records, tmp_path):
    with records.writes.begin() as connection:
        coupon_store.put_pool(connection, Pool("bread", "Bread", 0, None), BEGIN)
        coupon_store.import_codes(connection, "bread", [(1, "BREAD-1"), (2, "BREAD-2")])
        for message, at in (("before", BEGIN - STEP), ("after", BEGIN + STEP)):
            about = Wanted(message, "ana", "bread", None, (), BEGIN + timedelta(days=1))
            assert coupon_store.claim(connection, "bread", about, at)
        connection.execute(update(coupons).where(coupons.c.message == "after").values(state="redeemed"))
        row = dict.fromkeys(("reserved_messages", "reserved_micros", "committed_micros"), 0)
        connection.execute(
            budget_counters.insert().values(owner=ACCOUNT, day="", committed_messages=9, **row)
        )
    scratch = make_scratch(records, tmp_path / "vault.keys", tmp_path, [], BEGIN)
    with scratch.writes.begin() as connection:
        kept = connection.execute(select(coupons.c.state, coupons.c.message).order_by(coupons.c.number)).all()
        assert [tuple(row) for row in kept] == [("claimed", "before"), ("free", None)]
        again = Wanted("after", "ana", "bread", None, (), BEGIN + timedelta(days=1))
        assert coupon_store.claim(connection, "bread", again, BEGIN + STEP)
        assert connection.execute(select(budget_counters)).all() == []
    scratch.close()


def test_what_a_killed_backtest_left_is_removed_and_a_running_one_stays(tmp_path):
    left, running = tmp_path / "backtest-left", tmp_path / "backtest-running"
    for folder, hours in ((left, 25), (running, 1)):
        folder.mkdir()
        written = folder / "scratch.sqlite"
        written.write_text("x")
        for path, ago in ((written, hours), (folder, 30)):
            then = (BEGIN - timedelta(hours=ago)).timestamp()
            os.utime(path, (then, then))
    assert clear_leftovers(tmp_path, BEGIN) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["backtest-running"]
