"""Webhooks from the row that changes to a real HTTP server."""

import hashlib
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from sqlalchemy import delete, func, insert, select, update

import campaigns.decision_store
import geofences.store
from campaigns.tables import messages
from consent.entry import Action, Purpose
from engine.destination import Destinations, Targets
from engine.events_out import courier, feed, queue, subscription_store
from engine.events_out.change import Wanted
from engine.events_out.courier import TURN, resumed
from engine.events_out.part import EventsOut
from engine.events_out.subscription import SubscriptionState, rotated
from engine.events_out.tables import changes, deliveries, subscriptions
from engine.events_out.triggers import TRIGGERS, _there
from engine.events_out.webhook import PAUSES_SECONDS, new_secret
from engine.outbound import Outbound
from engine.schema import upgrade
from geofences.event import Revision
from geofences.sensitive import SensitivePlaces
from geofences.tables import place_events
from tests.engine.events_out.receiving import NotGenuine, verified
from tests.engine.events_out.shop import SECRET_WORDS, Shop, told
from tests.support.receiver import Reply, receiving


@pytest.fixture
def shop(records, clock):
    return Shop(records, clock)


@pytest.fixture
def crm():
    with receiving() as receiver:
        yield receiver


def rows(shop, table, *where):
    with shop.records.reads.connect() as conn:
        return conn.scalar(select(func.count()).select_from(table).where(*where))


def types(receiver):
    return [each["type"] for each in told(receiver)]


def test_nothing_is_written_down_while_nobody_wants_to_hear(shop):
    shop.knows("ana")
    shop.moves(shop.offers("ana"), "sent")
    shop.visits("ana")
    assert rows(shop, changes) == 0
    assert shop.works() == 0


def test_what_happens_is_told_in_order_and_without_anything_private(shop, crm):
    secret = shop.subscribes(crm)
    shop.knows("ana")
    visit = shop.visits("ana")
    message = shop.offers("ana")
    shop.moves(message, "sending")
    shop.moves(message, "sending")  # no change
    shop.moves(message, "delivered")
    with shop.records.writes.begin() as conn:
        geofences.store.revise_event(conn, replace(visit, revision=Revision.RETRACTED), shop.clock())
    shop.works()
    assert types(crm) == [
        "consent.grant",
        "event.enter",
        "decision.message",
        "message.due",
        "message.sending",
        "message.delivered",
        "event.enter",
    ]
    grant, enter, decision, due, _, delivered, taken_back = (each["data"] for each in told(crm))
    assert (grant["purpose"], grant["action"], grant["subject"]) == ("location", "grant", "ana")
    assert enter["at"] == shop.clock().replace(second=0, minute=59, hour=7).isoformat()
    assert (enter["geofence"], enter["revision"], enter["subject"]) == ("bakery", "said", "ana")
    assert (decision["outcome"], decision["campaign"]) == ("message", "bread")
    assert (due["state"], delivered["state"]) == ("due", "delivered")
    assert taken_back["revision"] == "retracted"
    assert [each["position"] for each in told(crm)] == list(range(1, 8))
    for heard in crm.heard:
        assert verified(secret, heard.headers, heard.body, shop.clock())
        assert not [word for word in SECRET_WORDS if word.encode() in heard.body]
    assert rows(shop, deliveries) == 0
    with shop.records.reads.connect() as conn:
        kept = conn.exec_driver_sql("SELECT url, secrets FROM subscriptions").one()
    assert "example" not in kept[0]
    assert secret not in kept[1]


def test_what_happens_near_a_sensitive_place_or_nowhere_known_is_not_told(shop, crm):
    shop.knows("ana")
    shop.subscribes(crm)
    shop.visits("ana", "by-the-chapel")
    shop.visits("ana", "long-gone")
    shop.visits("ana")
    message = shop.offers("ana")
    with shop.records.writes.begin() as conn:
        conn.execute(update(messages).where(messages.c.id == message).values(geofence="by-the-chapel"))
    shop.moves(message, "sent")
    shop.courier.place()
    with shop.records.writes.begin() as conn:
        conn.execute(
            delete(deliveries).where(deliveries.c.geofence == "bakery", deliveries.c.kind != "event")
        )
    shop.works()
    assert [(each["type"], each["data"]["geofence"]) for each in told(crm)] == [("event.enter", "bakery")]
    assert rows(shop, deliveries) == 0


