"""The data keys of subjects, and which keys of the vault are in use. The vault travels with the connection.

A key is `current` (what is written now is written with it), `retiring` (some rows still need it) or `retired` (no row
does, old backups might).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import TypeVar, cast

from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from consent.keyring import KeyKind, KeyMissing
from consent.tables import subject_keys, vault_keys
from consent.vault import DataKey, Unsealable, Vault

IDS_PER_QUERY = 500
VAULT_OPTION = "vault"
"""The execution option of an engine under which its connections carry the vault."""
Found = TypeVar("Found")
_KEY = select(subject_keys.c.master, subject_keys.c.wrapped).where(
    subject_keys.c.subject == bindparam("subject")
)
_KEYS = select(subject_keys.c.subject, subject_keys.c.master, subject_keys.c.wrapped).where(
    subject_keys.c.subject.in_(bindparam("some", expanding=True))
)
_IDS_IN_STATE = (
    select(vault_keys.c.id)
    .where(
        vault_keys.c.kind == bindparam("of_kind"),
        vault_keys.c.state.in_(bindparam("states", expanding=True)),
    )
    .order_by(vault_keys.c.id)
)


@dataclass(frozen=True, slots=True)
class KeysInUse:
    """Ids: the current key of each kind, and every index key that rows may have."""

    master: str
    index: str
    suppression: str
    every_index: tuple[str, ...]


class KeyState(StrEnum):
    """How far a key of the vault is in its life."""

    CURRENT = "current"
    RETIRING = "retiring"
    RETIRED = "retired"


def vault_of(conn: Connection) -> Vault:
    """The vault that this connection was opened with."""
    vault = conn.get_execution_options().get(VAULT_OPTION)
    if vault is None:
        raise LookupError("this connection was opened without the keys of the vault")
    return cast("Vault", vault)


def register_keys(conn: Connection) -> None:
    """See that there is a current key of each kind, and that the file has every key that rows need. A new database
    takes the keys of the file, or makes some. Nobody else registers at the same time. Raises KeyMissing.
    """
    vault = vault_of(conn)
    known = conn.execute(select(vault_keys)).all()
    in_file = {key.kind: key.id for key in vault.keyring.read()}
    for row in known:
        if row.state != KeyState.RETIRED and vault.check_value(row.id) != row.check_value:
            raise KeyMissing(row.id, vault.keyring.path)
    for kind in KeyKind:
        if not any(row.kind == kind for row in known):
            add_key(conn, kind, in_file.get(kind) or vault.keyring.add([kind])[0].id)


def add_key(conn: Connection, kind: KeyKind, key_id: str) -> None:
    """Make a key of the file the current one of its kind; the one before it retires."""
    was_current = (vault_keys.c.kind == kind.value) & (vault_keys.c.state == KeyState.CURRENT.value)
    conn.execute(update(vault_keys).where(was_current).values(state=KeyState.RETIRING.value))
    check = vault_of(conn).check_value(key_id)
    row = {"id": key_id, "kind": kind.value, "state": KeyState.CURRENT.value, "check_value": check}
    conn.execute(insert(vault_keys).values(row))


def ids_in_state(conn: Connection, kind: KeyKind, *states: KeyState) -> tuple[str, ...]:
    """The keys of a kind that are in one of these states, in the order of their ids."""
    wanted = {"of_kind": kind.value, "states": [state.value for state in states]}
    return tuple(conn.scalars(_IDS_IN_STATE, wanted).all())


def keys_in_use(conn: Connection) -> KeysInUse:
    """The keys to write with. They stay so until this transaction ends: a rotation waits for whoever writes."""
    in_use = select(vault_keys).where(vault_keys.c.state != KeyState.RETIRED.value)
    for _ in range(2):  # who waited for a rotation finds the old key gone, and the new one at the second look
        rows = conn.execute(in_use.with_for_update(read=True)).all()
        current = {KeyKind(row.kind): str(row.id) for row in rows if row.state == KeyState.CURRENT}
        if len(current) == len(KeyKind):
            index = tuple(str(row.id) for row in rows if row.kind == KeyKind.INDEX)
            return KeysInUse(
                current[KeyKind.MASTER], current[KeyKind.INDEX], current[KeyKind.SUPPRESSION], index
            )
    raise LookupError("the vault lacks a current key")


def under_live_keys(conn: Connection, look: Callable[[tuple[str, ...]], Found]) -> Found:
    """What `look` finds under the ids of all index keys that rows may have; it looks again if a rotation began or
    ended meanwhile, so that no row is missed that moves from one key to the other. On SQLite a transaction sees the same
    from its first statement to its last.
    """
    live = (KeyState.CURRENT, KeyState.RETIRING)
    while True:
        ids = ids_in_state(conn, KeyKind.INDEX, *live)
        found = look(ids)
        if conn.dialect.name == "sqlite" or ids_in_state(conn, KeyKind.INDEX, *live) == ids:
            return found


def key_of(conn: Connection, subject: str) -> DataKey:
    """The subject's data key. Raises Unsealable when there is none (any more)."""
    found = key_if_any(conn, subject)
    if found is None:
        raise Unsealable("the subject has no data key")
    return found


def key_if_any(conn: Connection, subject: str) -> DataKey | None:
    """The subject's data key; None when there is none (any more)."""
    row = conn.execute(_KEY, {"subject": subject}).first()
    return None if row is None else vault_of(conn).unwrap(subject, row.master, row.wrapped)


def keys_of(conn: Connection, subjects: Iterable[str]) -> dict[str, DataKey]:
    """The data keys of those subjects that have one."""
    vault, found = vault_of(conn), {}
    for some in batches(set(subjects)):
        for row in conn.execute(_KEYS, {"some": some}).all():
            found[row.subject] = vault.unwrap(row.subject, row.master, row.wrapped)
    return found


def key_for(conn: Connection, subject: str, in_use: KeysInUse | None = None) -> DataKey:
    """The subject's data key, made if there is none. The caller holds the subject's row."""
    found = key_if_any(conn, subject)
    if found is not None:
        return found
    vault = vault_of(conn)
    master = (in_use or keys_in_use(conn)).master
    made = vault.new_data_key(subject)
    row = {"subject": subject, "master": master, "wrapped": made.wrapped(vault.keyring.key(master))}
    insert_key = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
    new = insert_key(subject_keys).values(row).on_conflict_do_nothing().returning(subject_keys.c.subject)
    return made if conn.execute(new).first() else key_of(conn, subject)


def destroy_key(conn: Connection, subject: str) -> bool:
    """Destroy the subject's data key, and with it all that it sealed, wherever it is kept. False if there was none."""
    return conn.execute(delete(subject_keys).where(subject_keys.c.subject == subject)).rowcount > 0


def batches(ids: Iterable[str]) -> Iterator[list[str]]:
    """In parts that one statement can take."""
    rest = iter(ids)
    while some := list(islice(rest, IDS_PER_QUERY)):
        yield some
