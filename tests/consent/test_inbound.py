from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from consent import address, ledger, store
from consent.entry import Action, Channel, Purpose
from consent.inbound import ERASURE, InboundPolicy, answer_inbound
from consent.keywords import Verdict
from consent.subject import Subject
from tests.consent.cast import ANA, ANAS_PHONE, BEN, grant, minute, withdraw

POLICY = InboundPolicy(brand="Bakery", contact="01 99 00 00 01")
SMS, PUSH, MARKETING = Channel.SMS, Channel.PUSH, Purpose.MARKETING


@pytest.fixture
def records(records):
    with records.writes.begin() as connection:
        store.put_subject(connection, ANA, minute(0))
        store.put_subject(connection, BEN, minute(0))
    return records


def record(records, *entries):
    with records.writes.begin() as connection:
        for entry in entries:
            ledger.record(connection, entry)


def hear(records, body, at=5, *, sid="SM1", from_number=ANAS_PHONE, opt_out_type=None, policy=POLICY):
    with records.writes.begin() as connection:
        return answer_inbound(connection, sid, from_number, body, opt_out_type, minute(at), policy)


def allowed(records, at=9, *, subject="ana", channel=SMS):
    with records.reads.connect() as connection:
        return ledger.standing_of(connection, subject, MARKETING, channel, minute(at)).allowed


def entries_of(records, subject="ana"):
    with records.reads.connect() as connection:
        return ledger.entries_of(connection, subject)


def test_a_stop_withdraws_offers_by_sms_and_nothing_else(records):
    record(
        records, grant(minute(0)), grant(minute(0), channel=PUSH), grant(minute(0), purpose=Purpose.LOCATION)
    )
    result = hear(records, "Arrêt svp")
    assert (result.verdict, result.subjects) == (Verdict.OPT_OUT, ("ana",))
    assert not allowed(records)
    assert allowed(records, channel=PUSH)
    last = entries_of(records)[-1]
    assert (last.action, last.source, last.channel, last.at) == (Action.WITHDRAW, "sms", SMS, minute(5))
    assert entries_of(records, "ben") == ()


def test_everyone_with_the_number_is_withdrawn(records):
    with records.writes.begin() as connection:
        store.put_subject(connection, Subject(id="anas-work", phone=ANAS_PHONE), minute(0))
    record(records, grant(minute(0)), grant(minute(0), subject="anas-work"))
    assert hear(records, "STOP").subjects == ("ana", "anas-work")
    assert not allowed(records)
    assert not allowed(records, subject="anas-work")


def test_doubt_favours_the_opt_out(records):
    record(records, grant(minute(0)))
    result = hear(records, "si je réponds arrêt est-ce que je garde ma carte")
    assert result.verdict is Verdict.AMBIGUOUS
    assert "plus nos SMS" in result.reply_text
    assert not allowed(records)


def test_the_providers_stop_wins_over_the_words(records):
    for hour, body in enumerate(["", "REJOIN", "START", "HELP", "bus stop"]):
        record(records, grant(minute(hour * 60)))
        result = hear(records, body, at=hour * 60 + 1, sid=f"SM{hour}", opt_out_type="STOP")
        assert result.verdict is Verdict.OPT_OUT
        assert not allowed(records, at=hour * 60 + 2)


def test_a_stop_in_words_wins_over_the_provider(records):
    for hour, opt_out_type in enumerate(["START", "HELP", "NEWTYPE"]):
        record(records, grant(minute(hour * 60)))
        result = hear(records, "stop", at=hour * 60 + 1, sid=f"SM{hour}", opt_out_type=opt_out_type)
        assert result.verdict is Verdict.OPT_OUT
        assert not allowed(records, at=hour * 60 + 2)


def test_the_providers_start_and_help_are_enough(records):
    record(records, grant(minute(0)), withdraw(minute(1)))
    assert hear(records, "REJOIN", opt_out_type="START").verdict is Verdict.OPT_IN
    assert allowed(records)
    assert hear(records, "quoi ?", opt_out_type="HELP", sid="SM2").verdict is Verdict.HELP


def test_the_same_text_twice_is_one_withdrawal_and_one_answer(records):
    record(records, grant(minute(0)))
    first = hear(records, "STOP", at=5)
    record(records, grant(minute(6)))
    assert hear(records, "STOP", at=7) == first
    assert allowed(records)
    assert len(entries_of(records)) == 3


def test_the_same_text_many_times_at_once_is_one_withdrawal(records):
    record(records, grant(minute(0)))
    with ThreadPoolExecutor(8) as pool:
        results = set(pool.map(lambda _: hear(records, "STOP"), range(8)))
    assert len(results) == 1
    assert len(entries_of(records)) == 2


def test_start_renews_what_was_withdrawn_with_the_text_last_shown(records):
    record(records, grant(minute(0), text_version="v1"), grant(minute(1), text_version="v2"))
    hear(records, "STOP", at=5)
    result = hear(records, "START", at=6, sid="SM2")
    assert result.verdict is Verdict.OPT_IN
    assert allowed(records)
    last = entries_of(records)[-1]
    assert (last.action, last.text_version, last.source) == (Action.GRANT, "v2", "sms")
    assert "STOP" in result.reply_text


