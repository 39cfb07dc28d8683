"""The second pair of eyes: when content must be approved before it is sent, by whom, and whether this content was."""

from dataclasses import dataclass
from datetime import datetime

from campaigns.campaign import Campaign, CampaignState, due_state
from campaigns.errors import ApprovalNeeded, ContentChanged, SecondPersonNeeded, StateConflict
from campaigns.lifecycle.version import Version, content_of, hash_of

THRESHOLD = "threshold"
"""Who approves content of which the audience was not above the threshold when it was let speak."""


@dataclass(frozen=True, slots=True)
class ApprovalPolicy:
    """A second person must approve what more than `above_subjects` may get; 0: whatever is sent, None: nothing."""

    above_subjects: int | None = None

    @property
    def asks(self) -> bool:
        """Whether anything is ever to be approved."""
        return self.above_subjects is not None

    def needs_person(self, audience: int) -> bool:
        """Whether a person must approve what may go to so many subjects."""
        return self.above_subjects is not None and (
            self.above_subjects == 0 or audience > self.above_subjects
        )


NEVER = ApprovalPolicy()


@dataclass(frozen=True, slots=True)
class Clearance:
    """What would be sent, by its content hash, and what was approved. Without a policy nothing is asked."""

    content_hash: str | None = None
    approved_hash: str | None = None
    by: str | None = None
    asked: bool = True

    @property
    def is_given(self) -> bool:
        """Whether this may be sent, as far as approval goes."""
        return not self.asked or (self.content_hash is not None and self.content_hash == self.approved_hash)


NOT_ASKED = Clearance(asked=False)
NOT_CLEARED = Clearance()


def clearance_of(version: Version | None, campaign: Campaign | None = None) -> Clearance:
    """How what would be sent compares with what was approved of its version: the campaign's content as it is now, or, of
    a message that is made already, the version's own.

    A version older than a field was approved without it; the hash is then over the fields that it has.
    """
    if version is None:
        return NOT_CLEARED
    sent = dict(version.content)
    if campaign is not None:
        sent = {name: value for name, value in content_of(campaign).items() if name in version.content}
    approval = version.approval
    return Clearance(
        hash_of(sent), approval.content_hash if approval else None, approval.by if approval else None
    )


def refusal(campaign: Campaign, clearance: Clearance, policy: ApprovalPolicy) -> ApprovalNeeded:
    """What is told to whoever lets content speak that a second person has not approved."""
    if clearance.approved_hash is not None:
        because = f"content {clearance.approved_hash[:12]} was approved, and this is {(clearance.content_hash or '')[:12]}"
    elif policy.above_subjects:
        because = f"more than {policy.above_subjects} shoppers may get it, and nobody else has approved it"
    else:
        because = "nobody else has approved it"
    return ApprovalNeeded(
        f"campaign {campaign.id} may not speak: {because}; POST /v1/campaigns/{campaign.id}/submit"
    )


def submitted(campaign: Campaign, now: datetime) -> CampaignState:
    """The state of a campaign that is handed in for review. Raises `StateConflict`."""
    state = due_state(campaign, now)
    if campaign.archived:
        raise StateConflict(f"campaign {campaign.id} is archived; unarchive it first")
    if state not in (CampaignState.DRAFT, CampaignState.PAUSED, CampaignState.IN_REVIEW):
        raise StateConflict(
            f"campaign {campaign.id} is {state}; a draft or a paused campaign goes into review"
        )
    return CampaignState.IN_REVIEW


def check_in_review(campaign: Campaign) -> None:
    """Raises `StateConflict` for a campaign that nobody handed in."""
    if campaign.state is not CampaignState.IN_REVIEW:
        raise StateConflict(
            f"campaign {campaign.id} is {campaign.state}; only one in review is approved or rejected"
        )


def check_approver(
    campaign: Campaign, author: str | None, actor: str, clearance: Clearance, seen: str
) -> None:
    """Raises `SecondPersonNeeded` for the one who wrote the content, and `ContentChanged` if it is not the `seen` one.

    `author` is whoever changed the content last; where nobody is known, whoever handed it in.
    """
    if author is None or actor == author:
        raise SecondPersonNeeded(
            f"campaign {campaign.id} was last changed with this key; somebody else must approve it"
        )
    if seen != clearance.content_hash:
        raise ContentChanged(
            f"content_hash: campaign {campaign.id} has other content; look at it again, its version names the hash"
        )
