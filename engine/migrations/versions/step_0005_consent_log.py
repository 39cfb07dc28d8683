"""The consent ledger becomes a Merkle log: entries get a salt and a place without gaps, and every leaf is kept."""

import sys
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
import sqlalchemy_utc
from alembic import op
from tqdm import tqdm

from consent.commitment import EntryLine, instant, leaf_of, new_salt
from consent.merkle import root_of

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ENTRIES_PER_TURN = 5000
SPAN = 256

PLACE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
ENTRIES = sa.table(
    "consent_entries",
    *(
        sa.column(name, sa.Text())
        for name in ("id", "subject", "purpose", "channel", "action", "source", "text_version", "actor")
    ),
    sa.column("seq", PLACE),
    sa.column("at", sqlalchemy_utc.UtcDateTime()),
    sa.column("recorded_at", sqlalchemy_utc.UtcDateTime()),
    sa.column("salt", sa.LargeBinary()),
)
TREE = sa.table(
    "consent_tree",
    sa.column("level", sa.Integer()),
    sa.column("position", PLACE),
    sa.column("hash", sa.LargeBinary()),
)


def upgrade() -> None:
    for name in ("language", "text_hash", "evidence", "jurisdiction", "partner"):
        op.add_column("consent_entries", sa.Column(name, sa.Text(), nullable=True))
    op.add_column("consent_entries", sa.Column("salt", sa.LargeBinary(), nullable=True))
    _create_tables()
    size = _bring_in(op.get_bind())
    op.execute(
        sa.text("INSERT INTO consent_log (id, size, checkpoints) VALUES (1, :size, 0)").bindparams(size=size)
    )
    with op.batch_alter_table("consent_entries") as batch:
        batch.alter_column("salt", nullable=False)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE consent_entries ALTER COLUMN seq DROP DEFAULT")
        op.execute("DROP SEQUENCE consent_entries_seq_seq")


def downgrade() -> None:
    for name in ("consent_checkpoints", "consent_erasures", "consent_notices", "consent_tree", "consent_log"):
        op.drop_table(name)
    with op.batch_alter_table("consent_entries") as batch:
        for name in ("salt", "partner", "jurisdiction", "evidence", "text_hash", "language"):
            batch.drop_column(name)


def _create_tables() -> None:
    op.create_table(
        "consent_log",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("checkpoints", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent_log")),
    )
    op.create_table(
        "consent_tree",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", PLACE, autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "position", name=op.f("pk_consent_tree")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "consent_notices",
        sa.Column("seq", PLACE, autoincrement=False, nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("renews", sa.Text(), nullable=True),
        sa.Column("published_at", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_consent_notices")),
        sa.UniqueConstraint("version", name=op.f("uq_consent_notices_version")),
    )
    op.create_index("ix_consent_notices_renews", "consent_notices", ["renews"], unique=False)
    op.create_table(
        "consent_erasures",
        sa.Column("seq", PLACE, autoincrement=False, nullable=False),
        sa.Column("entries", sa.Text(), nullable=False),
        sa.Column("erased_at", sqlalchemy_utc.UtcDateTime(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_consent_erasures")),
    )
    op.create_table(
        "consent_checkpoints",
        sa.Column("number", PLACE, autoincrement=False, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_consent_checkpoints")),
    )


def _bring_in(connection: sa.Connection) -> int:
    """Give every entry its place and its leaf, in the order they were recorded. Answers how many there are."""
    total = connection.scalar(sa.select(sa.func.count()).select_from(ENTRIES)) or 0
    nodes, size, after = list[bytes](), 0, 0
    placing = (
        sa.update(ENTRIES)
        .where(ENTRIES.c.seq == sa.bindparam("was"))
        .values(seq=sa.bindparam("place"), salt=sa.bindparam("salted"))
    )
    with tqdm(total=total, desc="consent log", unit=" entries", disable=not sys.stderr.isatty()) as progress:
        while size < total:
            turn = sa.select(ENTRIES).where(ENTRIES.c.seq > after).order_by(ENTRIES.c.seq)
            rows = connection.execute(turn.limit(ENTRIES_PER_TURN)).all()
            after = rows[-1].seq
            salts = [new_salt() for _ in rows]
            leaves = [leaf_of(salt, _line(row)) for salt, row in zip(salts, rows, strict=True)]
            places = [
                {"was": row.seq, "place": place, "salted": salt}
                for place, row, salt in zip(range(size + 1, size + 1 + len(rows)), rows, salts, strict=True)
            ]
            connection.execute(placing, places)
            _keep(connection, 0, size, leaves)
            nodes += leaves
            size += len(rows)
            progress.update(len(rows))
    level = 0
    while nodes := [
        root_of(nodes[start : start + SPAN]) for start in range(0, len(nodes) // SPAN * SPAN, SPAN)
    ]:
        level += 1
        _keep(connection, level, 0, nodes)
    return size


def _keep(connection: sa.Connection, level: int, start: int, nodes: list[bytes]) -> None:
    rows = [
        {"level": level, "position": place, "hash": node} for place, node in enumerate(nodes, start=start)
    ]
    connection.execute(sa.insert(TREE), rows)


def _line(row: Any) -> EntryLine:
    return EntryLine(
        action=row.action,
        actor=row.actor,
        at=_instant(row.at),
        channel=row.channel,
        id=row.id,
        purpose=row.purpose,
        recorded_at=_instant(row.recorded_at),
        source=row.source,
        subject=row.subject,
        text_version=row.text_version,
    )


def _instant(at: datetime) -> str:
    return instant(at.astimezone(UTC))