def test_a_place_that_turns_out_to_be_sensitive_is_not_told_of_any_more(shop, crm):
    shop.knows("ana")
    shop.subscribes(crm)
    shop.visits("ana")
    shop.works()
    with shop.records.writes.begin() as conn:
        [bakery] = geofences.store.get_many(conn, ["bakery"]).values()
        tagged = replace(bakery, tags=(*bakery.tags, "hospital"))
        geofences.store.put(conn, tagged, shop.clock())
    shop.visits("ana")
    shop.works()
    assert types(crm) == ["event.enter"]


def test_where_somebody_was_is_told_only_while_they_allow_it(shop, crm):
    shop.knows("ana")
    shop.subscribes(crm)
    shop.visits("ana")
    shop.moves(shop.offers("ana"), "sent")
    shop.says("ana", Action.WITHDRAW)
    shop.works()
    assert types(crm) == ["message.due", "message.sent", "consent.withdraw"]


def test_an_erasure_takes_what_waits_and_is_told(shop, crm):
    for subject in ("ana", "ben"):
        shop.knows(subject)
    shop.subscribes(crm)
    crm.reply = lambda _: Reply(500)
    for subject in ("ana", "ben"):
        shop.visits(subject)
    shop.works()
    shop.visits("ana")  # not even placed
    with shop.records.writes.begin() as conn:
        campaigns.decision_store.forget_subject(conn, "ana")
        geofences.store.forget_subject(conn, "ana")
        feed.forget_subject(conn, "ana")
    assert rows(shop, deliveries, deliveries.c.subject == "ana") == 0
    crm.reply = lambda _: Reply()
    crm.heard.clear()
    shop.works(hours=1)
    assert sorted((each["type"], each["data"]["subject"]) for each in told(crm)) == [
        ("event.enter", "ben"),
        ("subject.erased", "ana"),
    ]


def test_a_failing_subject_holds_back_only_itself_and_ends_as_a_dead_letter(shop, crm):
    for subject in ("ana", "ben"):
        shop.knows(subject)
    shop.subscribes(crm)
    first, second = shop.visits("ana"), shop.visits("ana")
    shop.visits("ben")
    crm.reply = lambda heard: Reply(500 if first.id in heard.body.decode() else 200)
    shop.works()
    assert [each["data"]["subject"] for each in told(crm)].count("ben") == 1
    shop.works(hours=4 * 24)
    ana = [each for each in crm.heard if '"ana"' in each.body.decode()]
    assert [json.loads(each.body)["data"]["id"] for each in ana] == [first.id] * (len(PAUSES_SECONDS) + 1) + [
        second.id
    ]
    assert len({each.headers["webhook-id"] for each in ana}) == 2
    with shop.records.reads.connect() as conn:
        [letter] = queue.dead_letters(conn, "crm", 0, 10)
    assert (letter.attempts, letter.last_answer, letter.change.ref) == (10, "500", first.id)
    crm.heard.clear()
    crm.reply = lambda _: Reply()
    with shop.records.writes.begin() as conn:
        assert queue.redrive(conn, "crm", [letter.id], shop.clock()) == 1
        assert queue.redrive(conn, "crm", None, shop.clock()) == 0
    shop.works()
    assert [each.headers["webhook-id"] for each in crm.heard] == [letter.id]
    assert rows(shop, deliveries) == 0


def test_dead_letters_are_redriven_in_the_order_of_their_subject(shop, crm):
    shop.knows("ana")
    shop.subscribes(crm)
    visits = [shop.visits("ana").id for _ in range(4)]
    shop.courier.place()
    with shop.records.writes.begin() as conn:
        dead = deliveries.c.ref.in_(visits[:2])
        conn.execute(update(deliveries).where(dead).values(state="dead", next_at=None))
        conn.execute(update(deliveries).where(deliveries.c.ref == visits[2]).values(next_at=shop.clock()))
        queue.redrive(conn, "crm", None, shop.clock())
    shop.works()
    # The one that was being tried goes first, then all in order.
    assert [each["data"]["id"] for each in told(crm)] == [visits[2], visits[0], visits[1], visits[3]]


def test_a_receiver_that_is_away_gets_one_call_at_a_time_and_loses_no_patience(shop, crm):
    crm.reply = lambda _: Reply(503, {"Retry-After": "3600"})
    for number in range(TURN + 5):
        shop.knows(f"s{number}")
    shop.subscribes(crm)
    for number in range(TURN + 5):
        shop.visits(f"s{number}")
    assert shop.works() == TURN + 5 + TURN  # placed, and one turn
    assert shop.courier.run_once() == 0
    shop.clock.advance(seconds=3)
    assert shop.courier.run_once() == 1
    assert shop.subscription().failing == 2
    crm.reply = lambda _: Reply()
    shop.works(hours=2)
    assert rows(shop, deliveries) == 0
    assert shop.subscription().failing == 0


