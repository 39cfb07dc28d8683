"""The facts that judgements rest on, read for many subjects in few statements. Whoever judges asks here: the decider,
and whoever tries a campaign out; so that both know the same.
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from campaigns import message_store
from campaigns.arbitration import Winner
from campaigns.campaign import Campaign
from campaigns.content.links import OWN_LINKS_ONLY, LinkPolicy
from campaigns.country_rules import COUNTRY_RULES, LONGEST_CAP, CountryRules
from campaigns.delivery.breaker import Breaker
from campaigns.experiments.experiment import NO_CONTROL, Control
from campaigns.gates import Moment, Recipient
from campaigns.lifecycle.approval import NEVER, NOT_ASKED, NOT_CLEARED, ApprovalPolicy, Clearance
from campaigns.lifecycle.approval_store import clearances
from campaigns.limits.account import NO_LIMITS, Account, caps_in_force, counted_for, limits_in_force
from campaigns.limits.budget_store import Counters, lock_counters, read_counters
from campaigns.limits.cap import Sent, counted_since
from campaigns.message import Message
from campaigns.triggers.cart import CartEvent
from campaigns.triggers.occasion import Occasion
from consent import ledger
from consent import store as consent_store
from consent.data_keys import keys_of
from consent.entry import Channel, Entry, Purpose, standing
from consent.phone import origin_of
from consent.store import Reachable
from consent.vault import DataKey
from engine.history import History, read_history
from geofences import visit_store
from geofences.geofence import Geofence
from geofences.visit import Visit

LONGEST_VISIT = timedelta(days=2)
LOOK_BACK = timedelta(days=9)
"""An offer keeps for seven days at most, and a visit that its event fell in began two days before it at most."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one subject: its consent entries, the messages that it got or will get, and where it has been."""

    recipient: Recipient
    entries: Sequence[Entry]
    sent: list[Sent]
    visits: Sequence[Visit] = ()


@dataclass(frozen=True, slots=True)
class House:
    """How this installation is set: the rules of countries it keeps, where its links may lead, what holds for all
    campaigns together, and what must be approved; and how the lines to its providers are just now.
    """

    rules: CountryRules = COUNTRY_RULES
    links: LinkPolicy = OWN_LINKS_ONLY
    account: Account = NO_LIMITS
    breakers: Mapping[Channel, Breaker] = field(default_factory=dict)
    control: Control = NO_CONTROL
    approval: ApprovalPolicy = NEVER


HOUSE = House()
"""Where nothing is set."""


class Facts:
    """What is known of some subjects at `now`. What is decided on them meanwhile is told to it (`count`)."""

    def __init__(
        self,
        known: Mapping[str, Known],
        keys: Mapping[str, DataKey],
        counters: Counters,
        clearances: Mapping[str, Clearance],
        history: History,
        house: House,
        now: datetime,
    ) -> None:
        self._known = known
        self.keys = keys
        """The data keys of the subjects."""
        self._counters = counters
        self._history = history
        self._clearances = clearances
        self._day = house.account.day(now)
        self._house = house
        self._now = now

    def moment(
        self,
        campaign: Campaign,
        event: Occasion,
        geofence: Geofence | None,
        subject: str | None,
        *,
        winner: Winner | None = None,
    ) -> Moment:
        """What `campaign` is judged by when `event` happens to the subject; None, or one not known, is a stranger. `winner`
        is who spoke already in the same moment.
        """
        house = self._house
        stranger = Moment(
            event=event,
            geofence=geofence,
            recipient=None,
            marketing=None,
            location=None,
            rules=house.rules,
            links=house.links,
            account=house.account,
            budgets=tuple(limits_in_force(campaign, house.account, self._counters.used, self._day)),
            winner=winner,
            clearance=self._clearance(campaign),
            breakers=house.breakers,
            control=house.control,
        )
        known = self._known.get(subject) if subject is not None else None
        if known is None:
            return stranger
        covering = [visit for visit in known.visits if visit.covers(event.at)]
        here = [visit.id for visit in covering if visit.geofence == event.geofence]
        return replace(
            stranger,
            recipient=known.recipient,
            marketing=standing(known.entries, Purpose.MARKETING, campaign.channel, self._now),
            location=standing(known.entries, Purpose.LOCATION, None, self._now),
            sent=tuple(known.sent),
            visit=here[-1] if here else None,
            around=frozenset(visit.id for visit in covering),
            profiling=standing(known.entries, Purpose.PROFILING, None, self._now)
            if campaign.profiles
            else None,
            visits=self._history.visits_meant(campaign, known.recipient.id, event.geofence),
            done=self._history.done(campaign, known.recipient.id, event.geofence, event.at),
            past=self._history.past(campaign, known.recipient.id, known.sent),
            carting=standing(known.entries, Purpose.CART, None, self._now) if campaign.trigger.cart else None,
            carts=self._history.open_carts(campaign, known.recipient.id),
        )

    @property
    def now(self) -> datetime:
        """The instant as of which this is known."""
        return self._now

    def knows(self, subject: str) -> bool:
        """Whether anything is known of the subject."""
        return subject in self._known

    def visits_meant(self, campaign: Campaign, subject: str) -> tuple[Visit, ...]:
        """The subject's visits to the places of an absence, oldest first."""
        return self._history.visits_meant(campaign, subject, None)

    def open_carts(self, campaign: Campaign, subject: str) -> tuple[CartEvent, ...]:
        """The subject's open carts, the newest first; none where the campaign asks for none, or nobody may look at them."""
        known = self._known.get(subject)
        allowed = known is not None and standing(known.entries, Purpose.CART, None, self._now).allowed
        return self._history.open_carts(campaign, subject) if allowed else ()

    def at(self, now: datetime) -> "Facts":
        """The same at another instant; what is told to one is known to the other."""
        other = copy(self)
        other._now = now  # noqa: SLF001  # its own kind
        other._day = self._house.account.day(now)  # noqa: SLF001
        other._history = replace(self._history, now=now)  # noqa: SLF001
        return other

    def _clearance(self, campaign: Campaign) -> Clearance:
        if not self._house.approval.asks:
            return NOT_ASKED
        return self._clearances.get(campaign.id, NOT_CLEARED)

    def is_counted(self, message: Message) -> bool:
        """Whether a budget counts the message."""
        return self._counters.counts(message)

    def count(self, message: Message) -> None:
        """A message was made: it counts from now on."""
        self._counters.reserve(message)
        if message.subject in self._known:
            made = Sent(
                message.valid_until,
                message.event,
                message.campaign,
                message.geofence,
                message.channel,
                message.visit,
            )
            self._known[message.subject].sent.append(made)

    def keep_counters(self, connection: Connection) -> None:
        """Write down what was reserved from budgets. Only for counters that are held."""
        self._counters.write(connection)


