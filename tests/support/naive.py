"""A second opinion on who gets which message: the rules of caps, windows, budgets, visits and precedence, written down a
second time, slowly and from the documents alone. It imports nothing of the product.
"""

import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
GONE = ("failed", "expired", "cancelled")


@dataclass
class Place:
    id: str
    radius: float


@dataclass
class Offer:
    """A campaign, as far as it matters here. Windows are (days, from minute, to minute)."""

    id: str
    kind: str
    places: list
    channel: str
    segments: int
    text: str = ""
    priority: int = 50
    value: float = 0.0
    many: bool = False
    caps: list = field(default_factory=list)
    gap: int | None = None
    windows: list = field(default_factory=list)
    shelf_life: int = 900
    min_confidence: float | None = None
    max_age: int | None = None
    messages: int | None = None
    messages_per_day: int | None = None
    spend: int | None = None
    spend_per_day: int | None = None


@dataclass
class Happening:
    id: str
    subject: str
    place: str
    kind: str
    at: datetime
    confidence: float
    distance: float | None
    taken_back: bool = False


@dataclass
class Mail:
    """A message: `cost` in millionths."""

    event: str
    subject: str
    offer: str
    place: str
    channel: str
    cost: int
    day: str
    last_instant: datetime
    visit: str | None
    state: str = "due"
    sent_at: datetime | None = None
    given_back: bool = False


