"""Reads what a report is made of: every decision of a campaign with what became of it, subject by subject.

Every function takes an open connection; the caller owns the transaction.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, and_, select, true

from campaigns.campaign import Campaign
from campaigns.content.link_store import clicked_among
from campaigns.coupons.coupon import CouponState
from campaigns.decide import Outcome
from campaigns.experiments.experiment import experiment_from_json
from campaigns.gates import Reason
from campaigns.message import MessageState
from campaigns.reporting.funnel import Happening
from campaigns.reporting.report import Report, ReportPolicy
from campaigns.reporting.results import Trial
from campaigns.tables import campaign_versions, coupons, decisions, messages
from geofences import store as geofence_store
from geofences.geofence import Kind
from geofences.sensitive import OVERRIDE
from geofences.tables import visits

ROWS_AT_ONCE = 2000


def read_report(
    conn: Connection, campaign: Campaign, policy: ReportPolicy, since: datetime, until: datetime
) -> Report:
    """The report on what was decided from `since` until before `until`. Memory does not grow with the decisions."""
    places = _places(conn, campaign.id, since)
    versions = _versions(conn, campaign.id)
    linked = {number for number, definition in versions.items() if definition.get("short_links")}
    report = Report(
        policy,
        Trial(
            campaign.experiment,
            {number: experiment_from_json(each.get("experiment")) for number, each in versions.items()},
        ),
        {geofence: zone for geofence, (_, zone) in places.items()},
    )
    within = timedelta(hours=policy.visit_within_hours)
    for rows in _portions(conn, campaign.id, since, until):
        came = _visits(conn, rows, {store for store, _ in places.values()})
        sent = [row.message for row in rows if row.message and row.version in linked]
        readers = clicked_among(conn, sent)
        clicked = {message: message in readers for message in sent}
        for _, own in groupby(rows, key=lambda row: row.subject):
            report.add([_happening(row, places, came, within, clicked) for row in own])
    return report


def _versions(conn: Connection, campaign: str) -> dict[int, Mapping[str, Any]]:
    """The definitions of the campaign's versions."""
    table = campaign_versions.c
    query = select(table.version, table.definition).where(table.campaign == campaign)
    return {row.version: row.definition for row in conn.execute(query)}


def _places(conn: Connection, campaign: str, since: datetime) -> dict[str, tuple[str, str]]:
    """Of each geofence that decisions name: the store that a visit to it is a visit of, and its time zone."""
    named = select(decisions.c.geofence).where(decisions.c.campaign == campaign, decisions.c.at >= since)
    ids = [geofence for geofence in conn.scalars(named.distinct()) if geofence is not None]
    found = geofence_store.get_many(conn, ids)
    return {each.id: (each.store or each.id, each.timezone) for each in found.values()}


def _portions(conn: Connection, campaign: str, since: datetime, until: datetime) -> Iterator[Sequence[Any]]:
    """The decisions in the order of subject and time, in portions that part no subject."""
    table = decisions.c
    query = (
        select(
            table.subject,
            table.geofence,
            table.at,
            table.outcome,
            table.reason,
            table.version,
            table.variant,
            messages.c.id.label("message"),
            messages.c.state,
            messages.c.reason.label("why"),
            messages.c.segments,
            coupons.c.state.label("coupon"),
        )
        .outerjoin(messages, and_(messages.c.event == table.event, messages.c.campaign == table.campaign))
        .outerjoin(coupons, coupons.c.message == messages.c.id)
        .where(table.campaign == campaign, table.subject.is_not(None), table.at >= since, table.at < until)
        .where(table.test.is_not(true()))
        .order_by(table.subject, table.at, table.id)
        .execution_options(yield_per=ROWS_AT_ONCE)
    )
    portion: list[Any] = []
    for row in conn.execute(query):
        if len(portion) >= ROWS_AT_ONCE and row.subject != portion[-1].subject:
            yield portion
            portion = []
        portion.append(row)
    if portion:
        yield portion


def _visits(
    conn: Connection, rows: Sequence[Any], stores: Iterable[str]
) -> Mapping[tuple[str, str | None], Sequence[datetime]]:
    """When the subjects of these rows entered those stores, oldest first; under None any store, for offers about no place."""
    wanted, table = set(stores), visits.c
    anywhere = any(row.geofence is None for row in rows)
    came: dict[tuple[str, str | None], list[datetime]] = defaultdict(list)
    subjects = sorted({row.subject for row in rows})
    earliest = min(row.at for row in rows)
    for start in range(0, len(subjects), 500):
        some = subjects[start : start + 500]
        query = select(table.subject, table.geofence, table.entered_at).where(
            table.subject.in_(some), table.entered_at > earliest
        )
        found = conn.execute(query.order_by(table.entered_at)).all()
        any_store = _stores_among(conn, {row.geofence for row in found}) if anywhere else set()
        for row in found:
            if row.geofence in wanted:
                came[row.subject, row.geofence].append(row.entered_at)
            if row.geofence in any_store:
                came[row.subject, None].append(row.entered_at)
    return came


def _stores_among(conn: Connection, geofences: Iterable[str]) -> set[str]:
    """Those that are stores, and none that is sensitive."""
    found = geofence_store.properties_of(conn, geofences)
    return {each for each, said in found.items() if said.get("kind") == Kind.STORE and OVERRIDE not in said}


def _happening(
    row: Any,
    places: Mapping[str, tuple[str, str]],
    came: Mapping[tuple[str, str | None], Sequence[datetime]],
    within: timedelta,
    clicked: Mapping[str, bool],
) -> Happening:
    store, _ = places.get(row.geofence, (row.geofence, ""))
    entered = came.get((row.subject, store), ())
    following = bisect_right(entered, row.at)
    return Happening(
        subject=row.subject,
        geofence=row.geofence,
        at=row.at,
        outcome=Outcome(row.outcome),
        reason=Reason(row.reason),
        version=row.version,
        variant=row.variant,
        state=MessageState(row.state) if row.state else None,
        why=Reason(row.why) if row.why else None,
        clicked=clicked.get(row.message),
        visited=following < len(entered) and entered[following] <= row.at + within,
        redeemed=None if row.coupon is None else row.coupon == CouponState.REDEEMED,
        segments=row.segments,
    )
