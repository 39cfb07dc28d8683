"""What is remembered of campaigns: their definitions and states, and counts of what became of them.

Every function takes an open connection; the caller owns the transaction.
"""

import json
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Text, bindparam, cast, delete, or_, select, true, update
from sqlalchemy.dialects import postgresql, sqlite

from campaigns.audience.audience import list_names
from campaigns.campaign import UNSPOKEN, Campaign, CampaignState, campaign_from_json, campaign_json, due_state
from campaigns.errors import CampaignNotFound
from campaigns.lifecycle.version_store import freeze_version, keep_version
from campaigns.paging import Page, read_cursor, write_cursor
from campaigns.tables import campaigns
from consent.store import insert_if_new

READ_KEPT = 256
"""Definitions that need not be read again while their text is the same."""
_DEFINITION = select(cast(campaigns.c.definition, Text)).where(campaigns.c.id == bindparam("of_id"))
_LIVE = (
    select(cast(campaigns.c.definition, Text))
    .where(campaigns.c.state.in_([CampaignState.ACTIVE.value, CampaignState.SCHEDULED.value]))
    .order_by(campaigns.c.priority.desc(), campaigns.c.id)
)


def put_campaign(conn: Connection, campaign: Campaign, at: datetime) -> None:
    """Save a campaign, new or changed, and keep its version."""
    row = _campaign_row(campaign, at)
    insert = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
    conn.execute(insert(campaigns).values(row).on_conflict_do_update(index_elements=["id"], set_=row))
    keep_version(conn, campaign, at)


def add_campaign(conn: Connection, campaign: Campaign, at: datetime) -> bool:
    """Save a new campaign and keep its version; False if the id is taken."""
    added = insert_if_new(conn, campaigns, _campaign_row(campaign, at))
    if added:
        keep_version(conn, campaign, at)
    return added


def get_campaign(conn: Connection, campaign_id: str, *, lock: bool = False) -> Campaign | None:
    """The campaign with this id; with `lock`, nobody else changes it before the transaction ends."""
    definition = conn.scalar(_DEFINITION.with_for_update() if lock else _DEFINITION, {"of_id": campaign_id})
    return _read(definition) if definition else None


@lru_cache(maxsize=READ_KEPT)
def _read(definition: str) -> Campaign:
    return campaign_from_json(json.loads(definition))


def known_campaign(conn: Connection, campaign_id: str, *, lock: bool = False) -> Campaign:
    """As `get_campaign`. Raises `CampaignNotFound`."""
    campaign = get_campaign(conn, campaign_id, lock=lock)
    if campaign is None:
        raise CampaignNotFound(campaign_id)
    return campaign


def delete_campaign(conn: Connection, campaign_id: str) -> bool:
    """Forget a campaign; its versions, decisions and messages stay. False if there was none."""
    return conn.execute(delete(campaigns).where(campaigns.c.id == campaign_id)).rowcount > 0


def campaigns_page(
    conn: Connection, limit: int, cursor: str | None = None, *, archived: bool = False
) -> Page[Campaign]:
    """Campaigns in the order of their ids; those put away only if `archived`."""
    query = select(campaigns.c.definition).order_by(campaigns.c.id).limit(limit + 1)
    if not archived:
        query = query.where(campaigns.c.definition["archived"].as_boolean().is_not(true()))
    if cursor is not None:
        [after] = read_cursor(cursor, parts=1)
        query = query.where(campaigns.c.id > after)
    found = [campaign_from_json(definition) for definition in conn.scalars(query)]
    more = len(found) > limit
    return Page(tuple(found[:limit]), write_cursor(found[limit - 1].id) if more else None)


def set_state(conn: Connection, campaign_id: str, state: CampaignState, at: datetime) -> None:
    """Move a campaign to a state that `next_state` or `due_state` gave."""
    definition = conn.scalar(
        select(campaigns.c.definition).where(campaigns.c.id == campaign_id).with_for_update()
    )
    if definition is not None:
        changed = {"state": state.value, "changed_at": at, "definition": {**definition, "state": state.value}}
        conn.execute(update(campaigns).where(campaigns.c.id == campaign_id).values(changed))
        if state not in UNSPOKEN:
            freeze_version(conn, campaign_id, definition["version"], at)


def live_campaigns(conn: Connection) -> list[Campaign]:
    """Campaigns that are active or scheduled, the most important first; `decide` tells which may speak."""
    return [_read(definition) for definition in conn.scalars(_LIVE).all()]


def campaigns_that_speak(conn: Connection, after: str, limit: int) -> list[Campaign]:
    """Campaigns that were let speak and have not ended, in the order of their ids, from after one of them on."""
    over = [state.value for state in (*UNSPOKEN, CampaignState.ENDED)]
    query = select(campaigns.c.definition).where(campaigns.c.state.not_in(over), campaigns.c.id > after)
    return [
        campaign_from_json(definition)
        for definition in conn.scalars(query.order_by(campaigns.c.id).limit(limit))
    ]


def campaigns_naming(conn: Connection, name: str) -> list[Campaign]:
    """Campaigns that were let speak, and have not ended, and ask who is on this list."""
    over = [state.value for state in (*UNSPOKEN, CampaignState.ENDED)]
    query = select(campaigns.c.definition).where(campaigns.c.state.not_in(over)).order_by(campaigns.c.id)
    several = (campaign_from_json(definition) for definition in conn.scalars(query))
    return [each for each in several if name in list_names(each.audience)]


def due_moves(conn: Connection, now: datetime) -> list[tuple[Campaign, CampaignState]]:
    """Campaigns that the clock moves to another state by `now`, with that state; locked, for `register.move_due`."""
    timed = select(campaigns.c.definition).where(
        campaigns.c.state.in_(
            [CampaignState.ACTIVE.value, CampaignState.SCHEDULED.value, CampaignState.PAUSED.value]
        ),
        or_(campaigns.c.starts_at <= now, campaigns.c.ends_at <= now),
    )
    found = [campaign_from_json(definition) for definition in conn.scalars(timed.with_for_update())]
    return [
        (campaign, state) for campaign in found if (state := due_state(campaign, now)) is not campaign.state
    ]


def _campaign_row(campaign: Campaign, at: datetime) -> dict[str, Any]:
    return {
        "id": campaign.id,
        "state": campaign.state.value,
        "priority": campaign.priority,
        "starts_at": campaign.starts_at,
        "ends_at": campaign.ends_at,
        "definition": campaign_json(campaign),
        "changed_at": at,
    }
