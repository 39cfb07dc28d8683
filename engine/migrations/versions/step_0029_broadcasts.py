"""Broadcasts: how far each occurrence has come."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy_utc import UtcDateTime

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "broadcast_runs",
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("occurrence", UtcDateTime(), nullable=False),
        sa.Column("after", sa.Text(), nullable=True),
        sa.Column("examined", sa.Integer(), nullable=False),
        sa.Column("in_audience", sa.Integer(), nullable=False),
        sa.Column("begun_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("campaign", "occurrence", name="pk_broadcast_runs"),
    )
    op.create_index("ix_broadcast_runs_ended_at", "broadcast_runs", ["ended_at"])


def downgrade() -> None:
    op.drop_table("broadcast_runs")
