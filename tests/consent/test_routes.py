import json
from datetime import timedelta

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select

from consent import ledger, store
from consent.bodies import export_of
from consent.desk import Desk
from consent.entry import Purpose
from consent.log_tables import consent_erasures, consent_log
from consent.routes import router
from engine.clock import SetClock
from engine.doors.web import speak_problem_json
from tests.consent.cast import minute

ANA = {
    "phone": "06 39 98 00 01",
    "locale": "fr-FR",
    "timezone": "Europe/Paris",
    "attributes": {"first_name": "Anaïs", "visits": 3, "vip": True},
    "devices": [{"device": "phone-1", "push": {"kind": "fcm_token", "token": "t0k3n"}}],
}
LOCATION = {"purpose": "location", "action": "grant", "source": "app", "text_version": "loc-3-fr"}
OFFERS = {
    "purpose": "marketing",
    "channel": "sms",
    "action": "grant",
    "source": "till",
    "text_version": "offers-1",
}


class Told:
    """Stands for the live store: notes what it is told, and what the ledger said at that moment."""

    def __init__(self, records):
        self.records = records
        self.calls = []

    def withdrawing(self, subject):
        self.calls.append(("withdrawing", subject, self._location(subject)))

    def changed(self, subject):
        self.calls.append(("changed", subject, self._location(subject)))

    def taken(self):
        calls, self.calls = self.calls, []
        return calls

    def _location(self, subject):
        with self.records.reads.connect() as connection:
            known = store.get_subject(connection, subject) is not None
            allowed = ledger.standing_of(connection, subject, Purpose.LOCATION, None, minute(99)).allowed
        return known and allowed


class Shop:
    """The routes, the clock and the live store of one test."""

    def __init__(self, records):
        self.records = records
        self.clock = SetClock(minute(0))
        self.told = Told(records)
        self.erased = []
        self.forgotten = []
        desk = Desk(
            reads=records.reads,
            writes=records.writes,
            now=self.clock,
            withdrawing=self.told.withdrawing,
            changed=self.told.changed,
            settle=lambda _subject: None,
            records_of={"messages": lambda _, subject: [{"id": "m-1", "subject": subject}]},
            on_erasure=[lambda _, subject: self.erased.append(subject)],
            forget_devices=self.forgotten.extend,
            settle_erasures=lambda: None,
        )
        app = FastAPI()
        app.include_router(
            router(desk, export=lambda subject: export_of(desk.held(subject), desk.now()), twilio=None)
        )

        speak_problem_json(app)
        self.app = app
        self.http = TestClient(app)

    def put(self, subject="ana", **body):
        return self.http.put(f"/v1/subjects/{subject}", json=body)

    def say(self, subject="ana", **body):
        return self.http.post(f"/v1/subjects/{subject}/consents", json=body)

    def stands(self, purpose, channel=None, subject="ana"):
        answer = self.http.get(f"/v1/subjects/{subject}/consents").json()
        [stands] = [
            one for one in answer["standing"] if (one["purpose"], one["channel"]) == (purpose, channel)
        ]
        return stands


@pytest.fixture
def shop(records):
    return Shop(records)


def fields(response):
    return [error["field"] for error in response.json()["errors"]]


def test_a_subject_is_put_and_read(shop):
    created = shop.put(**ANA)
    assert created.status_code == 201
    assert created.json() == {"id": "ana", **ANA, "phone": "+33639980001"}
    assert shop.put(**ANA).status_code == 200
    read = shop.http.get("/v1/subjects/ana")
    assert (read.status_code, read.json()) == (200, created.json())


def test_attributes_keep_their_types(shop):
    shop.put(attributes={"a": 1, "b": 1.5, "c": True, "d": "1", "e": 1.0})
    kept = shop.http.get("/v1/subjects/ana").json()["attributes"]
    assert [type(kept[name]) for name in "abcde"] == [int, float, bool, str, float]


def test_what_is_left_out_is_removed(shop):
    shop.put(**ANA)
    assert shop.put().status_code == 200
    kept = shop.http.get("/v1/subjects/ana").json()
    assert kept == {
        "id": "ana",
        "phone": None,
        "locale": None,
        "timezone": None,
        "attributes": {},
        "devices": [],
    }


