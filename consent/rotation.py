"""Rotating the keys of the vault while the engine works: a new key becomes current, then row by row moves to it.

How far a rotation has come is told by the rows themselves, so it may be interrupted at any point and taken up again.
"""

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Column, Connection, Engine, bindparam, func, select, update

from consent.data_keys import (
    KeyState,
    add_key,
    ids_in_state,
    keys_in_use,
    keys_of,
    vault_of,
)
from consent.keyring import KeyKind
from consent.store import devices, lock_subjects, subjects
from consent.tables import subject_keys, vault_keys

PAGE = 200
"""Rows of one transaction: traffic gets its turn in between."""
ROTATED = (KeyKind.MASTER, KeyKind.INDEX)
"""A suppression key is never rotated: what its marks stand for is not kept anywhere."""

Page = Callable[[Connection, str, str], list[str]]


def prepare(writes: Engine) -> list[str]:
    """Write a new key of each kind into the file, without using it yet, unless it waits there already; their ids. Where
    several machines work on one database, the file is then copied to all of them before the rotation.
    """
    with writes.begin() as conn:
        for kind in ROTATED:
            _alone(conn, kind)
        return [_waiting_key(conn, kind) for kind in ROTATED]


def size(writes: Engine) -> int:
    """How many rows `rotate` goes through, over all kinds."""
    with writes.connect() as conn:
        counts = (select(func.count()).select_from(table) for table in (subject_keys, subjects))
        return sum(conn.scalar(count) or 0 for count in counts)


def rotate(writes: Engine) -> Iterator[int]:
    """Make new keys current and move every row to them; yields how many rows each step went through. A rotation that
    was interrupted is finished instead.
    """
    for kind in ROTATED:
        with writes.begin() as conn:
            _alone(conn, kind)
            if not ids_in_state(conn, kind, KeyState.RETIRING):
                add_key(conn, kind, _waiting_key(conn, kind))
    for kind, page in ((KeyKind.MASTER, _rewrap), (KeyKind.INDEX, _reindex)):
        yield from _through(writes, kind, page)
        with writes.begin() as conn:
            retiring = (vault_keys.c.kind == kind.value) & (vault_keys.c.state == KeyState.RETIRING.value)
            conn.execute(update(vault_keys).where(retiring).values(state=KeyState.RETIRED.value))


def retire(writes: Engine) -> list[str]:
    """Destroy the keys that no row needs any more; their ids. Older backups cannot be read afterwards."""
    with writes.begin() as conn:
        for kind in ROTATED:
            _alone(conn, kind)
        old = [each for kind in ROTATED for each in ids_in_state(conn, kind, KeyState.RETIRED)]
        vault_of(conn).keyring.drop(old)
        conn.execute(vault_keys.delete().where(vault_keys.c.id.in_(old)))
    return old


def _alone(conn: Connection, kind: KeyKind) -> None:
    """Nobody else makes or changes keys of this kind until the transaction ends."""
    conn.execute(select(vault_keys.c.id).where(vault_keys.c.kind == kind.value).with_for_update()).all()


def _waiting_key(conn: Connection, kind: KeyKind) -> str:
    """A key of the file that the database does not know yet, made if there is none."""
    keyring = vault_of(conn).keyring
    known = set(conn.scalars(select(vault_keys.c.id)))
    waiting = [key.id for key in keyring.read() if key.kind is kind and key.id not in known]
    return waiting[-1] if waiting else keyring.add([kind])[0].id


def _through(writes: Engine, kind: KeyKind, page: Page) -> Iterator[int]:
    after = ""
    while True:
        with writes.begin() as conn:
            in_use = keys_in_use(conn)
            done = page(conn, in_use.master if kind is KeyKind.MASTER else in_use.index, after)
        if not done:
            return
        yield len(done)
        after = done[-1]


def _rewrap(conn: Connection, current: str, after: str) -> list[str]:
    """Wrap the data keys of the next subjects with the current master key. Answers whose they are."""
    vault = vault_of(conn)
    master = vault.keyring.key(current)
    following = select(subject_keys).where(subject_keys.c.subject > after).order_by(subject_keys.c.subject)
    rows = conn.execute(following.limit(PAGE).with_for_update()).all()
    _set(
        conn,
        subject_keys.c.subject,
        [
            {
                "row": row.subject,
                "master": current,
                "wrapped": vault.unwrap(row.subject, row.master, row.wrapped).wrapped(master),
            }
            for row in rows
            if row.master != current
        ],
    )
    return [row.subject for row in rows]


def _reindex(conn: Connection, current: str, after: str) -> list[str]:
    """Find the next subjects, and their devices, by the current index key. Answers who they are."""
    following = select(subjects.c.id).where(subjects.c.id > after).order_by(subjects.c.id)
    page = list(conn.scalars(following.limit(PAGE)))
    lock_subjects(conn, page)
    keys, vault = keys_of(conn, page), vault_of(conn)
    moved = f"{current}$%"
    phones = select(subjects).where(subjects.c.id.in_(page), subjects.c.phone_index.not_like(moved))
    numbers = [(row.id, keys[row.id].open("phone", row.phone)) for row in conn.execute(phones)]
    found_by = [
        {"row": row, "phone_index": vault.fingerprint(current, "phone", phone)} for row, phone in numbers
    ]
    _set(conn, subjects.c.id, found_by)
    theirs = select(devices).where(devices.c.subject.in_(page), devices.c.device.not_like(moved))
    names = [(row.device, keys[row.subject].open("device", row.name)) for row in conn.execute(theirs)]
    found_by = [{"row": row, "device": vault.fingerprint(current, "device", name)} for row, name in names]
    _set(conn, devices.c.device, found_by)
    return page


def _set(conn: Connection, key: Column[str], rows: list[dict[str, str]]) -> None:
    """Change columns of many rows of a table, each found by `row`, in one round trip."""
    if rows:
        changed: Any = {name: bindparam(name) for name in rows[0] if name != "row"}
        # a name of its own: the key itself may be among what is changed
        conn.execute(update(key.table).where(key == bindparam("row")).values(changed), rows)
