"""What is asked of a campaign when it is saved that only the stores and the installation can answer."""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import Connection

from campaigns.audience.audience import behaviours, list_names
from campaigns.audience.list_store import names_of
from campaigns.campaign import Campaign, finished_text, single_texts
from campaigns.content.template import TextRefused
from campaigns.country_rules import CountryRules, Reading
from campaigns.coupons.coupon import PoolNotFound
from campaigns.coupons.store import get_pool
from campaigns.errors import FieldError, InvalidCampaign
from campaigns.wording import Wording
from consent.entry import Channel
from geofences import store as geofence_store
from geofences.sensitive import OVERRIDE

PLACES_ASKED = 100
"""Of the places that a trigger names, so many are asked which words their country wants."""


def check_saved(
    conn: Connection, campaign: Campaign, rules: CountryRules, wording: Wording, now: datetime
) -> None:
    """Raises `InvalidCampaign` for texts that could never be sent from here, and for conditions that choose nobody."""
    problems = (
        *_pool_problems(conn, campaign),
        *_word_problems(conn, campaign, rules, wording, now),
        *_past_problems(conn, campaign),
    )
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


def _past_problems(conn: Connection, campaign: Campaign) -> Iterator[FieldError]:
    """Conditions on visits to sensitive places, which choose nobody, and on lists that nobody uploaded."""
    asked = {place for each in behaviours(campaign.audience) for place in each.geofences}
    looked_at = campaign.trigger.geofences if campaign.trigger.looks_back else ()
    for field, places in (("audience", asked), ("trigger.geofences", looked_at)):
        found = geofence_store.properties_of(conn, places)
        for place in sorted(name for name, properties in found.items() if OVERRIDE in properties):
            yield FieldError(field, f"geofence {place} is at a sensitive place; visits there choose nobody")
    for name in sorted(list_names(campaign.audience) - names_of(conn)):
        yield FieldError("audience", f"no list {name}; PUT /v1/lists/{name} first")