def test_a_subject_of_another_shape_is_refused(shop):
    for body in [
        {"consent": True},
        {"suppressed": False},
        {"id": "ana"},
        {"phone": 33639980001},
        {"attributes": {"a": None}},
        {"attributes": {"a": ["b"]}},
        {"devices": [{"device": "a b"}]},
        {"devices": [{"device": "a", "os": "ios"}]},
        {"devices": [{"device": f"d{number}"} for number in range(21)]},
        {"attributes": {f"k{number}": 1 for number in range(51)}},
        {"devices": [{"device": "a", "push": {"t": "\ud800"}}]},
        {"locale": "fr\x00"},
        [],
    ]:
        assert shop.http.put("/v1/subjects/ana", content=json.dumps(body)).status_code == 422, body
        assert shop.http.get("/v1/subjects/ana").status_code == 404


def test_an_id_of_another_shape_is_refused(shop):
    for subject in ["a b", "é", "x" * 129]:
        assert shop.put(subject).status_code == 422


def test_a_wrong_phone_is_named_not_repeated(shop):
    refused = shop.put(phone="06 39 98 00 01 ext 7")
    assert (refused.status_code, fields(refused)) == (422, ["phone"])
    assert "39 98 00 01 ext" not in refused.text


def test_a_device_of_another_subject_is_a_conflict(shop):
    shop.put(**ANA)
    refused = shop.put("ben", devices=[{"device": "phone-2"}, {"device": "phone-1"}])
    assert (refused.status_code, fields(refused)) == (409, ["devices[1].device"])
    assert shop.http.get("/v1/subjects/ben").status_code == 404


def test_a_grant_is_answered_with_its_entry_and_stands(shop):
    shop.put(**ANA)
    given = shop.say(**OFFERS)
    assert given.status_code == 201
    entry = given.json()
    assert (
        entry.items()
        >= (OFFERS | {"subject": "ana", "actor": "unknown", "at": "2026-11-23T08:00:00Z"}).items()
    )
    assert shop.stands("marketing", "sms") == {
        "purpose": "marketing",
        "channel": "sms",
        "allowed": True,
        "reason": "granted",
        "since": "2026-11-23T08:00:00Z",
        "because": entry["id"],
    }
    assert shop.stands("marketing", "push")["reason"] == "never_asked"
    assert shop.stands("location")["allowed"] is False


def test_withdrawing_needs_less_than_granting(shop):
    shop.put(**ANA)
    shop.say(**OFFERS)
    shop.clock.advance(minutes=1)
    assert shop.say(purpose="marketing", action="withdraw", source="desk").status_code == 201
    stands = shop.stands("marketing", "sms")
    assert (stands["allowed"], stands["reason"], stands["since"]) == (
        False,
        "withdrawn",
        "2026-11-23T08:01:00Z",
    )


def test_a_withdrawal_in_the_same_instant_is_in_force(shop):
    shop.put(**ANA)
    shop.say(**LOCATION | {"at": (minute(2)).isoformat()})
    shop.say(purpose="location", action="withdraw", source="app")
    assert shop.stands("location")["allowed"] is False


def test_a_consent_of_the_wrong_shape_names_its_field(shop):
    shop.put(**ANA)
    for differing, field in [
        ({"channel": None}, "channel"),
        ({"text_version": None}, "text_version"),
        ({"purpose": "location"}, "channel"),
        ({"at": "2026-11-23T08:02:01Z"}, "at"),
        ({"at": "2016-11-01T08:00:00Z"}, "at"),
        ({"source": "\x00"}, "source"),
    ]:
        refused = shop.say(**OFFERS | differing)
        assert (refused.status_code, fields(refused)) == (422, [field])
        assert shop.http.get("/v1/subjects/ana/consents").json()["items"] == []


