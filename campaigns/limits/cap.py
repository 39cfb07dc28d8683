"""How often a subject may be spoken to: so many messages in a window that rolls with the clock, and the least time
between two. A cap counts the messages of its campaign, those about the same geofence, or all there are.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from consent.entry import Channel

DAY_SECONDS = 86_400
MAX_CAPS = 5
MAX_CAP_SECONDS = 366 * DAY_SECONDS


class CapScope(StrEnum):
    """Which messages to the subject a cap counts: the campaign's, or every campaign's at this geofence or anywhere."""

    CAMPAIGN = "campaign"
    GEOFENCE = "geofence"
    ALL = "all"


class SetBy(StrEnum):
    """Where a cap comes from."""

    CAMPAIGN = "campaign"
    CAMPAIGN_GAP = "min_gap_seconds"
    ACCOUNT = "account"
    ACCOUNT_GAP = "account_min_gap_seconds"


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `max` messages in any `per_seconds` seconds, over the `channel` alone if one is named."""

    max: int
    per_seconds: int
    scope: CapScope = CapScope.CAMPAIGN
    channel: Channel | None = None

    def __post_init__(self) -> None:
        if self.max < 1 or not 1 <= self.per_seconds <= MAX_CAP_SECONDS:
            raise ValueError("a cap allows at least one message in one second to 366 days")


ONCE_A_DAY = Cap(max=1, per_seconds=DAY_SECONDS)


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that went to somebody, or will go, and what it was about. One that still waits counts as of the last
    instant at which it may go, so that it never drops out of a window too early.
    """

    at: datetime
    event: str
    campaign: str
    geofence: str | None
    channel: Channel
    visit: str | None = None


@dataclass(frozen=True, slots=True)
class CapCount:
    """A cap in force, and how many messages it counts already."""

    cap: Cap
    set_by: SetBy
    counted: int

    @property
    def is_full(self) -> bool:
        """Whether there is no room for one more."""
        return self.counted >= self.cap.max


def gap(seconds: int) -> Cap:
    """The cap that keeps any two messages so far apart."""
    return Cap(1, seconds, CapScope.ALL)


def cap_counts(
    caps: Sequence[tuple[Cap, SetBy]],
    sent: Sequence[Sent],
    campaign: str,
    geofence: str | None,
    now: datetime,
) -> Iterator[CapCount]:
    """What each cap counts of the messages to a subject, when the campaign wants to speak at the geofence."""
    for cap, set_by in caps:
        counted = [each.at for each in sent if _concerns(cap, each, campaign, geofence)]
        yield CapCount(cap, set_by, count(cap.per_seconds, counted, now))


def counted_since(caps: Sequence[Cap], now: datetime) -> datetime:
    """The instant after which messages still count for one of the caps."""
    return now - timedelta(seconds=max((cap.per_seconds for cap in caps), default=0))


def cap_json(cap: Cap) -> dict[str, Any]:
    """A cap as the API writes it. What is usual is left out: frozen versions from before scopes say nothing of them."""
    told: dict[str, Any] = {"max": cap.max, "per_seconds": cap.per_seconds}
    if cap.scope is not CapScope.CAMPAIGN:
        told["scope"] = cap.scope.value
    return told | ({"channel": cap.channel.value} if cap.channel else {})


def cap_from_json(raw: Mapping[str, Any]) -> Cap:
    """Read back what `cap_json` wrote."""
    channel = raw.get("channel")
    scope = CapScope(raw.get("scope", CapScope.CAMPAIGN))
    return Cap(raw["max"], raw["per_seconds"], scope, Channel(channel) if channel else None)


def count_json(count: CapCount) -> dict[str, Any]:
    """What a gate tells of a cap."""
    return {**cap_json(count.cap), "set_by": count.set_by.value, "counted": count.counted}


def _concerns(cap: Cap, sent: Sent, campaign: str, geofence: str | None) -> bool:
    if cap.channel is not None and sent.channel is not cap.channel:
        return False
    if cap.scope is CapScope.CAMPAIGN:
        return sent.campaign == campaign
    return cap.scope is CapScope.ALL or sent.geofence == geofence


def count(per_seconds: int, sent_at: Sequence[datetime], now: datetime) -> int:
    """How many messages count in a window of so many seconds.

    A message counts from its own instant until `per_seconds` later, that end excluded. An instant after `now`
    counts too, so that a clock that is set back never makes room.
    """
    since = now - timedelta(seconds=per_seconds)
    return sum(1 for at in sent_at if at > since)
