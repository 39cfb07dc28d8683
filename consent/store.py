"""What is remembered about subjects, their devices, their consents and the texts they sent us.

Functions take an open connection; whoever calls opened the transaction.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    BindParameter,
    Column,
    Connection,
    Executable,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Row,
    Table,
    Text,
    bindparam,
    delete,
    exists,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy_utc import UtcDateTime

from consent import suppression
from consent.data_keys import (
    KeysInUse,
    batches,
    destroy_key,
    key_for,
    key_of,
    keys_in_use,
    keys_of,
    under_live_keys,
    vault_of,
)
from consent.errors import DeviceTaken
from consent.subject import Attribute, Device, Subject
from consent.tables import metadata, suppressions
from consent.vault import DataKey, Unsealable, Vault

subjects = Table(
    "subjects",
    metadata,
    Column("id", Text, primary_key=True),
    Column("phone", Text),  # sealed
    Column("phone_index", Text, index=True),  # fingerprint under an index key
    Column("phone_mark", Text),  # as the suppression list has it
    Column("locale", Text),
    Column("timezone", Text),
    Column("attributes", JSON, nullable=False),  # sealed: one string
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

devices = Table(
    "devices",
    metadata,
    Column("device", Text, primary_key=True),  # fingerprint under an index key
    Column("name", Text),  # sealed
    Column("subject", Text, ForeignKey("subjects.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("position", Integer, nullable=False),
    Column("push", JSON(none_as_null=True)),  # sealed: one string
    Column("push_kind", Text),
    Column("push_since", UtcDateTime),  # when this very address was first told
    Column("push_seen_at", UtcDateTime),  # when it was last told
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
    return (
        conn.execute(_inserting_new(conn.dialect.name, table, telling=True), dict(values)).first() is not None
    )


def insert_all_new(conn: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows in one statement, except those that are there already by any key."""
    if rows:
        conn.execute(_inserting_new(conn.dialect.name, table, telling=False), rows)


@cache  # for each table that is asked for
def _inserting_new(dialect: str, table: Table, *, telling: bool) -> Executable:
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    statement = insert(table).on_conflict_do_nothing()
    return statement.returning(*table.primary_key) if telling else statement


@dataclass(frozen=True, slots=True)
class Reachable:
    """What a judgement may know of a subject: attributes, and where a message would find them; the number is sealed."""

    id: str
    attributes: Mapping[str, Attribute]
    has_push: bool
    is_suppressed: bool
    locale: str | None = None
    sealed_phone: str | None = field(default=None, repr=False)

    @property
    def has_phone(self) -> bool:
        """Whether there is a number."""
        return self.sealed_phone is not None

    def phone(self, key: DataKey) -> str | None:
        """The number in E.164, unsealed to tell where it is from."""
        return None if self.sealed_phone is None else key.open("phone", self.sealed_phone)


@dataclass(frozen=True, slots=True)
class Held:
    """Of a subject whose row is held: how its number stands on the suppression list if it is there, and the number, sealed."""

    mark: str | None
    sealed_phone: str | None = field(default=None, repr=False)

    def phone(self, key: DataKey | None) -> str | None:
        """The number in E.164, unsealed to be called upon. Raises Unsealable without its key."""
        if self.sealed_phone is None:
            return None
        if key is None:
            raise Unsealable("the subject has no data key")
        return key.open("phone", self.sealed_phone)


_SOME: BindParameter[str] = bindparam("some", expanding=True)
_REACHABLE = select(
    subjects.c.id,
    subjects.c.attributes,
    subjects.c.locale,
    subjects.c.phone,
    exists().where(devices.c.subject == subjects.c.id, devices.c.push.is_not(None)).label("has_push"),
    suppression.is_listed(subjects.c.phone_mark).label("is_suppressed"),
).where(subjects.c.id.in_(_SOME))
_OWNERS = select(devices.c.device, devices.c.subject).where(devices.c.device.in_(_SOME))
_LOCKED = select(subjects.c.id).where(subjects.c.id.in_(_SOME)).order_by(subjects.c.id).with_for_update()
NOBODY = Held(None)
"""Where there is no row."""
_HELD = (
    select(subjects.c.phone, subjects.c.phone_mark)
    .where(subjects.c.id == bindparam("subject"))
    .with_for_update()
)


