"""The tables of campaigns, of all its rooms: campaigns and versions, decisions, messages and attempts, coupons, and the rest."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy_utc import UtcDateTime

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

campaign_versions = Table(
    "campaign_versions",
    metadata,
    Column("campaign", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("definition", JSON, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("frozen_at", UtcDateTime),
    Column("approved_hash", Text),
    Column("approved_by", Text),
    Column("approved_at", UtcDateTime),
)

# The audit log; it outlives the campaigns, too.
campaign_changes = Table(
    "campaign_changes",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("campaign", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("action", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("fields", JSON, nullable=False),
    Column("was", Text),
    Column("now", Text),
    Column("content_hash", Text, nullable=False),
    Column("comment", Text),
    Index(None, "campaign", "number"),
    Index(None, "at"),
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
    Column("version", Integer),
    Column("variant", Text),
    Column("test", Boolean),  # None is no
    Column("judged_at", UtcDateTime),  # None is `at`
    UniqueConstraint("event", "campaign"),
    Index(None, "at", "id"),
    Index(None, "subject", "at"),
    Index(None, "campaign", "at"),
    Index(None, "geofence", "at"),
    Index(None, "outcome", "at"),
)

UNSETTLED = text(
    "CASE counted WHEN 'reserved' THEN state NOT IN ('due', 'sending')"
    " WHEN 'committed' THEN state IN ('due', 'sending', 'failed', 'expired', 'cancelled')"
    " WHEN 'released' THEN state NOT IN ('failed', 'expired', 'cancelled') END"
)
"""Messages whose counters do not agree with their state. Literals, as an index is only used for
the very words that it is made of; and no OR, as SQLite would look into other indexes for each part.
"""

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
    Column("version", Integer),
    Column("visit", Text),  # during which it was decided
    Column("cost_micros", BigInteger),
    Column("counted_on", Date),  # the day by which budgets count it
    Column("counted", Text),  # how it stands in the budgets' counters; null: in none
    Column("variant", Text),
    Column("segments", Integer),  # of an SMS
    Column("test", Boolean),  # None is no
    UniqueConstraint("event", "campaign"),
    Index(None, "state", "next_at"),
    Index(None, "counted", "state"),
    Index(None, "counted_on"),
    Index(None, "created_at", "id"),
    Index(None, "subject", "campaign"),
    Index(None, "campaign", "created_at"),
    Index(None, "geofence", "created_at"),
    Index(None, "provider_id"),
    Index("ix_messages_unsettled", "id", postgresql_where=UNSETTLED, sqlite_where=UNSETTLED),
)

budget_counters = Table(
    "budget_counters",
    metadata,
    Column("owner", Text, primary_key=True),  # a campaign, or the account
    Column("day", Text, primary_key=True),  # empty: over a whole life
    Column("reserved_messages", BigInteger, nullable=False),
    Column("reserved_micros", BigInteger, nullable=False),
    Column("committed_messages", BigInteger, nullable=False),
    Column("committed_micros", BigInteger, nullable=False),
)

held_moments = Table(
    "held_moments",
    metadata,
    Column("decision", Text, ForeignKey("decisions.id", ondelete="CASCADE"), primary_key=True),
    Column("event", Text, nullable=False, index=True),
    Column("campaign", Text, nullable=False),
    Column("subject", Text, nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("geofence", Text),
    Column("zone", Text),
    Column("at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime, nullable=False, index=True),
)

carts = Table(
    "carts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("value", Float),
    Column("currency", Text),
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("cart", Text),  # by which the shop tells it from others
    Column("store", Text),
    Column("contents", Text),  # sealed
    Index(None, "subject", "at"),
    Index(None, "at"),
    Index(None, "recorded_at", "id"),
)

# How far the watches that wait for time to pass have come.
watch_marks = Table(
    "watch_marks",
    metadata,
    Column("watch", Text, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("id", Text, nullable=False),
)

list_members = Table(
    "list_members",
    metadata,
    Column("list", Text, primary_key=True),
    Column("subject", Text, primary_key=True, index=True),
    Column("added_at", UtcDateTime, nullable=False),
)

broadcast_runs = Table(
    "broadcast_runs",
    metadata,
    Column("campaign", Text, primary_key=True),
    Column("occurrence", UtcDateTime, primary_key=True),
    Column("after", Text),  # the subject that was looked at last, while it runs
    Column("examined", Integer, nullable=False),
    Column("in_audience", Integer, nullable=False),
    Column("begun_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime, index=True),
    Column("why", Text),
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

short_links = Table(
    "short_links",
    metadata,
    Column("token", Text, primary_key=True),  # hashed
    Column("message", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("campaign", Text, nullable=False),
    Column("version", Integer),
    Column("geofence", Text),
    Column("target", Text, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Index(None, "message"),
    Index(None, "subject"),
    Index(None, "campaign"),
    Index(None, "made_at"),
)

clicks = Table(
    "clicks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("link", Text, ForeignKey("short_links.token", ondelete="CASCADE"), nullable=False),
    Column("message", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("opener", Text, nullable=False),
    Index(None, "link"),
    Index(None, "message", "at"),
)

coupon_pools = Table(
    "coupon_pools",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("alert_below", Integer, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("longest_chars", Integer, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
)

coupons = Table(
    "coupons",
    metadata,
    Column("code", Text, primary_key=True),  # as it is compared; sealed alike, to be found again
    Column("shown", Text, nullable=False),  # as it is written; sealed
    Column("pool", Text, ForeignKey("coupon_pools.id"), nullable=False),
    Column("number", Integer, nullable=False),  # its turn in the pool
    Column("state", Text, nullable=False),
    Column("message", Text, unique=True),
    Column("subject", Text),
    Column("campaign", Text),
    Column("geofence", Text),  # the store where it was earned
    Column("tags", JSON(none_as_null=True)),  # and further ones where it is good
    Column("claimed_at", UtcDateTime),
    Column("valid_until", UtcDateTime),
    Index(None, "pool", "state", "number"),
    Index(None, "subject"),
    Index(None, "claimed_at"),
)

redemptions = Table(
    "redemptions",
    metadata,
    Column("id", Text, primary_key=True),  # the message's
    Column("subject", Text, nullable=False),
    Column("campaign", Text, nullable=False),
    Column("version", Integer),
    Column("geofence", Text, nullable=False),  # where it was taken
    Column("at", UtcDateTime, nullable=False),
    Column("receipt", Text),
    Column("amount_thousandths", BigInteger),
    Column("currency", Text),
    Column("recorded_at", UtcDateTime, nullable=False),
    Index(None, "subject", "at"),
    Index(None, "campaign", "at"),
    Index(None, "geofence", "at"),
    Index(None, "at"),
)
