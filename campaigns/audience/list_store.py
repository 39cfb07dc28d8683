"""Lists of subjects that a marketer uploads, to speak to them or to leave them out.

Every function takes an open connection; the caller owns the transaction.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from sqlalchemy import Connection, delete, func, select

from campaigns.errors import TooManyLists
from campaigns.tables import list_members
from consent.data_keys import batches
from consent.store import known_subjects, lock_subjects

MAX_LISTS = 1000
_LOCKS = 0x6C697374
"""The family of PostgreSQL's advisory locks of lists, each by its name: one that is new has no row to lock."""


def put_list(conn: Connection, name: str, members: Iterable[str], at: datetime) -> tuple[int, int]:
    """Have a list hold these subjects and nobody else; how many it holds, and how many are not known and left out.
    Raises `TooManyLists`. Of two at once, the second waits for the first.
    """
    wanted = set(members)
    if conn.dialect.name == "postgresql":
        conn.execute(select(func.pg_advisory_xact_lock(_LOCKS, func.hashtext(name))))
    lock_subjects(conn, wanted)
    known = known_subjects(conn, wanted)
    if name not in (names := names_of(conn)) and len(names) >= MAX_LISTS:
        raise TooManyLists(f"{MAX_LISTS} lists are allowed; delete one first")
    delete_list(conn, name)
    for some in batches(sorted(known)):
        conn.execute(
            list_members.insert(), [{"list": name, "subject": each, "added_at": at} for each in some]
        )
    return len(known), len(wanted - known)


def delete_list(conn: Connection, name: str) -> bool:
    """Forget a list. False if there was none."""
    return conn.execute(delete(list_members).where(list_members.c.list == name)).rowcount > 0


def names_of(conn: Connection) -> frozenset[str]:
    """The lists that hold anybody."""
    return frozenset(conn.scalars(select(list_members.c.list).distinct()))


def sizes(conn: Connection) -> Mapping[str, int]:
    """How many subjects each list holds, by name, in order."""
    query = (
        select(list_members.c.list, func.count()).group_by(list_members.c.list).order_by(list_members.c.list)
    )
    return {row[0]: row[1] for row in conn.execute(query)}


def lists_of(conn: Connection, subjects: Iterable[str], names: Collection[str]) -> dict[str, frozenset[str]]:
    """Those of the lists that each subject is on."""
    found: dict[str, set[str]] = {subject: set() for subject in subjects}
    for some in batches(found):
        query = select(list_members).where(
            list_members.c.subject.in_(some), list_members.c.list.in_(list(names))
        )
        for row in conn.execute(query):
            found[row.subject].add(row.list)
    return {subject: frozenset(several) for subject, several in found.items()}


def forget_subject(conn: Connection, subject: str) -> None:
    """Take a subject off every list."""
    conn.execute(delete(list_members).where(list_members.c.subject == subject))