def put_subject(conn: Connection, subject: Subject, at: datetime) -> bool:
    """Keep exactly this of the subject, devices included, sealed with its data key; tells whether it is new. Raises
    DeviceTaken.
    """
    plain = {"locale": subject.locale, "timezone": subject.timezone, "updated_at": at}
    unfilled = {"id": subject.id, "created_at": at, "attributes": "", **plain}
    created = insert_if_new(conn, subjects, unfilled)
    while not created and not lock_subject(conn, subject.id):  # erased in between
        created = insert_if_new(conn, subjects, unfilled)
    in_use = keys_in_use(conn)
    key = key_for(conn, subject.id, in_use)
    held = {**plain, **_sealed_phone(vault_of(conn), in_use, key, subject.phone)}
    held["attributes"] = key.seal("attributes", json.dumps(dict(subject.attributes)))
    conn.execute(update(subjects).where(subjects.c.id == subject.id).values(held))
    _put_devices(conn, in_use, key, subject, at)
    return created


def _sealed_phone(vault: Vault, in_use: KeysInUse, key: DataKey, phone: str | None) -> dict[str, str | None]:
    if phone is None:
        return {"phone": None, "phone_index": None, "phone_mark": None}
    return {
        "phone": key.seal("phone", phone),
        "phone_index": vault.fingerprint(in_use.index, "phone", phone),
        "phone_mark": suppression.mark(vault, in_use, phone),
    }


def _put_devices(conn: Connection, in_use: KeysInUse, key: DataKey, subject: Subject, at: datetime) -> None:
    since = _pushes_since(conn, key, subject.id) if any(each.push for each in subject.devices) else {}
    conn.execute(delete(devices).where(devices.c.subject == subject.id))
    if not subject.devices:
        return
    others = _owners(conn, [device.device for device in subject.devices], in_use.every_index)
    taken = []
    # in one order everywhere, so that two subjects naming the same devices cannot wait for each other
    for position, device in sorted(enumerate(subject.devices), key=lambda placed: placed[1].device):
        row = {
            "device": vault_of(conn).fingerprint(in_use.index, "device", device.device),
            "name": key.seal("device", device.device),
            "subject": subject.id,
            "position": position,
            **_push_columns(key, device, since, at),
        }
        if device.device in others or not insert_if_new(conn, devices, row):
            taken.append(position)
    if taken:
        raise DeviceTaken(sorted(taken))


def _pushes_since(conn: Connection, key: DataKey, subject: str) -> dict[str, datetime | None]:
    """Since when the subject's push addresses are known, each by its JSON."""
    held = select(devices.c.push, devices.c.push_since).where(
        devices.c.subject == subject, devices.c.push.is_not(None)
    )
    return {key.open("push", row.push): row.push_since for row in conn.execute(held)}


def _push_columns(
    key: DataKey, device: Device, since: Mapping[str, datetime | None], at: datetime
) -> dict[str, Any]:
    if device.push is None:
        return {"push": None}
    told = json.dumps(dict(device.push))
    return {
        "push": key.seal("push", told),
        "push_kind": device.push.get("kind"),
        "push_since": since.get(told, at),
        "push_seen_at": at,
    }


def get_subject(conn: Connection, subject: str) -> Subject | None:
    """The subject, or None."""
    return get_subjects(conn, [subject]).get(subject)


def get_subjects(conn: Connection, ids: Iterable[str]) -> dict[str, Subject]:
    """The known ones among `ids`, unsealed."""
    found = {}
    for some in batches(ids):
        keys = keys_of(conn, some)
        owned: dict[str, list[Device]] = {}
        by_place = select(devices).where(devices.c.subject.in_(some)).order_by(devices.c.position)
        for row in conn.execute(by_place):
            owned.setdefault(row.subject, []).append(_device(keys[row.subject], row))
        for row in conn.execute(select(subjects).where(subjects.c.id.in_(some))):
            key = keys[row.id]
            found[row.id] = Subject(
                id=row.id,
                phone=None if row.phone is None else key.open("phone", row.phone),
                locale=row.locale,
                timezone=row.timezone,
                attributes=json.loads(key.open("attributes", row.attributes)),
                devices=tuple(owned.get(row.id, ())),
            )
    return found


def _device(key: DataKey, row: Row[Any]) -> Device:
    push = None if row.push is None else json.loads(key.open("push", row.push))
    return Device(device=key.open("device", row.name), push=push)


def reachable(
    conn: Connection, ids: Iterable[str], keys: Mapping[str, DataKey] | None = None
) -> dict[str, Reachable]:
    """What a judgement may know of the known ones among `ids`; no address is unsealed for it. The caller may have their
    `keys`, which are read else.
    """
    wanted = set(ids)
    keys = keys_of(conn, wanted) if keys is None else keys
    rows = (row for some in batches(wanted) for row in conn.execute(_REACHABLE, {"some": some}).all())
    return {
        row.id: Reachable(
            id=row.id,
            attributes=json.loads(keys[row.id].open("attributes", row.attributes)),
            has_push=row.has_push,
            is_suppressed=row.is_suppressed,
            locale=row.locale,
            sealed_phone=row.phone,
        )
        for row in rows
    }


