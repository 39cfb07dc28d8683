"""A subscription: where to, what, and with which secrets it is signed. Values only."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from engine.events_out.change import Wanted

SUBSCRIPTIONS_LIMIT = 20
SECRETS_LIMIT = 3
"""Secrets that sign at the same time: the newest, and those whose end has not come."""
OVERLAP_LIMIT_HOURS = 168
DEFAULT_OVERLAP_HOURS = 24
IDS_LIMIT = 100
"""Geofences, and campaigns, that one subscription may name."""


class SubscriptionState(StrEnum):
    """`disabled` is our doing: the receiver answered 410 Gone."""

    ACTIVE = "active"
    PAUSED = "paused"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Secret:
    """One signing secret; `until` is when it ends, if that is set."""

    text: str = field(repr=False)
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """Who is told what. Of `secrets` the newest stands first."""

    id: str
    url: str = field(repr=False)
    wanted: Wanted
    secrets: tuple[Secret, ...] = field(repr=False)
    state: SubscriptionState
    because: str | None
    created_at: datetime
    changed_at: datetime
    missed: int = 0
    failing: int = 0
    rest_until: datetime | None = None

    def may_be_called(self, now: datetime) -> bool:
        """Whether it is active, and its receiver is not left in peace for a while."""
        return self.state is SubscriptionState.ACTIVE and (self.rest_until is None or self.rest_until <= now)

    def keys(self, now: datetime) -> list[str]:
        """The secrets that sign now."""
        return [each.text for each in in_use(self.secrets, now)]


def in_use(secrets: tuple[Secret, ...], now: datetime) -> tuple[Secret, ...]:
    """Those whose end has not come."""
    return tuple(each for each in secrets if each.until is None or now < each.until)


def rotated(
    secrets: tuple[Secret, ...], new: str, overlap: timedelta, now: datetime
) -> tuple[Secret, ...] | None:
    """The secrets with a new one in front; those before end after the overlap, or when they were to end anyway. None
    when there would be too many.
    """
    until = now + overlap
    kept = tuple(
        Secret(each.text, min(each.until or until, until)) for each in in_use(secrets, now) if overlap
    )
    return None if len(kept) >= SECRETS_LIMIT else (Secret(new), *kept)


def definition_json(wanted: Wanted) -> str:
    """What is wanted, as it is kept."""
    return json.dumps(
        {
            "kinds": sorted(wanted.kinds),
            "geofences": sorted(wanted.geofences),
            "campaigns": sorted(wanted.campaigns),
        }
    )


def wanted_from_json(text: str) -> Wanted:
    """What `definition_json` wrote."""
    said = json.loads(text)
    return Wanted(frozenset(said["kinds"]), frozenset(said["geofences"]), frozenset(said["campaigns"]))


def subscription_json(
    subscription: Subscription, now: datetime, waiting: Mapping[str, int]
) -> dict[str, Any]:
    """A subscription as the API shows it: never a secret, only until when each signs."""
    return {
        "id": subscription.id,
        "url": subscription.url,
        "kinds": sorted(subscription.wanted.kinds),
        "geofences": sorted(subscription.wanted.geofences),
        "campaigns": sorted(subscription.wanted.campaigns),
        "state": subscription.state.value,
        "because": subscription.because,
        "created_at": subscription.created_at.isoformat(),
        "changed_at": subscription.changed_at.isoformat(),
        "secrets": [
            {"until": each.until.isoformat() if each.until else None}
            for each in in_use(subscription.secrets, now)
        ],
        "waiting": waiting.get("waiting", 0),
        "dead": waiting.get("dead", 0),
        "missed": subscription.missed,
    }
