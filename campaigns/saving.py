"""What is asked of a campaign's texts when it is saved that only the stores and the installation can answer."""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import Connection

from campaigns.campaign import Campaign, finished_text, single_texts
from campaigns.country_rules import CountryRules, Reading
from campaigns.coupon import PoolNotFound
from campaigns.coupon_store import get_pool
from campaigns.errors import FieldError, InvalidCampaign
from campaigns.template import TextRefused
from campaigns.wording import Wording
from consent.entry import Channel
from geofences import store as geofence_store

PLACES_ASKED = 100
"""Of the places that a trigger names, so many are asked which words their country wants."""


def check_saved(
    conn: Connection, campaign: Campaign, rules: CountryRules, wording: Wording, now: datetime
) -> None:
    """Raises `InvalidCampaign` for texts that could never be sent from here."""
    problems = (*_pool_problems(conn, campaign), *_word_problems(conn, campaign, rules, wording, now))
    if problems:
        raise InvalidCampaign("the campaign breaks a rule; see errors", problems)


def _pool_problems(conn: Connection, campaign: Campaign) -> Iterator[FieldError]:
    try:
        if campaign.coupon is not None:
            get_pool(conn, campaign.coupon.pool)
    except PoolNotFound as missing:
        yield FieldError("coupon.pool", missing.detail)


def _word_problems(
    conn: Connection, campaign: Campaign, rules: CountryRules, wording: Wording, now: datetime
) -> Iterator[FieldError]:
    """The words that a country asks for (the advertiser's name, a way to refuse) and a text lacks, of each language.

    Asked of the countries of the places that the trigger names; what a tag or a number brings is asked at the decision.
    """
    if campaign.channel is not Channel.SMS or not rules.strict or rules.sender is None:
        return
    places = geofence_store.get_many(conn, campaign.trigger.geofences[:PLACES_ASKED])
    for field, alone in single_texts(campaign):
        try:
            finished = finished_text(alone, {"campaign": campaign.name}, wording)
        except TextRefused:
            continue  # without values there is nothing to look at yet
        holds = (
            rules.by_words(Reading(place, None, campaign.channel), finished, now) for place in places.values()
        )
        yield from (
            FieldError(field, f"{because}, which {rule} asks for")
            for rule, because in sorted({(hold.name, hold.because) for hold in holds if hold})
        )
