"""What is remembered of campaigns: the campaigns, every decision with its gates, and the messages they became.

Every function takes an open connection; the caller owns the transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Connection,
    Date,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Row,
    Select,
    Table,
    Text,
    UniqueConstraint,
    and_,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy_utc import UtcDateTime

from campaigns.campaign import Campaign, CampaignState, campaign_from_json, campaign_json, due_state
from campaigns.decide import Decision, Outcome
from campaigns.gates import Gate, GateName, Reason, Verdict, gate_json
from campaigns.message import NEVER_SENT, Message, MessageState
from campaigns.paging import Page, read_cursor, read_time_cursor, write_cursor
from consent.data_keys import key_for, keys_of
from consent.entry import Channel

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

campaigns = Table(
    "campaigns",
    metadata,
    Column("id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("starts_at", UtcDateTime),
    Column("ends_at", UtcDateTime),
    Column("definition", JSON, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Index(None, "state"),
)

# Decisions and messages outlive their campaign: why someone was messaged must stay answerable. No foreign key.
decisions = Table(
    "decisions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("event", Text, nullable=False),
    Column("campaign", Text, nullable=False),
    Column("subject", Text),
    Column("geofence", Text),
    Column("outcome", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("gates", JSON, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    UniqueConstraint("event", "campaign"),
    Index(None, "at", "id"),
    Index(None, "subject", "at"),
    Index(None, "campaign", "at"),
    Index(None, "geofence", "at"),
    Index(None, "outcome", "at"),
)

messages = Table(
    "messages",
    metadata,
    Column("id", Text, primary_key=True),
    Column("event", Text, nullable=False),
    Column("campaign", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("geofence", Text),
    Column("channel", Text, nullable=False),
    Column("text", Text, nullable=False),  # sealed
    Column("created_at", UtcDateTime, nullable=False),
    Column("valid_until", UtcDateTime, nullable=False),
    Column("state", Text, nullable=False),
    Column("next_at", UtcDateTime, nullable=False),  # not to be tried before
    Column("sent_at", UtcDateTime),
    Column("provider_id", Text),
    Column("error_code", Text),
    Column("reason", Text),
    Column("rule", Text),
    UniqueConstraint("event", "campaign"),
    Index(None, "state", "next_at"),
    Index(None, "created_at", "id"),
    Index(None, "subject", "campaign"),
    Index(None, "campaign", "created_at"),
    Index(None, "geofence", "created_at"),
    Index(None, "provider_id"),
)

breach_checks = Table(
    "breach_checks",
    metadata,
    Column("day", Date, primary_key=True),
    Column("checked_at", UtcDateTime, nullable=False),
    Column("withdrawals", Integer, nullable=False),
    Column("messages", Integer, nullable=False),
    Column("breaches", JSON, nullable=False),
)

attempts = Table(
    "attempts",
    metadata,
    Column("message", Text, ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("outcome", Text),
    Column("error_code", Text),
)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which decisions or messages to list; `since` is included, `until` excluded, None does not restrict.

    `outcome` is for decisions alone.
    """

    subject: str | None = None
    campaign: str | None = None
    geofence: str | None = None
    event: str | None = None
    outcome: Outcome | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """Counts over a campaign's life; the parts of each mapping add up to its total."""

    outcomes: Mapping[str, int]
    reasons: Mapping[str, int]
    states: Mapping[str, int]


def put_campaign(conn: Connection, campaign: Campaign, at: datetime) -> None:
    """Save a campaign, new or changed."""
    row = _campaign_row(campaign, at)
    insert = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
    conn.execute(insert(campaigns).values(row).on_conflict_do_update(index_elements=["id"], set_=row))


def get_campaign(conn: Connection, campaign_id: str, *, lock: bool = False) -> Campaign | None:
    """The campaign with this id; with `lock`, nobody else changes it before the transaction ends."""
    query = select(campaigns.c.definition).where(campaigns.c.id == campaign_id)
    definition = conn.scalar(query.with_for_update() if lock else query)
    return campaign_from_json(definition) if definition else None


def delete_campaign(conn: Connection, campaign_id: str) -> bool:
    """Forget a campaign; its decisions and messages stay. False if there was none."""
    return conn.execute(delete(campaigns).where(campaigns.c.id == campaign_id)).rowcount > 0


def campaigns_page(conn: Connection, limit: int, cursor: str | None = None) -> Page[Campaign]:
    """Campaigns in the order of their ids."""
    query = select(campaigns.c.definition).order_by(campaigns.c.id).limit(limit + 1)
    if cursor is not None:
        [after] = read_cursor(cursor, parts=1)
        query = query.where(campaigns.c.id > after)
    found = [campaign_from_json(definition) for definition in conn.scalars(query)]
    more = len(found) > limit
    return Page(tuple(found[:limit]), write_cursor(found[limit - 1].id) if more else None)


