"""What subjects did before, read only where a campaign asks for it, for many subjects in few statements."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from campaigns import message_store
from campaigns.audience import list_store
from campaigns.audience.audience import behaviours, list_names
from campaigns.audience.behaviour import Act, Behaviour, Past
from campaigns.campaign import Campaign
from campaigns.coupons import redemption_store
from campaigns.coupons.redemption_store import Taken
from campaigns.limits.cap import Sent
from campaigns.message import Message
from campaigns.triggers import cart_store
from campaigns.triggers.cart import OPEN_FOR, CartEvent, open_carts
from campaigns.triggers.occasion import Timed
from campaigns.triggers.trigger import Deed, Trigger
from geofences import store as geofence_store
from geofences import visit_store
from geofences.sensitive import OVERRIDE
from geofences.visit import STAY_LIMIT, Visit, latest

KEPT_FOR = timedelta(days=400)
"""No visit is kept for longer."""
WAITING = timedelta(days=8)
"""No message is due for longer after its delay."""
AHEAD = timedelta(hours=1)
"""Clocks of phones may be ahead of ours."""
TILL_AHEAD = timedelta(minutes=2)
"""Clocks of shops may be, too."""


@dataclass(frozen=True, slots=True)
class History:
    """What some subjects did, as far as the campaigns ask that it was read for: each subject's visits, oldest first, the
    messages to it, the lists that it is on, when it bought something, and what it did with carts. `places` are the properties of the places visited.
    """

    now: datetime
    visits: Mapping[str, Sequence[Visit]] = field(default_factory=dict)
    sent: Mapping[str, Sequence[Sent]] = field(default_factory=dict)
    lists: Mapping[str, frozenset[str]] = field(default_factory=dict)
    places: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    bought: Mapping[str, Sequence[datetime]] = field(default_factory=dict)
    redeemed: Mapping[str, Sequence[Taken]] = field(default_factory=dict)
    carts: Mapping[str, Sequence[CartEvent]] = field(default_factory=dict)

    def visits_to(self, subject: str, geofence: str | None) -> tuple[Visit, ...]:
        """The subject's visits to a place, oldest first."""
        return tuple(visit for visit in self.visits.get(subject, ()) if visit.geofence == geofence)

    def visits_meant(self, campaign: Campaign, subject: str, geofence: str | None) -> tuple[Visit, ...]:
        """The visits that the campaign's trigger looks back at, oldest first: to the place, or of an absence to any of its
        places.
        """
        trigger = campaign.trigger
        if trigger.event is not Timed.ABSENCE:
            return self.visits_to(subject, geofence) if trigger.looks_back else ()
        return tuple(
            visit for visit in self.visits.get(subject, ()) if self._is_meant(trigger, visit.geofence)
        )

    def open_carts(self, campaign: Campaign, subject: str) -> tuple[CartEvent, ...]:
        """The subject's open carts, the newest first; none where the campaign asks for none."""
        return open_carts(self.carts.get(subject, ()), self.now) if campaign.trigger.cart else ()

    def done(self, campaign: Campaign, subject: str, geofence: str | None, at: datetime) -> frozenset[Deed]:
        """What the subject did since an event at `at`, of what calls the campaign off."""
        found = set()
        if Deed.EXIT in campaign.trigger.called_off_by and geofence is not None:
            visit = latest(self.visits_to(subject, geofence), at)
            if visit is not None and (visit.left_at is not None or visit.until < self.now):
                found.add(Deed.EXIT)
        if Deed.VISIT in campaign.trigger.called_off_by:
            again = self.visits_meant(campaign, subject, geofence) or self.visits_to(subject, geofence)
            found |= {Deed.VISIT for visit in again if at < visit.entered_at <= self.now}
        if Deed.PURCHASE in campaign.trigger.called_off_by:
            found |= {
                Deed.PURCHASE for when in self.bought.get(subject, ()) if self._is_known(when) and when >= at
            }
        if Deed.REDEEMED in campaign.trigger.called_off_by:
            found.update({Deed.REDEEMED} if any(each.at >= at for each in self._taken(subject)) else ())
        return frozenset(found)

    def past(self, campaign: Campaign, subject: str, more: Iterable[Sent] = ()) -> Past:
        """What the campaign's audience asks of the subject's past; `more` are messages made since this was read."""
        sent = {*self.sent.get(subject, ()), *more}
        times = {each: self._times(each, subject, sent) for each in behaviours(campaign.audience)}
        return Past(times, self.lists.get(subject, frozenset()))

    def _times(self, asked: Behaviour, subject: str, sent: Collection[Sent]) -> int:
        match asked.act:
            case Act.VISITED:
                return self._visited(asked, subject)
            case Act.RECEIVED:
                return self._of_campaign(asked, sent)
            case Act.REDEEMED:
                return self._of_campaign(asked, self._taken(subject))

    def _taken(self, subject: str) -> list[Taken]:
        return [each for each in self.redeemed.get(subject, ()) if self._is_known(each.at)]

    def _is_known(self, at: datetime) -> bool:
        """What is judged afterwards as of then must not know what came later."""
        return at <= self.now + TILL_AHEAD

    def _visited(self, asked: Behaviour, subject: str) -> int:
        since = self.now - asked.since
        return sum(
            1
            for visit in self.visits.get(subject, ())
            if visit.entered_at >= since and self._is_meant(asked, visit.geofence)
        )

    def _is_meant(self, asked: Behaviour | Trigger, geofence: str) -> bool:
        """Visits to sensitive places choose nobody."""
        properties = self.places.get(geofence, {})
        if OVERRIDE in properties:
            return False
        return (
            asked.any
            or geofence in asked.geofences
            or bool(set(asked.tags) & set(properties.get("tags", ())))
        )

    def _of_campaign(self, asked: Behaviour, done: Collection[Sent | Taken]) -> int:
        since = self.now - asked.since
        return sum(1 for each in done if each.at >= since and asked.campaign in (None, each.campaign))