class World:
    """Everything that ever happened, and what follows. Every question is answered by looking through all of it again."""

    def __init__(self, places, offers, account, zone, rate):
        self.places = {place.id: place for place in places}
        self.offers = offers
        self.account = account
        self.zone = ZoneInfo(zone)
        self.rate = rate
        self.happened = []
        self.mails = []

    def take_back(self, event):
        """An event turned out not to have happened; what waits because of it is called off."""
        for each in self.happened:
            if each.id == event:
                each.taken_back = True
        for mail in self.mails:
            if mail.event == event and mail.state == "due":
                mail.state = "cancelled"

    def settle(self):
        """What never went is given back to the budgets; that takes a while."""
        for mail in self.mails:
            mail.given_back = mail.state in GONE

    def hear(self, events, now):
        """What is decided on these events, by (event, offer): the reason, `ok` for a message."""
        self.happened += events
        verdicts = {}
        wanted = [e for e in events if self.wanting([e])]
        for offer, event in self.wanting([e for e in wanted if e.taken_back]):
            verdicts[event.id, offer.id] = "event_retracted"
        for together in self.moments([e for e in wanted if not e.taken_back]):
            someone_spoke = False
            wanting = self.wanting(together)
            for offer, event in sorted(wanting, key=lambda pair: self.precedence(*pair)):
                why = self.judge(offer, event, someone_spoke, now)
                verdicts[event.id, offer.id] = why
                if why == "ok":
                    someone_spoke = True
                    self.mails.append(self.mail(offer, event, now))
        return verdicts

    def wanting(self, events):
        """Which offer would be made about which event."""
        return [(o, e) for e in events for o in self.offers if o.kind == e.kind and e.place in o.places]

    def moments(self, events):
        """Each shopper's events within a minute of the first belong together."""
        groups = []
        for event in sorted(events, key=lambda e: (e.at, e.subject, e.id)):
            for group in groups:
                if group[0].subject == event.subject and (event.at - group[0].at).total_seconds() <= 60:
                    group.append(event)
                    break
            else:
                groups.append([event])
        return groups

    def precedence(self, offer, event):
        size = math.pi * self.places[event.place].radius ** 2
        near = event.distance if event.distance is not None else math.inf
        return (-offer.priority, -offer.value, size, near, offer.id, event.id)

    def judge(self, offer, event, someone_spoke, now):
        age = (now - event.at).total_seconds()
        if offer.max_age is not None and age > offer.max_age:
            return "fix_too_old"
        if offer.min_confidence is not None and event.confidence < offer.min_confidence:
            return "not_sure_enough"
        if age >= offer.shelf_life:
            return "too_late"
        if offer.windows and not any(self.open(window, now) for window in offer.windows):
            return "outside_window"
        if not self.fits_under_caps(offer, event, now):
            return "cap_reached"
        if not self.fits_budgets(offer, now):
            return "budget_spent"
        if not offer.many and (someone_spoke or self.spoken_to_here(event)):
            return "lost_to"
        return "ok"

    def open(self, window, now):
        days, opens, closes = window
        local = now.astimezone(self.zone)
        minute = local.hour * 60 + local.minute + local.second / 60 + local.microsecond / 60e6
        today, yesterday = DAYS[local.weekday()], DAYS[local.weekday() - 1]
        if opens < closes:
            return today in days and opens <= minute < closes
        return (today in days and minute >= opens) or (yesterday in days and minute < closes)

    def fits_under_caps(self, offer, event, now):
        rules = [*offer.caps, *self.account["caps"]]
        rules += [(1, gap, "all", None) for gap in (offer.gap, self.account["gap"]) if gap]
        return all(self.counted(offer, event, *rule[1:], now) < rule[0] for rule in rules)

    def counted(self, offer, event, seconds, scope, channel, now):
        many = 0
        for mail in self.mails:
            if mail.subject != event.subject or mail.state in GONE:
                continue
            if channel is not None and mail.channel != channel:
                continue
            if scope == "campaign" and mail.offer != offer.id:
                continue
            if scope == "geofence" and mail.place != event.place:
                continue
            went = mail.sent_at or mail.last_instant
            if (now - went).total_seconds() < seconds:
                many += 1
        return many

    def fits_budgets(self, offer, now):
        today = now.astimezone(self.zone).date().isoformat()
        cost = self.cost(offer)
        mine = [m for m in self.mails if m.offer == offer.id and not m.given_back]
        all_today = [m for m in self.mails if m.day == today and not m.given_back]
        mine_today = [m for m in mine if m.day == today]
        checks = [
            (offer.messages, len(mine) + 1),
            (offer.messages_per_day, len(mine_today) + 1),
            (offer.spend, sum(m.cost for m in mine) + cost),
            (offer.spend_per_day, sum(m.cost for m in mine_today) + cost),
            (self.account["messages_per_day"], len(all_today) + 1),
            (self.account["spend_per_day"], sum(m.cost for m in all_today) + cost),
        ]
        return all(limit is None or would_be <= limit for limit, would_be in checks)

    def cost(self, offer):
        return self.rate * offer.segments if offer.channel == "sms" else 0

    def spoken_to_here(self, event):
        around = {visit for place in self.places for visit in self.visits_now(event.subject, place, event.at)}
        return any(
            mail.subject == event.subject and mail.state not in GONE and mail.visit in around
            for mail in self.mails
            if mail.visit is not None
        )

    def mail(self, offer, event, now):
        here = self.visits_now(event.subject, event.place, event.at)
        return Mail(
            event=event.id,
            subject=event.subject,
            offer=offer.id,
            place=event.place,
            channel=offer.channel,
            cost=self.cost(offer),
            day=now.astimezone(self.zone).date().isoformat(),
            last_instant=event.at + timedelta(seconds=offer.shelf_life),
            visit=here[-1] if here else None,
        )

    def visits_now(self, subject, place, at):
        """The visits, by their first event, during which an instant falls."""
        return [first for first, begin, end in self.visits(subject, place) if begin <= at <= end]

    def visits(self, subject, place):
        steps = [
            e
            for e in self.happened
            if e.subject == subject and e.place == place and e.kind in ("enter", "exit") and not e.taken_back
        ]
        steps.sort(key=lambda e: (e.at, e.kind == "exit", e.id))
        stays = []
        for number, step in enumerate(steps):
            if step.kind != "enter":
                continue
            begin = step.at.replace(second=0, microsecond=0)
            end = begin + timedelta(hours=4)
            if number + 1 < len(steps):
                then = steps[number + 1].at.replace(second=0, microsecond=0)
                if steps[number + 1].kind == "exit" or then <= end:
                    end = then + timedelta(minutes=1)
            stays.append([step.id, begin, end])
        joined = []
        for first, begin, end in sorted(stays, key=lambda stay: (stay[1], stay[0])):
            if joined and begin <= joined[-1][2] + timedelta(minutes=5):
                joined[-1][2] = max(joined[-1][2], end)
            else:
                joined.append([first, begin, end])
        return joined
