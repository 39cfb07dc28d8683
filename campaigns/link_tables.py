"""The tables of short links and of who opened them."""

from sqlalchemy import Column, ForeignKey, Index, Integer, Table, Text
from sqlalchemy_utc import UtcDateTime

from campaigns.tables import metadata

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
