"""Moments that come as time passes: each is decided on once, in turn, whoever dies when."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from sqlalchemy import func, select

from campaigns.campaign import CampaignState
from campaigns.decision_store import decisions_of
from campaigns.listing import Filters
from campaigns.message_store import messages_of
from campaigns.replay_store import replays
from campaigns.store import put_campaign, set_state
from campaigns.tables import carts, decisions, messages
from campaigns.triggers import cart_store, mark_store
from campaigns.triggers.cart import CartEvent, CartStatus, CartWish, Contents
from campaigns.triggers.occasion import Timed
from campaigns.triggers.trigger import Trigger
from consent.entry import Action, Purpose
from engine.clock import SetClock
from engine.facts import House
from engine.records import Records
from engine.watch import Watcher
from tests.campaigns.cast import BREAD
from tests.conftest import MONDAY_NINE
from tests.engine.test_sender import say, welcome

NOW = MONDAY_NINE
PHONES = {"ana": "+33639980001", "ben": "+33639980002", "eve": "+33639980003"}
LEFT = replace(
    BREAD,
    id="left",
    template="Your cart waits",
    trigger=Trigger(Timed.CART, cart=CartWish(50, "EUR", categories=("shoes",), untouched_minutes=30)),
)


@pytest.fixture
def watcher(records: Records, clock: SetClock) -> Watcher:
    """Three shoppers who allow offers and carts, and a campaign for who leaves shoes behind."""
    with records.writes.begin() as connection:
        for subject, phone in PHONES.items():
            welcome(connection, subject, phone)
            say(connection, Action.GRANT, Purpose.CART, subject)
        put_campaign(connection, LEFT, NOW)
    watcher = Watcher(records, clock, House())
    watcher.run_once()
    return watcher


def fill(records: Records, clock: SetClock, subject: str = "ana", **changes) -> None:
    cart = CartEvent(
        subject, CartStatus.FILLED, clock(), 60, "EUR", contents=Contents(("shoe-81",), ("shoes",))
    )
    with records.writes.begin() as connection:
        cart_store.add_cart(connection, replace(cart, **changes), clock())


def reasons(records: Records, subject: str = "ana") -> list[str]:
    with records.reads.connect() as connection:
        return [each.reason.value for each in decisions_of(connection, subject)]


def test_a_cart_is_spoken_of_once_when_it_was_left_for_long_enough(
    watcher: Watcher, records: Records, clock: SetClock
):
    fill(records, clock)
    fill(records, clock, "ben", value=40)
    fill(records, clock, "eve")
    clock.advance(minutes=29)
    assert watcher.run_once() == 0
    fill(records, clock, "eve", status=CartStatus.PURCHASED)
    clock.advance(minutes=1)
    assert (watcher.run_once(), watcher.run_once()) == (3, 0)
    assert (reasons(records), reasons(records, "ben"), reasons(records, "eve")) == (["ok"], [], [])
    with records.reads.connect() as connection:
        [message] = messages_of(connection, "ana")
    assert (message.geofence, message.text) == (None, "Your cart waits")
    fill(records, clock)  # touched again
    clock.advance(minutes=30)
    watcher.run_once()
    assert reasons(records) == ["ok", "cap_reached"]
    assert b"shoe-81" not in b"".join(str(row).encode() for row in all_of(records, carts)), "it is sealed"


def all_of(records: Records, table) -> list:
    with records.reads.connect() as connection:
        return list(connection.execute(select(table)))


def test_a_shop_whose_clock_is_ahead_leaves_no_cart_out(watcher: Watcher, records: Records, clock: SetClock):
    fill(records, clock, at=clock() + timedelta(seconds=90))
    fill(records, clock, "ben", at=clock() + timedelta(seconds=90))
    clock.advance(seconds=60)
    fill(records, clock, "ben", status=CartStatus.PURCHASED)
    clock.advance(minutes=29)
    watcher.run_once()
    assert (reasons(records), reasons(records, "ben")) == (["ok"], [])


def test_a_cart_that_may_be_looked_at_no_more_makes_no_moment(
    watcher: Watcher, records: Records, clock: SetClock
):
    fill(records, clock)
    clock.advance(minutes=1)
    with records.writes.begin() as connection:
        say(connection, Action.WITHDRAW, Purpose.CART, "ana", at=clock())
    clock.advance(minutes=30)
    assert (watcher.run_once(), reasons(records)) == (1, [])


def test_who_is_let_speak_anew_hears_of_what_comes_after(watcher: Watcher, records: Records, clock: SetClock):
    def become(state: CampaignState) -> None:
        with records.writes.begin() as connection:
            set_state(connection, LEFT.id, state, clock())
        watcher.run_once()

    fill(records, clock)
    become(CampaignState.PAUSED)
    with records.reads.connect() as connection:
        assert mark_store.marks(connection) == {}
    clock.advance(minutes=31)
    become(CampaignState.ACTIVE)
    assert reasons(records) == []
    fill(records, clock, "ben")
    clock.advance(minutes=31)
    watcher.run_once()
    assert reasons(records, "ben") == ["ok"]


def test_one_that_cannot_be_judged_is_passed_over(watcher: Watcher, records: Records, clock: SetClock):
    broken = replace(LEFT, id="broken", shelf_life_seconds=10**15)  # no calendar has an instant so late
    for subject in ("ana", "ben"):
        fill(records, clock, subject)
    with records.writes.begin() as connection:
        put_campaign(connection, broken, NOW)
    clock.advance(minutes=30)
    assert (watcher.run_once(), watcher.unjudged, watcher.run_once()) == (2, 2, 0)


def test_every_cart_has_one_reason_whoever_dies_when(
    records: Records, clock: SetClock, watcher: Watcher, tell
):
    """Two watchers that take turns at random and die in the middle of their transactions, or right after them."""
    random, wanted, crashes = Random(11), Counter[str](), 0
    second = replace(LEFT, id="second", priority=90, shelf_life_seconds=3600)
    with records.writes.begin() as connection:
        put_campaign(connection, second, NOW)
    several = [Mortal(records, clock, random) for _ in range(2)]
    for _ in range(25):
        for subject in PHONES:
            if random.random() < 0.5:
                fill(records, clock, subject, cart=f"c-{clock()}")
                wanted.update({LEFT.id: 1, second.id: 1})
        clock.advance(minutes=random.randrange(1, 20))
        for mortal in random.sample(several, 2):
            crashes += mortal.run()
    clock.advance(minutes=31)
    while watcher.run_once():
        pass
    with records.reads.connect() as connection:
        query = select(decisions.c.campaign, func.count()).group_by(decisions.c.campaign)
        assert {row[0]: row[1] for row in connection.execute(query)} == wanted
        query = select(messages.c.campaign, messages.c.event, func.count()).group_by(
            messages.c.campaign, messages.c.event
        )
        assert all(count == 1 for _, _, count in connection.execute(query))
        why = Counter(connection.scalars(select(decisions.c.reason)))
    assert crashes
    assert judged_again(records) == {"same"}
    tell(
        f"{sum(wanted.values())} carts left over {crashes} crashes of the watch, reasons: {dict(sorted(why.items()))}"
    )


def judged_again(records: Records) -> set[str]:
    """How all that was decided compares with what its record comes to."""
    with records.reads.connect() as connection:
        return {each.sameness.value for each in replays(connection, Filters())}


class Died(BaseException):
    """The process ended here."""


class Mortal:
    """A watcher that may die between any two steps."""

    def __init__(self, records: Records, clock: SetClock, random: Random):
        self._random, self._clock = random, clock
        self._watcher = Watcher(records, self._now, House(), self._breakers)

    def run(self) -> int:
        """1 if it died."""
        try:
            self._watcher.run_once()
        except Died:
            return 1
        return 0

    def _now(self):
        self._die()
        return self._clock()

    def _breakers(self):
        self._die()  # in the middle of its transaction
        return {}

    def _die(self):
        if self._random.random() < 0.15:
            raise Died
