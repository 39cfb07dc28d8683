"""Receipts and proofs: made from the stored log, checked with nothing but the public keys."""

import copy
import json
from datetime import timedelta

import pytest

from consent import ledger, store
from consent.entry import Channel, Purpose, Reason
from consent.errors import EntryNotFound, LedgerKeyDiffers
from consent.notice import Notice, publish
from consent.proof import proof, receipt_by_id
from consent.receipt import InvalidReceipt, check
from consent.sealing import seal_entries
from consent.signing import KeyRing
from tests.consent.cast import ANA, BEN, grant, minute, withdraw

RING = KeyRing.new("chaland/test")
TEXT = "J'accepte de recevoir des offres par SMS.\nSTOP arrête tout."
SMS = (Purpose.MARKETING, Channel.SMS)


@pytest.fixture
def records(records):
    with records.writes.begin() as connection:
        store.put_subject(connection, ANA, minute(0))
        store.put_subject(connection, BEN, minute(0))
        publish(connection, Notice("offers-1-fr", "fr", TEXT, None, minute(0), "key:dpo"))
        ledger.record_all(
            connection,
            [
                grant(minute(1), id="first", text_version="paper"),
                *(grant(minute(2), subject="ben", id=f"b-{n}") for n in range(300)),
                grant(minute(10), id="second"),
                withdraw(minute(20), id="third", recorded_at=minute(25)),
            ],
        )
    return records


def receipt(records, entry="second", ring=RING):
    with records.reads.connect() as connection:
        return receipt_by_id(connection, ring, "ana", entry, minute(30))


def as_bytes(values):
    return json.dumps(values).encode()


def test_a_receipt_is_checked_offline(records):
    proven = check(as_bytes(receipt(records)), KeyRing.parse(str(RING.public[0])))
    assert (proven.entry.id, proven.entry.subject, proven.entry.action) == ("second", "ana", "grant")
    assert (proven.notice.text, proven.notice.language) == (TEXT, "fr")
    assert proven.by == minute(30)


def test_a_receipt_outlives_keys_entries_and_the_subject(records):
    held = as_bytes(receipt(records))
    with records.writes.begin() as connection:
        ledger.record_all(connection, [grant(minute(40), subject="ben") for _ in range(50)])
        assert seal_entries(connection, "ana", "key:dpo", minute(50)) == 3
    assert check(held, KeyRing.parse(RING.rotated().text)).entry.id == "second"
    with pytest.raises(EntryNotFound):
        receipt(records)


def test_a_text_that_was_not_published_is_not_vouched_for(records):
    assert receipt(records, "first")["notice"] is None
    with records.writes.begin() as connection:
        publish(connection, Notice("paper", "fr", "Published later.", None, minute(60), "key:dpo"))
    assert receipt(records, "first")["notice"] is None


def leaves(value, path=()):
    """Every place in a JSON document that holds a text or a number."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, (*path, key))
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from leaves(each, (*path, place))
    else:
        yield path, value


def test_no_part_of_a_receipt_can_be_changed(records):
    held = receipt(records)
    check(as_bytes(held), RING)
    tried = 0
    for path, value in leaves(held):
        for other in (f"{value}x", str(value)[::-1], "", 7, None):
            changed = copy.deepcopy(held)
            at = changed
            for step in path[:-1]:
                at = at[step]
            at[path[-1]] = other
            if other != value:
                tried += 1
                with pytest.raises(InvalidReceipt):
                    check(as_bytes(changed), RING)
    assert tried > 60


def test_what_is_no_receipt_is_told_so(records):
    held = receipt(records)
    for wrong in (b"", b"{}", b"[1]", as_bytes(held | {"extra": 1}), as_bytes(held) + b"}", b"{" * 300_000):
        with pytest.raises(InvalidReceipt):
            check(wrong, RING)
    with pytest.raises(InvalidReceipt):
        check(as_bytes(held), KeyRing.new("chaland/test"))


@pytest.mark.parametrize(
    ("at", "reason", "because"),
    [
        (minute(0), Reason.NEVER_ASKED, None),
        (minute(1), Reason.GRANTED, "first"),
        (minute(10) - timedelta(microseconds=1), Reason.GRANTED, "first"),
        (minute(10), Reason.GRANTED, "second"),
        (minute(20), Reason.WITHDRAWN, "third"),
        (minute(900), Reason.WITHDRAWN, "third"),
    ],
)
def test_a_proof_tells_what_stood_at_any_instant(records, at, reason, because):
    with records.reads.connect() as connection:
        stands, found = proof(connection, RING, "ana", *SMS, at, minute(30))
    assert stands.reason is reason
    if because is None:
        assert found is None
    else:
        assert check(as_bytes(found), RING).entry.id == because


def test_another_key_signs_nothing_for_this_log(records):
    from consent import checkpoint

    with records.writes.begin() as connection:
        checkpoint.take(connection, RING, minute(31))
    with pytest.raises(LedgerKeyDiffers):
        receipt(records, ring=KeyRing.new("chaland/test"))
    assert receipt(records, ring=RING.rotated())["place"] == 303
