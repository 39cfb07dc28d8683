"""What is remembered about subjects, their devices, their consents and the texts they sent us.

Functions take an open connection; whoever calls opened the transaction.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    delete,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy_utc import UtcDateTime

from consent.errors import DeviceTaken
from consent.subject import Device, Subject

IDS_PER_QUERY = 500
"""Both databases limit the parameters of one statement."""

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

subjects = Table(
    "subjects",
    metadata,
    Column("id", Text, primary_key=True),
    Column("phone", Text, index=True),
    Column("locale", Text),
    Column("timezone", Text),
    Column("attributes", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

devices = Table(
    "devices",
    metadata,
    Column("device", Text, primary_key=True),
    Column("subject", Text, ForeignKey("subjects.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("position", Integer, nullable=False),
    Column("push", JSON(none_as_null=True)),
)

consent_entries = Table(
    "consent_entries",
    metadata,
    # its place in the log, from 1, without a gap; see log.py
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False, unique=True),
    Column("subject", Text, nullable=False),  # no foreign key: the ledger outlives the subject
    Column("purpose", Text, nullable=False),
    Column("channel", Text),
    Column("action", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("text_version", Text),
    Column("at", UtcDateTime, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("language", Text),
    Column("text_hash", Text),
    Column("evidence", Text),
    Column("jurisdiction", Text),
    Column("partner", Text),
    Column("salt", LargeBinary, nullable=False),
    Index("ix_consent_entries_subject_seq", "subject", "seq"),
)

inbound_messages = Table(
    "inbound_messages",
    metadata,
    Column("sid", Text, primary_key=True),
    Column("verdict", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
)

inbound_subjects = Table(
    "inbound_subjects",
    metadata,
    Column("sid", Text, ForeignKey("inbound_messages.sid", ondelete="CASCADE"), primary_key=True),
    Column("subject", Text, primary_key=True, index=True),
)


@dataclass(frozen=True, slots=True)
class Inbound:
    """What is kept of a text a shopper sent: neither its words nor its number."""

    sid: str
    verdict: str
    answer: str
    language: str
    received_at: datetime


def insert_if_new(conn: Connection, table: Table, values: Mapping[str, Any]) -> bool:
    """Insert the row, unless one with its key stands already. Two at once: the second waits and sees the first."""
    insert = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).values(dict(values)).on_conflict_do_nothing().returning(*table.primary_key)
    return conn.execute(statement).first() is not None


def put_subject(conn: Connection, subject: Subject, at: datetime) -> bool:
    """Keep exactly this of the subject, devices included; tells whether it is new. Raises DeviceTaken."""
    held = {
        "phone": subject.phone,
        "locale": subject.locale,
        "timezone": subject.timezone,
        "attributes": dict(subject.attributes),
        "updated_at": at,
    }
    created = insert_if_new(conn, subjects, {"id": subject.id, "created_at": at, **held})
    if not created:
        conn.execute(update(subjects).where(subjects.c.id == subject.id).values(held))
    _put_devices(conn, subject)
    return created


def _put_devices(conn: Connection, subject: Subject) -> None:
    conn.execute(delete(devices).where(devices.c.subject == subject.id))
    taken = []
    # in one order everywhere, so that two subjects naming the same devices cannot wait for each other
    for position, device in sorted(enumerate(subject.devices), key=lambda placed: placed[1].device):
        push = None if device.push is None else dict(device.push)
        row = {"device": device.device, "subject": subject.id, "position": position, "push": push}
        if not insert_if_new(conn, devices, row):
            taken.append(position)
    if taken:
        raise DeviceTaken(sorted(taken))


def get_subject(conn: Connection, subject: str) -> Subject | None:
    """The subject, or None."""
    return get_subjects(conn, [subject]).get(subject)


def get_subjects(conn: Connection, ids: Iterable[str]) -> dict[str, Subject]:
    """The known ones among `ids`."""
    found = {}
    for some in _batches(ids):
        owned: dict[str, list[Device]] = {}
        by_place = select(devices).where(devices.c.subject.in_(some)).order_by(devices.c.position)
        for row in conn.execute(by_place):
            owned.setdefault(row.subject, []).append(Device(device=row.device, push=row.push))
        for row in conn.execute(select(subjects).where(subjects.c.id.in_(some))):
            found[row.id] = Subject(
                id=row.id,
                phone=row.phone,
                locale=row.locale,
                timezone=row.timezone,
                attributes=row.attributes,
                devices=tuple(owned.get(row.id, ())),
            )
    return found


def subject_ids_after(conn: Connection, after: str | None, limit: int) -> list[str]:
    """The next `limit` ids behind `after` (None: from the start), in the store's own order of text."""
    known = select(subjects.c.id).order_by(subjects.c.id).limit(limit)
    return list(conn.scalars(known if after is None else known.where(subjects.c.id > after)))


