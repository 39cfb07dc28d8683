"""The append-only door to the consent ledger: entries go in and are read, nothing here changes or removes one."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from itertools import islice

from sqlalchemy import Connection, RowMapping, select

from consent.data_keys import IDS_PER_QUERY
from consent.entry import Action, Channel, Entry, Purpose, Standing, standing
from consent.errors import EntryTaken, SubjectNotFound
from consent.store import consent_entries, insert_if_new, lock_subject


def record(conn: Connection, entry: Entry) -> Entry:
    """Append the entry under the subject's lock and return it with its `seq`.

    An id that stands already is not written again: the entry that stands is returned. Raises SubjectNotFound
    for an unknown subject, EntryTaken when the id stands for something else.
    """
    if not lock_subject(conn, entry.subject):
        raise SubjectNotFound
    row = asdict(entry)
    del row["seq"]
    insert_if_new(conn, consent_entries, row)
    stands = _entry(
        conn.execute(select(consent_entries).where(consent_entries.c.id == entry.id)).mappings().one()
    )
    if _said(stands) != _said(entry):
        raise EntryTaken
    return stands


def entries_of(conn: Connection, subject: str) -> tuple[Entry, ...]:
    """One subject's entries in the order they were recorded."""
    return entries_of_many(conn, [subject])[subject]


def entries_of_many(
    conn: Connection, subjects: Iterable[str], purpose: Purpose | None = None
) -> dict[str, tuple[Entry, ...]]:
    """Each subject's entries, of one purpose if it is given, in the order they were recorded; an empty tuple for one
    without any.
    """
    found: dict[str, list[Entry]] = {subject: [] for subject in subjects}
    rest = iter(found)
    while some := list(islice(rest, IDS_PER_QUERY)):
        query = select(consent_entries).where(consent_entries.c.subject.in_(some))
        if purpose is not None:
            query = query.where(consent_entries.c.purpose == purpose.value)
        for row in conn.execute(query.order_by(consent_entries.c.seq)).mappings():
            found[row["subject"]].append(_entry(row))
    return {subject: tuple(entries) for subject, entries in found.items()}


def standing_of(
    conn: Connection, subject: str, purpose: Purpose, channel: Channel | None, at: datetime
) -> Standing:
    """What stood for one subject at `at`: `standing` over its entries."""
    return standing(entries_of(conn, subject), purpose, channel, at)


def _said(entry: Entry) -> tuple[str, Purpose, Channel | None, Action]:
    return entry.subject, entry.purpose, entry.channel, entry.action


def _entry(row: RowMapping) -> Entry:
    return Entry(
        id=row["id"],
        subject=row["subject"],
        purpose=Purpose(row["purpose"]),
        channel=None if row["channel"] is None else Channel(row["channel"]),
        action=Action(row["action"]),
        source=row["source"],
        text_version=row["text_version"],
        at=row["at"],
        recorded_at=row["recorded_at"],
        actor=row["actor"],
        seq=row["seq"],
    )
