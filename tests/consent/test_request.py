from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent import request_store
from consent.errors import InvalidConsent, RequestClosed, RequestNotFound
from consent.request import Outcome, RequestKind, closed, extended, has_card_number, months_later, received
from tests.consent.cast import minute

NINE = minute(0)


def asked(at=NINE, request_id="r1", kind=RequestKind.ACCESS, subject="ana"):
    return received(request_id, subject, kind, "letter", "key:desk", at)


@pytest.mark.parametrize(
    ("at", "months", "due"),
    [
        ((2026, 11, 23), 1, (2026, 12, 23)),
        ((2026, 12, 31), 1, (2027, 1, 31)),
        ((2027, 1, 31), 1, (2027, 2, 28)),
        ((2028, 1, 31), 1, (2028, 2, 29)),
        ((2026, 10, 31), 3, (2027, 1, 31)),
        ((2026, 11, 30), 3, (2027, 2, 28)),
    ],
)
def test_a_month_later_is_the_same_day_or_the_months_last(at, months, due):
    assert months_later(datetime(*at, 8, tzinfo=UTC), months) == datetime(*due, 8, tzinfo=UTC)


@given(st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_month_is_never_longer_than_31_days_nor_shorter_than_28(at):
    assert 28 <= (months_later(at, 1) - at).days <= 31


def test_a_request_is_due_within_a_month_and_overdue_after():
    request = asked()
    assert request.due_at == datetime(2026, 12, 23, 8, tzinfo=UTC)
    assert not request.is_overdue(request.due_at)
    assert request.is_overdue(request.due_at.replace(second=1))
    assert not closed(request, Outcome.DONE, None, minute(1)).is_overdue(datetime(2030, 1, 1, tzinfo=UTC))


def test_it_is_extended_once_by_two_months_with_a_reason():
    longer = extended(asked(), "three brands", minute(1))
    assert longer.due_at == datetime(2027, 2, 23, 8, tzinfo=UTC)
    for late in [longer, closed(asked(), Outcome.DONE, None, minute(1))]:
        with pytest.raises(RequestClosed):
            extended(late, "again", minute(2))
    with pytest.raises(RequestClosed):
        extended(asked(), "too late to say so", datetime(2026, 12, 24, tzinfo=UTC))
    with pytest.raises(InvalidConsent):
        extended(asked(), "", minute(1))


def test_a_refusal_says_why_and_nothing_is_closed_twice():
    with pytest.raises(InvalidConsent):
        closed(asked(), Outcome.REFUSED, None, minute(1))
    refused = closed(asked(), Outcome.REFUSED, "not the subject", minute(1))
    with pytest.raises(RequestClosed):
        closed(refused, Outcome.DONE, None, minute(2))


def test_card_numbers_stay_out_of_free_text():
    for text in [
        "4111111111111111",
        "card 4111 1111 1111 1111.",
        "5500-0055-5555-5559",
        "x4111111111111111y",
        "0004111111111111111",
    ]:
        assert has_card_number(text), text
    for text in ["4111111111111112", "call 06 39 98 00 01", "", "order 12345", "١٢٣٤٥٦٧٨٩٠١٢٣٤٥"]:
        assert not has_card_number(text), text
    with pytest.raises(InvalidConsent) as caught:
        extended(asked(), "pays with 4111 1111 1111 1111", minute(1))
    assert [flaw.field for flaw in caught.value.errors] == ["reason"]
    assert "4111" not in str(caught.value)


def test_requests_are_kept_listed_and_counted(records):
    with records.writes.begin() as conn:
        for number, at in enumerate([minute(0), minute(10), minute(20)]):
            request_store.add(conn, asked(at, f"r{number}", subject=["ana", "ben"][number % 2]))
        request_store.save(conn, closed(request_store.get(conn, "r1"), Outcome.DONE, "sent", minute(30)))
        with pytest.raises(RequestNotFound):
            request_store.get(conn, "r9")
    late = datetime(2026, 12, 23, 8, 5, tzinfo=UTC)
    with records.reads.connect() as conn:
        assert [each.id for each in request_store.page(conn)] == ["r0", "r1", "r2"]
        assert [each.id for each in request_store.page(conn, open_only=True)] == ["r0", "r2"]
        assert [each.id for each in request_store.page(conn, overdue_at=late)] == ["r0"]
        assert [each.id for each in request_store.page(conn, subject="ben")] == ["r1"]
        first = request_store.page(conn, limit=1)[0]
        assert [each.id for each in request_store.page(conn, after=(first.due_at, first.id))] == ["r1", "r2"]
        assert request_store.get(conn, "r1").note == "sent"
        told = request_store.pressure(conn, late)
        assert told[RequestKind.ACCESS] == (2, 1, (late - minute(0)).total_seconds())
        assert told[RequestKind.ERASURE] == (0, 0, 0.0)
