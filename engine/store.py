"""What the engine itself remembers: API keys, and the answers of requests that may be sent again."""

from sqlalchemy import Column, Integer, LargeBinary, MetaData, String, Table
from sqlalchemy_utc import UtcDateTime

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("hash", String, nullable=False),
    Column("scopes", String, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime),
    Column("app", String),  # the id of the app's first key; none: it is that
    Column("last_used_at", UtcDateTime),
    Column("devices", String),  # how the names of those begin that it speaks of; none: of all
)

idempotent_answers = Table(
    "idempotent_answers",
    metadata,
    Column("id", String, primary_key=True),
    Column("body_hash", String, nullable=False),
    Column("begun_at", UtcDateTime, nullable=False, index=True),
    Column("status", Integer),
    Column("media_type", String),
    Column("body", LargeBinary),
    Column("subject", String, index=True),  # whom the path is about: forgotten with them
)