def test_who_answers_gone_is_told_no_more_until_resumed(shop, crm):
    shop.knows("ana")
    shop.subscribes(crm)
    crm.reply = lambda _: Reply(410)
    shop.visits("ana")
    shop.works(hours=1)
    assert len(crm.heard) == 1
    gone = shop.subscription()
    assert (gone.state, gone.because) == (SubscriptionState.DISABLED, "the receiver answered 410 Gone")
    with shop.records.reads.connect() as conn:
        assert subscription_store.in_trouble(conn) == (["crm"], [])
    shop.visits("ana")  # not queued for it
    shop.works()
    assert rows(shop, deliveries) == 1


def test_a_redirect_is_a_failure(shop, crm):
    shop.knows("ana")
    shop.subscribes(crm)
    crm.reply = lambda _: Reply(307, {"Location": f"http://crm.example.org:{crm.port}/elsewhere"})
    shop.visits("ana")
    shop.works()
    assert [each.path for each in crm.heard] == ["/crm"]
    with shop.records.reads.connect() as conn:
        assert conn.scalar(select(deliveries.c.last_answer)) == "307"


def test_a_receiver_that_resolves_to_a_private_address_is_not_called(records, clock):
    shop = Shop(records, clock, Outbound(Destinations(), lambda host, port: ["93.184.216.34", "10.0.0.1"]))
    with receiving() as crm:
        shop.knows("ana")
        shop.subscribes(crm)
        with records.writes.begin() as conn:
            known = subscription_store.get(conn, "crm", lock=True)
            subscription_store.put(conn, replace(known, url="https://crm.example.org/"), new=False)
        shop.visits("ana")
        shop.works()
        with records.reads.connect() as conn:
            assert conn.scalar(select(deliveries.c.last_answer)) == "refused_address"
        assert not crm.heard


def test_a_full_queue_misses_what_comes_and_says_so(shop, crm, monkeypatch):
    monkeypatch.setattr(queue, "QUEUE_LIMIT", 2)
    shop.knows("ana")
    shop.subscribes(crm)
    for _ in range(5):
        shop.visits("ana")
    shop.courier.place()
    missing = shop.subscription()
    assert missing.missed == 3
    with shop.records.writes.begin() as conn:
        assert subscription_store.in_trouble(conn) == ([], ["crm"])
        subscription_store.put(conn, resumed(missing, shop.clock()), new=False)
        assert subscription_store.in_trouble(conn) == ([], [])
    shop.works()
    assert len(crm.heard) == 2


def test_each_subscriber_gets_what_it_wants_and_a_slow_one_holds_up_nobody(shop, crm):
    shop.knows("ana")
    shop.subscribes(crm, "visits", Wanted(frozenset({"event.enter"})))
    shop.subscribes(crm, "elsewhere", Wanted(frozenset({"event"}), geofences=frozenset({"butcher"})))
    shop.subscribes(crm, "sent", Wanted(frozenset({"message.sent"}), campaigns=frozenset({"bread"})))
    shop.visits("ana")
    shop.moves(shop.offers("ana"), "sent")
    shop.works()
    assert sorted((each.path, json.loads(each.body)["type"]) for each in crm.heard) == [
        ("/sent", "message.sent"),
        ("/visits", "event.enter"),
    ]


def test_a_transaction_that_ends_late_is_not_passed_over(shop, crm, database_url):
    """Its change has the smaller number and is committed after a reader has gone past that number."""
    if database_url.startswith("sqlite"):
        pytest.skip("one transaction writes at a time")
    shop.subscribes(crm)
    row = {"kind": "subject", "detail": "erased"}
    with shop.records.writes.connect() as late:
        late.begin()
        late.execute(insert(changes).values(row | {"ref": "late", "subject": "late"}))
        with shop.records.writes.begin() as conn:
            conn.execute(insert(changes).values(row | {"ref": "early", "subject": "early"}))
        shop.works()
        late.commit()
    shop.works()
    assert [(each["data"]["subject"], each["position"]) for each in told(crm)] == [("early", 1), ("late", 2)]
    with shop.records.reads.connect() as conn:
        assert [(each.seq, each.position) for each in feed.read(conn, 0, 10)] == [(2, 1), (1, 2)]


