"""The tables of this package: geofences and beacons with the order of their edits, the events at them, and visits."""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy_utc import UtcDateTime

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

geofences = Table(
    "geofences",
    metadata,
    Column("id", Text, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("feature", JSON, nullable=False),
    Column("deleted", Boolean, nullable=False),  # a tombstone tells other workers' indexes
    Column("updated_at", UtcDateTime, nullable=False),
    Index(None, "revision"),
)

geofence_revision = Table(
    "geofence_revision",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("value", Integer, nullable=False),
)

beacons = Table(
    "beacons",
    metadata,
    Column("id", Text, primary_key=True),
    Column("radio", Text, nullable=False),  # the key of the ids by which it is heard
    Column("geofence", Text, ForeignKey("geofences.id"), nullable=False, index=True),
    Column("tx_power_dbm", Float),
    Column("path_loss", Float, nullable=False),
    Column("zone", Text),
    Column("lat", Float),
    Column("lon", Float),
    Column("updated_at", UtcDateTime, nullable=False),
    UniqueConstraint("radio"),
)

place_events = Table(
    "place_events",
    metadata,
    Column("id", Text, primary_key=True),
    Column("device", Text, nullable=False),
    Column("subject", Text),
    Column("kind", Text, nullable=False),
    Column("geofence", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("emitted", UtcDateTime, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("beacon", Text),
    Column("zone", Text),  # as its beacon had it then
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("retracted_at", UtcDateTime),  # when a later signal showed that it had not happened
    Index(None, "at", "id"),
    Index(None, "device", "at"),
    Index(None, "subject", "at"),
    Index(None, "geofence", "at"),
)

visits = Table(
    "visits",
    metadata,
    Column("id", Text, primary_key=True),  # of the enter event
    Column("subject", Text, nullable=False),
    Column("device", Text, nullable=False),  # sealed, as in `place_events`
    Column("geofence", Text, nullable=False),
    Column("entered_at", UtcDateTime, nullable=False),
    Column("left_at", UtcDateTime),
    Column("ended_by", Text),  # the exit event
    Index(None, "subject", "geofence", "entered_at"),
    Index(None, "geofence", "entered_at"),
    Index(None, "entered_at", "id"),
    Index(None, "left_at", "id"),
)
