"""A records store for trying things out: a copy of who and what there is, in a folder that is thrown away."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, event, insert, select

from campaigns.campaign import Campaign
from campaigns.coupons.store import unclaim_since
from campaigns.store import put_campaign
from campaigns.tables import messages
from engine.records import Records, open_records
from engine.schema import METADATA
from geofences.tables import visits

ROWS_AT_ONCE = 2000
_LEFT_OUT = frozenset(
    "place_events decisions attempts held_moments campaigns campaign_versions campaign_changes breach_checks "
    "consent_log consent_tree consent_checkpoints consent_erasures erasures erasure_notices access_log privacy_requests "
    "inbound_messages inbound_subjects review_texts opt_in_requests idempotent_answers api_keys "
    "budget_counters short_links clicks watch_marks broadcast_runs".split()
)
"""What no judgement reads, or what a backtest brings about itself."""


def make_scratch(
    records: Records, keys: Path, folder: Path, campaigns: Sequence[Campaign], before: datetime
) -> Records:
    """A store in `folder` as things stood `before` the first event: subjects, consents and places of now, messages and
    visits of until then, codes as free as then, and these campaigns alone. Budgets begin with the messages.
    """
    scratch = open_records(f"sqlite:///{folder / 'scratch.sqlite'}", keys)
    event.listen(scratch.writes, "connect", _in_a_hurry)
    for metadata in METADATA:
        metadata.create_all(scratch.writes)
    with records.reads.connect() as source, scratch.writes.begin() as target:
        for table in (table for metadata in METADATA for table in metadata.sorted_tables):
            if table.name not in _LEFT_OUT:
                _copy(source, target, table, *_EARLIER[table.name](before) if table.name in _EARLIER else ())
        unclaim_since(target, before)
        for campaign in campaigns:
            put_campaign(target, campaign, before)
    return scratch


_EARLIER: Mapping[str, Callable[[datetime], Sequence[ColumnElement[bool]]]] = {
    messages.name: lambda before: [messages.c.created_at < before],
    visits.name: lambda before: [visits.c.entered_at < before],
}


def _copy(source: Connection, target: Connection, table: Table, *conditions: ColumnElement[bool]) -> None:
    query = select(table).where(*conditions).execution_options(yield_per=ROWS_AT_ONCE)
    for rows in source.execute(query).mappings().partitions():
        target.execute(insert(table), [dict(row) for row in rows])


def _in_a_hurry(connection: sqlite3.Connection, _record: Any) -> None:
    """What is thrown away need not survive a power cut."""
    for pragma in ("synchronous=OFF", "secure_delete=OFF", "cache_size=-65536", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}")
