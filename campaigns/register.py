"""The one counter at which campaigns are changed: whoever changes one, its line of the audit log is written with it.

Every function takes an open connection; the caller owns the transaction, and has locked the campaign.
"""

from datetime import datetime

from sqlalchemy import Connection

from campaigns.campaign import Action, Campaign, CampaignState
from campaigns.change import CLOCK, By, deleted, moved, saved
from campaigns.change_store import record_change
from campaigns.store import delete_campaign, due_moves, put_campaign, set_state


def save(conn: Connection, was: Campaign | None, campaign: Campaign, by: By) -> None:
    """Save a campaign over what it was."""
    put_campaign(conn, campaign, by.at)
    record_change(conn, saved(was, campaign, by))


def move(conn: Connection, campaign: Campaign, state: CampaignState, action: Action | None, by: By) -> None:
    """Bring a campaign to the state that an action, or the clock (None), asks for."""
    set_state(conn, campaign.id, state, by.at)
    record_change(conn, moved(campaign, state, action, by))


def move_due(conn: Connection, now: datetime) -> int:
    """Start and end campaigns whose time has come; how many."""
    moves = due_moves(conn, now)
    for campaign, state in moves:
        move(conn, campaign, state, None, By(CLOCK, now))
    return len(moves)


def remove(conn: Connection, campaign: Campaign, by: By) -> None:
    """Delete a campaign."""
    delete_campaign(conn, campaign.id)
    record_change(conn, deleted(campaign, by))
