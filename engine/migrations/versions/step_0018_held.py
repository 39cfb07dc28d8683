"""Moments may wait for a delay to be over, and are decided anew then."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy_utc import UtcDateTime

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "held_moments",
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("geofence", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=True),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("decision", name="pk_held_moments"),
        sa.ForeignKeyConstraint(
            ["decision"], ["decisions.id"], name="fk_held_moments_decision", ondelete="CASCADE"
        ),
    )
    for column in ("event", "subject", "due_at"):
        op.create_index(f"ix_held_moments_{column}", "held_moments", [column])


def downgrade() -> None:
    op.drop_table("held_moments")
