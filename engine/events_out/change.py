"""A change that others may hear of: what kind it is, whom it is about, and who wants it. Values only."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from campaigns.decide import Outcome
from campaigns.message import MessageState
from consent.entry import Action
from geofences.event import EventKind


class ChangeKind(StrEnum):
    """What changed."""

    EVENT = "event"
    DECISION = "decision"
    MESSAGE = "message"
    CONSENT = "consent"
    SUBJECT = "subject"
    """A subject was erased: whoever was told about it is to forget it too (GDPR article 19)."""


ERASED = "erased"
TYPES: frozenset[str] = frozenset(
    f"{kind}.{detail}"
    for kind, details in (
        (ChangeKind.EVENT, EventKind),
        (ChangeKind.DECISION, Outcome),
        (ChangeKind.MESSAGE, MessageState),
        (ChangeKind.CONSENT, Action),
        (ChangeKind.SUBJECT, (ERASED,)),
    )
    for detail in details
)
"""Every type there is: `event.enter`, `decision.refused`, `message.delivered`, `consent.withdraw`, `subject.erased`."""
KINDS = TYPES | set(ChangeKind)
"""What may be asked for: a kind means all its types."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `ref` is the id of the row that changed, `position` its place in the feed; a message's `detail` is the
    state that it came to. `revision` is an event's.
    """

    seq: int
    kind: ChangeKind
    detail: str
    ref: str
    subject: str
    position: int
    placed_at: datetime
    revision: str | None = None
    geofence: str | None = None
    campaign: str | None = None

    @property
    def type(self) -> str:
        """How it is named outside."""
        return f"{self.kind}.{self.detail}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which changes somebody wants: of these kinds or types, and, where ids are given, of these geofences or campaigns.
    What has neither geofence nor campaign, as consent has, passes those.
    """

    kinds: Collection[str]
    geofences: Collection[str] = ()
    campaigns: Collection[str] = ()

    def has(self, change: Change) -> bool:
        """Whether this one is wanted."""
        return (
            (change.kind in self.kinds or change.type in self.kinds)
            and (not self.geofences or change.geofence is None or change.geofence in self.geofences)
            and (not self.campaigns or change.campaign is None or change.campaign in self.campaigns)
        )

    @property
    def concerns_consent(self) -> bool:
        """Whether it tells of consent, which takes a scope of its own."""
        return any(each.partition(".")[0] in (ChangeKind.CONSENT, ChangeKind.SUBJECT) for each in self.kinds)
