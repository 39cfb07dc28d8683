"""The one counter at which campaigns are changed: whoever changes one, its line of the audit log is written with it.

Every function takes an open connection; the caller owns the transaction, and has locked the campaign.
"""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from campaigns.campaign import UNSPOKEN, Action, Campaign, CampaignState, clone_of, edited, filed
from campaigns.errors import CampaignExists
from campaigns.lifecycle.approval import (
    NEVER,
    THRESHOLD,
    ApprovalPolicy,
    check_approver,
    check_in_review,
    refusal,
    submitted,
)
from campaigns.lifecycle.approval_store import approve_version, audience_size, clearance
from campaigns.lifecycle.change import (
    CLOCK,
    By,
    ChangeAction,
    changed_fields,
    cloned,
    deleted,
    filed_away,
    moved,
    reviewed,
    saved,
)
from campaigns.lifecycle.change_store import author_of, record_change
from campaigns.lifecycle.version import content_hash, numbered
from campaigns.lifecycle.version_store import is_frozen, latest_version
from campaigns.store import add_campaign, delete_campaign, due_moves, put_campaign, set_state


def save(
    conn: Connection, was: Campaign | None, wanted: Campaign, by: By, policy: ApprovalPolicy = NEVER
) -> Campaign:
    """Save a campaign over what it was, as it then is: other content that needs a person's approval is a draft again.
    Raises `StateConflict` if it may not be changed.
    """
    frozen = was is not None and is_frozen(conn, was)
    campaign = numbered(was, edited(was, wanted, by.at), latest_version(conn, wanted.id), frozen=frozen)
    speaks = policy.asks and campaign.state not in UNSPOKEN
    rewritten = was is not None and speaks and bool(changed_fields(was, campaign))
    if rewritten and policy.needs_person(audience_size(conn, campaign)):
        campaign, rewritten = replace(campaign, state=CampaignState.DRAFT), False
    put_campaign(conn, campaign, by.at)
    if rewritten:
        approve_version(conn, campaign, content_hash(campaign), By(THRESHOLD, by.at))
    record_change(conn, saved(was, campaign, by))
    return campaign


def submit(conn: Connection, campaign: Campaign, by: By) -> Campaign:
    """Hand a campaign in for review. Raises `StateConflict`."""
    return _reviewed(conn, campaign, submitted(campaign, by.at), ChangeAction.SUBMIT, by)


def approve(conn: Connection, campaign: Campaign, seen: str, comment: str | None, by: By) -> Campaign:
    """Approve the content whose hash the approver has `seen`. Raises `StateConflict`, `SecondPersonNeeded` and
    `ContentChanged`.
    """
    check_in_review(campaign)
    found = clearance(conn, campaign)
    check_approver(campaign, author_of(conn, campaign.id), by.actor, found, seen)
    approve_version(conn, campaign, seen, by)
    return _reviewed(conn, campaign, CampaignState.APPROVED, ChangeAction.APPROVE, by, comment)


def reject(conn: Connection, campaign: Campaign, comment: str, by: By) -> Campaign:
    """Send a campaign in review back to its authors. Raises `StateConflict`."""
    check_in_review(campaign)
    return _reviewed(conn, campaign, CampaignState.DRAFT, ChangeAction.REJECT, by, comment)


def _reviewed(
    conn: Connection,
    campaign: Campaign,
    state: CampaignState,
    action: ChangeAction,
    by: By,
    comment: str | None = None,
) -> Campaign:
    set_state(conn, campaign.id, state, by.at)
    record_change(conn, reviewed(campaign, state, action, by, comment))
    return replace(campaign, state=state)


def clone(conn: Connection, original: Campaign, campaign_id: str, name: str | None, by: By) -> Campaign:
    """Save a copy as a draft. Raises `CampaignExists` if the id is taken."""
    clone = clone_of(original, campaign_id, name)
    campaign = numbered(None, clone, latest_version(conn, campaign_id), frozen=False)
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


def move(
    conn: Connection,
    campaign: Campaign,
    state: CampaignState,
    action: Action | None,
    by: By,
    policy: ApprovalPolicy = NEVER,
) -> None:
    """Bring a campaign to the state that an action, or the clock (None), asks for. Raises `ApprovalNeeded` if it is to
    speak, and somebody else must approve its content first.
    """
    if action in (Action.ACTIVATE, Action.RESUME) and policy.asks:
        _clear(conn, campaign, by.at, policy)
    set_state(conn, campaign.id, state, by.at)
    record_change(conn, moved(campaign, state, action, by))


def _clear(conn: Connection, campaign: Campaign, at: datetime, policy: ApprovalPolicy) -> None:
    """See to it that the content is approved: by a person, or by the threshold that the audience does not pass."""
    found = clearance(conn, campaign)
    if found.is_given:
        return
    if found.content_hash is None or policy.needs_person(audience_size(conn, campaign)):
        raise refusal(campaign, found, policy)
    approve_version(conn, campaign, found.content_hash, By(THRESHOLD, at))


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
