"""Place events as they are kept and shown: the records store holds the device sealed, by its subject's key, in a way
that can still be looked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from consent.data_keys import keys_of
from consent.store import subject_of_device
from consent.vault import DataKey
from geofences import store as geofence_store
from geofences.event import PlaceEvent
from geofences.store import EventFilters, event_json

EVENT_DEVICE = "device of event"


def sealed_events(
    keys: Mapping[str, DataKey], events: Sequence[tuple[PlaceEvent, str]]
) -> list[tuple[PlaceEvent, str]]:
    """Events with their subjects, who all have their data keys there, as the records store may keep them."""
    return [
        (replace(event, device=keys[subject].seal_alike(EVENT_DEVICE, event.device)), subject)
        for event, subject in events
    ]


def page(
    connection: Connection, filters: EventFilters, cursor: str | None, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """Events as the API writes them, the newest first, and the cursor of the next page."""
    sealed = _sealed(connection, filters)
    if sealed is None:
        return [], None
    found, following = geofence_store.events_page(connection, sealed, cursor, limit)
    return _shown(connection, [event_json(each) for each in found]), following


def of_subject(connection: Connection, subject: str) -> list[dict[str, Any]]:
    """Every event of a subject, oldest first, for the export."""
    return _shown(connection, geofence_store.events_of(connection, subject))


def _sealed(connection: Connection, filters: EventFilters) -> EventFilters | None:
    """The filters as the store can apply them; None when nothing can pass."""
    if filters.device is None:
        return filters
    owner = subject_of_device(connection, filters.device)
    key = keys_of(connection, [owner]).get(owner) if owner else None
    return None if key is None else replace(filters, device=key.seal_alike(EVENT_DEVICE, filters.device))


def _shown(connection: Connection, items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    keys = keys_of(connection, {each["subject"] for each in items if each["subject"]})
    return [
        {**each, "device": keys[each["subject"]].open_alike(EVENT_DEVICE, each["device"])}
        if each["subject"] in keys
        else each
        for each in items
    ]
