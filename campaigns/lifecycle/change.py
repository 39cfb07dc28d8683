"""What somebody did to a campaign: one line of the audit log, made from the campaign before and after."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from campaigns.campaign import Action, Campaign, CampaignState
from campaigns.lifecycle.version import content_hash, content_of

CLOCK = "clock"
"""Who starts and ends campaigns whose time has come."""


class ChangeAction(StrEnum):
    """What is done to campaigns; `start` is the clock's alone."""

    CREATE = "create"
    EDIT = "edit"
    ACTIVATE = "activate"
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    END = "end"
    DELETE = "delete"
    CLONE = "clone"
    ARCHIVE = "archive"
    UNARCHIVE = "unarchive"
    SUBMIT = "submit"
    APPROVE = "approve"
    REJECT = "reject"
    TEST_SEND = "test_send"


@dataclass(frozen=True, slots=True)
class By:
    """Who does something, and when; callers are named as `key:ID`."""

    actor: str
    at: datetime

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise ValueError("a naive datetime has no instant; give it a zone")


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `fields` names the content that differs, none for a new campaign; `was` and `now` are the states, None
    where there was or is no campaign. `content_hash` is of the content after the change. A clone's `comment` names the
    original, a reviewer's says what they say.
    """

    campaign: str
    version: int
    action: ChangeAction
    actor: str
    at: datetime
    fields: tuple[str, ...]
    was: CampaignState | None
    now: CampaignState | None
    content_hash: str
    comment: str | None = None
    number: int = 0
    """In the order of the log; 0 until it is kept."""


def saved(was: Campaign | None, campaign: Campaign, by: By) -> Change | None:
    """The change that saving `campaign` over `was` makes; None if it makes none."""
    if was is None:
        return _change(campaign, ChangeAction.CREATE, by, now=campaign.state)
    fields = changed_fields(was, campaign)
    if not fields and was.state is campaign.state:
        return None
    return _change(campaign, ChangeAction.EDIT, by, was.state, campaign.state, fields)


def moved(campaign: Campaign, state: CampaignState, action: Action | None, by: By) -> Change | None:
    """The change of a campaign that moves to `state`, by the clock where `action` is None; None if it is there."""
    if campaign.state is state:
        return None
    by_clock = ChangeAction.END if state is CampaignState.ENDED else ChangeAction.START
    return _change(campaign, ChangeAction(action.value) if action else by_clock, by, campaign.state, state)


def deleted(campaign: Campaign, by: By) -> Change:
    """The change of a campaign that is deleted."""
    return _change(campaign, ChangeAction.DELETE, by, campaign.state)


def cloned(original: Campaign, clone: Campaign, by: By) -> Change:
    """The change that made a copy."""
    change = _change(clone, ChangeAction.CLONE, by, now=clone.state)
    return replace(change, comment=f"of {original.id}, version {original.version}")


def filed_away(was: Campaign, campaign: Campaign, by: By) -> Change:
    """The change of a campaign that is archived, or taken out again."""
    action = ChangeAction.ARCHIVE if campaign.archived else ChangeAction.UNARCHIVE
    return _change(campaign, action, by, was.state, campaign.state)


def reviewed(
    campaign: Campaign, state: CampaignState, action: ChangeAction, by: By, comment: str | None = None
) -> Change | None:
    """The change of a campaign that is handed in, approved or rejected; None if it is in that state already."""
    if campaign.state is state:
        return None
    return replace(_change(campaign, action, by, campaign.state, state), comment=comment)


def tested(campaign: Campaign, by: By) -> Change:
    """Nothing changes, but it is written down that somebody had a test sent."""
    return _change(campaign, ChangeAction.TEST_SEND, by, campaign.state, campaign.state)


def changed_fields(was: Campaign, campaign: Campaign) -> tuple[str, ...]:
    """The fields of the content that differ, by name."""
    before, after = content_of(was), content_of(campaign)
    return tuple(sorted(name for name in after if after[name] != before[name]))


def change_json(change: Change) -> dict[str, Any]:
    """A change as the API writes it."""
    return {
        "campaign": change.campaign,
        "version": change.version,
        "action": change.action.value,
        "actor": change.actor,
        "at": change.at.isoformat(),
        "fields": list(change.fields),
        "from_state": change.was.value if change.was else None,
        "to_state": change.now.value if change.now else None,
        "content_hash": change.content_hash,
        "comment": change.comment,
    }


def _change(
    campaign: Campaign,
    action: ChangeAction,
    by: By,
    was: CampaignState | None = None,
    now: CampaignState | None = None,
    fields: tuple[str, ...] = (),
) -> Change:
    return Change(
        campaign=campaign.id,
        version=campaign.version,
        action=action,
        actor=by.actor,
        at=by.at,
        fields=fields,
        was=was,
        now=now,
        content_hash=content_hash(campaign),
    )