def read_history(
    connection: Connection, subjects: Iterable[str], campaigns: Collection[Campaign], now: datetime
) -> History:
    """What judgements of these campaigns need to know of what these subjects did."""
    wanted = list(subjects)
    asked = {each for campaign in campaigns for each in behaviours(campaign.audience)}
    visited = [each.since for each in asked if each.act is Act.VISITED]
    received = [each.since for each in asked if each.act is Act.RECEIVED]
    redeemed = [each.since for each in asked if each.act is Act.REDEEMED]
    for trigger in (campaign.trigger for campaign in campaigns):
        visited += [KEPT_FOR] if trigger.looks_back else []
        moved = {Deed.EXIT, Deed.VISIT} & trigger.called_off_by
        visited += [trigger.delay + WAITING + STAY_LIMIT] if moved else []
        redeemed += [KEPT_FOR] if Deed.REDEEMED in trigger.called_off_by else []
    paid = [
        trigger.delay + WAITING
        for trigger in (campaign.trigger for campaign in campaigns)
        if Deed.PURCHASE in trigger.called_off_by
    ]
    names = {name for campaign in campaigns for name in list_names(campaign.audience)}
    visits = (
        visit_store.visits_of_many(connection, wanted, None, now - max(visited), now + AHEAD)
        if visited
        else {}
    )
    been = {visit.geofence for several in visits.values() for visit in several}
    return History(
        now,
        visits,
        message_store.sent_to(connection, wanted, now - max(received)) if received else {},
        list_store.lists_of(connection, wanted, names) if names else {},
        geofence_store.properties_of(connection, been)
        if any(each.act is Act.VISITED for each in asked)
        or any(campaign.trigger.event is Timed.ABSENCE for campaign in campaigns)
        else {},
        cart_store.purchases_of(connection, wanted, now - max(paid)) if paid else {},
        redemption_store.taken_by(connection, wanted, now - max(redeemed)) if redeemed else {},
        _read_carts(connection, wanted, campaigns, now),
    )


def open_carts_of(
    connection: Connection, subject: str, campaign: Campaign, now: datetime
) -> tuple[CartEvent, ...]:
    """The subject's open carts, where the campaign asks for one."""
    return open_carts(_read_carts(connection, [subject], [campaign], now).get(subject, ()), now)


def _read_carts(
    connection: Connection, subjects: Iterable[str], campaigns: Iterable[Campaign], now: datetime
) -> Mapping[str, Sequence[CartEvent]]:
    """What these subjects did with carts, if one of the campaigns asks; what was in them, if one asks for that."""
    wishes = [campaign.trigger.cart for campaign in campaigns if campaign.trigger.cart]
    if not wishes:
        return {}
    inside = any(wish.looks_inside for wish in wishes)
    return cart_store.carts_of(connection, subjects, now - 2 * OPEN_FOR, look_inside=inside)


def done_since(
    connection: Connection, message: Message, campaign: Campaign, now: datetime
) -> frozenset[Deed]:
    """What the subject did since the event of a message, of what calls its campaign off."""
    if not campaign.trigger.called_off_by:
        return frozenset()
    at = geofence_store.event_at(connection, message.event) or message.created_at
    history = read_history(connection, [message.subject], [campaign], now)
    return history.done(campaign, message.subject, message.geofence, at)
