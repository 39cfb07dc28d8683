"""Sixteen workers want the codes of one pool: each code goes to one message, and no message goes without while one is left."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from campaigns.coupons import store as coupon_store
from campaigns.coupons.coupon import CouponOffer, Pool
from campaigns.coupons.store import Wanted
from campaigns.decide import decide
from campaigns.decision_store import record_decision
from campaigns.fulfilment import fulfil
from campaigns.tables import coupons
from consent import store as consent_store
from consent.subject import Subject
from engine.records import Records
from tests.campaigns.cast import ANA, BREAD, event, moment
from tests.conftest import MONDAY_NINE

NOW = MONDAY_NINE
WORKERS, CODES, CLAIMANTS = 16, 100, 150
GIVING = replace(BREAD, template="{{ coupon }}", coupon=CouponOffer("race", fallback="none left"))


@pytest.fixture
def races(request: pytest.FixtureRequest) -> int:
    return request.config.getoption("--coupon-races")


def pool_of(records: Records, name: str) -> None:
    with records.writes.begin() as connection:
        coupon_store.put_pool(connection, Pool(name, name, 0, None), NOW)
        coupon_store.generate_codes(connection, name, CODES, 8, "")


def run(work):
    """Every claimant at once, on so many workers that start together."""
    start, turn = threading.Barrier(WORKERS), iter(range(CLAIMANTS))
    taking = threading.Lock()

    def worker(_):
        start.wait()
        done = []
        while True:
            with taking:
                claimant = next(turn, None)
            if claimant is None:
                return done
            done.append(work(claimant))

    with ThreadPoolExecutor(WORKERS) as workers:
        return [each for done in workers.map(worker, range(WORKERS)) for each in done]


def test_a_code_is_claimed_once_and_none_is_left_over(records, races, tell):
    """Every fourth claimant undoes its first claim, as a decision that fails does; its code is free again."""
    backend, twice, over = records.writes.dialect.name, 0, 0
    for race in range(races):
        name = f"pool-{race}"
        pool_of(records, name)

        def one(claimant, name=name):
            until = NOW + timedelta(days=1)
            wanted = Wanted(f"{name}-{claimant}", "ana", "bread", "bakery", (), until)
            if claimant % 4 == 0:
                with records.writes.connect() as connection, connection.begin() as undone:
                    coupon_store.claim(connection, name, wanted, NOW)
                    undone.rollback()
            with records.writes.begin() as connection:
                got = coupon_store.claim(connection, name, wanted, NOW)
            return got.code if got else None

        got = [code for code in run(one) if code is not None]
        # Whoever came while an undone claim held the last code was told there is none; then it is given out now.
        while (late := one(CLAIMANTS + len(got) * 4 + 1)) is not None:
            got.append(late)
        twice += len(got) - len(set(got))
        over += max(0, len(got) - CODES)
        with records.reads.connect() as connection:
            rows = connection.execute(select(coupons.c.message).where(coupons.c.pool == name)).all()
        assert len(got) == len({row.message for row in rows}) == CODES
    tell(
        f"coupon races on {backend}: {races} of {CLAIMANTS} claimants for {CODES} codes, over: {over}, twice: {twice}"
    )
    assert (over, twice) == (0, 0)


def test_messages_that_are_decided_at_once_show_different_codes(records):
    pool_of(records, "race")
    with records.writes.begin() as connection:
        for claimant in range(CLAIMANTS):
            consent_store.put_subject(connection, Subject(id=f"s{claimant}"), NOW)

    def one(claimant):
        now = moment(event=event(cause=str(claimant)), recipient=replace(ANA, id=f"s{claimant}"))
        with records.writes.begin() as connection:
            consent_store.lock_subject(connection, f"s{claimant}")
            decision, message = fulfil(connection, decide(GIVING, now, NOW), GIVING, now, NOW)
            assert record_decision(connection, decision, message)
        return message.text

    texts = run(one)
    shown = [text for text in texts if text != "none left"]
    assert len(texts) == CLAIMANTS
    assert len(shown) == len(set(shown)) == CODES
