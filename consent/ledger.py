"""The append-only door to the consent ledger: entries go in and are read, nothing here changes or removes one."""

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, func, insert, select

from consent import log
from consent.commitment import entry_line, leaf_of, new_salt
from consent.data_keys import IDS_PER_QUERY
from consent.entry import Action, Channel, Entry, Purpose, Standing, standing
from consent.errors import EntryTaken, SubjectNotFound
from consent.log_tables import consent_notices
from consent.notice import notices_of, renewals_of
from consent.push import forget_addresses
from consent.store import consent_entries, lock_subjects

_RENEWAL_DUE = (
    select(func.min(consent_notices.c.published_at))
    .where(consent_notices.c.renews == consent_entries.c.text_version)
    .scalar_subquery()
    .label("renewal_due")
)
_WITH_RENEWAL = select(consent_entries, _RENEWAL_DUE)
_OF_ONE = _WITH_RENEWAL.where(consent_entries.c.subject == bindparam("subject")).order_by(
    consent_entries.c.seq
)
_OF_MANY = _WITH_RENEWAL.where(consent_entries.c.subject.in_(bindparam("some", expanding=True))).order_by(
    consent_entries.c.seq
)
_OF_MANY_FOR = _OF_MANY.where(consent_entries.c.purpose == bindparam("of_purpose"))

_KEPT = tuple(each.name for each in fields(Entry) if each.name != "renewal_due")
"""What the table keeps of an entry, beside its salt."""


def record(conn: Connection, entry: Entry) -> Entry:
    """Append the entry under the subject's lock and return it with its `seq`.

    An id that stands already is not written again: the entry that stands is returned. Raises SubjectNotFound
    for an unknown subject, EntryTaken when the id stands for something else. Where the text is a published notice, its
    hash and language are put in. In a transaction that writes for several subjects, lock all of them first, or use
    `record_all`.
    """
    return record_all(conn, [entry])[0]


def record_all(conn: Connection, entries: Sequence[Entry]) -> list[Entry]:
    """Append many entries, as `record` does each, all or none. Their subjects are locked first, then the log."""
    if not lock_subjects(conn, {entry.subject for entry in entries}):
        raise SubjectNotFound
    size = log.hold(conn)
    stand = _standing_ids(conn, [entry.id for entry in entries])
    versions = {entry.text_version for entry in entries if entry.text_version}
    notices, renewals = notices_of(conn, versions), renewals_of(conn, versions)
    rows, leaves, kept = list[dict[str, Any]](), list[bytes](), list[Entry]()
    for entry in entries:
        stands = stand.get(entry.id)
        if stands is None:
            shown = notices.get(entry.text_version or "")
            placed = replace(
                entry,
                language=shown.language if shown else entry.language,
                text_hash=shown.text_hash if shown else entry.text_hash,
                renewal_due=renewals.get(entry.text_version or ""),
                seq=size + len(rows) + 1,
            )
            salt = new_salt()
            rows.append(_row(placed, salt))
            leaves.append(leaf_of(salt, entry_line(placed)))
            stands = stand[entry.id] = placed
        elif _said(stands) != _said(entry):
            raise EntryTaken
        kept.append(stands)
    if rows:
        conn.execute(insert(consent_entries), rows)
        log.append(conn, size, leaves)
        _end_addresses(conn, kept)
    return kept


def _end_addresses(conn: Connection, entries: Sequence[Entry]) -> None:
    """Whoever no longer allows offers by push is not to be reached by push."""
    for entry in entries:
        ends = (entry.action, entry.purpose) == (Action.WITHDRAW, Purpose.MARKETING)
        if ends and entry.channel in (None, Channel.PUSH):  # None: of every channel
            stands = standing_of(conn, entry.subject, entry.purpose, Channel.PUSH, entry.recorded_at)
            if not stands.allowed:
                forget_addresses(conn, entry.subject)


def entries_of(conn: Connection, subject: str) -> tuple[Entry, ...]:
    """One subject's entries in the order they were recorded."""
    return tuple(_entry(row) for row in conn.execute(_OF_ONE, {"subject": subject}).mappings())


def entries_of_many(
    conn: Connection, subjects: Iterable[str], purpose: Purpose | None = None
) -> dict[str, tuple[Entry, ...]]:
    """Each subject's entries, of one purpose if it is given, in the order they were recorded; an empty tuple for one
    without any.
    """
    found: dict[str, list[Entry]] = {subject: [] for subject in subjects}
    rest = iter(found)
    while some := list(islice(rest, IDS_PER_QUERY)):
        if purpose is None:
            rows = conn.execute(_OF_MANY, {"some": some})
        else:
            rows = conn.execute(_OF_MANY_FOR, {"some": some, "of_purpose": purpose.value})
        for row in rows.mappings().all():
            found[row["subject"]].append(_entry(row))
    return {subject: tuple(entries) for subject, entries in found.items()}


def withdrawals_recorded(conn: Connection, since: datetime, until: datetime) -> list[Entry]:
    """Every withdrawal that was written down from `since` up to before `until`, in the ledger's order."""
    query = _WITH_RENEWAL.where(
        consent_entries.c.action == Action.WITHDRAW.value,
        consent_entries.c.recorded_at >= since,
        consent_entries.c.recorded_at < until,
    )
    return [_entry(row) for row in conn.execute(query.order_by(consent_entries.c.seq)).mappings()]


def standing_of(
    conn: Connection, subject: str, purpose: Purpose, channel: Channel | None, at: datetime
) -> Standing:
    """What stood for one subject at `at`: `standing` over its entries."""
    return standing(entries_of(conn, subject), purpose, channel, at)


def count_granted(conn: Connection, purpose: Purpose, channel: Channel | None) -> int:
    """How many subjects' newest entry for this purpose on this channel is a grant; some of these may not stand."""
    kept = consent_entries.c
    newest = (
        select(func.max(kept.seq))
        .where(kept.purpose == purpose.value, kept.channel == (channel.value if channel else None))
        .group_by(kept.subject)
    )
    granted = select(func.count()).where(kept.seq.in_(newest), kept.action == Action.GRANT.value)
    return conn.scalar(granted) or 0


def _standing_ids(conn: Connection, ids: Sequence[str]) -> dict[str, Entry]:
    """The entries that stand under these ids."""
    found, rest = dict[str, Entry](), iter(ids)
    while some := list(islice(rest, IDS_PER_QUERY)):
        for row in conn.execute(_WITH_RENEWAL.where(consent_entries.c.id.in_(some))).mappings():
            found[row["id"]] = _entry(row)
    return found


def _row(entry: Entry, salt: bytes) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in _KEPT} | {"salt": salt}


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
        language=row["language"],
        text_hash=row["text_hash"],
        evidence=row["evidence"],
        jurisdiction=row["jurisdiction"],
        partner=row["partner"],
        seq=row["seq"],
        renewal_due=row["renewal_due"],
    )
