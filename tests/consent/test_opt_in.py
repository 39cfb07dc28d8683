from datetime import timedelta

import pytest

from consent import ledger, opt_in, store
from consent.entry import Channel, Purpose
from consent.errors import OptInAsked, SubjectNotFound
from consent.inbound import InboundPolicy, answer_inbound
from consent.subject import Subject
from tests.consent.cast import grant, minute, withdraw

POLICY = InboundPolicy(brand="Bakery", contact="030 990000")
PHONE = "+4915112345678"
UTE = Subject(id="ute", phone=PHONE, locale="de-DE")
HOUR = timedelta(hours=1)
START, ONE, TWO, LATER = minute(0), minute(1), minute(2), minute(99999)


@pytest.fixture
def records(records):
    with records.writes.begin() as connection:
        store.put_subject(connection, UTE, minute(0))
    return records


def ask(records, at=START, **differing):
    with records.writes.begin() as connection:
        return opt_in.ask(connection, grant(at, subject="ute", **differing), at)


def claim(records, at=ONE):
    with records.writes.begin() as connection:
        return opt_in.claim(connection, "ute", at)


def hear(records, body, at=TWO, sid="SM1"):
    with records.writes.begin() as connection:
        return answer_inbound(connection, sid, PHONE, body, None, at, POLICY)


def allowed(records, at=LATER):
    with records.reads.connect() as connection:
        return ledger.standing_of(connection, "ute", Purpose.MARKETING, Channel.SMS, at).allowed


@pytest.mark.parametrize(
    ("entry", "phone", "asked"),
    [
        (grant(minute(0)), PHONE, True),
        (grant(minute(0)), "+33639980001", False),
        (grant(minute(0)), None, False),
        (grant(minute(0), channel=Channel.PUSH), PHONE, False),
        (grant(minute(0), purpose=Purpose.LOCATION), PHONE, False),
        (withdraw(minute(0)), PHONE, False),
    ],
)
def test_only_offers_by_sms_to_numbers_of_that_country_need_a_second_yes(entry, phone, asked):
    assert opt_in.needs_second_yes(entry, phone, ["DE", "AT"]) is asked


def test_nothing_stands_until_the_number_says_yes(records):
    assert ask(records, text_version="v7") == minute(0) + opt_in.ANSWERED_WITHIN
    assert not allowed(records)
    claim(records)
    assert hear(records, "Ja").reply_text is not None
    assert allowed(records)
    with records.reads.connect() as connection:
        [entry] = ledger.entries_of(connection, "ute")
    assert (entry.text_version, entry.source, entry.actor) == ("v7", opt_in.SOURCE, "subject")
    assert (entry.at, entry.recorded_at) == (minute(2), minute(2))


@pytest.mark.parametrize("body", ["JA", "yes", "Oui", "START"])
def test_a_yes_of_any_language_counts(records, body):
    ask(records)
    claim(records)
    hear(records, body)
    assert allowed(records)


@pytest.mark.parametrize("body", ["STOP", "nein", "HILFE", "wer ist da?"])
def test_all_else_is_no_yes(records, body):
    ask(records)
    claim(records)
    hear(records, body)
    assert not allowed(records)


def test_a_yes_after_a_stop_or_too_late_comes_to_nothing(records):
    ask(records)
    claim(records)
    hear(records, "STOP", sid="SM1")
    hear(records, "JA", minute(3), sid="SM2")
    assert not allowed(records)


def test_a_late_yes_comes_to_nothing(records):
    ask(records)
    claim(records)
    hear(records, "JA", minute(0) + 48 * HOUR)
    assert not allowed(records)


def test_a_number_is_asked_once_in_thirty_days(records):
    ask(records)
    assert claim(records) is not None
    assert claim(records) is None
    ask(records, minute(60), text_version="v8")  # reported again: the number is not asked again
    assert claim(records) is None
    with pytest.raises(OptInAsked):
        ask(records, minute(0) + 49 * HOUR)
    ask(records, minute(0) + opt_in.ASKED_AGAIN_AFTER)
    assert claim(records, minute(0) + opt_in.ASKED_AGAIN_AFTER) is not None


def test_a_request_that_could_not_be_sent_in_time_is_dropped(records):
    ask(records)
    assert claim(records, minute(0) + 48 * HOUR) is None
    with records.reads.connect() as connection:
        assert opt_in.due(connection, 9) == []


def test_nobody_unknown_is_asked(records):
    with records.writes.begin() as connection, pytest.raises(SubjectNotFound):
        opt_in.ask(connection, grant(minute(0), subject="nobody"), minute(0))


def test_over_http_the_whole_way(client, engine, clock):
    said = {
        "purpose": "marketing",
        "channel": "sms",
        "action": "grant",
        "source": "till",
        "text_version": "v1",
    }
    client.put("/v1/subjects/ute", json={"phone": PHONE, "locale": "de"})
    asked = client.post("/v1/subjects/ute/consents", json=said)
    assert (asked.status_code, asked.json()["state"]) == (202, "asked")
    assert client.get("/v1/subjects/ute/consents").json()["items"] == []
    assert engine.asker.run_once() == 1
    assert engine.asker.run_once() == 0
    clock.advance(minutes=5)
    hear(engine.records, "JA", clock())
    [entry] = client.get("/v1/subjects/ute/consents").json()["items"]
    assert (entry["action"], entry["source"]) == ("grant", opt_in.SOURCE)
    clock.advance(minutes=5)
    withdrawn = {"purpose": "marketing", "channel": "sms", "action": "withdraw", "source": "till"}
    assert client.post("/v1/subjects/ute/consents", json=withdrawn).status_code == 201
    assert client.post("/v1/subjects/ute/consents", json=said).json()["code"] == "opt_in_asked"
    client.put("/v1/subjects/ute", json={"phone": "+4915112345679", "locale": "de"})
    assert client.post("/v1/subjects/ute/consents", json=said).status_code == 202
