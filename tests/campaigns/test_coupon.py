from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from campaigns.campaign import campaign_from_json, campaign_json, campaign_problems, finished_text
from campaigns.content.languages import Languages, MissingLocale
from campaigns.country_rules import COUNTRY_RULES
from campaigns.coupons import store as coupon_store
from campaigns.coupons.coupon import (
    CouponOffer,
    CouponState,
    Pool,
    PoolFull,
    PoolInUse,
    PoolNotFound,
    code_problem,
    plain_code,
)
from campaigns.coupons.routes import InvalidCsv, codes_of_csv
from campaigns.coupons.store import Wanted
from campaigns.decide import Outcome, decide
from campaigns.decision_store import record_decision
from campaigns.errors import InvalidCampaign
from campaigns.fulfilment import fulfil
from campaigns.gates import Reason
from campaigns.message import MessageState
from campaigns.saving import check_saved
from campaigns.tables import messages
from campaigns.wording import PLAIN, Wording
from engine.coupon_watch import CouponWatch
from geofences.geofence import Kind
from tests.campaigns.cast import ANA, BAKERY, BREAD, event, moment
from tests.conftest import MONDAY_NINE

NOW = MONDAY_NINE
POOL = Pool("bread", "Bread 10%", 2, None)
OFFER = CouponOffer("bread", valid_seconds=86_400)
GIVING = replace(
    BREAD, template="Bread for {{ coupon }} until {{ coupon_until | date: 'day' }}", coupon=OFFER
)


def fill(connection, *codes, pool=POOL):
    coupon_store.put_pool(connection, pool, NOW)
    return coupon_store.import_codes(connection, pool.id, enumerate(codes, start=1))


def wanted(message, subject="ana"):
    return Wanted(message, subject, "bread", "bakery", (), NOW + timedelta(days=1))


def given(connection, cause, campaign=GIVING, **changes):
    """What comes of an event that fits, recorded."""
    now = moment(event=event(cause=cause), **changes)
    told = fulfil(connection, decide(campaign, now, NOW), campaign, now, NOW)
    record_decision(connection, *told)
    return told


def free_codes(connection):
    [stock] = coupon_store.stock_of(connection, [coupon_store.get_pool(connection, "bread")])
    return stock.codes[CouponState.FREE]


@pytest.mark.parametrize("code", ["BREAD-10", "abcd", "A1b2-c3", "1234", "X" * 24])
def test_what_may_be_a_code(code):
    assert code_problem(code) is None


@pytest.mark.parametrize(
    "code",
    ["", "abc", "A--B", "a b c d", "CAFÉ10", "shop.example", "STOP", "UNSUB-SCRIBE", "X" * 25, "-ABCD"],
)
def test_what_may_not(code):
    problem = code_problem(code)
    assert problem
    assert not code or code not in problem


def test_a_code_is_compared_however_it_is_typed():
    assert (
        plain_code("bread-7k2m")
        == plain_code(" BREAD 7K2M ")
        == plain_code("ｂｒｅａｄ７ｋ２ｍ")
        == "BREAD7K2M"
    )


def test_the_lines_of_an_import_are_told_and_no_code_is(records):
    with records.writes.begin() as connection:
        fill(connection, "OTHER-1", pool=replace(POOL, id="other"))
        told = fill(connection, "BREAD-1", "x", "bread1", "BREAD-2", "OTHER-1")
        assert (told.imported, told.known, told.rejected_total) == (2, 0, 3)
        assert [line for line, _ in told.rejected] == [2, 3, 5]
        assert "line 1" in told.rejected[1][1]
        assert not any(code in str(told) for code in ("BREAD", "OTHER-1"))
        again = fill(connection, "BREAD-1", "BREAD-3")
        assert (again.imported, again.known, again.rejected) == (1, 1, ())
        stored = connection.exec_driver_sql("SELECT code, shown FROM coupons").all()
        assert all(each.startswith("$1$") for row in stored for each in row)
        with pytest.raises(PoolNotFound):
            coupon_store.import_codes(connection, "none", [])


