"""Carts have a name, a store and what is in them; moments come as time passes, and need no place."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy_utc import UtcDateTime

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("cart", "store", "contents"):
        op.add_column("carts", sa.Column(name, sa.Text(), nullable=True))
    op.create_index("ix_carts_recorded_at_id", "carts", ["recorded_at", "id"])
    op.create_table(
        "watch_marks",
        sa.Column("watch", sa.Text(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("watch", name="pk_watch_marks"),
    )
    with op.batch_alter_table("held_moments") as batch:
        batch.alter_column("geofence", nullable=True)


def downgrade() -> None:
    op.execute("DELETE FROM held_moments WHERE geofence IS NULL")
    with op.batch_alter_table("held_moments") as batch:
        batch.alter_column("geofence", nullable=False)
    op.drop_table("watch_marks")
    op.drop_index("ix_carts_recorded_at_id", "carts")
    for name in ("contents", "store", "cart"):
        op.drop_column("carts", name)
