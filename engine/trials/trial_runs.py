"""What a backtest is run on: which campaigns, and which events."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, select

from campaigns.campaign import Campaign
from campaigns.store import get_campaign, live_campaigns
from consent import store as consent_store
from engine.records import Records
from engine.trials.past_events import Told, count_recorded, events_of_file, made_up_events, recorded_events
from geofences.event import EventKind
from geofences.tables import geofences

SHOPPERS_LIMIT = 100_000
PLACES_LIMIT = 10_000


class NothingToTry(ValueError):
    """There is no such campaign, or nobody and nothing to try it on; the message says what is missing."""


def chosen_campaigns(records: Records, ids: Sequence[str]) -> list[Campaign]:
    """The campaigns with these ids, all live ones that speak of what phones do if none is given. Raises `NothingToTry`."""
    with records.reads.connect() as connection:
        found = (
            {each: get_campaign(connection, each) for each in ids}
            if ids
            else {each.id: each for each in live_campaigns(connection) if each.trigger.is_of_a_phone}
        )
    missing = [each for each, campaign in found.items() if campaign is None]
    if missing:
        raise NothingToTry(f"no campaign {', '.join(missing)}; PUT /v1/campaigns/{missing[0]} makes it")
    timed = [each.id for each in found.values() if each and not each.trigger.is_of_a_phone]
    if timed:
        raise NothingToTry(
            f"campaign {timed[0]} waits for time to pass; a backtest goes through what phones did"
        )
    if not found:
        raise NothingToTry("no campaign is live; name one")
    return [campaign for campaign in found.values() if campaign is not None]


def source_of(
    records: Records,
    campaigns: Sequence[Campaign],
    since: datetime,
    until: datetime,
    *,
    file: Path | None,
    made_up: int | None,
    length: timedelta,
) -> tuple[Iterable[Told], int | None]:
    """The events to try the campaigns on, and how many there are, where that is known. Raises `NothingToTry`."""
    if file is not None:
        return events_of_file(file), None
    if made_up is not None:
        with records.reads.connect() as connection:
            devices, moments = _devices(connection), _moments(connection, campaigns)
        return made_up_events(devices, moments, made_up, until - length, length), made_up
    return _recorded(records, since, until), _count(records, since, until)


def _recorded(records: Records, since: datetime, until: datetime) -> Iterator[Told]:
    with records.reads.connect() as connection:
        yield from recorded_events(connection, since, until)


def _count(records: Records, since: datetime, until: datetime) -> int:
    with records.reads.connect() as connection:
        return count_recorded(connection, since, until)


def _devices(connection: Connection) -> list[str]:
    subjects = consent_store.subject_ids_after(connection, None, SHOPPERS_LIMIT)
    devices = sorted(consent_store.devices_of_subjects(connection, subjects))
    if not devices:
        raise NothingToTry(
            "nobody is known whose phone could be made up; PUT /v1/subjects/{id} makes one known"
        )
    return devices


def _moments(connection: Connection, campaigns: Sequence[Campaign]) -> list[tuple[EventKind, str]]:
    """Every kind of event that the campaigns wait for, at every place."""
    known = list(
        connection.scalars(
            select(geofences.c.id).where(~geofences.c.deleted).order_by(geofences.c.id).limit(PLACES_LIMIT)
        )
    )
    if not known:
        raise NothingToTry("there is no geofence; PUT /v1/geofences/{id} makes one")
    kinds = {each.trigger.event for each in campaigns if isinstance(each.trigger.event, EventKind)}
    return [(kind, place) for kind in sorted(kinds) for place in known]