def set_state(conn: Connection, campaign_id: str, state: CampaignState, at: datetime) -> None:
    """Move a campaign to a state that `next_state` or `due_state` gave."""
    definition = conn.scalar(
        select(campaigns.c.definition).where(campaigns.c.id == campaign_id).with_for_update()
    )
    if definition is not None:
        changed = {"state": state.value, "changed_at": at, "definition": {**definition, "state": state.value}}
        conn.execute(update(campaigns).where(campaigns.c.id == campaign_id).values(changed))


def live_campaigns(conn: Connection) -> list[Campaign]:
    """Campaigns that are active or scheduled, the most important first; `decide` tells which may speak."""
    live = campaigns.c.state.in_([CampaignState.ACTIVE.value, CampaignState.SCHEDULED.value])
    query = select(campaigns.c.definition).where(live).order_by(campaigns.c.priority.desc(), campaigns.c.id)
    return [campaign_from_json(definition) for definition in conn.scalars(query)]


def due_moves(conn: Connection, now: datetime) -> list[tuple[str, CampaignState]]:
    """Campaigns that the clock moves to another state by `now`, with that state; for `set_state`."""
    timed = select(campaigns.c.definition).where(
        campaigns.c.state.in_(
            [CampaignState.ACTIVE.value, CampaignState.SCHEDULED.value, CampaignState.PAUSED.value]
        ),
        or_(campaigns.c.starts_at <= now, campaigns.c.ends_at <= now),
    )
    found = [campaign_from_json(definition) for definition in conn.scalars(timed.with_for_update())]
    return [
        (campaign.id, state)
        for campaign in found
        if (state := due_state(campaign, now)) is not campaign.state
    ]


def recent_messages(
    conn: Connection,
    subject: str,
    campaign: str | None,
    since: datetime,
    *,
    before: Message | None = None,
) -> list[datetime]:
    """When the campaign's messages (None: all campaigns') to the subject after `since` went, or will go, oldest first.

    Those that never reached anyone do not count. With `before`, only those made before that message.
    """
    went = func.coalesce(messages.c.sent_at, messages.c.created_at, type_=UtcDateTime())
    query = select(went).where(
        messages.c.subject == subject,
        messages.c.state.not_in([state.value for state in NEVER_SENT]),
        went > since,
    )
    if campaign is not None:
        query = query.where(messages.c.campaign == campaign)
    if before is not None:
        query = query.where(
            or_(
                messages.c.created_at < before.created_at,
                and_(messages.c.created_at == before.created_at, messages.c.id < before.id),
            )
        )
    return list(conn.scalars(query.order_by(went)))


def record_decision(conn: Connection, decision: Decision, message: Message | None) -> bool:
    """Record a decision and the message it became, once per event and campaign. False if it was decided before."""
    row = {
        "id": decision.id,
        "event": decision.event,
        "campaign": decision.campaign,
        "subject": decision.subject,
        "geofence": decision.geofence,
        "outcome": decision.outcome.value,
        "reason": decision.reason.value,
        "gates": [gate_json(gate) for gate in decision.gates],
        "at": decision.at,
    }
    if not _insert_new(conn, decisions, row):
        return False
    return message is None or _insert_new(conn, messages, _message_row(conn, message))


def decisions_page(
    conn: Connection, filters: Filters, limit: int, cursor: str | None = None
) -> Page[Decision]:
    """Decisions, the newest first."""
    rows, following = _newest(conn, decisions, decisions.c.at, filters, limit, cursor)
    return Page(tuple(map(_decision, rows)), following)


def messages_page(conn: Connection, filters: Filters, limit: int, cursor: str | None = None) -> Page[Message]:
    """Messages, the newest first."""
    rows, following = _newest(conn, messages, messages.c.created_at, filters, limit, cursor)
    return Page(tuple(messages_of_rows(conn, rows)), following)


def decisions_of(conn: Connection, subject: str) -> list[Decision]:
    """Every decision about a subject, oldest first; for the subject's export."""
    query = select(decisions).where(decisions.c.subject == subject).order_by(decisions.c.at, decisions.c.id)
    return [_decision(row) for row in conn.execute(query)]


def messages_of(conn: Connection, subject: str) -> list[Message]:
    """Every message to a subject, oldest first; for the subject's export."""
    query = (
        select(messages).where(messages.c.subject == subject).order_by(messages.c.created_at, messages.c.id)
    )
    return messages_of_rows(conn, conn.execute(query).all())