def test_a_table_that_was_made_anew_gets_its_triggers_back_at_the_next_start(shop, crm):
    shop.knows("ana")
    shop.subscribes(crm)
    with shop.records.writes.begin() as conn:
        of = " ON place_events" if conn.dialect.name == "postgresql" else ""
        conn.exec_driver_sql(f"DROP TRIGGER tell_event_1{of}")
        old = (
            "ON place_events BEGIN SELECT 1; END"
            if not of
            else "ON place_events EXECUTE FUNCTION tell_event_1()"
        )
        conn.exec_driver_sql(f"CREATE TRIGGER tell_event_0 AFTER DELETE {old}")
    shop.visits("ana")
    upgrade(shop.records)
    shop.visits("ana")
    shop.works()
    assert types(crm) == ["event.enter"]
    with shop.records.reads.connect() as conn:
        there = {name for name, _ in _there(conn, postgresql=bool(of))}
    assert there == {each.name for each in TRIGGERS}


def test_the_feed_rests_once_nobody_wants_it(shop, crm):
    shop.subscribes(crm)
    with shop.records.writes.begin() as conn:
        assert feed.judge_wanted(conn, shop.clock())
        subscription_store.remove(conn, "crm")
        assert not feed.judge_wanted(conn, shop.clock())
        feed.want(conn, shop.clock())
        assert feed.judge_wanted(conn, shop.clock() + timedelta(hours=23))
        assert not feed.judge_wanted(conn, shop.clock() + timedelta(hours=25))
    shop.knows("ana")
    assert rows(shop, changes) == 0


class Mortal(Outbound):
    """Dies now and then after a call was heard, before anybody could write down that it was."""

    dies = staticmethod(lambda: False)

    async def post_async(self, url, body, headers):
        answer = await super().post_async(url, body, headers)
        if self.dies():
            raise ProcessDied
        return answer


class ProcessDied(Exception):
    pass


def drawn(*of):
    """A number from 0 to 1 that follows from its cause, whatever the threads do."""
    return int.from_bytes(hashlib.sha256(repr(of).encode()).digest()[:4]) / 2**32


class Strain:
    """A receiver that fails, breaks off, or answers and is not heard, and what it has taken, by subject."""

    def __init__(self, seed, clock):
        self.seed, self.clock, self.secret = seed, clock, ""
        self.tries, self.taken, self.forged = {}, {}, []

    def reply(self, heard):
        webhook_id = heard.headers["webhook-id"]
        try:
            assert verified(self.secret, heard.headers, heard.body, self.clock()) == webhook_id
        except NotGenuine:
            self.forged.append(webhook_id)
        self.tries[webhook_id] = number = self.tries.get(webhook_id, 0) + 1
        draw = drawn(self.seed, webhook_id, number)
        if draw < 0.5 or number > 6:
            said = json.loads(heard.body)
            theirs = self.taken.setdefault(said["data"]["subject"], {})
            assert theirs.setdefault(webhook_id, said["position"]) == said["position"]
            return Reply(204)
        return Reply(500 if draw < 0.8 else 0)


def strained(shop, random, strain, size, subjects):
    """Let so many things happen and be delivered, whatever befalls the deliverers; answers how often secrets changed."""
    made, rotations = 0, 0
    with ThreadPoolExecutor(2) as two:
        while made < size or rows(shop, deliveries) or rows(shop, changes, changes.c.position.is_(None)):
            if made < size:
                subject = random.choice(subjects)
                if random.random() < 0.5:
                    shop.says(subject, Action.GRANT, Purpose.PROFILING)
                else:
                    shop.visits(subject)
                made += 1
            if random.random() < 0.1 and (new := rotate(shop)):
                strain.secret = new
                rotations += 1
            if random.random() < 0.05:
                with shop.records.writes.begin() as conn:  # one that dies with what it has taken
                    queue.take(conn, "crm", shop.clock(), 3)
            for work in [two.submit(shop.courier.run_once) for _ in range(2)]:
                with suppress(ProcessDied):
                    work.result()
            shop.clock.advance(seconds=random.choice([1, 30, 2000 if made >= size else 60]))
    return rotations


