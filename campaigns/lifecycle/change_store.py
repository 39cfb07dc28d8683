"""The audit log of campaigns. It outlives them: who let something speak must stay answerable.

Every function takes an open connection; the caller owns the transaction, which is the change's own.
"""

from typing import Any

from sqlalchemy import Connection, Row, insert, select

from campaigns.campaign import CampaignState
from campaigns.lifecycle.change import Change, ChangeAction
from campaigns.lifecycle.version_store import version_hash
from campaigns.paging import Page, read_number_cursor, write_cursor
from campaigns.tables import campaign_changes

MAX_LOOKED_AT = 1000
_WRITING = tuple(each.value for each in (ChangeAction.CREATE, ChangeAction.EDIT, ChangeAction.CLONE))


def record_change(conn: Connection, change: Change | None) -> None:
    """Write a change down; None is no change."""
    if change is None:
        return
    row = {
        "campaign": change.campaign,
        "version": change.version,
        "action": change.action.value,
        "actor": change.actor,
        "at": change.at,
        "fields": list(change.fields),
        "was": change.was.value if change.was else None,
        "now": change.now.value if change.now else None,
        # A version that is older than a field keeps its hash, and is named by it here too.
        "content_hash": version_hash(conn, change.campaign, change.version) or change.content_hash,
        "comment": change.comment,
    }
    conn.execute(insert(campaign_changes).values(row))


def author_of(conn: Connection, campaign_id: str) -> str | None:
    """Who changed a campaign's content last; of one from before this log, who handed it in last; None if nobody did."""
    table = campaign_changes.c
    query = select(table.action, table.actor, table.fields).where(
        table.campaign == campaign_id, table.action.in_([*_WRITING, ChangeAction.SUBMIT.value])
    )
    submitter = None
    for row in conn.execute(query.order_by(table.number.desc()).limit(MAX_LOOKED_AT)):
        if row.action in _WRITING and (row.fields or row.action != ChangeAction.EDIT.value):
            return str(row.actor)
        submitter = submitter or (row.actor if row.action == ChangeAction.SUBMIT.value else None)
    return submitter


def changes_page(conn: Connection, campaign_id: str, limit: int, cursor: str | None = None) -> Page[Change]:
    """The changes of a campaign, the newest first."""
    table = campaign_changes.c
    query = select(campaign_changes).where(table.campaign == campaign_id)
    if cursor is not None:
        query = query.where(table.number < read_number_cursor(cursor))
    rows = conn.execute(query.order_by(table.number.desc()).limit(limit + 1)).all()
    found = tuple(map(_change, rows[:limit]))
    return Page(found, write_cursor(str(found[-1].number)) if len(rows) > limit else None)


def _change(row: Row[Any]) -> Change:
    return Change(
        campaign=row.campaign,
        version=row.version,
        action=ChangeAction(row.action),
        actor=row.actor,
        at=row.at,
        fields=tuple(row.fields),
        was=CampaignState(row.was) if row.was else None,
        now=CampaignState(row.now) if row.now else None,
        content_hash=row.content_hash,
        comment=row.comment,
        number=row.number,
    )
