"""The short links of messages, and who opened them. No address, agent or number of an opener is kept.

Every function takes an open connection; the caller owns the transaction.
"""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, delete, func, select, update

from campaigns.content.click import BURST, Opener, Opening, judge
from campaigns.content.short_link import hashed, target_url
from campaigns.message import Message
from campaigns.tables import clicks, messages, short_links
from consent.data_keys import batches

MAX_CLICKS = 50
"""Openings of one link that are kept; further ones are not counted."""


def add_links(conn: Connection, message: Message, targets: Sequence[str], tokens: Sequence[str]) -> None:
    """Keep where the short links of a message lead. That never changes."""
    rows = [
        {
            "token": hashed(token),
            "message": message.id,
            "subject": message.subject,
            "campaign": message.campaign,
            "version": message.version,
            "geofence": message.geofence,
            "target": target_url(target),
            "made_at": message.created_at,
        }
        for target, token in zip(targets, tokens, strict=True)
    ]
    if rows:
        conn.execute(short_links.insert(), rows)


def target_of(conn: Connection, token: str) -> str | None:
    """Where a short link leads; None if it is none of ours (any more)."""
    return conn.scalar(select(short_links.c.target).where(short_links.c.token == hashed(token)))


def record_opening(conn: Connection, token: str, opening: Opening) -> Opener | None:
    """Keep that a link was opened, and by whom. Links of the same message that were opened in the same moment turn out
    to have been opened by a machine as well. None where enough openings are kept.
    """
    link = _locked(conn, hashed(token))
    if link is None:
        return None
    mine = clicks.c.link == link.token
    if (conn.scalar(select(func.count()).select_from(clicks).where(mine)) or 0) >= MAX_CLICKS:
        return None
    sent_at = conn.scalar(select(messages.c.sent_at).where(messages.c.id == link.message)) or link.made_at
    near = (
        (clicks.c.message == link.message)
        & (clicks.c.link != link.token)
        & (clicks.c.at > opening.at - BURST)
        & (clicks.c.at < opening.at + BURST)
    )
    others = list(conn.scalars(select(clicks.c.at).where(near)))
    opener = judge(opening, sent_at, others)
    if opener is Opener.BURST:
        readers = near & (clicks.c.opener == Opener.READER.value)
        conn.execute(update(clicks).where(readers).values(opener=Opener.BURST.value))
    row = {
        "id": uuid4().hex,
        "link": link.token,
        "message": link.message,
        "at": opening.at,
        "opener": opener.value,
    }
    conn.execute(clicks.insert().values(row))
    return opener


def _locked(conn: Connection, token: str) -> Any:
    """The link, with every link of its message locked, in the order of tokens: of two that are opened in the same moment,
    the later one sees the earlier. None if there is none.
    """
    message = conn.scalar(select(short_links.c.message).where(short_links.c.token == token))
    theirs = select(short_links).where(short_links.c.message == message).order_by(short_links.c.token)
    rows = conn.execute(theirs.with_for_update()).all() if message is not None else ()
    return next((row for row in rows if row.token == token), None)


def clicked_among(conn: Connection, ids: Collection[str]) -> set[str]:
    """Those of these messages in which a reader opened a link; to count them by whatever else is known of messages."""
    by_reader = clicks.c.opener == Opener.READER.value
    return {
        found
        for some in batches(ids)
        for found in conn.scalars(
            select(clicks.c.message).where(clicks.c.message.in_(some), by_reader).distinct()
        )
    }


def links_of(conn: Connection, subject: str) -> list[dict[str, Any]]:
    """Every short link that a subject was sent; for the subject's export."""
    query = select(short_links).where(short_links.c.subject == subject)
    return [
        {
            "message": row.message,
            "campaign": row.campaign,
            "geofence": row.geofence,
            "target": row.target,
            "made_at": row.made_at.isoformat(),
        }
        for row in conn.execute(query.order_by(short_links.c.made_at, short_links.c.token))
    ]


def clicks_of(conn: Connection, subject: str) -> list[dict[str, Any]]:
    """Every opening of a subject's links; for the subject's export."""
    query = select(clicks).join(short_links, short_links.c.token == clicks.c.link)
    rows = conn.execute(query.where(short_links.c.subject == subject).order_by(clicks.c.at, clicks.c.id))
    return [{"message": row.message, "at": row.at.isoformat(), "opener": row.opener} for row in rows]


def forget_subject(conn: Connection, subject: str) -> None:
    """Remove a subject's links, and who opened them; they lead nowhere then."""
    conn.execute(delete(short_links).where(short_links.c.subject == subject))
