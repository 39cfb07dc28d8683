"""The tables of the vault and of suppression, and what all tables of this domain share."""

from sqlalchemy import Column, MetaData, Table, Text
from sqlalchemy_utc import UtcDateTime

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

vault_keys = Table(
    "vault_keys",  # which keys are in use; their secrets are not here
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("check_value", Text, nullable=False),
)

subject_keys = Table(
    "subject_keys",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("master", Text, nullable=False),
    Column("wrapped", Text, nullable=False),
)

suppressions = Table(
    "suppressions",
    metadata,
    Column("mark", Text, primary_key=True),
    Column("scope", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("keep_until", UtcDateTime, nullable=False),
    Column("lifted_at", UtcDateTime),
)

erasures = Table(
    "erasures",  # that somebody was erased, and when nothing of it was left in any file; not who
    metadata,
    Column("id", Text, primary_key=True),
    Column("erased_at", UtcDateTime, nullable=False),
    Column("settled_at", UtcDateTime, index=True),
)
