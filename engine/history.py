"""What subjects did before, read only where a campaign asks for it, for many subjects in few statements."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from campaigns.campaign import Campaign
from campaigns.message import Message
from campaigns.trigger import Deed
from geofences import store as geofence_store
from geofences import visit_store
from geofences.visit import STAY_LIMIT, Visit, latest

KEPT_FOR = timedelta(days=400)
"""No visit is kept for longer."""
AHEAD = timedelta(hours=1)
"""Clocks of phones may be ahead of ours."""


class History:
    """What some subjects did, as far as the campaigns ask that it was read for."""

    def __init__(self, visits: Mapping[str, Sequence[Visit]], now: datetime) -> None:
        self._visits = visits
        self._now = now

    def visits_to(self, subject: str, geofence: str) -> tuple[Visit, ...]:
        """The subject's visits to a place, oldest first."""
        return tuple(visit for visit in self._visits.get(subject, ()) if visit.geofence == geofence)

    def done(self, campaign: Campaign, subject: str, geofence: str | None, at: datetime) -> frozenset[Deed]:
        """What the subject did since an event at `at`, of what calls the campaign off."""
        found = set()
        if Deed.EXIT in campaign.trigger.called_off_by and geofence is not None:
            visit = latest(self.visits_to(subject, geofence), at)
            if visit is not None and (visit.left_at is not None or visit.until < self._now):
                found.add(Deed.EXIT)
        return frozenset(found)


def read_history(
    connection: Connection, subjects: Iterable[str], campaigns: Collection[Campaign], now: datetime
) -> History:
    """What judgements of these campaigns need to know of what these subjects did."""
    triggers = [campaign.trigger for campaign in campaigns]
    back = [KEPT_FOR for trigger in triggers if trigger.looks_back]
    back += [trigger.delay + STAY_LIMIT for trigger in triggers if Deed.EXIT in trigger.called_off_by]
    if not back:
        return History({}, now)
    return History(visit_store.visits_of_many(connection, subjects, None, now - max(back), now + AHEAD), now)


def done_since(
    connection: Connection, message: Message, campaign: Campaign, now: datetime
) -> frozenset[Deed]:
    """What the subject did since the event of a message, of what calls its campaign off."""
    if not campaign.trigger.called_off_by:
        return frozenset()
    at = geofence_store.event_at(connection, message.event) or message.created_at
    history = read_history(connection, [message.subject], [campaign], now)
    return history.done(campaign, message.subject, message.geofence, at)
