"""The tables of the consent log: its size, its tree, and what besides entries is a leaf or speaks of leaves."""

from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text
from sqlalchemy_utc import UtcDateTime

from consent.tables import metadata


def _place(name: str) -> Column[Any]:
    return Column(
        name,
        BigInteger().with_variant(Integer, "sqlite"),
        primary_key=True,
        autoincrement=False,
        nullable=False,
    )


consent_log = Table(
    "consent_log",
    metadata,
    Column(
        "id", Integer, primary_key=True, autoincrement=False
    ),  # there is one row; whoever appends holds it
    Column("size", BigInteger, nullable=False),
    Column("checkpoints", BigInteger, nullable=False),
)

consent_tree = Table(
    "consent_tree",
    metadata,
    Column(
        "level", Integer, primary_key=True, autoincrement=False
    ),  # 0: leaves; each next stands for 256 below
    _place("position"),  # from 0
    Column("hash", LargeBinary, nullable=False),
    sqlite_with_rowid=False,  # the rows lie in the order of their key, as they are read
)

consent_notices = Table(
    "consent_notices",
    metadata,
    _place("seq"),
    Column("version", Text, nullable=False, unique=True),
    Column("language", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("renews", Text),
    Column("published_at", UtcDateTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Index("ix_consent_notices_renews", "renews"),
)

consent_erasures = Table(
    "consent_erasures",
    metadata,
    _place("seq"),
    Column("entries", Text, nullable=False),  # places of entries, separated by spaces
    Column("erased_at", UtcDateTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("salt", LargeBinary, nullable=False),
)

consent_checkpoints = Table(
    "consent_checkpoints",
    metadata,
    _place("number"),  # from 1
    Column("note", Text, nullable=False),
)