@pytest.mark.parametrize(
    "before",
    [
        [],
        [withdraw(minute(1))],
        [grant(minute(0), channel=PUSH), withdraw(minute(1), channel=PUSH)],
        [grant(minute(0), purpose=Purpose.LOCATION)],
        [grant(minute(0)), withdraw(minute(1), channel=None, source=ERASURE)],
        [grant(minute(0)), withdraw(minute(1), channel=None, source=ERASURE), withdraw(minute(2))],
    ],
)
def test_start_gives_nothing_that_was_not_given_before(records, before):
    record(records, *(replace(entry, id=f"{entry.id}-x") for entry in before))
    result = hear(records, "START")
    assert not allowed(records)
    assert len(entries_of(records)) == len(before)
    assert result.reply_text is None


def test_start_while_granted_records_nothing(records):
    record(records, grant(minute(0)))
    assert hear(records, "START").reply_text is not None
    assert len(entries_of(records)) == 1


def test_a_mere_yes_renews_nothing(records):
    record(records, grant(minute(0)), withdraw(minute(1)))
    assert hear(records, "Oui").verdict is Verdict.OPT_IN
    assert not allowed(records)


def test_help_and_chat_change_nothing(records):
    record(records, grant(minute(0)))
    for number, body in enumerate(["HELP", "aide svp", "is it still warm?"]):
        hear(records, body, sid=f"SM{number}")
    assert len(entries_of(records)) == 1
    assert allowed(records)


def test_help_names_brand_contact_and_the_stop_word(records):
    reply = hear(records, "AIDE").reply_text
    assert all(word in reply for word in ("Bakery", "01 99 00 00 01", "STOP"))


def test_the_answer_speaks_the_shoppers_language(records):
    assert "plus nos SMS" in hear(records, "STOP").reply_text
    assert "no more texts" in hear(records, "STOP", sid="SM2", from_number=BEN.phone).reply_text
    assert "abgemeldet" in hear(records, "STOP", sid="SM3", from_number="+4915112345678").reply_text


def test_chat_is_not_answered(records):
    assert hear(records, "is it still warm?").reply_text is None


def test_the_engine_is_silent_when_it_is_not_the_one_who_replies(records):
    for replies_by in ("provider", "none"):
        silent = replace(POLICY, replies_by=replies_by)
        assert hear(records, "STOP", sid=replies_by, policy=silent).reply_text is None
    assert entries_of(records)[-1].action is Action.WITHDRAW


def test_what_the_provider_has_answered_is_not_answered_again(records):
    assert hear(records, "STOP", opt_out_type="STOP").reply_text is None


def test_an_unknown_sender_is_recorded_and_answered_the_same(records):
    known = hear(records, "STOP", sid="SM0")
    for number, from_number in enumerate(["+33639980099", "36111", "Bakery", "", "\x00"], 1):
        result = hear(records, "STOP", sid=f"SM{number}", from_number=from_number)
        assert (result.verdict, result.subjects) == (Verdict.OPT_OUT, ())
        assert result.reply_text == known.reply_text
        with records.reads.connect() as connection:
            message, subjects = store.get_inbound(connection, f"SM{number}")
        assert (message.verdict, message.answer, subjects) == ("opt_out", "opted_out", ())


def test_a_number_is_found_however_the_provider_writes_it(records):
    for sid, written in enumerate([ANAS_PHONE, "06 39 98 00 01", "rcs:+33639980001"]):
        assert hear(records, "STOP", sid=f"SM{sid}", from_number=written).subjects == ("ana",)


def test_neither_words_nor_number_are_kept(records):
    record(records, grant(minute(0)))
    hear(records, "stop, my secret")
    with records.reads.connect() as connection:
        for table in (store.inbound_messages, store.inbound_subjects, store.consent_entries):
            kept = str([tuple(row) for row in connection.execute(table.select())])
            assert "secret" not in kept
            assert "639980001" not in kept


def test_what_a_subject_sent_can_be_listed(records):
    hear(records, "AIDE", at=2, sid="SM2")
    hear(records, "STOP", at=1, sid="SM1")
    with records.reads.connect() as connection:
        assert [text.sid for text in store.inbound_of(connection, "ana")] == ["SM1", "SM2"]
        assert store.inbound_of(connection, "ben") == []


def test_an_opt_out_is_confirmed_once_and_a_new_one_once_more(records):
    record(records, grant(minute(0)))
    assert hear(records, "STOP", at=1, sid="SM1").reply_text is not None
    for number, body in enumerate(["STOP", "arrêtez !!", "je vous ai dit stop"], 2):
        again = hear(records, body, at=number, sid=f"SM{number}")
        assert (again.verdict, again.reply_text) == (Verdict.OPT_OUT, None)
    assert hear(records, "START", at=8, sid="SM8").reply_text is not None
    assert hear(records, "STOP", at=9, sid="SM9").reply_text is not None


def test_a_confirmation_comes_within_five_minutes_or_not_at_all(records):
    record(records, grant(minute(0)))
    first = hear(records, "STOP", at=1)
    assert hear(records, "STOP", at=6) == first
    assert hear(records, "STOP", at=6.1).reply_text is None


@pytest.mark.parametrize("body", ["STOP", "bus stop", "HELP", "hello"])
def test_whoever_writes_from_a_number_can_be_reached_at_it(records, body):
    with records.writes.begin() as connection:
        failure = address.Failure("m1", "30006", 1, timedelta(0), minute(0))
        assert address.note_failure(connection, "ana", SMS, failure)
    hear(records, body)
    with records.reads.connect() as connection:
        assert not address.is_dead(connection, "ana", SMS)