def test_a_pool_holds_so_many_codes_and_no_more(records, monkeypatch):
    monkeypatch.setattr(coupon_store, "MAX_POOL_CODES", 3)
    with records.writes.begin() as connection:
        fill(connection, "BREAD-1")
        assert coupon_store.generate_codes(connection, "bread", 2, 8, "X-") == 2
        with pytest.raises(PoolFull, match="holds 3"):
            coupon_store.generate_codes(connection, "bread", 1, 8, "")


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"AAAA\nBBBB\n", [(1, "AAAA"), (2, "BBBB")]),
        (b"\xef\xbb\xbfcode\r\nAAAA\r\n\r\nBBBB\r\n", [(2, "AAAA"), (4, "BBBB")]),
        (b"id;Code\n1;AAAA\n2\n", [(2, "AAAA"), (3, "")]),
        (b'"AAAA"\n', [(1, "AAAA")]),
        (b"\n \ncode\nAAAA\n", [(4, "AAAA")]),
    ],
)
def test_a_csv_file_of_codes(body, found):
    assert list(codes_of_csv(body)) == found


def test_a_line_that_is_too_long_is_named():
    with pytest.raises(InvalidCsv, match="line 1 cannot be read"):
        list(codes_of_csv(b"A" * 131_073 + b"\n"))


@pytest.mark.parametrize("body", [b"", b" \n", b"\xff\xfe", b"a,b\n1,2", b"code\n" + b"AAAA\n" * 50_001])
def test_a_file_that_is_no_list_of_codes_is_refused(body):
    with pytest.raises(InvalidCsv):
        list(codes_of_csv(body))


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"template": "Bread"}, ["template"]),
        (
            {
                "template": {"fr": "Pain", "de": "{{ coupon }}"},
                "languages": Languages("fr", MissingLocale.USE_DEFAULT),
            },
            ["template.fr"],
        ),
        ({"coupon": replace(OFFER, fallback="No {{ coupon }}")}, ["coupon.fallback"]),
        ({"coupon": replace(OFFER, fallback={"fr": "Pain"})}, ["coupon.fallback"]),
        ({"coupon": None}, ["template"]),
    ],
)
def test_a_coupon_is_shown_and_only_where_there_is_one(changes, fields):
    assert campaign_problems(GIVING) == ()
    assert [problem.field for problem in campaign_problems(replace(GIVING, **changes))][:1] == fields


def test_a_campaign_with_a_coupon_is_read_back():
    several = replace(GIVING, coupon=replace(OFFER, tags=("paris",), fallback="Bread"))
    assert campaign_from_json(campaign_json(several)) == several
    assert (
        campaign_from_json({name: value for name, value in campaign_json(BREAD).items() if name != "coupon"})
        == BREAD
    )


def test_every_message_has_a_code_of_its_own_and_then_comes_the_fallback(records):
    campaign = replace(GIVING, coupon=replace(OFFER, fallback="Bread, as ever"))
    with records.writes.begin() as connection:
        fill(connection, "BREAD-1", "BREAD-2")
        texts = [given(connection, f"fix-{i}", campaign)[1].text for i in range(3)]
    assert texts == [
        "Bread for BREAD-1 until 24 November",
        "Bread for BREAD-2 until 24 November",
        "Bread, as ever",
    ]


def test_without_a_fallback_an_empty_pool_refuses(records):
    with records.writes.begin() as connection:
        fill(connection)
        decision, message = given(connection, "fix-1")
        assert (decision.outcome, decision.reason, message) == (
            Outcome.REFUSED,
            Reason.COUPONS_EXHAUSTED,
            None,
        )
        over = replace(GIVING, coupon=CouponOffer("gone"))
        assert given(connection, "fix-2", over)[0].reason is Reason.COUPONS_EXHAUSTED


def test_nothing_is_used_up_by_a_refusal_a_replay_a_preview_or_a_text_that_does_not_show_it(records):
    silent = replace(GIVING, template="{% if tier == 'none' %}{{ coupon }}{% endif %}Bread")
    with records.writes.begin() as connection:
        fill(connection, "BREAD-1", "BREAD-2")
        given(connection, "fix-1", recipient=replace(ANA, channels=frozenset()))
        given(connection, "fix-2", silent)
        assert free_codes(connection) == 2
        given(connection, "fix-3")
        assert given(connection, "fix-3")[1] is None
        assert free_codes(connection) == 1
        sample = coupon_store.sample_for(connection, OFFER, NOW)
        assert finished_text(GIVING, {}, Wording(coupon=sample)) == "Bread for SAMPLE- until 24 November"
        assert free_codes(connection) == 1


def test_a_text_that_the_code_makes_too_long_is_refused_and_the_code_stays(records):
    long = replace(GIVING, template="{{ coupon }}" + "x" * 148, max_segments=1)
    with records.writes.begin() as connection:
        fill(connection, "BREAD-1234567")
        assert given(connection, "fix-1", long)[0].reason is Reason.TEXT_REFUSED
        assert free_codes(connection) == 1


