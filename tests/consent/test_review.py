import pytest

from consent import ledger, review, store
from consent.entry import Action, Channel, Purpose
from consent.errors import ReviewNotFound, ReviewSettled
from consent.inbound import InboundPolicy, answer_inbound
from consent.review import Decision
from tests.consent.cast import ANA, ANAS_PHONE, grant, minute, withdraw

POLICY = InboundPolicy(brand="Bakery", contact="01 99 00 00 01")
DOUBTFUL = "si je réponds arrêt est-ce que je garde ma carte"


@pytest.fixture
def records(records):
    with records.writes.begin() as connection:
        store.put_subject(connection, ANA, minute(0))
        ledger.record(connection, grant(minute(0)))
    return records


def hear(records, body=DOUBTFUL, at=5, sid="SM1", from_number=ANAS_PHONE):
    with records.writes.begin() as connection:
        answer_inbound(connection, sid, from_number, body, None, minute(at), POLICY)


def settle(records, decision, at=9, sid="SM1"):
    with records.writes.begin() as connection:
        return review.settle(connection, sid, decision, "key:desk", minute(at))


def waiting(records):
    with records.reads.connect() as connection:
        return review.waiting(connection, 10)


def allowed(records, at=20):
    with records.reads.connect() as connection:
        return ledger.standing_of(connection, "ana", Purpose.MARKETING, Channel.SMS, minute(at)).allowed


def test_a_text_in_doubt_withdraws_and_waits_with_its_words(records):
    hear(records)
    assert not allowed(records)
    [text] = waiting(records)
    assert (text.sid, text.words, text.language, text.subjects) == ("SM1", DOUBTFUL, "fr", ("ana",))
    assert DOUBTFUL not in repr(text)


@pytest.mark.parametrize("body", ["STOP", "Arrêtez vos sms", "bus stop", "HELP", "START"])
def test_a_text_without_doubt_waits_for_nobody(records, body):
    hear(records, body)
    assert waiting(records) == []


def test_a_number_of_nobody_leaves_no_words(records):
    hear(records, from_number="+33639980099")
    assert waiting(records) == []


def test_confirmed_it_stays_withdrawn_and_the_words_go(records):
    hear(records)
    assert settle(records, Decision.CONFIRM) == ()
    assert not allowed(records)
    assert waiting(records) == []
    with records.reads.connect() as connection:
        assert "carte" not in str([tuple(row) for row in connection.execute(review.review_texts.select())])


def test_reinstated_the_grant_stands_again_as_the_act_of_whoever_read_it(records):
    hear(records)
    [entry] = settle(records, Decision.REINSTATE)
    assert (entry.action, entry.actor, entry.source) == (Action.GRANT, "key:desk", review.SOURCE)
    assert entry.text_version == "offers-1-fr"
    assert allowed(records)
    assert settle(records, Decision.REINSTATE, at=10) == ()
    with pytest.raises(ReviewSettled):
        settle(records, Decision.CONFIRM)


def test_what_was_said_since_stands(records):
    hear(records)
    hear(records, "STOP", at=6, sid="SM2")
    assert settle(records, Decision.REINSTATE) == ()
    assert not allowed(records)


def test_what_was_withdrawn_before_stays_withdrawn(records):
    with records.writes.begin() as connection:
        ledger.record(connection, withdraw(minute(1)))
    hear(records)
    assert settle(records, Decision.REINSTATE) == ()
    assert not allowed(records)


def test_only_a_text_in_doubt_can_be_settled(records):
    hear(records, "STOP")
    for sid in ("SM1", "SM404"):
        with pytest.raises(ReviewNotFound):
            settle(records, Decision.CONFIRM, sid=sid)


def test_nobody_read_it_in_time(records):
    hear(records)
    for at, settled in (
        (minute(5) + review.KEPT, 0),
        (minute(6) + review.KEPT, 1),
        (minute(7) + review.KEPT, 0),
    ):
        with records.writes.begin() as connection:
            assert review.settle_unread(connection, at) == settled
    assert waiting(records) == []
    assert not allowed(records)


def test_erasure_takes_the_words_along(records):
    hear(records)
    with records.writes.begin() as connection:
        review.forget_subject(connection, "ana")
        store.delete_subject(connection, "ana")
        assert connection.execute(review.review_texts.select()).all() == []


def test_the_list_is_read_by_the_page(records):
    for number in range(3):
        hear(records, sid=f"SM{number}")
    with records.reads.connect() as connection:
        assert [text.sid for text in review.waiting(connection, 2)] == ["SM0", "SM1"]
        assert [text.sid for text in review.waiting(connection, 2, after="SM1")] == ["SM2"]
        assert review.count(connection) == 3


def test_the_desk_reads_and_settles_over_http(client, engine):
    client.put("/v1/subjects/ana", json={"phone": ANAS_PHONE, "locale": "fr"})
    said = {
        "purpose": "marketing",
        "channel": "sms",
        "action": "grant",
        "source": "till",
        "text_version": "v1",
    }
    client.post("/v1/subjects/ana/consents", json=said)
    for number in range(2):
        with engine.records.writes.begin() as connection:
            answer_inbound(connection, f"SM{number}", ANAS_PHONE, DOUBTFUL, None, engine.now(), POLICY)
    first = client.get("/v1/reviews", params={"limit": 1}).json()
    assert [text["words"] for text in first["items"]] == [DOUBTFUL]
    second = client.get("/v1/reviews", params={"cursor": first["next"]}).json()
    assert ([text["sid"] for text in second["items"]], second["next"]) == (["SM1"], None)
    assert client.post("/v1/reviews/SM0", json={"decision": "maybe"}).status_code == 422
    assert client.post("/v1/reviews/SM9", json={"decision": "confirm"}).status_code == 404
    assert client.post("/v1/reviews/SM0", json={"decision": "confirm"}).json() == {"entries": []}
    assert client.post("/v1/reviews/SM0", json={"decision": "reinstate"}).status_code == 409
    assert client.get("/v1/reviews", headers={"Authorization": "Bearer no"}).status_code == 401
    assert engine.rounds.settle_unread_texts() == 0
