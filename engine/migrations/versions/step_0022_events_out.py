"""Others may hear of what happens: the feed of changes, subscriptions, and what is still to be delivered."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy_utc import UtcDateTime

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _what_changed() -> list[sa.Column[str]]:
    names = ("kind", "detail", "revision", "ref", "subject", "geofence", "campaign")
    return [
        sa.Column(name, sa.Text(), nullable=name in ("revision", "geofence", "campaign")) for name in names
    ]


def upgrade() -> None:
    feed = op.create_table(
        "feed",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("wanted", sa.Boolean(), nullable=False),
        sa.Column("last_position", NUMBER, nullable=False),
        sa.Column("listened_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_feed"),
    )
    op.bulk_insert(feed, [{"id": 1, "wanted": False, "last_position": 0}])
    op.create_table(
        "changes",
        sa.Column("seq", NUMBER, nullable=False),
        *_what_changed(),
        sa.Column("position", NUMBER, nullable=True),
        sa.Column("placed_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("seq", name="pk_changes"),
        sa.UniqueConstraint("position"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_changes_subject", "changes", ["subject"])
    op.create_index("ix_changes_placed_at", "changes", ["placed_at"])
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("secrets", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("because", sa.Text(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("missed", sa.Integer(), nullable=False),
        sa.Column("failing", sa.Integer(), nullable=False),
        sa.Column("rest_until", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_subscriptions"),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("subscription", sa.Text(), nullable=False),
        sa.Column("position", NUMBER, nullable=False),
        sa.Column("seq", NUMBER, nullable=False),
        *_what_changed(),
        sa.Column("placed_at", UtcDateTime(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", UtcDateTime(), nullable=True),
        sa.Column("last_answer", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
    )
    for columns in (
        ["subscription", "state", "next_at"],
        ["subscription", "subject", "position"],
        ["subscription", "state", "position"],
        ["subject"],
        ["placed_at"],
    ):
        op.create_index(f"ix_deliveries_{'_'.join(columns)}", "deliveries", columns)


def downgrade() -> None:
    _drop_triggers()
    for table in ("deliveries", "subscriptions", "changes", "feed"):
        op.drop_table(table)


def _drop_triggers() -> None:
    """They write into a table that goes."""
    bind = op.get_bind()
    if bind.dialect.name == "postgresql":
        query = "SELECT tgname, tgrelid::regclass::text FROM pg_trigger WHERE tgname LIKE 'tell\\_%%' AND NOT tgisinternal"
        for name, table in bind.exec_driver_sql(query).all():
            bind.exec_driver_sql(f"DROP TRIGGER {name} ON {table}")
    else:
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name GLOB 'tell_*'"
        for (name,) in bind.exec_driver_sql(query).all():
            bind.exec_driver_sql(f"DROP TRIGGER {name}")
