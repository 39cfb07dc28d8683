"""The tables of events out: what changed, who wants to hear of it, and what is still to be delivered."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, Table, Text
from sqlalchemy_utc import UtcDateTime

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

_NUMBER = BigInteger().with_variant(Integer, "sqlite")

feed = Table(
    "feed",  # one row
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column(
        "wanted", Boolean, nullable=False
    ),  # whether changes are written down: somebody subscribed, or listens
    Column("last_position", _NUMBER, nullable=False),
    Column("listened_at", UtcDateTime),  # when a stream was open last
)

changes = Table(
    "changes",  # written by triggers, see triggers.py; what they say is in the rows that they refer to
    metadata,
    Column("seq", _NUMBER, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("revision", Text),
    Column("ref", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("geofence", Text),
    Column("campaign", Text),
    Column("position", _NUMBER, unique=True),  # in the feed; none yet for what was just committed
    Column("placed_at", UtcDateTime),
    Index(None, "subject"),
    Index(None, "placed_at"),
    sqlite_autoincrement=True,
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("url", Text, nullable=False),  # sealed: it may hold a token of the receiver's
    Column("definition", Text, nullable=False),  # JSON of kinds and filters
    Column("secrets", Text, nullable=False),  # sealed
    Column("state", Text, nullable=False),
    Column("because", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("missed", Integer, nullable=False),  # changes that found its queue full
    Column("failing", Integer, nullable=False),  # turns in a row in which nothing was taken
    Column("rest_until", UtcDateTime),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Text, primary_key=True),  # the webhook-id
    Column("subscription", Text, nullable=False),
    Column("position", _NUMBER, nullable=False),
    Column("seq", _NUMBER, nullable=False),
    Column("kind", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("revision", Text),
    Column("ref", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("geofence", Text),
    Column("campaign", Text),
    Column("placed_at", UtcDateTime, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", UtcDateTime),  # none while an earlier one of the same subject waits
    Column("last_answer", Text),
    Index(None, "subscription", "state", "next_at"),
    Index(None, "subscription", "subject", "position"),
    Index(None, "subscription", "state", "position"),
    Index(None, "subject"),
    Index(None, "placed_at"),
)
