from datetime import timedelta

import pytest

from consent.standard_webhook import key_of, signed_headers
from engine.events_out.change import KINDS, TYPES, Change, ChangeKind, Wanted
from engine.events_out.subscription import SECRETS_LIMIT, Secret, in_use, rotated
from engine.events_out.webhook import PAUSES_SECONDS, SPREAD, new_secret, pause_seconds
from tests.conftest import MONDAY_NINE
from tests.engine.events_out.receiving import NotGenuine, verified

DAY = timedelta(days=1)


def test_a_signature_is_the_specifications():
    """Computed with another implementation: `printf 'msg_1.1795420800.{}' | openssl dgst -sha256 -hmac ...`."""
    headers = signed_headers([key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")], "msg_1", MONDAY_NINE, b"{}")
    assert headers["webhook-timestamp"] == str(int(MONDAY_NINE.timestamp()))
    assert headers["webhook-signature"] == "v1,DdQMUwqELQDBz/oBXLJB9mypi6pn67w2YpLENQiHVVE="


def test_each_secret_in_use_signs_and_any_of_them_is_enough():
    first, second = new_secret(), new_secret()
    headers = signed_headers([key_of(second), key_of(first)], "msg_1", MONDAY_NINE, b"{}")
    for known in (first, second):
        assert verified(known, headers, b"{}", MONDAY_NINE) == "msg_1"
    for known, body, at in (
        (new_secret(), b"{}", MONDAY_NINE),
        (first, b"[]", MONDAY_NINE),
        (first, b"{}", MONDAY_NINE + timedelta(minutes=6)),
    ):
        with pytest.raises(NotGenuine):
            verified(known, headers, body, at)


def test_the_calls_go_over_three_days_and_no_two_crowds_return_at_once():
    pauses = [pause_seconds("msg_1", number) for number in range(1, len(PAUSES_SECONDS) + 1)]
    for pause, stated in zip(pauses, PAUSES_SECONDS, strict=True):
        assert stated <= pause <= stated * (1 + SPREAD)
    assert timedelta(days=3) < timedelta(seconds=sum(pauses)) < timedelta(days=4)
    assert pause_seconds("msg_1", len(PAUSES_SECONDS) + 1) is None
    assert len({pause_seconds(f"msg_{each}", 1) for each in range(50)}) > 40


def test_a_receiver_may_ask_for_a_longer_pause_and_not_for_a_shorter_one():
    assert pause_seconds("msg_1", 1, "120") == 120
    assert pause_seconds("msg_1", 1, "99999999") == 86_400
    for no_number in ("0", "", "soon", "-5", "1e9", "9" * 30, "Mon, 23 Nov 2026 08:00:00 GMT"):
        assert pause_seconds("msg_1", 1, no_number) == pause_seconds("msg_1", 1)


def test_secrets_overlap_and_then_end():
    first = (Secret("whsec_a"),)
    second = rotated(first, "whsec_b", DAY, MONDAY_NINE)
    assert [each.text for each in in_use(second, MONDAY_NINE)] == ["whsec_b", "whsec_a"]
    assert [each.text for each in in_use(second, MONDAY_NINE + DAY)] == ["whsec_b"]
    third = rotated(second, "whsec_c", DAY, MONDAY_NINE)
    assert len(third) == SECRETS_LIMIT
    assert rotated(third, "whsec_d", DAY, MONDAY_NINE) is None
    assert rotated(third, "whsec_d", timedelta(0), MONDAY_NINE) == (Secret("whsec_d"),)
    assert "whsec" not in repr(third)


def change(kind, detail, **differing):
    return Change(1, ChangeKind(kind), detail, "ref", "ana", 1, MONDAY_NINE, **differing)


@pytest.mark.parametrize(
    ("wanted", "is_wanted"),
    [
        (Wanted(["event"]), True),
        (Wanted(["event.enter"]), True),
        (Wanted(["event.exit", "message"]), False),
        (Wanted(["event"], geofences=["bakery"]), True),
        (Wanted(["event"], geofences=["butcher"]), False),
        (Wanted(["event"], campaigns=["bread"]), True),
    ],
)
def test_who_wants_a_visit(wanted, is_wanted):
    assert wanted.has(change("event", "enter", geofence="bakery")) is is_wanted


def test_consent_passes_filters_of_place_and_takes_a_scope_of_its_own():
    assert Wanted(["consent"], geofences=["butcher"]).has(change("consent", "withdraw"))
    assert Wanted(["event", "consent.grant"]).concerns_consent
    assert Wanted(["subject"]).concerns_consent
    assert not Wanted(["event", "decision", "message"]).concerns_consent


def test_every_type_is_of_a_kind():
    assert {
        "event.enter",
        "decision.refused",
        "message.delivered",
        "consent.withdraw",
        "subject.erased",
    } < TYPES
    assert {each.partition(".")[0] for each in TYPES} == set(ChangeKind) == KINDS - TYPES