@pytest.mark.parametrize("seed", range(1))
def test_everything_is_delivered_at_least_once_in_order_whatever_fails(records, clock, seed, request, tell):
    """Receivers that fail, deliverers that die before or after a call, two of them side by side, and secrets that change
    on the way.
    """
    size = request.config.getoption("--webhooks")
    random, subjects = Random(seed), [f"s{number}" for number in range(5)]
    outbound = Mortal(Destinations(Targets.ANY), lambda host, port: ["127.0.0.1"])
    outbound.dies = lambda: random.random() < 0.03
    shop, strain = Shop(records, clock, outbound), Strain(seed, clock)
    with receiving() as crm:
        crm.reply = strain.reply
        strain.secret = shop.subscribes(crm)
        for subject in subjects:
            shop.knows(subject)
        rotations = strained(shop, random, strain, size, subjects)
    assert not strain.forged
    with records.reads.connect() as conn:
        everything = feed.read(conn, 0, 10 * size)
    assert len(everything) == size + len(subjects)
    for subject in subjects:  # every one, first taken in order
        positions = [each.position for each in everything if each.subject == subject]
        assert list(strain.taken[subject].values()) == positions
    repeated = len(crm.heard) - len(strain.tries)
    assert repeated > size / 4
    tell(
        f"webhooks, seed {seed}: {len(everything)} changes, {len(crm.heard)} calls of which {repeated} were repeated, "
        f"{rotations} rotations, none lost, none out of order, no signature refused"
    )


def rotate(shop):
    """The shop's secret changes, while calls signed before are still to be verified; None when too many sign already."""
    new = new_secret()
    with shop.records.writes.begin() as conn:
        known = subscription_store.get(conn, "crm", lock=True)
        secrets = rotated(known.secrets, new, timedelta(days=1), shop.clock())
        if secrets is None:
            return None
        subscription_store.put(conn, replace(known, secrets=secrets), new=False)
    return new


def test_what_waits_behind_a_delivery_that_was_kept_too_long_is_woken(shop, crm):
    for subject in ("ana", "ben"):
        shop.knows(subject)
    shop.subscribes(crm)
    visits = [shop.visits("ana").id for _ in range(3)]
    shop.visits("ben")
    shop.courier.place()
    with shop.records.writes.begin() as conn:
        conn.execute(delete(deliveries).where(deliveries.c.ref == visits[0]))  # as its retention does
    shop.works()
    assert [each["data"]["subject"] for each in told(crm)] == ["ben"]
    part = EventsOut(shop.records, shop.outbound, SensitivePlaces(), shop.clock)
    assert (part.wake(), part.wake()) == (1, 0)
    shop.works()
    assert [each["data"]["id"] for each in told(crm)][1:] == visits[1:]


def test_what_was_queued_for_an_earlier_wish_is_not_told(shop, crm):
    shop.knows("ana")
    shop.subscribes(crm)
    shop.says("ana", Action.GRANT, Purpose.PROFILING)
    visit = shop.visits("ana")
    shop.courier.place()
    with shop.records.writes.begin() as conn:
        known = subscription_store.get(conn, "crm", lock=True)
        less = replace(known, wanted=Wanted(frozenset({"event"})))
        subscription_store.put(conn, less, new=False)
    shop.works()
    assert [each["data"]["id"] for each in told(crm)] == [visit.id]
    assert rows(shop, deliveries) == 0


def test_the_courier_outlives_whatever_goes_wrong_in_a_round(shop, crm, caplog, monkeypatch):
    monkeypatch.setattr(courier, "RETRY_SECONDS", 0.01)
    shop.knows("ana")
    shop.subscribes(crm)
    url = update(subscriptions).where(subscriptions.c.id == "crm")
    sealed = rows_of(shop, select(subscriptions.c.url))
    with shop.records.writes.begin() as conn:
        conn.execute(url.values(url="not sealed"))
    shop.visits("ana")
    stop = threading.Event()
    run = threading.Thread(target=shop.courier.run, args=(stop,))
    run.start()
    try:
        waited(lambda: "(Unsealable)" in caplog.text)
        with shop.records.writes.begin() as conn:
            conn.execute(url.values(url=sealed))
        waited(lambda: crm.heard)
    finally:
        stop.set()
        run.join()
    assert types(crm) == ["event.enter"]


def rows_of(shop, query):
    with shop.records.reads.connect() as conn:
        return conn.scalar(query)


def waited(for_it):
    until = time.monotonic() + 10
    while not for_it():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_rows_of_a_purged_event_are_no_longer_told(shop, crm):
    shop.knows("ana")
    shop.subscribes(crm)
    shop.visits("ana")
    with shop.records.writes.begin() as conn:
        conn.execute(delete(place_events))
    shop.works()
    assert not crm.heard
    assert rows(shop, deliveries) == 0
