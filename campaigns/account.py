"""What holds for all campaigns of this installation together: how often anybody is spoken to."""

from dataclasses import dataclass

from campaigns.campaign import Campaign
from campaigns.cap import Cap, CapScope, SetBy, gap
from consent.entry import Channel

CAP_FORM = "MAX/SECONDS, then `geofence` and a channel if it counts only those: 3/86400, 1/3600 geofence, 2/86400 sms"


@dataclass(frozen=True, slots=True)
class Account:
    """`caps` and `min_gap_seconds` (None: no gap) count the messages of all campaigns to one subject."""

    caps: tuple[Cap, ...] = ()
    min_gap_seconds: int | None = None


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
