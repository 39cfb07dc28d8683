"""Every version that a campaign ever had. They outlive it: what a message was rendered by must stay answerable.

Every function takes an open connection; the caller owns the transaction.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, update

from campaigns.campaign import UNSPOKEN, Campaign
from campaigns.lifecycle.version import Approval, Version, content_hash, content_of
from campaigns.paging import Page, read_number_cursor, write_cursor
from campaigns.tables import campaign_versions


def keep_version(conn: Connection, campaign: Campaign, at: datetime) -> None:
    """Keep what a campaign does under its version. Raises `ValueError` if that version is frozen and says otherwise."""
    table, hashed = campaign_versions.c, content_hash(campaign)
    this = (table.campaign == campaign.id, table.version == campaign.version)
    kept = conn.execute(select(campaign_versions).where(*this).with_for_update()).one_or_none()
    if kept is None:
        row = {
            "campaign": campaign.id,
            "version": campaign.version,
            "definition": content_of(campaign),
            "content_hash": hashed,
            "made_at": at,
        }
        conn.execute(insert(campaign_versions).values(row))
    elif kept.frozen_at is None:
        changed = {
            "definition": content_of(campaign),
            "content_hash": hashed,
            "made_at": at,
            "approved_hash": None,
            "approved_by": None,
            "approved_at": None,
        }
        if kept.content_hash != hashed:
            conn.execute(update(campaign_versions).where(*this).values(changed))
    elif not _agrees(kept.definition, campaign):
        raise ValueError(f"version {campaign.version} of campaign {campaign.id} is frozen; number a new one")
    if campaign.state not in UNSPOKEN:
        freeze_version(conn, campaign.id, campaign.version, at)


def freeze_version(conn: Connection, campaign_id: str, version: int, at: datetime) -> None:
    """Let nobody change this version any more."""
    table = campaign_versions.c
    this = (table.campaign == campaign_id, table.version == version, table.frozen_at.is_(None))
    conn.execute(update(campaign_versions).where(*this).values(frozen_at=at))


def is_frozen(conn: Connection, campaign: Campaign) -> bool:
    """Whether the campaign's version was ever let speak."""
    table = campaign_versions.c
    this = (table.campaign == campaign.id, table.version == campaign.version)
    return conn.scalar(select(table.frozen_at).where(*this)) is not None


def latest_version(conn: Connection, campaign_id: str) -> int:
    """The highest number that this id ever had, deleted campaigns included; 0 if it had none."""
    table = campaign_versions.c
    return conn.scalar(select(func.max(table.version)).where(table.campaign == campaign_id)) or 0


def version_of(conn: Connection, campaign_id: str, version: int) -> Version | None:
    """One version, or None."""
    table = campaign_versions.c
    found = versions_where(conn, (table.campaign == campaign_id) & (table.version == version))
    return found[0] if found else None


def versions_where(conn: Connection, condition: ColumnElement[bool]) -> list[Version]:
    """The versions, of whichever campaigns, that meet a condition on `campaign_versions`."""
    return [_version(row) for row in conn.execute(select(campaign_versions).where(condition))]


def version_hash(conn: Connection, campaign_id: str, version: int) -> str | None:
    """The content hash that a version is known by; None if there is no such version."""
    table = campaign_versions.c
    return conn.scalar(
        select(table.content_hash).where(table.campaign == campaign_id, table.version == version)
    )


def versions_page(conn: Connection, campaign_id: str, limit: int, cursor: str | None = None) -> Page[Version]:
    """The versions of a campaign, the newest first."""
    table = campaign_versions.c
    query = select(campaign_versions).where(table.campaign == campaign_id)
    if cursor is not None:
        query = query.where(table.version < read_number_cursor(cursor))
    rows = conn.execute(query.order_by(table.version.desc()).limit(limit + 1)).all()
    found = tuple(map(_version, rows[:limit]))
    return Page(found, write_cursor(str(found[-1].number)) if len(rows) > limit else None)


def _agrees(kept: Mapping[str, Any], campaign: Campaign) -> bool:
    """Whether a version says nothing else; one that is older than a field says nothing of it, and keeps its hash."""
    content = content_of(campaign)
    return all(name in content and content[name] == value for name, value in kept.items())


def _version(row: Row[Any]) -> Version:
    return Version(
        campaign=row.campaign,
        number=row.version,
        content=row.definition,
        content_hash=row.content_hash,
        made_at=row.made_at,
        frozen_at=row.frozen_at,
        approval=Approval(row.approved_hash, row.approved_by, row.approved_at) if row.approved_hash else None,
    )
