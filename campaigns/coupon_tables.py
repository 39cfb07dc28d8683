"""The tables of coupons, and of what tills took."""

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, Index, Integer, Table, Text
from sqlalchemy_utc import UtcDateTime

from campaigns.tables import metadata

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
