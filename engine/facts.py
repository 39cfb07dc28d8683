"""The facts that judgements rest on, read for many subjects in few statements. Whoever judges asks here: the decider,
and whoever tries a campaign out; so that both know the same.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from campaigns import message_store
from campaigns.approval import NEVER, NOT_ASKED, NOT_CLEARED, ApprovalPolicy, Clearance
from campaigns.approval_store import clearances
from campaigns.breaker import Breaker
from campaigns.campaign import Campaign
from campaigns.cap import Sent, counted_since
from campaigns.country_rules import COUNTRY_RULES, LONGEST_CAP, CountryRules
from campaigns.experiment import NO_CONTROL, Control
from campaigns.gates import Moment, Recipient
from campaigns.links import OWN_LINKS_ONLY, LinkPolicy
from campaigns.message import Message
from consent import ledger
from consent import store as consent_store
from consent.entry import Channel, Entry, Purpose, standing
from consent.phone import origin_of
from consent.store import Reachable
from engine.history import History, read_history
from geofences.event import PlaceEvent
from geofences.geofence import Geofence


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one subject: its consent entries, and the messages that it got or will get."""

    recipient: Recipient
    entries: Sequence[Entry]
    sent: list[Sent]


@dataclass(frozen=True, slots=True)
class House:
    """How this installation is set: the rules of countries it keeps, and where its links may lead; and how the lines
    to its providers are just now.
    """

    rules: CountryRules = COUNTRY_RULES
    links: LinkPolicy = OWN_LINKS_ONLY
    breakers: Mapping[Channel, Breaker] = field(default_factory=dict)
    control: Control = NO_CONTROL
    approval: ApprovalPolicy = NEVER


class Facts:
    """What is known of some subjects at `now`. What is decided on them meanwhile is told to it (`count`, `discount`)."""

    def __init__(
        self,
        known: Mapping[str, Known],
        house: House,
        now: datetime,
        clearances: Mapping[str, Clearance],
        history: History | None = None,
    ) -> None:
        self._known = known
        self._history = history or History(now)
        self._clearances = clearances
        self._house = house
        self._now = now

    def moment(
        self, campaign: Campaign, event: PlaceEvent, geofence: Geofence | None, subject: str | None
    ) -> Moment:
        """What `campaign` is judged by when `event` happens to the subject; None, or one not known, is a stranger."""
        known = self._known.get(subject) if subject is not None else None
        if known is None:
            return Moment(
                event,
                geofence,
                None,
                None,
                None,
                rules=self._house.rules,
                links=self._house.links,
                clearance=self._clearance(campaign),
                breakers=self._house.breakers,
            )
        return Moment(
            event=event,
            geofence=geofence,
            recipient=known.recipient,
            marketing=standing(known.entries, Purpose.MARKETING, campaign.channel, self._now),
            location=standing(known.entries, Purpose.LOCATION, None, self._now),
            sent=tuple(known.sent),
            rules=self._house.rules,
            links=self._house.links,
            profiling=standing(known.entries, Purpose.PROFILING, None, self._now)
            if campaign.profiles
            else None,
            visits=self._history.visits_to(known.recipient.id, event.geofence)
            if campaign.trigger.looks_back
            else (),
            done=self._history.done(campaign, known.recipient.id, event.geofence, event.at),
            clearance=self._clearance(campaign),
            past=self._history.past(campaign, known.recipient.id, known.sent),
            breakers=self._house.breakers,
            control=self._house.control,
        )

    def _clearance(self, campaign: Campaign) -> Clearance:
        if not self._house.approval.asks:
            return NOT_ASKED
        return self._clearances.get(campaign.id, NOT_CLEARED)

    def count(self, message: Message) -> None:
        """A message was made: it counts from now on."""
        if message.subject in self._known:
            made = Sent(
                message.created_at, message.event, message.campaign, message.geofence, message.channel
            )
            self._known[message.subject].sent.append(made)

    def discount(self, subject: str, event: str, campaigns: Collection[str]) -> None:
        """What the event brought about in these campaigns was called off."""
        if subject in self._known:
            sent = self._known[subject].sent
            sent[:] = [each for each in sent if each.event != event or each.campaign not in campaigns]


def gather(
    connection: Connection,
    subjects: Iterable[str],
    campaigns: Sequence[Campaign],
    now: datetime,
    house: House = House(),
) -> Facts:
    """What judgements of these campaigns need to know of these subjects. The caller holds the subjects' locks if it
    records what is decided.
    """
    reachable = consent_store.reachable(connection, subjects)
    return gather_known(
        connection, reachable, ledger.entries_of_many(connection, reachable), campaigns, now, house
    )


def gather_known(
    connection: Connection,
    subjects: Mapping[str, Reachable],
    entries: Mapping[str, Sequence[Entry]],
    campaigns: Sequence[Campaign],
    now: datetime,
    house: House,
) -> Facts:
    """The same, for whoever has read part of it already."""
    caps = [cap for campaign in campaigns for cap in campaign.caps]
    since = min(counted_since(caps, now), now - LONGEST_CAP if house.rules.enforced else now)
    sent = message_store.sent_to(connection, subjects, since)
    phones = consent_store.phones_of(connection, subjects)
    known = {
        subject.id: Known(_recipient(subject, phones.get(subject.id)), entries[subject.id], sent[subject.id])
        for subject in subjects.values()
    }
    clear = clearances(connection, house.approval, campaigns)
    return Facts(known, house, now, clear, read_history(connection, subjects, campaigns, now))


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