def gather(
    connection: Connection,
    subjects: Iterable[str],
    campaigns: Sequence[Campaign],
    now: datetime,
    house: House = HOUSE,
    counters: Counters | None = None,
) -> Facts:
    """What judgements of these campaigns need to know of these subjects. Who records what is decided holds the locks of the
    subjects and gives the `counters` that it holds; without, what is used of budgets is read.
    """
    keys = keys_of(connection, subjects)
    reachable = consent_store.reachable(connection, keys, keys)
    entries = ledger.entries_of_many(connection, reachable)
    if counters is None:
        names = [campaign.id for campaign in campaigns]
        counters = Counters(read_counters(connection, names, house.account.day(now)))
    return gather_known(connection, reachable, entries, keys, campaigns, counters, now, house)


def hold_counters(
    connection: Connection, campaigns: Sequence[Campaign], now: datetime, house: House
) -> Counters:
    """The counters of these campaigns' budgets, held until the transaction ends. Nothing is locked after them."""
    day = house.account.day(now)
    wanted = counted_for(campaigns, house.account, day)
    return lock_counters(connection, wanted, [campaign.id for campaign in campaigns], day)


def gather_known(
    connection: Connection,
    subjects: Mapping[str, Reachable],
    entries: Mapping[str, Sequence[Entry]],
    keys: Mapping[str, DataKey],
    campaigns: Sequence[Campaign],
    counters: Counters,
    now: datetime,
    house: House,
) -> Facts:
    """The same, for whoever has read part of it already, and holds the locks of the subjects and the counters."""
    caps = [cap for campaign in campaigns for cap, _ in caps_in_force(campaign, house.account)]
    since = min(counted_since(caps, now), now - LONGEST_CAP if house.rules.enforced else now - LONGEST_VISIT)
    sent = message_store.sent_to(connection, subjects, since)
    visits = visit_store.visits_of_many(connection, subjects, None, now - LOOK_BACK, now)
    known = {
        each.id: Known(
            _recipient(each, each.phone(keys[each.id])), entries[each.id], sent[each.id], visits[each.id]
        )
        for each in subjects.values()
    }
    clear = clearances(connection, house.approval, campaigns)
    history = read_history(connection, subjects, campaigns, now)
    return Facts(known, keys, counters, clear, history, house, now)


def _recipient(subject: Reachable, phone: str | None) -> Recipient:
    has = {Channel.SMS: subject.has_phone, Channel.PUSH: subject.has_push}
    return Recipient(
        id=subject.id,
        attributes=subject.attributes,
        channels=frozenset(channel for channel, there in has.items() if there),
        origin=origin_of(phone) if phone else None,
        suppressed=frozenset({Channel.SMS} if subject.is_suppressed else ()),
        locale=subject.locale,
    )
