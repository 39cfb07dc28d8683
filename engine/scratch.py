"""A records store for trying things out: a copy of who and what there is, in a folder that is thrown away."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, event, insert, select

import consent.store
from campaigns.campaign import Campaign
from campaigns.coupon_tables import coupon_pools, coupons
from campaigns.store import put_campaign
from campaigns.tables import messages
from consent.log_tables import consent_notices
from consent.tables import subject_keys, suppressions, vault_keys
from engine.records import Records, open_records
from engine.schema import METADATA
from geofences.tables import geofences, visits

ROWS_AT_ONCE = 2000
_WHOLE: Sequence[Table] = (
    vault_keys,
    subject_keys,
    consent.store.subjects,
    consent.store.devices,
    suppressions,
    consent_notices,
    consent.store.consent_entries,
    geofences,
    coupon_pools,
    coupons,
)
"""What a judgement reads, in an order in which rows find those that they refer to. What is sealed stays sealed."""


def make_scratch(
    records: Records, keys: Path, folder: Path, campaigns: Sequence[Campaign], before: datetime
) -> Records:
    """A store in `folder` as things stood `before` the first event: subjects, consents and places of now, messages and
    visits of until then, and these campaigns alone.
    """
    scratch = open_records(f"sqlite:///{folder / 'scratch.sqlite'}", keys)
    event.listen(scratch.writes, "connect", _in_a_hurry)
    for metadata in METADATA:
        metadata.create_all(scratch.writes)
    with records.reads.connect() as source, scratch.writes.begin() as target:
        for table in _WHOLE:
            _copy(source, target, table)
        _copy(source, target, messages, messages.c.created_at < before)
        _copy(source, target, visits, visits.c.entered_at < before)
        for campaign in campaigns:
            put_campaign(target, campaign, before)
    return scratch


def _copy(source: Connection, target: Connection, table: Table, *conditions: ColumnElement[bool]) -> None:
    query = select(table).where(*conditions).execution_options(yield_per=ROWS_AT_ONCE)
    for rows in source.execute(query).mappings().partitions():
        target.execute(insert(table), [dict(row) for row in rows])


def _in_a_hurry(connection: sqlite3.Connection, _record: Any) -> None:
    """What is thrown away need not survive a power cut."""
    for pragma in ("synchronous=OFF", "secure_delete=OFF", "cache_size=-65536", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}")