@pytest.mark.parametrize(
    ("state", "provider_id", "back"),
    [
        (MessageState.CANCELLED, None, 1),
        (MessageState.EXPIRED, None, 1),
        (MessageState.FAILED, None, 1),
        (MessageState.FAILED, "SM1", 0),
        (MessageState.UNKNOWN, None, 0),
        (MessageState.UNDELIVERED, "SM1", 0),
        (MessageState.DUE, None, 0),
    ],
)
def test_the_code_of_a_message_that_never_went_is_free_again(records, state, provider_id, back):
    with records.writes.begin() as connection:
        fill(connection, "BREAD-1")
        _, message = given(connection, "fix-1")
        ended = {"state": state.value, "provider_id": provider_id}
        connection.execute(update(messages).where(messages.c.id == message.id).values(ended))
        assert given(connection, "fix-2")[0].outcome is not Outcome.MESSAGE, "a decision looks for none"
        assert coupon_store.give_back(connection, NOW + coupon_store.GIVEN_BACK_WITHIN * 2) == 0
        assert coupon_store.give_back(connection, NOW) == back
        assert (given(connection, "fix-3")[0].outcome is Outcome.MESSAGE) == bool(back)


def test_the_code_of_a_message_that_may_go_again_is_kept_until_it_may_not(records):
    with records.writes.begin() as connection:
        fill(connection, "BREAD-1")
        _, message = given(connection, "fix-1")
        ended = {"state": MessageState.FAILED.value, "reason": Reason.CONFIGURATION.value}
        connection.execute(update(messages).where(messages.c.id == message.id).values(ended))
        assert coupon_store.give_back(connection, message.valid_until - timedelta(seconds=1)) == 0
        assert coupon_store.give_back(connection, message.valid_until) == 1


def test_a_pool_that_is_over_gives_nothing_and_its_end_ends_coupons(records):
    with records.writes.begin() as connection:
        fill(connection, "BREAD-1", "BREAD-2", pool=replace(POOL, expires_at=NOW + timedelta(hours=1)))
        coupon = coupon_store.claim(connection, "bread", wanted("m1"), NOW)
        assert coupon.until == NOW + timedelta(hours=1)
        assert coupon_store.claim(connection, "bread", wanted("m2"), NOW + timedelta(hours=1)) is None


def test_a_code_earned_in_a_catchment_is_good_at_its_store(records):
    around = replace(BAKERY, id="around", kind=Kind.CATCHMENT, store="bakery")
    with records.writes.begin() as connection:
        fill(connection, "BREAD-1")
        given(connection, "fix-1", geofence=around)
        assert coupon_store.coupons_of(connection, "ana")[0]["geofence"] == "bakery"


def test_an_erasure_leaves_a_code_that_nobody_has(records):
    with records.writes.begin() as connection:
        fill(connection, "BREAD-1")
        coupon_store.claim(connection, "bread", wanted("m1"), NOW)
        [told] = coupon_store.coupons_of(connection, "ana")
        assert (told["code"], told["state"]) == ("BREAD-1", "claimed")
        coupon_store.forget_subject(connection, "ana")
        assert coupon_store.coupons_of(connection, "ana") == []
        assert fill(connection, "BREAD-1").known == 1
        assert free_codes(connection) == 0


def test_a_pool_is_deleted_while_nobody_has_a_code_of_it(records):
    with records.writes.begin() as connection:
        fill(connection, "BREAD-1", "BREAD-2")
        coupon_store.claim(connection, "bread", wanted("m1"), NOW)
        with pytest.raises(PoolInUse):
            coupon_store.delete_pool(connection, "bread")
        coupon_store.release(connection, "m1")
        coupon_store.delete_pool(connection, "bread")
        with pytest.raises(InvalidCampaign) as refused:
            check_saved(connection, GIVING, COUNTRY_RULES, PLAIN, NOW)
        assert refused.value.errors[0].field == "coupon.pool"


def test_a_pool_that_runs_low_is_told_once(records, clock, caplog):
    with records.writes.begin() as connection:
        fill(connection, "BREAD-1", "BREAD-2")
        coupon_store.put_pool(connection, replace(POOL, id="over", expires_at=NOW), NOW)
    watch = CouponWatch(records, clock)
    watch.run_once()
    assert watch.low == frozenset()
    with records.writes.begin() as connection:
        coupon_store.claim(connection, "bread", wanted("m1"), NOW)
    watch.run_once()
    watch.run_once()
    assert watch.low == {"bread"}
    assert [record.getMessage() for record in caplog.records if "runs low" in record.getMessage()] == [
        "coupon pool bread runs low; import more codes or generate some"
    ]
