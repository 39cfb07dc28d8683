"""The one counter at which campaigns are changed: whoever changes one, its line of the audit log is written with it.

Every function takes an open connection; the caller owns the transaction, and has locked the campaign.
"""

from datetime import datetime

from sqlalchemy import Connection

from campaigns.campaign import Action, Campaign, CampaignState, clone_of, edited, filed
from campaigns.change import CLOCK, By, cloned, deleted, filed_away, moved, saved
from campaigns.change_store import record_change
from campaigns.errors import CampaignExists
from campaigns.store import add_campaign, delete_campaign, due_moves, put_campaign, set_state
from campaigns.version import numbered
from campaigns.version_store import latest_version


def save(conn: Connection, was: Campaign | None, wanted: Campaign, by: By) -> Campaign:
    """Save a campaign over what it was, as it then is. Raises `StateConflict` if that may not be changed."""
    campaign = numbered(was, edited(was, wanted, by.at), latest_version(conn, wanted.id))
    put_campaign(conn, campaign, by.at)
    record_change(conn, saved(was, campaign, by))
    return campaign


def clone(conn: Connection, original: Campaign, campaign_id: str, name: str | None, by: By) -> Campaign:
    """Save a copy as a draft. Raises `CampaignExists` if the id is taken."""
    campaign = numbered(None, clone_of(original, campaign_id, name), latest_version(conn, campaign_id))
    if not add_campaign(conn, campaign, by.at):
        raise CampaignExists(f"there is a campaign {campaign_id} already; choose another id")
    record_change(conn, cloned(original, campaign, by))
    return campaign


def file(conn: Connection, was: Campaign, by: By, *, archived: bool) -> Campaign:
    """Put a campaign away, or take it out again. Raises `StateConflict` for one that may still speak."""
    if was.archived is archived:
        return was
    campaign = filed(was, by.at, archived=archived)
    put_campaign(conn, campaign, by.at)
    record_change(conn, filed_away(was, campaign, by))
    return campaign


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