def known_subjects(conn: Connection, ids: Iterable[str]) -> set[str]:
    """Those of the ids that a subject has."""
    known: set[str] = set()
    for some in batches(ids):
        known.update(conn.scalars(select(subjects.c.id).where(subjects.c.id.in_(some))))
    return known


def count_subjects(conn: Connection) -> int:
    """How many subjects there are."""
    return conn.scalar(select(func.count()).select_from(subjects)) or 0


def mark_of_subject(conn: Connection, subject: str) -> str | None:
    """How the subject's number stands on the suppression list, if it is there; None for one without a number."""
    return conn.scalar(select(subjects.c.phone_mark).where(subjects.c.id == subject))


def subjects_suppressed(conn: Connection, since: datetime, until: datetime) -> list[tuple[str, datetime]]:
    """The subjects whose number was put on the suppression list from `since` up to before `until`, and is there still,
    with when it was.
    """
    listed = select(subjects.c.id, suppressions.c.since).join(
        suppressions, suppressions.c.mark == subjects.c.phone_mark
    )
    then = (suppressions.c.since >= since) & (suppressions.c.since < until)
    rows = conn.execute(listed.where(then, suppressions.c.lifted_at.is_(None)))
    return [(row.id, row.since) for row in rows]


def phone_of(conn: Connection, subject: str) -> str | None:
    """The subject's number in E.164, unsealed to be called upon."""
    sealed = conn.scalar(select(subjects.c.phone).where(subjects.c.id == subject))
    return None if sealed is None else key_of(conn, subject).open("phone", sealed)


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
    """Destroy the subject's data key; remove the subject, its devices, and its part in the texts received. False when
    there is none.
    """
    destroy_key(conn, subject)
    conn.execute(delete(inbound_subjects).where(inbound_subjects.c.subject == subject))
    conn.execute(delete(devices).where(devices.c.subject == subject))
    return conn.execute(delete(subjects).where(subjects.c.id == subject)).rowcount == 1


def lock_subject(conn: Connection, subject: str) -> bool:
    """Hold the subject's row until the transaction ends; False when there is none. Consent is written and messages
    are claimed under this lock. Whoever locks several takes them in the order of their ids.
    """
    held = select(subjects.c.id).where(subjects.c.id == subject).with_for_update()
    return conn.execute(held).first() is not None


def hold_subject(conn: Connection, subject: str) -> Held | None:
    """As `lock_subject`, with what a message to the subject needs of its row; None when there is none."""
    row = conn.execute(_HELD, {"subject": subject}).first()
    return None if row is None else Held(row.phone_mark, row.phone)


def lock_subjects(conn: Connection, ids: Iterable[str]) -> bool:
    """Hold the rows of several subjects, in the order of their ids; False when one of them is not known."""
    known = True
    for some in batches(sorted(ids)):
        known &= len(conn.execute(_LOCKED, {"some": some}).all()) == len(some)
    return known


def subject_of_device(conn: Connection, device: str) -> str | None:
    """The id of the subject a device belongs to."""
    return subjects_of_devices(conn, [device]).get(device)


def subjects_of_devices(conn: Connection, names: Iterable[str]) -> dict[str, str]:
    """Device to subject id, for the devices that belong to someone."""
    wanted = list(names)
    return under_live_keys(conn, lambda key_ids: _owners(conn, wanted, key_ids)) if wanted else {}


def _owners(conn: Connection, names: Sequence[str], key_ids: Sequence[str]) -> dict[str, str]:
    vault = vault_of(conn)
    named = {vault.fingerprint(each, "device", name): name for each in key_ids for name in names}
    owners = {}
    for some in batches(named):
        found = conn.execute(_OWNERS, {"some": some}).all()
        owners.update({named[row.device]: row.subject for row in found})
    return owners


def devices_of_subjects(conn: Connection, ids: Iterable[str]) -> dict[str, str]:
    """Device to subject id, for all devices of these subjects."""
    owners = {}
    for some in batches(ids):
        keys = keys_of(conn, some)
        for row in conn.execute(select(devices.c.name, devices.c.subject).where(devices.c.subject.in_(some))):
            owners[keys[row.subject].open("device", row.name)] = row.subject
    return owners


def subjects_with_phone(conn: Connection, phone: str) -> list[str]:
    """The ids of the subjects with this E.164 number, in order."""
    vault = vault_of(conn)

    def look(key_ids: tuple[str, ...]) -> list[str]:
        wanted = subjects.c.phone_index.in_([vault.fingerprint(each, "phone", phone) for each in key_ids])
        return list(conn.scalars(select(subjects.c.id).where(wanted).order_by(subjects.c.id)))

    return under_live_keys(conn, look)


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
