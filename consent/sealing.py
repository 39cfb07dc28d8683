"""Erasure in the ledger: what was said goes, its leaf stays.

The rows of a subject's entries are deleted, their salts with them. The leaves keep their places, so that every root,
checkpoint and proof stands; and the erasure is a leaf of its own that names those places, so that an entry that is gone
without one is known for what it is: tampering.
"""

from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from consent import log
from consent.commitment import ErasureLine, instant, leaf_of, new_salt
from consent.log_tables import consent_erasures
from consent.store import consent_entries


def seal_entries(conn: Connection, subject: str, actor: str, at: datetime) -> int:
    """Destroy what the subject's entries say, for good; answers how many. Call it under the subject's lock, in the
    transaction that erases the rest, after the last entry. A purpose without an entry is not allowed, so nothing that
    was granted comes back. Receipts that the subject holds can still be checked.
    """
    size = log.hold(conn)
    theirs = consent_entries.c.subject == subject
    places = conn.scalars(select(consent_entries.c.seq).where(theirs).order_by(consent_entries.c.seq)).all()
    if not places:
        return 0
    conn.execute(delete(consent_entries).where(theirs))
    entries, salt = " ".join(map(str, places)), new_salt()
    conn.execute(
        insert(consent_erasures).values(seq=size + 1, entries=entries, erased_at=at, actor=actor, salt=salt)
    )
    log.append(conn, size, [leaf_of(salt, ErasureLine(actor=actor, entries=entries, erased_at=instant(at)))])
    return len(places)
