from datetime import timedelta

import pytest
from sqlalchemy import select

from consent import store, suppression
from consent.errors import NumberSuppressed
from consent.inbound import InboundPolicy, answer_inbound
from consent.suppression import Because
from consent.tables import suppressions
from tests.consent.cast import ANA, ANAS_PHONE, BEN, minute
from tests.consent.test_routes import ANA as ANAS_BODY
from tests.consent.test_routes import OFFERS, Shop

POLICY = InboundPolicy(brand="Bakery", contact="01 99 00 00 01")


def hear(records, body, at=5, *, sid="SM1", number=ANAS_PHONE):
    with records.writes.begin() as connection:
        return answer_inbound(connection, sid, number, body, None, minute(at), POLICY)


def listed(records, number=ANAS_PHONE):
    with records.reads.connect() as connection:
        return suppression.suppression_of(connection, suppression.mark_of(connection, number))


@pytest.fixture
def shop(records):
    return Shop(records)


@pytest.mark.parametrize("said", ["STOP", "si je réponds arrêt est-ce que je garde ma carte"])
def test_a_stop_from_an_unknown_number_refuses_its_import(shop, said):
    assert hear(shop.records, said).subjects == ()
    assert listed(shop.records) == suppression.Suppression(suppression.Scope.SMS, Because.OPT_OUT, minute(5))
    for written in (ANAS_PHONE, "06 39 98 00 01", "0033639980001"):
        refused = shop.put(**ANAS_BODY | {"phone": written})
        assert (refused.status_code, refused.json()["code"]) == (409, "number_suppressed")
        assert [flaw["field"] for flaw in refused.json()["errors"]] == ["phone"]
        assert "639980001" not in refused.text
    assert shop.http.get("/v1/subjects/ana").status_code == 404
    assert shop.put(**ANAS_BODY | {"phone": None}).status_code == 201  # all the rest may be kept
    assert shop.put(subject="ben", phone="+33639980007").status_code == 201


def test_help_and_other_words_suppress_nothing(records):
    for number, body in enumerate(("HELP", "bus stop", "merci !", "YES")):
        hear(records, body, sid=f"SM{number}")
    assert listed(records) is None


def test_a_subject_that_said_stop_may_be_changed_in_all_other_ways(shop):
    shop.put(**ANAS_BODY)
    hear(shop.records, "STOP")
    assert shop.put(**ANAS_BODY | {"locale": "en"}).status_code == 200
    assert shop.put(subject="twin", **ANAS_BODY | {"devices": []}).status_code == 409


def test_only_her_own_start_takes_a_number_off_the_list(shop):
    shop.put(**ANAS_BODY)
    assert shop.say(**OFFERS).status_code == 201
    hear(shop.records, "STOP")
    refused = shop.say(**OFFERS)
    assert (refused.status_code, refused.json()["code"]) == (409, "number_suppressed")
    assert shop.say(**OFFERS | {"channel": "push"}).status_code == 201
    hear(shop.records, "oui", sid="SM2")  # a mere yes answers a question that nobody asked
    assert listed(shop.records) is not None
    hear(shop.records, "START", sid="SM3")
    assert listed(shop.records) is None
    assert shop.say(**OFFERS).status_code == 201


def test_an_erasure_leaves_the_number_on_the_list_and_nothing_else(shop):
    shop.put(**ANAS_BODY)
    shop.http.delete("/v1/subjects/ana")
    assert listed(shop.records).because is Because.ERASURE
    assert shop.forgotten == ["phone-1"]
    with shop.records.reads.connect() as connection:
        assert store.subjects_with_phone(connection, ANAS_PHONE) == []
        assert store.subject_of_device(connection, "phone-1") is None
        for table in ("subjects", "devices", "subject_keys"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 0
        [row] = connection.exec_driver_sql("SELECT * FROM suppressions").all()
        assert "ana" not in str(row)
    assert shop.put(**ANAS_BODY).status_code == 409
    hear(shop.records, "START")
    assert shop.put(**ANAS_BODY).status_code == 201
    assert shop.stands("marketing", "sms")["allowed"] is False  # she may be asked again, no more


def test_whom_an_import_concerns_is_told_without_unsealing(records):
    with records.writes.begin() as connection:
        store.put_subject(connection, ANA, minute(0))
        store.put_subject(connection, BEN, minute(0))
    hear(records, "STOP")
    with records.reads.connect() as connection:
        found = store.reachable(connection, ["ana", "ben", "nobody"])
    assert {each.id: each.is_suppressed for each in found.values()} == {"ana": True, "ben": False}
    assert [each.has_phone for each in found.values()] == [True, True]


def test_a_line_is_kept_for_ten_years(records):
    hear(records, "STOP", at=0)
    with records.reads.connect() as connection:
        assert connection.scalar(select(suppressions.c.keep_until)) == minute(0) + timedelta(days=3653)


def test_the_error_names_no_number():
    assert not any(char.isdigit() for char in NumberSuppressed("phone").detail)
