"""What holds for all campaigns of this installation together: how often anybody is spoken to, and what it may cost."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from zoneinfo import ZoneInfo

from campaigns.campaign import Campaign
from campaigns.limits.budget import ACCOUNT, NO_BUDGET, Budget, Key, Limit, Used, keys_of, limits_of, owner_of
from campaigns.limits.cap import Cap, CapScope, SetBy, gap
from campaigns.limits.costs import Costs
from consent.entry import Channel

CAP_FORM = "MAX/SECONDS, then `geofence` and a channel if it counts only those: 3/86400, 1/3600 geofence, 2/86400 sms"


@dataclass(frozen=True, slots=True)
class Account:
    """`caps` and `min_gap_seconds` (None: no gap) count the messages of all campaigns to one subject. `budget` holds for all
    campaigns on one day in `zone` (IANA), where the days of every budget begin; `costs` are in `currency` (ISO 4217).
    """

    caps: tuple[Cap, ...] = ()
    min_gap_seconds: int | None = None
    budget: Budget = NO_BUDGET
    zone: str = "Europe/Paris"
    costs: Costs = field(default_factory=Costs)
    currency: str = "EUR"

    def day(self, at: datetime) -> date:
        """The day by which budgets count, at an instant."""
        return at.astimezone(ZoneInfo(self.zone)).date()


NO_LIMITS = Account()


def caps_in_force(campaign: Campaign, account: Account) -> list[tuple[Cap, SetBy]]:
    """Every cap that a message of the campaign must fit under, its own first, with where it comes from."""
    caps = [(cap, SetBy.CAMPAIGN) for cap in campaign.caps]
    if campaign.min_gap_seconds is not None:
        caps.append((gap(campaign.min_gap_seconds), SetBy.CAMPAIGN_GAP))
    caps += [(cap, SetBy.ACCOUNT) for cap in account.caps]
    if account.min_gap_seconds is not None:
        caps.append((gap(account.min_gap_seconds), SetBy.ACCOUNT_GAP))
    return caps


def limits_in_force(
    campaign: Campaign, account: Account, used: Mapping[Key, Used], day: date
) -> Iterator[Limit]:
    """Every limit of a budget that a message of the campaign must stay within, its own first."""
    yield from limits_of(owner_of(campaign.id), campaign.budget, day, used)
    yield from limits_of(ACCOUNT, account.budget, day, used)


def counted_for(campaigns: Collection[Campaign], account: Account, day: date) -> list[Key]:
    """What must be counted for the budgets of these campaigns."""
    keys = [key for each in campaigns for key in keys_of(owner_of(each.id), each.budget, day)]
    return [*keys, *keys_of(ACCOUNT, account.budget, day)] if campaigns else keys


def caps_from_text(text: str) -> tuple[Cap, ...]:
    """The caps that a setting lists, separated by commas. Raises `ValueError` that names the one that cannot be read."""
    return tuple(_cap(part.split()) for part in text.split(",") if part.strip())


def _cap(words: list[str]) -> Cap:
    try:
        most, seconds = words[0].split("/")
        rest = words[1:]
        scope = CapScope.GEOFENCE if CapScope.GEOFENCE in rest else CapScope.ALL
        channels = [Channel(word) for word in rest if word not in (CapScope.GEOFENCE, CapScope.ALL)]
        if len(channels) > 1:
            raise ValueError("one channel at most")  # told below, as every other
        return Cap(int(most), int(seconds), scope, *channels)
    except ValueError:
        raise ValueError(f"no cap can be read in {' '.join(words)!r}; write {CAP_FORM}") from None
