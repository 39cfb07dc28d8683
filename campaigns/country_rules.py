"""How this installation keeps the rules of countries: what it has set, and the holds that follow for one message."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from campaigns.limits.cap import Cap, is_full
from consent.countries.place import Anywhere, Concerned, Origin, Store, concerned
from consent.countries.rule import Reach
from consent.countries.ruling import (
    Hold,
    caps_in_force,
    hold_by_hours,
    hold_by_sender,
    hold_by_words,
    next_opening,
)
from consent.entry import Channel
from geofences.geofence import Geofence
from geofences.geometry import middle_of

LONGEST_CAP = timedelta(days=31)
"""No pack has a cap over a longer time; a test holds the packs to it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Where and by whom a message would be read: the store (None: gone), and what the number tells (None: none)."""

    geofence: Geofence | Anywhere | None
    origin: Origin | None
    channel: Channel

    @property
    def clocks(self) -> tuple[str, ...]:
        """The clocks by which the campaign's own hours are read: the store's, or else of everywhere that is concerned."""
        if isinstance(self.geofence, Anywhere):
            return _concerned(self).zones
        return (self.geofence.timezone,) if self.geofence else ()


@dataclass(frozen=True, slots=True)
class CountryRules:
    """`enforced` is off only where nobody real is messaged. `strict` refuses a forbidden sender and a text that lacks
    words; otherwise they are told, and let pass. Without a `sender` nothing leaves the house, so neither is asked.
    """

    enforced: bool = True
    reach: Reach = Reach.DEFAULT
    strict: bool = False
    sender: str | None = None
    brand: str = ""

    def by_hours(self, reading: Reading, at: datetime) -> Hold | None:
        """What keeps a message back at this time of day."""
        if not self.enforced:
            return None
        minute = at.replace(second=0, microsecond=0)
        return hold_by_hours(_concerned(reading), minute, reading.channel, self.reach)

    def opening(self, reading: Reading, after: datetime) -> datetime | None:
        """When it may go, if it may not now."""
        return next_opening(_concerned(reading), after, reading.channel, self.reach)

    def caps(self, reading: Reading, at: datetime) -> bool:
        """Whether any cap over all campaigns counts."""
        return self.enforced and bool(caps_in_force(_concerned(reading), at, reading.channel))

    def by_cap(self, reading: Reading, sent_at: Sequence[datetime], at: datetime) -> Hold | None:
        """The cap over all campaigns that is full; `sent_at` goes back as far as `LONGEST_CAP`."""
        if not self.enforced:
            return None
        for rule, cap in caps_in_force(_concerned(reading), at, reading.channel):
            if is_full(Cap(cap.max, cap.per_seconds), sent_at, at):
                return Hold(
                    rule.id, rule.version, f"{cap.max} offers in {cap.per_seconds} seconds went already"
                )
        return None

    def by_sender(self, reading: Reading, at: datetime) -> Hold | None:
        """What forbids the sender that is set."""
        if not self.enforced or self.sender is None:
            return None
        return hold_by_sender(_concerned(reading), at, reading.channel, self.sender)

    def by_words(self, reading: Reading, text: str, at: datetime) -> Hold | None:
        """What the text lacks."""
        if not self.enforced or self.sender is None:
            return None
        who = _concerned(reading)
        return hold_by_words(who, at, reading.channel, text=text, sender=self.sender, brand=self.brand)


COUNTRY_RULES = CountryRules()
"""As they are kept where nothing is set."""


def store_of(geofence: Geofence) -> Store:
    """The place of a geofence, with the jurisdiction that its owner named, if one did."""
    said = geofence.properties.get("jurisdiction")
    return Store(geofence.timezone, said if isinstance(said, str) else None, *middle_of(geofence.shape))


def _concerned(reading: Reading) -> Concerned:
    where = reading.geofence
    return concerned(store_of(where) if isinstance(where, Geofence) else where, reading.origin)