def dates_of_subject(conn: Connection, subject: str) -> tuple[datetime, datetime] | None:
    """When the subject was made known, and last changed."""
    row = conn.execute(
        select(subjects.c.created_at, subjects.c.updated_at).where(subjects.c.id == subject)
    ).first()
    return None if row is None else (row.created_at, row.updated_at)


def delete_subject(conn: Connection, subject: str) -> bool:
    """Remove the subject, its devices, and its part in the texts received; False when there is none."""
    conn.execute(delete(inbound_subjects).where(inbound_subjects.c.subject == subject))
    conn.execute(delete(devices).where(devices.c.subject == subject))
    return conn.execute(delete(subjects).where(subjects.c.id == subject)).rowcount == 1


def lock_subject(conn: Connection, subject: str) -> bool:
    """Hold the subject's row until the transaction ends; False when there is none. Consent is written and messages
    are claimed under this lock. Whoever locks several takes them in the order of their ids.
    """
    held = select(subjects.c.id).where(subjects.c.id == subject).with_for_update()
    return conn.execute(held).first() is not None


def lock_subjects(conn: Connection, ids: Iterable[str]) -> bool:
    """Hold the rows of several subjects, in the order of their ids; False when one of them is not known."""
    known = True
    for some in _batches(sorted(ids)):
        held = select(subjects.c.id).where(subjects.c.id.in_(some)).order_by(subjects.c.id)
        known &= len(conn.execute(held.with_for_update()).all()) == len(some)
    return known


def subject_of_device(conn: Connection, device: str) -> str | None:
    """The id of the subject a device belongs to."""
    return subjects_of_devices(conn, [device]).get(device)


def subjects_of_devices(conn: Connection, names: Iterable[str]) -> dict[str, str]:
    """Device to subject id, for the devices that belong to someone."""
    return _owners(conn, devices.c.device, names)


def devices_of_subjects(conn: Connection, ids: Iterable[str]) -> dict[str, str]:
    """Device to subject id, for all devices of these subjects."""
    return _owners(conn, devices.c.subject, ids)


def _owners(conn: Connection, column: Column[str], values: Iterable[str]) -> dict[str, str]:
    owners = {}
    for some in _batches(values):
        for row in conn.execute(select(devices.c.device, devices.c.subject).where(column.in_(some))):
            owners[row.device] = row.subject
    return owners


def subjects_with_phone(conn: Connection, phone: str) -> list[str]:
    """The ids of the subjects with this E.164 number, in order."""
    return list(conn.scalars(select(subjects.c.id).where(subjects.c.phone == phone).order_by(subjects.c.id)))


def add_inbound(conn: Connection, message: Inbound) -> bool:
    """Keep that a text came in; False when it had come before."""
    row = {
        "sid": message.sid,
        "verdict": message.verdict,
        "answer": message.answer,
        "language": message.language,
        "received_at": message.received_at,
    }
    return insert_if_new(conn, inbound_messages, row)


def settle_inbound(conn: Connection, sid: str, answer: str, concerned: Sequence[str]) -> None:
    """Complete a text that `add_inbound` kept: how it was answered, and whom it concerned."""
    conn.execute(update(inbound_messages).where(inbound_messages.c.sid == sid).values(answer=answer))
    for subject in concerned:
        insert_if_new(conn, inbound_subjects, {"sid": sid, "subject": subject})


def get_inbound(conn: Connection, sid: str) -> tuple[Inbound, tuple[str, ...]] | None:
    """A text that came in, and the ids of the subjects it concerned."""
    row = conn.execute(select(inbound_messages).where(inbound_messages.c.sid == sid)).mappings().first()
    if row is None:
        return None
    concerned = select(inbound_subjects.c.subject).where(inbound_subjects.c.sid == sid)
    return Inbound(**row), tuple(conn.scalars(concerned.order_by(inbound_subjects.c.subject)))


def inbound_of(conn: Connection, subject: str) -> list[Inbound]:
    """The texts that came from a subject, oldest first."""
    theirs = (
        select(inbound_messages)
        .join(inbound_subjects, inbound_subjects.c.sid == inbound_messages.c.sid)
        .where(inbound_subjects.c.subject == subject)
        .order_by(inbound_messages.c.received_at, inbound_messages.c.sid)
    )
    return [Inbound(**row) for row in conn.execute(theirs).mappings()]


def _batches(ids: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(ids)
    while some := list(islice(rest, IDS_PER_QUERY)):
        yield some
