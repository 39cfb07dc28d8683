"""Seals what an installation held in clear before it had a vault: a page of subjects at a time, each with all that the
records hold of it, so that it may be interrupted. Done before the engine serves anybody.
"""

import json
import logging
from collections.abc import Sequence

from sqlalchemy import Connection, select, update

import campaigns.message_store
import campaigns.tables
import geofences.tables
from consent import suppression
from consent.data_keys import key_for, keys_in_use, vault_of
from consent.store import devices, lock_subjects, subjects
from consent.tables import subject_keys
from consent.vault import DataKey
from engine.events import EVENT_DEVICE
from engine.records import Records

logger = logging.getLogger(__name__)

SUBJECTS_AT_ONCE = 100


def seal_existing(records: Records) -> int:
    """Seal every subject that is not sealed yet, then leave nothing of the clear text in the files. Answers how many."""
    sealed = 0
    while True:
        with records.writes.begin() as connection:
            page = _unsealed(connection)
            lock_subjects(connection, page)
            for subject in sorted(set(page) & set(_unsealed(connection))):  # another process may do the same
                _seal(connection, subject)
        if not page:
            break
        sealed += len(page)
        logger.info("vault: %d subjects sealed", sealed)
    if sealed and not records.compact(whole=True):
        logger.warning("vault: the files could not be written anew; run VACUUM when the database is at rest")
    return sealed


def _unsealed(connection: Connection) -> Sequence[str]:
    """The next subjects that have no data key."""
    keyed = subjects.outerjoin(subject_keys, subject_keys.c.subject == subjects.c.id)
    bare = select(subjects.c.id).select_from(keyed).where(subject_keys.c.subject.is_(None))
    return list(connection.scalars(bare.order_by(subjects.c.id).limit(SUBJECTS_AT_ONCE)))


def _seal(connection: Connection, subject: str) -> None:
    vault, in_use = vault_of(connection), keys_in_use(connection)
    key = key_for(connection, subject, in_use)
    held = connection.execute(select(subjects).where(subjects.c.id == subject)).one()
    values = {"attributes": key.seal("attributes", json.dumps(held.attributes))}
    if held.phone is not None:
        values |= {
            "phone": key.seal("phone", held.phone),
            "phone_index": vault.fingerprint(in_use.index, "phone", held.phone),
            "phone_mark": suppression.mark(vault, in_use, held.phone),
        }
    connection.execute(update(subjects).where(subjects.c.id == subject).values(values))
    for row in connection.execute(select(devices).where(devices.c.subject == subject)).all():
        changed = {
            "device": vault.fingerprint(in_use.index, "device", row.device),
            "name": key.seal("device", row.device),
            "push": None if row.push is None else key.seal("push", json.dumps(row.push)),
        }
        connection.execute(update(devices).where(devices.c.device == row.device).values(changed))
    _seal_history(connection, subject, key)


def _seal_history(connection: Connection, subject: str, key: DataKey) -> None:
    messages, events = campaigns.tables.messages, geofences.tables.place_events
    for row in connection.execute(
        select(messages.c.id, messages.c.text).where(messages.c.subject == subject)
    ).all():
        text = key.seal(campaigns.message_store.text_field(row.id), row.text)
        connection.execute(update(messages).where(messages.c.id == row.id).values(text=text))
    names = select(events.c.device).where(events.c.subject == subject).distinct()
    for device in connection.scalars(names).all():
        theirs = (events.c.subject == subject) & (events.c.device == device)
        sealed = key.seal_alike(EVENT_DEVICE, device)
        connection.execute(update(events).where(theirs).values(device=sealed))