def test_a_consent_that_cannot_be_read_is_refused(shop):
    shop.put(**ANA)
    for differing in [
        {"purpose": ["location", "marketing"]},
        {"purpose": "everything"},
        {"purposes": ["location"]},
        {"channel": "fax"},
        {"action": "GRANT"},
        {"at": "2026-11-23T08:00:00"},
        {"at": "2026-11-23"},
        {"at": 1795420800},
        {"at": "0001-01-01T00:00:00+14:00"},
        {"at": "2026-02-30T08:00:00Z"},
        {"os_permission": True},
        {"source": ""},
        {"source": "x" * 201},
        {"text_version": "x" * 101},
    ]:
        assert shop.say(**OFFERS | differing).status_code == 422, differing


def test_an_earlier_instant_may_be_given_in_any_zone(shop):
    shop.put(**ANA)
    assert (
        shop.say(**OFFERS | {"at": "2026-11-22T09:00:00.5+01:00"}).json()["at"]
        == "2026-11-22T08:00:00.500000Z"
    )


def test_an_unknown_subject_is_not_found(shop):
    for path in ["", "/consents", "/export"]:
        assert shop.http.get(f"/v1/subjects/nobody{path}").status_code == 404
        assert shop.http.delete("/v1/subjects/nobody").status_code == 404
        assert shop.say("nobody", **LOCATION).status_code == 404
        assert shop.told.taken() == []