def forget_subject(conn: Connection, subject: str) -> None:
    """Remove every decision about a subject and every message to them."""
    conn.execute(delete(messages).where(messages.c.subject == subject))
    conn.execute(delete(decisions).where(decisions.c.subject == subject))


def outcome_totals(conn: Connection) -> dict[str, int]:
    """How many decisions of each outcome there are, over all campaigns."""
    query = select(decisions.c.outcome, func.count()).group_by(decisions.c.outcome)
    return {row[0]: row[1] for row in conn.execute(query)}


def campaign_report(conn: Connection, campaign: str) -> Report:
    """How a campaign's decisions and messages came out."""

    def counts(table: Table, column: ColumnElement[str]) -> dict[str, int]:
        query = (
            select(column, func.count()).where(table.c.campaign == campaign).group_by(column).order_by(column)
        )
        return {row[0]: row[1] for row in conn.execute(query)}

    return Report(
        outcomes=counts(decisions, decisions.c.outcome),
        reasons=counts(decisions, decisions.c.reason),
        states=counts(messages, messages.c.state),
    )


def messages_of_rows(conn: Connection, rows: Sequence[Row[Any]]) -> list[Message]:
    """The messages that rows of `messages` hold, their texts unsealed; empty where the subject's key is destroyed."""
    keys = keys_of(conn, {row.subject for row in rows})
    return [
        Message(
            id=row.id,
            event=row.event,
            campaign=row.campaign,
            subject=row.subject,
            geofence=row.geofence,
            channel=Channel(row.channel),
            text=keys[row.subject].open(text_field(row.id), row.text) if row.subject in keys else "",
            created_at=row.created_at,
            valid_until=row.valid_until,
            state=MessageState(row.state),
            sent_at=row.sent_at,
            provider_id=row.provider_id,
            error_code=row.error_code,
            reason=row.reason,
            rule=row.rule,
        )
        for row in rows
    ]


def text_field(message_id: str) -> str:
    """The field that a message's text is sealed for."""
    return f"text of {message_id}"


def _campaign_row(campaign: Campaign, at: datetime) -> dict[str, Any]:
    return {
        "id": campaign.id,
        "state": campaign.state.value,
        "priority": campaign.priority,
        "starts_at": campaign.starts_at,
        "ends_at": campaign.ends_at,
        "definition": campaign_json(campaign),
        "changed_at": at,
    }


def _message_row(conn: Connection, message: Message) -> dict[str, Any]:
    sealed = key_for(conn, message.subject).seal(text_field(message.id), message.text)
    return {
        "id": message.id,
        "event": message.event,
        "campaign": message.campaign,
        "subject": message.subject,
        "geofence": message.geofence,
        "channel": message.channel.value,
        "text": sealed,
        "created_at": message.created_at,
        "valid_until": message.valid_until,
        "state": message.state.value,
        "next_at": message.created_at,
        "sent_at": message.sent_at,
        "provider_id": message.provider_id,
        "error_code": message.error_code,
        "reason": message.reason,
        "rule": message.rule,
    }


def _decision(row: Row[Any]) -> Decision:
    return Decision(
        id=row.id,
        event=row.event,
        campaign=row.campaign,
        subject=row.subject,
        geofence=row.geofence,
        outcome=Outcome(row.outcome),
        reason=Reason(row.reason),
        gates=tuple(
            Gate(GateName(gate["gate"]), Verdict(gate["verdict"]), gate["input"]) for gate in row.gates
        ),
        at=row.at,
    )


def _insert_new(conn: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    insert = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
    written = insert(table).values(dict(row)).on_conflict_do_nothing().returning(table.c.id)
    return conn.execute(written).first() is not None


def _newest(
    conn: Connection,
    table: Table,
    at: ColumnElement[datetime],
    filters: Filters,
    limit: int,
    cursor: str | None,
) -> tuple[list[Row[Any]], str | None]:
    query: Select[Any] = select(table).where(*_conditions(table, at, filters))
    if cursor is not None:
        last_at, last_id = read_time_cursor(cursor)
        query = query.where(or_(at < last_at, and_(at == last_at, table.c.id < last_id)))
    rows = list(conn.execute(query.order_by(at.desc(), table.c.id.desc()).limit(limit + 1)))
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], write_cursor(getattr(last, at.key or "").isoformat(), last.id)


def _conditions(table: Table, at: ColumnElement[datetime], filters: Filters) -> list[ColumnElement[bool]]:
    wanted = {
        name: getattr(filters, name) for name in ("subject", "campaign", "geofence", "event", "outcome")
    }
    conditions: list[ColumnElement[bool]] = [
        table.c[name] == value for name, value in wanted.items() if value is not None
    ]
    if filters.since is not None:
        conditions.append(at >= filters.since)
    if filters.until is not None:
        conditions.append(at < filters.until)
    return conditions