def test_entries_are_paged_in_the_order_of_record(shop):
    shop.put(**ANA)
    said = [shop.say(**OFFERS).json()["id"] for _ in range(5)]
    seen, cursor = [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = shop.http.get("/v1/subjects/ana/consents", params=params).json()
        assert len(page["standing"]) == 5
        seen += [entry["id"] for entry in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == said


def test_a_wrong_page_is_refused(shop):
    shop.put(**ANA)
    for params in [{"limit": 0}, {"limit": 201}, {"cursor": "?"}, {"cursor": "é"}, {"cursor": "YWJj"}]:
        assert shop.http.get("/v1/subjects/ana/consents", params=params).status_code == 422


def test_a_location_withdrawal_denies_before_and_tells_after(shop):
    shop.put(**ANA)
    shop.say(**LOCATION)
    assert shop.told.taken() == [("changed", "ana", False), ("changed", "ana", True)]
    shop.say(purpose="location", action="withdraw", source="app")
    assert shop.told.taken() == [("withdrawing", "ana", True), ("changed", "ana", False)]


def test_a_marketing_withdrawal_leaves_location_alone(shop):
    shop.put(**ANA)
    shop.say(**LOCATION)
    shop.told.taken()
    shop.say(purpose="marketing", action="withdraw", source="app")
    assert shop.told.taken() == [("changed", "ana", True)]


def test_a_put_that_takes_a_device_away_denies_before(shop):
    shop.put(**ANA)
    shop.say(**LOCATION)
    shop.told.taken()
    shop.put(**ANA | {"devices": [*ANA["devices"], {"device": "phone-9"}]})
    assert shop.told.taken() == [("changed", "ana", True)]
    shop.put(devices=[{"device": "phone-9"}])
    assert shop.told.taken() == [("withdrawing", "ana", True), ("changed", "ana", True)]


def test_a_refused_change_that_denied_is_projected_again(shop):
    shop.put("ben", devices=[{"device": "phone-2"}])
    shop.put(**ANA)
    shop.told.taken()
    assert shop.put(devices=[{"device": "phone-2"}]).status_code == 409
    assert shop.told.taken() == [("withdrawing", "ana", False), ("changed", "ana", False)]
    assert shop.put("cem", devices=[{"device": "phone-2"}]).status_code == 409
    assert shop.told.taken() == []


def test_erasure_leaves_the_leaves_of_the_ledger_and_nothing_else(shop):
    shop.put(**ANA)
    shop.say(**LOCATION)
    shop.say(**OFFERS)
    shop.told.taken()
    erased = shop.http.delete("/v1/subjects/ana")
    assert (erased.status_code, erased.content) == (204, b"")
    told = shop.told.taken()
    assert told[0] == ("withdrawing", "ana", True)
    assert told[-1] == ("changed", "ana", False)
    assert shop.erased == ["ana"]
    assert shop.http.get("/v1/subjects/ana").status_code == 404
    with shop.records.reads.connect() as connection:
        assert store.subjects_with_phone(connection, "+33639980001") == []
        assert store.subject_of_device(connection, "phone-1") is None
        assert ledger.entries_of(connection, "ana") == ()
        [emptied] = connection.scalars(select(consent_erasures.c.entries))
        size = connection.scalar(select(consent_log.c.size))
    assert len(emptied.split()) > 2, "what was granted, and what closed it"
    assert size == len(emptied.split()) + 1, "the leaves stay, and the erasure is one"


def test_a_subject_known_again_after_erasure_starts_from_no(shop):
    shop.put(**ANA)
    shop.say(**LOCATION)
    shop.say(**OFFERS)
    shop.say(**OFFERS | {"channel": "push"})
    shop.http.delete("/v1/subjects/ana")
    shop.clock.advance(minutes=1)
    refused = shop.put(**ANA)
    assert (refused.status_code, refused.json()["code"]) == (409, "number_suppressed")
    assert [flaw["field"] for flaw in refused.json()["errors"]] == ["phone"]
    assert shop.put(**ANA | {"phone": None}).status_code == 201
    standing = shop.http.get("/v1/subjects/ana/consents").json()["standing"]
    assert not any(one["allowed"] for one in standing)


def test_an_erasure_that_cannot_finish_keeps_the_subject_but_no_consent(shop):
    def broken(_connection, _subject):
        raise RuntimeError("the other domain failed")

    app = FastAPI()
    desk = Desk(
        reads=shop.records.reads,
        writes=shop.records.writes,
        now=shop.clock,
        withdrawing=shop.told.withdrawing,
        changed=shop.told.changed,
        settle=lambda _subject: None,
        records_of={},
        on_erasure=[broken],
        forget_devices=shop.forgotten.extend,
        settle_erasures=lambda: None,
    )
    app.include_router(router(desk, export=lambda _: {}, twilio=None))
    shop.put(**ANA)
    shop.say(**LOCATION)
    with pytest.raises(RuntimeError):
        TestClient(app).delete("/v1/subjects/ana")
    assert shop.http.get("/v1/subjects/ana").status_code == 200
    assert shop.stands("location")["allowed"] is False
    assert shop.told.taken()[-1] == ("changed", "ana", False)


def test_an_export_holds_everything(shop):
    shop.put(**ANA)
    entry = shop.say(**OFFERS).json()
    shop.clock.advance(minutes=5)
    held = shop.http.get("/v1/subjects/ana/export").json()
    assert (
        held["subject"].items()
        >= (ANA | {"phone": "+33639980001", "created_at": "2026-11-23T08:00:00Z"}).items()
    )
    assert held["consents"] == [entry]
    assert [one["channel"] for one in held["standing"] if one["allowed"]] == ["sms"]
    assert held["messages"] == [{"id": "m-1", "subject": "ana"}]
    assert held["texts"] == []
    assert held["exported_at"] == "2026-11-23T08:05:00Z"


def test_refusing_or_withdrawing_one_purpose_changes_no_other(shop):
    shop.put(**ANA)
    shop.say(**LOCATION)
    shop.say(**OFFERS)
    shop.clock.advance(minutes=1)
    shop.say(purpose="profiling", action="withdraw", source="app")
    shop.say(purpose="location", action="withdraw", source="app")
    assert shop.stands("marketing", "sms")["allowed"]


def test_consents_never_end_up_in_the_wrong_order_of_the_clock(shop):
    shop.put(**ANA)
    shop.say(purpose="location", action="withdraw", source="app")
    older = (minute(0) - timedelta(hours=1)).isoformat()
    shop.say(**LOCATION | {"at": older})
    assert shop.stands("location")["allowed"] is False


def test_every_operation_is_described(shop):
    calls = [call for path in shop.app.openapi()["paths"].values() for call in path.values()]
    ids = [call["operationId"] for call in calls]
    assert sorted(ids) == sorted(set(ids))
    assert set(ids) == {
        *(
            "putSubject",
            "getSubject",
            "eraseSubject",
            "exportSubject",
            "recordConsent",
            "listConsents",
            "receiveText",
        )
    }
    assert all(call["summary"] and call["tags"] == ["consent"] for call in calls)
